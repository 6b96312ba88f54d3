/* store/versions.h - every configuration that was in force, to be listed, compared and restored.
 *
 * What `weir ctl config versions`, `diff` and `restore` work on. A generation is one time a configuration came into
 * force; its files are kept once per digest, however often it returns. They are stored as they were read, secrets
 * included: the database is mode 0600.
 *
 *   config_versions   a row for each generation: when, by whom, and the digest of
 *   config_texts      what was in force, and of it
 *   config_files      the files, in the order they were read
 *
 * Thread: main. Every call may wait for the disk, and up to STORE_BUSY_MS for another process. */
#ifndef STORE_VERSIONS_H
#define STORE_VERSIONS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "config/model.h"
#include "store/store.h"

/* Older ones are forgotten when a new one is stored; the newest is always kept. */
#define VERSIONS_KEPT       200
#define VERSIONS_BYTES_KEPT (64ll * 1024 * 1024) /* of texts, each counted as often as it was in force */

struct version {
    uint64_t generation; /* never reused, over restarts too */
    struct slice digest; /* of its files (config/model.h) */
    struct wall_time applied_at;
    struct slice source;     /* start | hup | watch | api | restore */
    struct slice applied_by; /* "signal", "file", or who asked by the API */
    size_t file_count;       /* that it was read from */
    size_t text_bytes;       /* of all files as one text (config_text_write) */
    struct slice diff;       /* unified, secrets masked, against the version before; "": none. Listed ones have none */
};

/* Stores a new generation with its v->file_count files, in one transaction, and forgets those beyond the bounds and what
   no generation has any more. */
bool versions_put(struct store *s, const struct version *v, const struct file_text *files) MUST_CHECK;
/* The newest: false with *out all zero when there is none, or on failure. */
bool versions_newest(struct store *s, struct arena *arena, struct version *out);
/* Newest first, at most VERSIONS_KEPT. */
bool versions_list(struct store *s, struct arena *arena, struct version **out, size_t *count) MUST_CHECK;
/* One generation with its text, both in the arena. *is_found tells whether it is there: that it is not is no
   failure. */
bool versions_get(struct store *s, uint64_t generation, struct arena *arena, struct version *out, struct slice *text,
                  bool *is_found) MUST_CHECK;
/* The files of a version, in the arena, first the one that includes the others: *count is v->file_count, or 0 when they were
   stored as one text by an early weir, and cannot be told apart. A single file of those days has an empty path. */
bool versions_files(struct store *s, const struct version *v, struct arena *arena, struct file_text **out,
                    size_t *count) MUST_CHECK;

#endif
