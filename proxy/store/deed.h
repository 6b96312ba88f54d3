/* store/deed.h - something that happened: its audit line and the rows that go with it, in one transaction.
 *
 *   struct deed d = { .audit = { .at = now, .who = ..., .action = SLICE("rollout.promote"), ... },
 *                       .rollout = &row, .transition = &transition };
 *   if (!deed_write(store, &d))      a change that somebody wants: not written is not done
 *       refuse(store_message(store));
 *
 *   deed_keep(store, &d);            a change that has to be (a rollback): done first, told now or later
 *
 * All of it is on the disk when deed_write returns true, or nothing. Thread: main. */
#ifndef STORE_DEED_H
#define STORE_DEED_H

#include "base/text.h"
#include "store/audit.h"
#include "store/drills.h"
#include "store/events.h"
#include "store/incidents.h"
#include "store/outcome_ids.h"
#include "store/rollouts.h"

/* Everything is borrowed for the time of the call. NULL: no such row. */
struct deed {
    struct audit_line audit; /* always */
    const struct rollout_row *rollout;
    const struct transition_row *transition; /* its audit line is this deed's */
    const struct approval_row *approval;
    const struct incident *incident;
    const struct drill_row *drill;
    struct event_row *event; /* gets its id */
    /* Counted in the evidence of `rollout`. Written with it; the journal does not keep them: who has them keeps them. */
    struct outcome_ids outcomes;
};

/* What waits in the journal is written before it; when that fails, so does this. Sets audit.id. */
bool deed_write(struct store *s, struct deed *d) MUST_CHECK;

/* As deed_write, and when that fails keeps a copy in the journal, to be written later with its own times. True: written now. */
bool deed_keep(struct store *s, struct deed *d);

/* ---- for store/ only ------------------------------------------------------------------------------------------------- */

/* Inside a transaction. */
bool deed_put(struct store *s, struct deed *d, struct audit_head *end) MUST_CHECK;
/* store/deed_form.c: a deep copy in the arena; the bytes of all its texts; and the deed as text, and back. Reading takes one
   deed off *rest; NULL when that is none. */
struct deed *deed_copy(const struct deed *d, struct arena *arena);
size_t deed_bytes(const struct deed *d);
void deed_text_write(const struct deed *d, struct text *out);
struct deed *deed_text_read(struct slice *rest, struct arena *arena);

#endif
