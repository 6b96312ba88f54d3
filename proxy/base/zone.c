/* base/zone.c - reads TZif files and the POSIX rules at their end. */
#include "base/zone.h"

#define DAY_S             86400
#define TZIF_HEADER_BYTES 44u
#define COUNT_MAX         100000u /* of anything in a file; real ones have some hundreds */
#define OFFSET_MAX_S      (26 * 3600)

/* ---- big-endian numbers ------------------------------------------------------------------------------------------ */

static uint64_t get_number(const char *bytes, size_t len)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++)
        number = number << 8 | (unsigned char)bytes[i];
    return number;
}

static int32_t get_i32(const char *bytes)
{
    return (int32_t)(uint32_t)get_number(bytes, 4);
}

/* ---- the file (RFC 8536 3) --------------------------------------------------------------------------------------- */

/* The counts of one header, in the order of the file. */
struct tzif_header {
    char version;
    uint64_t utc_count, standard_count, leap_count, time_count, type_count, name_bytes;
};

static bool read_header(struct slice file, struct tzif_header *out)
{
    if (file.len < TZIF_HEADER_BYTES || !slice_has_prefix(file, SLICE("TZif")))
        return false;
    uint64_t *counts[] = { &out->utc_count,  &out->standard_count, &out->leap_count,
                           &out->time_count, &out->type_count,     &out->name_bytes };
    out->version = file.ptr[4];
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = get_number(file.ptr + 20 + 4 * i, 4);
        if (*counts[i] > COUNT_MAX)
            return false;
    }
    return out->type_count > 0;
}

static size_t block_bytes(const struct tzif_header *h, size_t time_bytes)
{
    return h->time_count * (time_bytes + 1) + h->type_count * 6 + h->name_bytes + h->leap_count * (time_bytes + 4) +
           h->standard_count + h->utc_count;
}

/* Transition times, then a type for each, then the types: an offset, whether it is daylight saving, a name. */
static bool read_block(struct slice block, const struct tzif_header *h, size_t time_bytes, struct arena *arena,
                       struct zone *out)
{
    if (block.len < block_bytes(h, time_bytes))
        return false;
    const char *types = block.ptr + h->time_count * time_bytes, *records = types + h->time_count;
    out->count = h->time_count;
    out->transitions = arena_zalloc_array(arena, out->count, sizeof *out->transitions);
    out->offsets = arena_zalloc_array(arena, out->count, sizeof *out->offsets);
    out->first_offset = get_i32(records);
    for (size_t i = 0; i < out->count; i++) {
        size_t type = (unsigned char)types[i];
        uint64_t at = get_number(block.ptr + i * time_bytes, time_bytes);
        if (type >= h->type_count)
            return false;
        out->transitions[i] = time_bytes == 4 ? (int32_t)(uint32_t)at : (int64_t)at;
        out->offsets[i] = get_i32(records + 6 * type);
        if (out->offsets[i] < -OFFSET_MAX_S || out->offsets[i] > OFFSET_MAX_S)
            return false;
        if (i > 0 && out->transitions[i] <= out->transitions[i - 1])
            return false;
    }
    return out->first_offset >= -OFFSET_MAX_S && out->first_offset <= OFFSET_MAX_S;
}

/* ---- the footer: a POSIX TZ string ------------------------------------------------------------------------------- */

static bool take(struct slice *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = slice_after(*s, 1);
    return true;
}

static bool take_number(struct slice *s, int32_t max, int32_t *out)
{
    int32_t number = 0;
    size_t len = 0;
    while (len < s->len && s->ptr[len] >= '0' && s->ptr[len] <= '9' && number <= max)
        number = number * 10 + (s->ptr[len++] - '0');
    *s = slice_after(*s, len);
    *out = number;
    return len > 0 && number <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool take_clock(struct slice *s, int32_t *out_seconds)
{
    int32_t hours, minutes = 0, seconds = 0;
    bool is_negative = take(s, '-');
    if (!is_negative)
        take(s, '+');
    if (!take_number(s, 167, &hours))
        return false;
    if (take(s, ':') && !take_number(s, 59, &minutes))
        return false;
    if (take(s, ':') && !take_number(s, 59, &seconds))
        return false;
    *out_seconds = (hours * 3600 + minutes * 60 + seconds) * (is_negative ? -1 : 1);
    return true;
}

/* Letters, or anything between angle brackets. */
static bool take_name(struct slice *s)
{
    size_t len = 0;
    bool is_quoted = take(s, '<');
    while (len < s->len &&
           (is_quoted ? s->ptr[len] != '>' : (s->ptr[len] | 0x20) >= 'a' && (s->ptr[len] | 0x20) <= 'z'))
        len++;
    *s = slice_after(*s, len);
    return len > 0 && (!is_quoted || take(s, '>'));
}

static bool take_change(struct slice *s, struct zone_change *out)
{
    bool is_good;
    *out = (struct zone_change){ .seconds = 2 * 3600 };
    if (take(s, 'M')) {
        out->kind = ZONE_CHANGE_WEEKDAY;
        is_good = take_number(s, 12, &out->month) && take(s, '.') && take_number(s, 5, &out->week) && take(s, '.') &&
                  take_number(s, 6, &out->day) && out->month > 0 && out->week > 0;
    } else {
        out->kind = take(s, 'J') ? ZONE_CHANGE_JULIAN : ZONE_CHANGE_DAY;
        is_good = take_number(s, 365, &out->day) && (out->kind == ZONE_CHANGE_DAY || out->day > 0);
    }
    return is_good && (!take(s, '/') || take_clock(s, &out->seconds));
}

/* "CET-1CEST,M3.5.0,M10.5.0/3": offsets there are west of Greenwich. An empty one says nothing, as version 1 does. */
static bool read_footer(struct slice s, struct zone *out)
{
    int32_t west;
    if (!take(&s, '\n'))
        return false;
    s = slice_first(s, slice_find(s, '\n'));
    if (s.len == 0)
        return true;
    if (!take_name(&s) || !take_clock(&s, &west))
        return false;
    out->has_rule = true;
    out->standard_offset = -west;
    if (s.len == 0)
        return true;
    out->has_saving = true;
    west = -out->standard_offset - 3600;
    if (!take_name(&s) || (s.len > 0 && s.ptr[0] != ',' && !take_clock(&s, &west)))
        return false;
    out->saving_offset = -west;
    return take(&s, ',') && take_change(&s, &out->saving_begins) && take(&s, ',') &&
           take_change(&s, &out->saving_ends) && s.len == 0;
}

bool zone_read(struct slice file, struct arena *arena, struct zone *out)
{
    struct tzif_header header;
    *out = (struct zone){ 0 };
    if (!read_header(file, &header))
        return false;
    file = slice_after(file, TZIF_HEADER_BYTES);
    if (header.version == '\0')
        return read_block(file, &header, 4, arena, out);
    size_t skipped = block_bytes(&header, 4); /* later versions say all of it again, with 64 bits */
    if (file.len < skipped || !read_header(slice_after(file, skipped), &header))
        return false;
    file = slice_after(file, skipped + TZIF_HEADER_BYTES);
    return read_block(file, &header, 8, arena, out) && read_footer(slice_after(file, block_bytes(&header, 8)), out);
}

void zone_init_utc(struct zone *out)
{
    *out = (struct zone){ 0 };
}

/* ---- the calendar ------------------------------------------------------------------------------------------------ */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar: years begin in March here, so that the leap day is
   the last one. */
static int64_t day_of_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400), of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t year_of_day(int64_t day)
{
    int64_t year = 1970 + floor_div(day, 366);
    while (day_of_date(year + 1, 1, 1) <= day)
        year++;
    return year;
}

/* 0: Monday; 1970-01-01 was a Thursday. */
static int weekday_of_day(int64_t day)
{
    return (int)(day + 3 - 7 * floor_div(day + 3, 7));
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The week-th such weekday of the month; 5 is the last, which may be the fourth. */
static int64_t day_of_weekday(const struct zone_change *change, int64_t year)
{
    int64_t first = day_of_date(year, change->month, 1);
    int64_t next = change->month == 12 ? day_of_date(year + 1, 1, 1) : day_of_date(year, change->month + 1, 1);
    int64_t day = first + (change->day + 6 - weekday_of_day(first)) % 7 + 7 * (change->week - 1);
    return day < next ? day : day - 7;
}

/* Local seconds since 1970 at which the change is made in a year. */
static int64_t change_in_year(const struct zone_change *change, int64_t year)
{
    int64_t day = day_of_date(year, 1, 1);
    if (change->kind == ZONE_CHANGE_WEEKDAY)
        day = day_of_weekday(change, year);
    else if (change->kind == ZONE_CHANGE_DAY)
        day += change->day;
    else
        day += change->day - 1 + (is_leap(year) && change->day >= 60);
    return day * DAY_S + change->seconds;
}

/* Each change is said in the time that ends with it. South of the equator saving spans the turn of the year. */
static int32_t offset_by_rule(const struct zone *zone, int64_t unix_s)
{
    if (!zone->has_saving)
        return zone->standard_offset;
    int64_t year = year_of_day(floor_div(unix_s + zone->standard_offset, DAY_S));
    int64_t begins = change_in_year(&zone->saving_begins, year) - zone->standard_offset;
    int64_t ends = change_in_year(&zone->saving_ends, year) - zone->saving_offset;
    bool is_saving = begins < ends ? unix_s >= begins && unix_s < ends : unix_s >= begins || unix_s < ends;
    return is_saving ? zone->saving_offset : zone->standard_offset;
}

int32_t zone_offset_at(const struct zone *zone, int64_t unix_s)
{
    size_t low = 0, high = zone->count; /* transitions before low are not later than unix_s; those from high on are */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->transitions[middle] <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->has_rule)
        return offset_by_rule(zone, unix_s);
    return low == 0 ? zone->first_offset : zone->offsets[low - 1];
}

struct zone_time zone_local(const struct zone *zone, int64_t unix_s)
{
    int64_t local = unix_s + zone_offset_at(zone, unix_s);
    int64_t day = floor_div(local, DAY_S);
    return (struct zone_time){ day, (int32_t)(local - day * DAY_S), weekday_of_day(day) };
}
