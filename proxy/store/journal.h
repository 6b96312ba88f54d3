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
 * oldest. It is counted as lost. What a process still keeps when it is killed is gone: what happened is then known from the
 * log output alone, and a rollout goes on from what was written last. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "store/head.h"
#include "store/store.h"

#define JOURNAL_COUNT_MAX 1024
#define JOURNAL_BYTES_MAX (1024u * 1024) /* of texts */

struct deed;

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
/* Takes a copy. */
void journal_keep(struct store *s, const struct deed *d);
/* Logs what is about to be lost. */
void journal_complain(const struct store *s);

#endif
