/* lua/shared_map.h - values that the scripts of all workers share: a bounded map of texts, numbers and booleans.
 *
 * One of the few places where workers meet (design.md, Threads). A key belongs to one of SHARED_SHARDS parts, each with a
 * lock of its own, held for a look-up and a copy of at most 16 KiB. Nothing here belongs to a worker: what goes in and
 * comes out is copied.
 *
 *   full    each write first drops entries whose time is over, a few of those that it comes by; when there still is no
 *           room, those of the shard that were not used for the longest time. A write succeeds always.
 *   memory  the limit covers keys, values and their records; the index takes a sixteenth of it beside. Nothing is
 *           allocated before the first write; a value that changes in place allocates nothing.
 *   time    a parameter, monotonic: the wall clock may be set back, and what was to live a minute would live on.
 *
 * Owner: the server; lives as long as the process, over reloads. Threads: any. */
#ifndef LUA_SHARED_MAP_H
#define LUA_SHARED_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"

#define SHARED_SHARDS          16
#define SHARED_KEY_MAX_BYTES   256
#define SHARED_VALUE_MAX_BYTES (16u * 1024)

enum shared_type { SHARED_BOOLEAN, SHARED_INTEGER, SHARED_NUMBER, SHARED_TEXT };

struct shared_value {
    enum shared_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
    };
    struct slice text;
};

enum shared_write { SHARED_SET, SHARED_ADD /* only when there is nothing */ };

struct shared_stats {
    uint64_t entry_count, used_bytes; /* those whose time is over count until somebody comes by */
    uint64_t evicted_count;           /* that had to go for others before their time */
};

struct shared_map;

/* limit_bytes: at least 1 MiB. */
struct shared_map *shared_map_create(size_t limit_bytes);
void shared_map_destroy(struct shared_map *m);
/* Of a new configuration. What is above a lower one goes with the next writes, some with each. */
void shared_map_set_limit(struct shared_map *m, size_t limit_bytes);

/* A text is copied to `buffer`, where out->text points; keys and values must be within their limits. */
bool shared_map_get(struct shared_map *m, struct slice key, struct mono_time now, char buffer[SHARED_VALUE_MAX_BYTES],
                    struct shared_value *out);
/* ttl_us 0: for good. False: SHARED_ADD, and there is something. */
bool shared_map_put(struct shared_map *m, struct slice key, const struct shared_value *value, int64_t ttl_us,
                    enum shared_write how, struct mono_time now);
/* Adds `amount`, an integer or a number, at once: no other worker comes between. What is not there counts as 0 and gets the
   time to live; what is there keeps its own. False: it is no number. */
bool shared_map_increase(struct shared_map *m, struct slice key, const struct shared_value *amount, int64_t ttl_us,
                         struct mono_time now, struct shared_value *out);
/* True: it was there. */
bool shared_map_delete(struct shared_map *m, struct slice key, struct mono_time now);

struct shared_stats shared_map_stats(struct shared_map *m);

#endif
