/* fuzz/fuzz_h1_request.c - the request reader: splits do not matter, and what it accepts survives the writer. */
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const struct feed feed = { .has_eof = true };
    struct slice input = slice_from((const char *)bytes, length);
    check_splits(&feed, input);
    check_round_trip(&feed, input);
    return 0;
}
