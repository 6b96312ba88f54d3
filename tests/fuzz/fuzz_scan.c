/* fuzz/fuzz_scan.c - the scans of all instruction sets find the same byte, wherever a run begins and ends. */
#include "base/check.h"

#include "http/feed.h"
#include "http/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_run(const char *at, const char *end)
{
    const struct scan_variant *plain = &scan_variants[0];
    for (size_t i = 1; i < SCAN_VARIANT_COUNT; i++) {
        const struct scan_variant *v = &scan_variants[i];
        if (!v->is_usable())
            continue;
        CHECK(v->control(at, end) == plain->control(at, end));
        CHECK(v->not_token(at, end) == plain->not_token(at, end));
        CHECK(v->not_target(at, end) == plain->not_target(at, end));
        CHECK(v->count_controls(at, end) == plain->count_controls(at, end));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice run = feed_guarded(slice_from((const char *)bytes, length));
    const char *end = run.ptr + run.len;
    for (size_t i = 0; i <= run.len && i <= 64; i++) {
        check_run(run.ptr + i, end);
        check_run(run.ptr, end - i);
    }
    return 0;
}
