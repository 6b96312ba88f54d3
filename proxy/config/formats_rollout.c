/* config/formats_rollout.c - the texts of rollouts: days, times of the day, time zones, statuses, bounds. */
#include "config/formats.h"

#include "base/check.h"
#include "base/units.h"
#include "config/value.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || strchr("._-", c) != NULL;
}

static bool is_printable(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* ---- people and texts -------------------------------------------------------------------------------------------- */

/* As the admin API names who asks (admin/auth.h). */
static const char *person_fault(struct slice s)
{
    if (slice_has_prefix(s, SLICE("unix:")))
        s = slice_after(s, 5);
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_char(s.ptr[i]))
            return "is nobody's name";
    return s.len > 0 && s.len <= 64 ? NULL : "is nobody's name";
}

static const char *revision_fault(struct slice s)
{
    if (s.len == 0)
        return "is empty";
    if (s.len > REVISION_MAX_BYTES)
        return "is longer than 64 bytes";
    return is_printable(s) ? NULL : "holds a control character";
}

static const char *sentence_fault(struct slice s)
{
    return slice_trim(s).len > 0 ? NULL : "says nothing";
}

static const char *query_fault(struct slice s)
{
    return slice_trim(s).len > 0 ? NULL : "is an empty query";
}

static const char *target_fault(struct slice s)
{
    if (!slice_has_prefix(s, SLICE("/")))
        return "does not begin with /";
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || (unsigned char)s.ptr[i] >= 0x7f || s.ptr[i] == '#')
            return "holds a character that must be percent-encoded";
    return NULL;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

bool format_read_number(struct slice text, double *out)
{
    int64_t millionths;
    bool is_negative = slice_has_prefix(text, SLICE("-"));
    if (!value_read_decimal(slice_after(text, is_negative), &millionths))
        return false;
    *out = (double)millionths / (is_negative ? -1e6 : 1e6);
    return true;
}

static const char *bound_fault(struct slice s)
{
    uint32_t ppm;
    int64_t ms;
    double number;
    bool is_bound = units_parse_share(s, &ppm) || units_parse_duration(s, &ms) || format_read_number(s, &number);
    return is_bound ? NULL : "is neither a share, nor a duration, nor a number";
}

/* "5xx" is a range of its own, and so is each single status. */
bool format_read_status(struct slice text, uint16_t *out_from, uint16_t *out_to)
{
    uint64_t from, to;
    if (text.len == 3 && text.ptr[0] >= '1' && text.ptr[0] <= '5' && text.ptr[1] == 'x' && text.ptr[2] == 'x') {
        from = (uint64_t)(text.ptr[0] - '0') * 100;
        to = from + 99;
    } else {
        size_t dash = slice_find(text, '-');
        if (!slice_to_u64(slice_first(text, dash), &from))
            return false;
        to = from;
        if (dash < text.len && !slice_to_u64(slice_after(text, dash + 1), &to))
            return false;
    }
    if (from < 100 || to > 599 || from > to)
        return false;
    *out_from = (uint16_t)from;
    *out_to = (uint16_t)to;
    return true;
}

static const char *status_fault(struct slice s)
{
    uint16_t from, to;
    return format_read_status(s, &from, &to) ? NULL : "is not a status";
}

/* ---- days and times ---------------------------------------------------------------------------------------------- */

static bool read_day(struct slice text, unsigned *out)
{
    static const char *const names[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++)
        if (slice_equal(text, slice_from_cstr(names[i]))) {
            *out = i;
            return true;
        }
    return false;
}

bool format_read_days(struct slice text, unsigned *out_days)
{
    unsigned from, to, days = 0;
    size_t dash = slice_find(text, '-');
    if (!read_day(slice_first(text, dash), &from))
        return false;
    to = from;
    if (dash < text.len && !read_day(slice_after(text, dash + 1), &to))
        return false;
    for (unsigned day = from; day != to; day = (day + 1) % 7)
        days |= 1u << day;
    *out_days = days | 1u << to;
    return true;
}

static const char *days_fault(struct slice s)
{
    unsigned days;
    return format_read_days(s, &days) ? NULL : "is not a day of the week";
}

bool format_read_clock(struct slice text, int32_t *out_s)
{
    if (text.len != 5 || text.ptr[2] != ':')
        return false;
    for (size_t i = 0; i < 5; i++)
        if (i != 2 && !is_digit(text.ptr[i]))
            return false;
    int hours = (text.ptr[0] - '0') * 10 + text.ptr[1] - '0', minutes = (text.ptr[3] - '0') * 10 + text.ptr[4] - '0';
    *out_s = hours * 3600 + minutes * 60;
    return minutes < 60 && *out_s <= 86400;
}

static const char *clock_fault(struct slice s)
{
    int32_t seconds;
    return format_read_clock(s, &seconds) ? NULL : "is not a time of the day";
}

/* A name becomes part of a path in the zone database: nothing that leads out of it. */
static const char *zone_fault(struct slice s)
{
    struct slice rest = s, part;
    if (s.len == 0 || s.len > 64 || s.ptr[0] == '/')
        return "is not a time zone";
    while (slice_next_item(&rest, '/', &part))
        if (part.len == 0 || part.ptr[0] == '.')
            return "is not a time zone";
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_char(s.ptr[i]) && s.ptr[i] != '/' && s.ptr[i] != '+')
            return "is not a time zone";
    return NULL;
}

/* ---- the formats ------------------------------------------------------------------------------------------------- */

const struct text_format format_person = {
    "a name",
    "^(unix:)?[A-Za-z0-9._-]{1,64}$",
    "write the name of a token, or unix:USER",
    person_fault,
};
const struct text_format format_revision = { "a text", "^.{1,64}$", NULL, revision_fault };
const struct text_format format_sentence = { "a text", "[^ ]", "say why, for those who will wait", sentence_fault };
const struct text_format format_query = { "a query", "[^ ]", NULL, query_fault };
const struct text_format format_bound = {
    "a share, a duration or a number",
    "^(-?[0-9]+(\\.[0-9]{1,6})?%?|[0-9]+(ms|s|m|h|d))$",
    "write 2%, 400ms or 5",
    bound_fault,
};
const struct text_format format_days = {
    "a day",
    "^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$",
    "write mon, or mon-fri; several as a list",
    days_fault,
};
const struct text_format format_clock = {
    "a time of the day",
    "^([01][0-9]|2[0-4]):[0-5][0-9]$",
    "write hours and minutes in quotes: \"09:00\", at most \"24:00\"",
    clock_fault,
};
const struct text_format format_zone = {
    "a time zone",
    "^[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)*$",
    "write UTC, or a name such as Europe/Berlin",
    zone_fault,
};
const struct text_format format_status = {
    "a status",
    "^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$",
    "write 503, 5xx or 500-599",
    status_fault,
};
const struct text_format format_target = { "a path", "^/[^# ]*$", "write /PATH, perhaps with ?QUERY", target_fault };
