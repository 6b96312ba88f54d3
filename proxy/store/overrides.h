/* store/overrides.h - weights set at run time, kept over restarts.
 *
 * The store keeps names, not indexes: routes and splits may stand elsewhere after a reload. Which rows still apply to
 * a configuration is decided by server/overrides.h; this file only keeps and lists them. */
#ifndef STORE_OVERRIDES_H
#define STORE_OVERRIDES_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"

struct override_entry {
    struct slice upstream;
    uint32_t weight; /* 0 and more, reduced as the file's are */
};

/* The weights of one route that replace its file's. */
struct override {
    struct slice route;
    struct slice fingerprint; /* of the split in the file when they were set: another one ends them */
    struct slice set_by, reason;
    struct wall_time at;
    struct override_entry *entries; /* every upstream of the split */
    size_t entry_count;
};

/* Replaces what the route had. */
bool overrides_put(struct store *s, const struct override *o) MUST_CHECK;
/* True also when there was none. */
bool overrides_delete(struct store *s, struct slice route) MUST_CHECK;
/* All of them by route name, in the arena. */
bool overrides_list(struct store *s, struct arena *arena, struct override **out, size_t *count) MUST_CHECK;

#endif
