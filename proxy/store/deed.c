/* store/deed.c - writes an audit line and the rows that go with it, together or not at all. */
#include "store/deed.h"

#include "store/statement.h"

bool deed_put(struct store *s, struct deed *d, struct audit_head *end)
{
    return audit_put(s, &d->audit, end) && (d->rollout == NULL || rollout_put(s, d->rollout)) &&
           (d->transition == NULL || transition_put(s, d->transition, d->audit.id)) &&
           (d->approval == NULL || approval_put(s, d->approval)) &&
           (d->incident == NULL || incident_put(s, d->incident)) && (d->event == NULL || event_put(s, d->event));
}

bool deed_write(struct store *s, struct deed *d)
{
    struct audit_head end;
    if (!journal_flush(s) || !transaction_begin(s))
        return false;
    bool is_good = deed_put(s, d, &end);
    if (!transaction_finish(s, is_good))
        return false;
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

/* ---- copies -------------------------------------------------------------------------------------------------------------- */

/* Each kind of row as the places of its texts, so that copying and counting are said once. */
static const size_t audit_texts[] = {
    offsetof(struct audit_line, who),    offsetof(struct audit_line, role),   offsetof(struct audit_line, action),
    offsetof(struct audit_line, target), offsetof(struct audit_line, reason), offsetof(struct audit_line, detail),
};
static const size_t rollout_texts[] = {
    offsetof(struct rollout_row, name),   offsetof(struct rollout_row, revision),
    offsetof(struct rollout_row, state),  offsetof(struct rollout_row, started_by),
    offsetof(struct rollout_row, detail),
};
static const size_t transition_texts[] = {
    offsetof(struct transition_row, rollout),    offsetof(struct transition_row, revision),
    offsetof(struct transition_row, from_state), offsetof(struct transition_row, to_state),
    offsetof(struct transition_row, who),        offsetof(struct transition_row, reason),
    offsetof(struct transition_row, detail),
};
static const size_t approval_texts[] = {
    offsetof(struct approval_row, rollout),
    offsetof(struct approval_row, revision),
    offsetof(struct approval_row, who),
    offsetof(struct approval_row, reason),
};
static const size_t incident_texts[] = {
    offsetof(struct incident, id),        offsetof(struct incident, rollout), offsetof(struct incident, revision),
    offsetof(struct incident, guardrail), offsetof(struct incident, cause),   offsetof(struct incident, evidence),
    offsetof(struct incident, timeline),  offsetof(struct incident, told),
};
static const size_t event_texts[] = {
    offsetof(struct event_row, kind), offsetof(struct event_row, subject), offsetof(struct event_row, text),
    offsetof(struct event_row, who),  offsetof(struct event_row, detail),
};

static struct slice *text_at(void *row, size_t offset)
{
    return (struct slice *)((char *)row + offset);
}

static void *row_copy(const void *row, size_t row_bytes, const size_t *texts, size_t count, struct arena *arena)
{
    if (row == NULL)
        return NULL;
    void *copy = arena_alloc(arena, row_bytes);
    memcpy(copy, row, row_bytes);
    for (size_t i = 0; i < count; i++)
        *text_at(copy, texts[i]) = arena_copy(arena, *text_at(copy, texts[i]));
    return copy;
}

#define ROW_COPY(row, texts, arena) row_copy(row, sizeof *(row), texts, ARRAY_COUNT(texts), arena)

struct deed *deed_copy(const struct deed *d, struct arena *arena)
{
    struct deed *copy = arena_zalloc(arena, sizeof *copy);
    struct audit_line *line = ROW_COPY(&d->audit, audit_texts, arena);
    copy->audit = *line;
    copy->rollout = ROW_COPY(d->rollout, rollout_texts, arena);
    copy->transition = ROW_COPY(d->transition, transition_texts, arena);
    copy->approval = ROW_COPY(d->approval, approval_texts, arena);
    copy->incident = ROW_COPY(d->incident, incident_texts, arena);
    copy->event = ROW_COPY(d->event, event_texts, arena);
    return copy;
}

static size_t row_bytes(const void *row, size_t size, const size_t *texts, size_t count)
{
    size_t bytes = row != NULL ? size : 0;
    for (size_t i = 0; row != NULL && i < count; i++)
        bytes += ((const struct slice *)((const char *)row + texts[i]))->len;
    return bytes;
}

#define ROW_BYTES(row, texts) row_bytes(row, sizeof *(row), texts, ARRAY_COUNT(texts))

size_t deed_bytes(const struct deed *d)
{
    return ROW_BYTES(&d->audit, audit_texts) + ROW_BYTES(d->rollout, rollout_texts) +
           ROW_BYTES(d->transition, transition_texts) + ROW_BYTES(d->approval, approval_texts) +
           ROW_BYTES(d->incident, incident_texts) + ROW_BYTES(d->event, event_texts);
}
