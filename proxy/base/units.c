/* base/units.c - reads and writes durations, sizes, shares and rates. */
#include "base/units.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>

/* What one of a unit is worth; a table runs from the smallest unit to the largest. */
struct unit {
    const char *name;
    uint64_t worth;
};

static const struct unit duration_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};

static const struct unit size_units[] = {
    { "B", 1 }, { "KiB", 1u << 10 }, { "MiB", 1u << 20 }, { "GiB", 1u << 30 }, { "TiB", (uint64_t)1 << 40 },
};

static const struct unit rate_units[] = { { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

static const struct unit *unit_find(const struct unit *units, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(slice_from_cstr(units[i].name), name))
            return &units[i];
    return NULL;
}

static size_t digits_at_front(struct slice s)
{
    size_t count = 0;
    while (count < s.len && s.ptr[count] >= '0' && s.ptr[count] <= '9')
        count++;
    return count;
}

/* A whole number directly followed by a unit; false on overflow. No fractions: "1.5s" is written "1500ms", so that
   nothing is rounded behind anybody's back. */
static bool parse_with_unit(struct slice s, const struct unit *units, size_t count, uint64_t *out)
{
    size_t digits = digits_at_front(s);
    const struct unit *unit = unit_find(units, count, slice_after(s, digits));
    uint64_t number;
    return unit != NULL && slice_to_u64(slice_first(s, digits), &number) &&
           !__builtin_mul_overflow(number, unit->worth, out);
}

bool units_parse_duration(struct slice s, int64_t *out_ms)
{
    uint64_t ms;
    if (!parse_with_unit(s, duration_units, ARRAY_COUNT(duration_units), &ms) || ms > INT64_MAX)
        return false;
    *out_ms = (int64_t)ms;
    return true;
}

bool units_parse_size(struct slice s, uint64_t *out_bytes)
{
    return slice_to_u64(s, out_bytes) || parse_with_unit(s, size_units, ARRAY_COUNT(size_units), out_bytes);
}

/* Percent with up to four decimals, so one ppm is the last of them. */
bool units_parse_share(struct slice s, uint32_t *out_ppm)
{
    if (!slice_has_suffix(s, SLICE("%")))
        return false;
    s = slice_first(s, s.len - 1);
    size_t point = slice_find(s, '.');
    uint64_t whole, fraction = 0;
    if (!slice_to_u64(slice_first(s, point), &whole) || whole > 100)
        return false;
    if (point < s.len) {
        struct slice decimals = slice_after(s, point + 1);
        if (decimals.len > 4 || !slice_to_u64(decimals, &fraction))
            return false;
        for (size_t i = decimals.len; i < 4; i++)
            fraction *= 10;
    }
    uint64_t ppm = whole * 10000 + fraction;
    *out_ppm = (uint32_t)ppm;
    return ppm <= 1000000;
}

/* The period stays beside the count: 5/m is no whole number per second. */
bool units_parse_rate(struct slice s, uint32_t *out_count, uint32_t *out_period_ms)
{
    size_t bar = slice_find(s, '/');
    const struct unit *per = unit_find(rate_units, ARRAY_COUNT(rate_units), slice_after(s, bar + 1));
    uint64_t count;
    if (per == NULL || !slice_to_u64(slice_first(s, bar), &count) || count == 0 || count > UINT32_MAX)
        return false;
    *out_count = (uint32_t)count;
    *out_period_ms = (uint32_t)per->worth;
    return true;
}

/* The largest unit that divides the value: exact, and the fewest digits. */
static void format_with_unit(uint64_t value, const struct unit *units, size_t count, char *out, size_t out_size)
{
    size_t i = count - 1;
    while (i > 0 && value % units[i].worth != 0)
        i--;
    snprintf(out, out_size, "%" PRIu64 "%s", value / units[i].worth, units[i].name);
}

void units_format_duration(int64_t ms, char *out, size_t out_size)
{
    CHECK(ms >= 0);
    if (ms == 0)
        snprintf(out, out_size, "0s");
    else
        format_with_unit((uint64_t)ms, duration_units, ARRAY_COUNT(duration_units), out, out_size);
}

/* "2.8ms", and "2ms" rather than "2.0ms". */
static void say_tenths(int64_t tenths, const char *unit, char out[UNITS_SPAN_BYTES])
{
    if (tenths % 10 != 0)
        snprintf(out, UNITS_SPAN_BYTES, "%" PRId64 ".%d%s", tenths / 10, (int)(tenths % 10), unit);
    else
        snprintf(out, UNITS_SPAN_BYTES, "%" PRId64 "%s", tenths / 10, unit);
}

/* "3m 05s": the smaller unit always, so that what counts down keeps its form. */
static void say_two(int64_t large, const char *large_unit, int64_t small, const char *small_unit,
                    char out[UNITS_SPAN_BYTES])
{
    snprintf(out, UNITS_SPAN_BYTES, "%" PRId64 "%s %02d%s", large, large_unit, (int)small, small_unit);
}

void units_say_span(int64_t us, char out[UNITS_SPAN_BYTES])
{
    int64_t s = us / 1000000;
    if (us <= 0)
        snprintf(out, UNITS_SPAN_BYTES, "0s");
    else if (us < 1000)
        snprintf(out, UNITS_SPAN_BYTES, "%" PRId64 "us", us);
    else if (us < 1000000)
        say_tenths(us < 10000 ? us / 100 : us / 1000 * 10, "ms", out);
    else if (s < 60)
        say_tenths(us / 100000, "s", out);
    else if (s < 3600)
        say_two(s / 60, "m", s % 60, "s", out);
    else if (s < 2 * 86400)
        say_two(s / 3600, "h", s / 60 % 60, "m", out);
    else
        say_two(s / 86400, "d", s / 3600 % 24, "h", out);
}

void units_format_size(uint64_t bytes, char *out, size_t out_size)
{
    if (bytes == 0)
        snprintf(out, out_size, "0B");
    else
        format_with_unit(bytes, size_units, ARRAY_COUNT(size_units), out, out_size);
}

void units_format_share(uint32_t ppm, char *out, size_t out_size)
{
    uint32_t whole = ppm / 10000, fraction = ppm % 10000; /* four decimals, of which final zeros go */
    int decimals = 4;
    while (fraction != 0 && fraction % 10 == 0) {
        fraction /= 10;
        decimals--;
    }
    if (fraction == 0)
        snprintf(out, out_size, "%" PRIu32 "%%", whole);
    else
        snprintf(out, out_size, "%" PRIu32 ".%0*" PRIu32 "%%", whole, decimals, fraction);
}
