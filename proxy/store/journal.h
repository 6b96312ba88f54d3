/* store/journal.h - what had to happen and could not be written: kept in memory, and written as soon as that is possible.
 *
 * A full disk or a locked database stops what a person asks for (deed_write fails, and it is not done), but not a rollback,
 * nor a configuration that came by file: those happen, and their deeds wait here, oldest first, with their own times. Every
 * later write flushes the journal before itself, so lines of the audit log are in the order of what they tell.
 *
 *   journal_keep ---> [ oldest ... newest ] ---> journal_flush: one transaction for all of them, and a line of the audit log
 *                       at most JOURNAL_COUNT_MAX     that says how many there were, since when, and how many were lost
 *                       and JOURNAL_BYTES_MAX
 *
 * Full: the oldest goes that says nothing of where a rollout stands, or whose rollout a later one tells about; else the
 * oldest. It is counted as lost. Of what a process still keeps when it is killed, where rollouts stand survives (store/spare.h); the rest
 * is then known from the log output alone. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/text.h"
#include "store/head.h"
#include "store/store.h"

#define JOURNAL_COUNT_MAX 1024
#define JOURNAL_BYTES_MAX (1024u * 1024) /* of texts */

struct deed;
struct incident;
struct rollout_row;

/* Embedded in the store. */
struct journal {
    struct list entries; /* struct journal_entry, oldest first */
    size_t count, bytes;
    uint64_t lost_count; /* since the last flush */
};

struct journal_status {
    size_t count;
    uint64_t lost_count;
    struct wall_time oldest_at; /* 0: none waits */
};

void journal_status(const struct store *s, struct journal_status *out);
/* Writes all of it; true also when there was nothing. For a timer: whoever writes something need not call it. */
bool journal_flush(struct store *s);

/* ---- for store/ only ------------------------------------------------------------------------------------------------- */

void journal_init(struct journal *j);
/* Drops what is in it. */
void journal_fini(struct journal *j);
/* Takes a copy; journal_keep also writes it where it survives a kill (store/spare.h). */
void journal_put(struct journal *j, const struct deed *d);
void journal_keep(struct store *s, const struct deed *d);
/* Walks the rollouts' rows that wait, oldest first: start with *place 0; NULL at the end. */
const struct rollout_row *journal_rollout(const struct journal *j, size_t *place);
/* The newest incident of that rollout that waits; NULL: none does. */
const struct incident *journal_incident(const struct journal *j, struct slice rollout);
/* Deeds that say where a rollout stands, oldest first; of many the newest that fit. */
void journal_text_write(const struct journal *j, size_t limit, struct text *out);
/* Logs what was not written in the end. */
void journal_complain(const struct store *s);

#endif
