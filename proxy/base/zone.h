/* base/zone.h - local time of a time zone: how far its clocks are from UTC at a moment.
 *
 * Reads the files of the system's zone database (TZif, RFC 8536) from memory and keeps what it needs in an arena, because
 * localtime(3) knows one zone a process, the one in TZ, and changing that is nothing that threads may do. Pure; immutable
 * once read, so any thread may ask. */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include "base/arena.h"
#include "base/slice.h"

/* When daylight saving begins or ends, each year: the POSIX forms Mm.w.d, Jn and n, and seconds after local midnight
   (RFC 8536 3.3.1: from -167 h to 167 h). */
struct zone_change {
    enum { ZONE_CHANGE_WEEKDAY, ZONE_CHANGE_JULIAN, ZONE_CHANGE_DAY } kind;
    int32_t month, week,
        day; /* WEEKDAY: 1..12, 1..5 (5: the last), 0..6 from Sunday; JULIAN: day 1..365; DAY: 0..365 */
    int32_t seconds;
};

struct zone {
    int64_t *transitions; /* unix seconds, rising: from here on the offset of the same index is right */
    int32_t *offsets;     /* seconds east of UTC */
    size_t count;
    int32_t first_offset; /* before the first transition */
    /* After the last transition: the footer's rule. */
    bool has_rule, has_saving;
    int32_t standard_offset, saving_offset;
    struct zone_change saving_begins, saving_ends;
};

/* Reads a whole TZif file, version 1 or later. False when it is none, or is cut off: *out is not to be read. */
bool zone_read(struct slice file, struct arena *arena, struct zone *out);
/* Coordinated Universal Time, which needs no file. */
void zone_init_utc(struct zone *out);

/* Seconds that local clocks are ahead of UTC at a moment. */
int32_t zone_offset_at(const struct zone *zone, int64_t unix_s);

/* A moment as people there call it. */
struct zone_time {
    int64_t day;    /* since 1970-01-01 */
    int32_t second; /* of the day, 0..86399 */
    int weekday;    /* 0: Monday */
};
struct zone_time zone_local(const struct zone *zone, int64_t unix_s);

#endif
