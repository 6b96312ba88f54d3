/* store/store.h - the state that outlives the process: one SQLite database in the state directory.
 *
 * Owner and only thread: main. Nothing here may stop traffic: every function that can fail answers false, leaves one
 * sentence in store_message and its kind in store_problem; a database that cannot be opened, is damaged or was written by a
 * newer weir makes a store whose every call fails with the reason. What is in it then stays untouched for a person to look at.
 *
 *   store/deed.h        what happened, with its audit line, in one transaction; or kept in memory until it can be written
 *   store/audit.h       who did what and why: the hash chain
 *   store/rollouts.h    where each rollout stands, its transitions and approvals
 *   store/events.h      deployments and changes, to be shown beside metrics
 *   store/incidents.h   breaches, with their timeline and evidence
 *   store/drills.h      rehearsals of failing releases
 *   store/outcome_ids.h which business outcomes were counted
 *   store/versions.h    configurations that were in force
 *   store/overrides.h   weights set at run time
 *   store/jsonl.h    all of it as JSON Lines, and back
 *
 * Every call waits for the disk (a commit is an fsync), and for another process up to STORE_BUSY_MS. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct store; /* defined in store/statement.h, for this folder alone */

/* How long another process may hold the database before a call fails: what the main thread, which also takes releases back,
   can wait without anybody noticing. */
#define STORE_BUSY_MS 50

enum store_problem {
    STORE_OK,        /* nothing failed yet */
    STORE_BUSY,      /* another process has locked it: later */
    STORE_FULL,      /* no room on the disk: later */
    STORE_READ_ONLY, /* it may not be written */
    STORE_DAMAGED,   /* for good: not usable any more */
    STORE_NEWER,     /* of a newer weir: not usable */
    STORE_FAILED     /* anything else */
};

/* Opens or creates the file (mode 0600), checks it and brings its tables up to date. Never NULL. */
struct store *store_open(const char *path);
/* To look into the store of a weir that runs, or does not: writes nothing. Its tables must be this weir's. Never NULL. */
struct store *store_open_to_read(const char *path);
/* Writes what still waits, when it can. */
void store_close(struct store *s);

/* False: nothing can be read or written until the process is started again; store_message says why. */
bool store_is_usable(const struct store *s);
/* The last failure, one line without a full stop; "" when there was none. Valid until the next call. */
const char *store_message(const struct store *s);
/* Its kind. */
enum store_problem store_problem(const struct store *s);

#endif
