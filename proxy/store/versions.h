/* store/versions.h - every configuration that was in force, to be listed, compared and restored.
 *
 * What `weir ctl config versions`, `diff` and `restore` work on. A generation is one time a configuration came into
 * force; its text is kept once per digest, however often it returns. Texts are stored as they were read, secrets
 * included: the file is mode 0600. */
#ifndef STORE_VERSIONS_H
#define STORE_VERSIONS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"

/* Older ones are forgotten when a new one is stored; the newest is always kept. */
#define VERSIONS_KEPT       200
#define VERSIONS_BYTES_KEPT (64ll * 1024 * 1024) /* of texts, each counted as often as it was in force */

struct version {
    uint64_t generation; /* never reused, over restarts too */
    struct slice digest; /* of the text (config/model.h) */
    struct wall_time applied_at;
    struct slice source;     /* start | hup | watch | api | restore */
    struct slice applied_by; /* "signal", "file", or who asked by the API */
    size_t file_count;       /* that the text was read from; only one file can be restored */
    size_t text_bytes;       /* of the text; filled in when read */
};

/* Stores a new generation, and forgets those beyond VERSIONS_KEPT and texts that no generation has any more. */
bool versions_put(struct store *s, const struct version *v, struct slice text) MUST_CHECK;
/* The newest: false with *out all zero when there is none, or on failure. */
bool versions_newest(struct store *s, struct arena *arena, struct version *out);
/* Newest first, at most VERSIONS_KEPT. */
bool versions_list(struct store *s, struct arena *arena, struct version **out, size_t *count) MUST_CHECK;
/* One generation with its text, both in the arena. *is_found tells whether it is there: that it is not is no
   failure. */
bool versions_get(struct store *s, uint64_t generation, struct arena *arena, struct version *out, struct slice *text,
                  bool *is_found) MUST_CHECK;

#endif
