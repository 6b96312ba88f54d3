/* fuzz/fuzz_proxy_header.c - PROXY headers: the same verdict however the bytes arrive, and nothing is read behind them. */
#include "base/check.h"

#include "http/feed.h"
#include "http/proxy_header.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static bool is_same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->length == b->length && ip_equal(&a->source, &b->source) && a->source_port == b->source_port &&
           a->problem == b->problem;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice whole = slice_from((const char *)bytes, length);
    struct proxy_header first = { 0 }, header;
    enum proxy_header_result verdict = PROXY_HEADER_MORE;
    for (size_t i = 0; i <= length && i <= PROXY_HEADER_MAX_BYTES + 1; i++) {
        enum proxy_header_result result = proxy_header_read(feed_guarded(slice_first(whole, i)), &header);
        if (result == PROXY_HEADER_MORE)
            CHECK(verdict == PROXY_HEADER_MORE && i < PROXY_HEADER_MAX_BYTES);
        else if (verdict == PROXY_HEADER_MORE)
            first = header;
        else
            CHECK(result == verdict && is_same(&header, &first));
        verdict = result;
        bool is_complete = result == PROXY_HEADER_SOURCE || result == PROXY_HEADER_LOCAL;
        CHECK(is_complete ? header.length > 0 && header.length <= i
                          : (header.problem != NULL) == (result == PROXY_HEADER_BAD));
    }
    return 0;
}
