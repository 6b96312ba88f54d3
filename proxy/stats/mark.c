/* stats/mark.c - the mark of an exposure, written and read. */
#include "stats/mark.h"

#include "base/check.h"
#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>

#define PPM 1000000u

size_t mark_write(const struct mark *mark, char *out)
{
    char tag[HEX_U64_DIGITS], user[HEX_U64_DIGITS] = "-";
    CHECK(mark->rollout.len <= MARK_ROLLOUT_BYTES);
    hex_put_u64(mark->tag, tag);
    if (mark->has_user)
        hex_put_u64(mark->user, user);
    int len = snprintf(out, MARK_BYTES, "1.%c.%" PRIu32 ".%" PRIu32 ".%.16s.%.*s.%" PRId64 ".%.*s",
                       mark->arm == TALLY_CANARY ? 'c' : 's', mark->share_ppm, mark->fresh_from_ppm, tag,
                       mark->has_user ? HEX_U64_DIGITS : 1, user, mark->at.unix_ms, SLICE_ARG(mark->rollout));
    CHECK(len > 0 && (size_t)len < MARK_BYTES);
    return (size_t)len;
}

/* Up to the next full stop, which is taken off too. */
static struct slice part_take(struct slice *rest)
{
    size_t end = slice_find(*rest, '.');
    struct slice part = slice_first(*rest, end);
    *rest = end < rest->len ? slice_after(*rest, end + 1) : SLICE_NONE;
    return part;
}

static bool hex_read(struct slice digits, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = value;
    return digits.len == HEX_U64_DIGITS;
}

static bool ppm_read(struct slice digits, uint32_t *out)
{
    uint64_t value;
    if (!slice_to_u64(digits, &value) || value > PPM)
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool user_read(struct slice part, struct mark *out)
{
    out->has_user = !slice_equal(part, SLICE("-"));
    out->user = 0;
    return !out->has_user || hex_read(part, &out->user);
}

static bool time_read(struct slice digits, struct wall_time *out)
{
    uint64_t ms;
    if (!slice_to_u64(digits, &ms) || ms > INT64_MAX / 2)
        return false;
    out->unix_ms = (int64_t)ms;
    return true;
}

bool mark_read(struct slice text, struct mark *out)
{
    struct slice version = part_take(&text), arm = part_take(&text);
    bool is_canary = slice_equal(arm, SLICE("c"));
    out->arm = is_canary ? TALLY_CANARY : TALLY_STABLE;
    if (!slice_equal(version, SLICE("1")) || (!is_canary && !slice_equal(arm, SLICE("s"))))
        return false;
    if (!ppm_read(part_take(&text), &out->share_ppm) || !ppm_read(part_take(&text), &out->fresh_from_ppm) ||
        !hex_read(part_take(&text), &out->tag) || !user_read(part_take(&text), out) ||
        !time_read(part_take(&text), &out->at))
        return false;
    out->rollout = text;
    return text.len > 0 && text.len <= MARK_ROLLOUT_BYTES;
}
