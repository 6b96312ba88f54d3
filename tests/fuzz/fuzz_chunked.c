/* fuzz/fuzz_chunked.c - chunked bodies: the input stands behind the head of a request. */
#include "base/text.h"

#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const struct feed feed = { .has_eof = true };
    struct text request;
    text_init(&request);
    text_add_cstr(&request, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    text_add(&request, slice_from((const char *)bytes, length));
    check_splits(&feed, text_slice(&request));
    check_round_trip(&feed, text_slice(&request));
    text_fini(&request);
    return 0;
}
