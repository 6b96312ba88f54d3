/* fuzz/fuzz_h1_response.c - the response reader; an input that begins with '#' answers HEAD, any other GET. */
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice input = slice_from((const char *)bytes, length);
    struct feed feed = { .is_response = true, .request_method = METHOD_GET, .has_eof = true };
    if (slice_has_prefix(input, SLICE("#"))) {
        feed.request_method = METHOD_HEAD;
        input = slice_after(input, 1);
    }
    check_splits(&feed, input);
    check_round_trip(&feed, input);
    return 0;
}
