/* store/versions.h - every configuration that was in force, to be listed, compared and restored. */
#ifndef STORE_VERSIONS_H
#define STORE_VERSIONS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"

#define VERSIONS_KEPT 200 /* older ones are forgotten when a new one is stored */

struct version {
    uint64_t generation; /* never reused, over restarts too */
    struct slice digest;
    struct wall_time applied_at;
    struct slice source; /* start | hup | watch | api | restore */
    struct slice applied_by;
    size_t file_count; /* that the text was read from */
    size_t text_bytes;
};

bool versions_put(struct store *s, const struct version *v, struct slice text) MUST_CHECK;
/* The newest: false with *out all zero when there is none, or on failure. */
bool versions_newest(struct store *s, struct arena *arena, struct version *out);
/* Newest first. */
bool versions_list(struct store *s, struct arena *arena, struct version **out, size_t *count) MUST_CHECK;
/* *is_found tells whether it is there. */
bool versions_get(struct store *s, uint64_t generation, struct arena *arena, struct version *out, struct slice *text,
                  bool *is_found) MUST_CHECK;

#endif
