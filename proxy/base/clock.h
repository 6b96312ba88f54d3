/* base/clock.h - the two clocks as two types, so that they cannot be mixed.
 *
 * Two rules keep time testable: only doing folders read a clock, and a deadline is always monotonic, so that a wall
 * clock set back never stops one. Wall time is for people and calendars: log lines, `expires`, `between`. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Monotonic time, microseconds since an arbitrary start. Everything but log lines and calendars runs on it. */
struct mono_time {
    int64_t us;
};

/* Wall time, milliseconds since the Unix epoch. */
struct wall_time {
    int64_t unix_ms;
};

static inline struct mono_time mono_add_ms(struct mono_time t, int64_t ms)
{
    return (struct mono_time){ t.us + ms * 1000 };
}

static inline int64_t mono_diff_us(struct mono_time later, struct mono_time earlier)
{
    return later.us - earlier.us;
}

/* Strictly: a deadline that is now has come. */
static inline bool mono_is_before(struct mono_time a, struct mono_time b)
{
    return a.us < b.us;
}

/* Read the system's clocks: for the doing folders only; thinking folders take the time as a parameter. */
struct mono_time clock_mono(void);
struct wall_time clock_wall(void);

/* Writes RFC 3339 in UTC with milliseconds, "2026-11-23T21:45:13.042Z" (24 characters and a NUL) into out[25]. */
void wall_format(struct wall_time t, char out[25]);
/* Reads RFC 3339 (fraction and offset allowed; date and time parted by 'T' or 't', not by a blank); false when it is
   not one. Finer fractions than milliseconds are cut off. */
bool wall_parse(const char *text, size_t length, struct wall_time *out);

#endif
