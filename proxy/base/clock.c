/* base/clock.c - reading the clocks, and RFC 3339. */
#include "base/clock.h"

#include <time.h>

#define DAY_MS      ((int64_t)24 * 60 * 60 * 1000)
#define UNIX_MS_MIN ((int64_t)-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define UNIX_MS_MAX ((int64_t)253402300799999) /* 9999-12-31T23:59:59.999Z */

struct mono_time clock_mono(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (struct mono_time){ (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 };
}

struct wall_time clock_wall(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct wall_time){ (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 };
}

struct date {
    int64_t year, month, day; /* month and day from 1 */
};

/* Proleptic Gregorian calendar, counting years from 1 March so that the leap day is a year's last (Hinnant,
   "chrono-compatible low-level date algorithms"). By hand because gmtime_r and snprintf cost too much for a line a
   request. */
static struct date date_from_days(int64_t unix_days)
{
    int64_t days = unix_days + 719468; /* since 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0: March */
    return (struct date){
        .year = year_of_era + era * 400 + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = day_of_year - (153 * month + 2) / 5 + 1,
    };
}

static int64_t days_from_date(struct date d)
{
    int64_t year = d.year - (d.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static char *put_digits(char *out, int64_t value, int count)
{
    for (int i = count; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + count;
}

/* Years outside 0000 to 9999 have no RFC 3339 form: what lies beyond shows the first or the last moment that has
   one. */
void wall_format(struct wall_time t, char out[25])
{
    int64_t ms = t.unix_ms < UNIX_MS_MIN ? UNIX_MS_MIN : t.unix_ms > UNIX_MS_MAX ? UNIX_MS_MAX : t.unix_ms;
    /* C's remainder has the sign of the dividend; before 1970 the day's part must still count from its midnight. */
    int64_t in_day = ms % DAY_MS < 0 ? ms % DAY_MS + DAY_MS : ms % DAY_MS;
    struct date d = date_from_days((ms - in_day) / DAY_MS);
    const struct {
        int64_t value;
        int count;
        char after;
    } parts[] = { { d.year, 4, '-' },
                  { d.month, 2, '-' },
                  { d.day, 2, 'T' },
                  { in_day / 3600000, 2, ':' },
                  { in_day / 60000 % 60, 2, ':' },
                  { in_day / 1000 % 60, 2, '.' },
                  { in_day % 1000, 3, 'Z' } };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        out = put_digits(out, parts[i].value, parts[i].count);
        *out++ = parts[i].after;
    }
    *out = '\0';
}

/* What is left to read of the text. */
struct reader {
    const char *at, *end;
};

static bool read_digits(struct reader *r, int count, int64_t *out)
{
    int64_t value = 0;
    for (; count > 0; count--, r->at++) {
        if (r->at == r->end || *r->at < '0' || *r->at > '9')
            return false;
        value = value * 10 + (*r->at - '0');
    }
    *out = value;
    return true;
}

/* One character of `any`, which holds the allowed ones. */
static bool read_one_of(struct reader *r, const char *any, char *out)
{
    for (; r->at != r->end && *any != '\0'; any++)
        if (*r->at == *any) {
            *out = *r->at++;
            return true;
        }
    return false;
}

/* Whether the month has that day is left to the calendar: there and back must give the same. */
static bool read_date(struct reader *r, int64_t *out_ms)
{
    struct date d;
    char sign;
    if (!read_digits(r, 4, &d.year) || !read_one_of(r, "-", &sign) || !read_digits(r, 2, &d.month) ||
        !read_one_of(r, "-", &sign) || !read_digits(r, 2, &d.day))
        return false;
    int64_t days = days_from_date(d);
    struct date back = date_from_days(days); /* a day that does not exist comes back as another */
    *out_ms = days * DAY_MS;
    return d.month >= 1 && d.month <= 12 && back.month == d.month && back.day == d.day;
}

/* Two digits, a colon, two digits: hours and minutes in ms. */
static bool read_hours(struct reader *r, int64_t *out_ms)
{
    int64_t hours, minutes;
    char colon;
    if (!read_digits(r, 2, &hours) || !read_one_of(r, ":", &colon) || !read_digits(r, 2, &minutes))
        return false;
    *out_ms = (hours * 60 + minutes) * 60000;
    return hours < 24 && minutes < 60;
}

/* Further digits than three are read and dropped. */
static bool read_fraction(struct reader *r, int64_t *out_ms)
{
    int64_t digit, scale = 100;
    *out_ms = 0;
    if (!read_digits(r, 1, &digit))
        return false;
    do {
        *out_ms += digit * scale;
        scale /= 10;
    } while (read_digits(r, 1, &digit));
    return true;
}

/* Second 60 is allowed, as in RFC 3339, and is the next minute's first. */
static bool read_time(struct reader *r, int64_t *out_ms)
{
    int64_t seconds, fraction_ms = 0;
    char separator;
    if (!read_hours(r, out_ms) || !read_one_of(r, ":", &separator) || !read_digits(r, 2, &seconds) || seconds > 60)
        return false;
    if (read_one_of(r, ".", &separator) && !read_fraction(r, &fraction_ms))
        return false;
    *out_ms += seconds * 1000 + fraction_ms;
    return true;
}

/* 'Z' or +HH:MM: how far local time is ahead of UTC. "-00:00" (offset unknown) is read as UTC. */
static bool read_offset(struct reader *r, int64_t *out_ms)
{
    char sign;
    *out_ms = 0;
    if (!read_one_of(r, "Zz+-", &sign))
        return false;
    if (sign == 'Z' || sign == 'z')
        return true;
    bool is_valid = read_hours(r, out_ms);
    if (sign == '-')
        *out_ms = -*out_ms;
    return is_valid;
}

bool wall_parse(const char *text, size_t length, struct wall_time *out)
{
    struct reader r = { text, text + length };
    int64_t date_ms, time_ms, offset_ms;
    char separator;
    if (!read_date(&r, &date_ms) || !read_one_of(&r, "Tt", &separator) || !read_time(&r, &time_ms) ||
        !read_offset(&r, &offset_ms) || r.at != r.end)
        return false;
    out->unix_ms = date_ms + time_ms - offset_ms;
    return true;
}
