/* store/audit.h - who did what and why: append-only, each line's hash covers the line before it.
 *
 * Changing, removing or inserting a line breaks the chain at that place; cutting lines off its end shows by the two copies of
 * the end (store/head.h, which also says what nobody can find). Lines stand in the order they were written; one that had to
 * wait (store/journal.h) keeps the time of what it tells. */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/head.h"
#include "store/store.h"

struct audit_line {
    int64_t id; /* from 1, without gaps */
    struct wall_time at;
    struct slice who, role;           /* "unix:alice", a token's name or "weir"; and the role at that moment */
    struct slice action;              /* "split.ended", ... */
    struct slice target;              /* what was changed: a route's name, ... */
    struct slice reason;              /* as given */
    struct slice detail;              /* JSON */
    struct slice previous_hash, hash; /* 64 hex digits; filled in by append */
};

/* On disk when it returns true; sets id. What waits in the journal is written before it. */
bool audit_append(struct store *s, struct audit_line *line) MUST_CHECK;

/* Newest first, ids below `before_id` (0: all), at most `limit`. */
bool audit_list(struct store *s, struct arena *arena, int64_t before_id, size_t limit, struct audit_line **out,
                size_t *count) MUST_CHECK;

struct audit_verdict {
    int64_t checked_count;
    int64_t bad_id;       /* the first line that does not hold, or is missing; 0: all do */
    const char *why;      /* with bad_id, a static sentence */
    char newest_hash[65]; /* of the last good line; "" when there is none */
};

/* Walks the whole chain and compares its end with both copies; false only when it could not be read. */
bool audit_verify(struct store *s, struct audit_verdict *out) MUST_CHECK;

/* Why the file that keeps the end of the log did not fit the log when the store was opened; NULL: it did. */
const char *audit_head_fault(const struct store *s);

/* ---- for store/ only ------------------------------------------------------------------------------------------------- */

/* Inside a transaction: chains the line and inserts it; sets id, and what the end of the log is once it is committed. */
bool audit_put(struct store *s, struct audit_line *line, struct audit_head *end) MUST_CHECK;
/* The end of the log as its row has it. */
bool audit_head_read(struct store *s, struct audit_head *out) MUST_CHECK;
/* Inside a transaction: walks lines that came from elsewhere, and makes the last of them the end of the log. */
bool audit_adopt(struct store *s, struct audit_verdict *out, struct audit_head *end) MUST_CHECK;
/* "" when there is no such line. */
bool audit_hash_of(struct store *s, int64_t id, char out[HEAD_HASH_SIZE]) MUST_CHECK;

#endif
