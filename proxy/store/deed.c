/* store/deed.c - writes an audit line and the rows that go with it, together or not at all. */
#include "store/deed.h"

#include "store/statement.h"

bool deed_put(struct store *s, struct deed *d, struct audit_head *end)
{
    return audit_put(s, &d->audit, end) && (d->rollout == NULL || rollout_put(s, d->rollout)) &&
           (d->transition == NULL || transition_put(s, d->transition, d->audit.id)) &&
           (d->approval == NULL || approval_put(s, d->approval)) &&
           (d->incident == NULL || incident_put(s, d->incident)) && (d->drill == NULL || drill_put(s, d->drill)) &&
           (d->event == NULL || event_put(s, d->event)) && outcome_ids_put(s, &d->outcomes);
}

bool deed_write(struct store *s, struct deed *d)
{
    struct audit_head end;
    if (!journal_flush(s) || !transaction_begin(s))
        return false;
    bool is_good = deed_put(s, d, &end);
    if (!transaction_finish(s, is_good))
        return false;
    s->newest_id = end.id;
    head_write(&s->head, &end);
    return true;
}

bool deed_keep(struct store *s, struct deed *d)
{
    if (deed_write(s, d))
        return true;
    d->audit.id = 0;
    if (d->event != NULL)
        d->event->id = 0;
    journal_keep(s, d);
    return false;
}
