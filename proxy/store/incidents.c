/* store/incidents.c - the rows behind incidents. */
#include "store/incidents.h"

#include "store/deed.h"
#include "store/statement.h"

#define COLUMNS                                                                                                        \
    "id, rollout, revision, guardrail, cause, detected_at_unix_ms, detect_ms, zero_exposure_ms, evidence, timeline,"   \
    " told"

#define OLD_DELETE                                                                                                     \
    "DELETE FROM incidents WHERE id IN"                                                                                \
    " (SELECT id FROM incidents ORDER BY detected_at_unix_ms DESC, id DESC LIMIT -1 OFFSET ?)"

bool incident_put(struct store *s, const struct incident *i)
{
    struct statement st;
    statement_begin(&st, s, "INSERT OR REPLACE INTO incidents (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_bind_text(&st, i->id);
    statement_bind_text(&st, i->rollout);
    statement_bind_text(&st, i->revision);
    statement_bind_text(&st, i->guardrail);
    statement_bind_text(&st, i->cause);
    statement_bind_i64(&st, i->detected_at.unix_ms);
    statement_bind_i64(&st, i->detect_ms);
    statement_bind_i64(&st, i->zero_exposure_ms);
    statement_bind_text(&st, i->evidence);
    statement_bind_text(&st, i->timeline);
    statement_bind_text(&st, i->told);
    statement_step(&st);
    return statement_end(&st) && statement_run_i64(s, OLD_DELETE, INCIDENTS_KEPT);
}

static void row_read(struct statement *st, struct arena *arena, void *row)
{
    *(struct incident *)row = (struct incident){
        .id = statement_text(st, 0, arena),
        .rollout = statement_text(st, 1, arena),
        .revision = statement_text(st, 2, arena),
        .guardrail = statement_text(st, 3, arena),
        .cause = statement_text(st, 4, arena),
        .detected_at = { statement_i64(st, 5) },
        .detect_ms = statement_i64(st, 6),
        .zero_exposure_ms = statement_i64(st, 7),
        .evidence = statement_text(st, 8, arena),
        .timeline = statement_text(st, 9, arena),
        .told = statement_text(st, 10, arena),
    };
}

bool incidents_list(struct store *s, struct arena *arena, struct wall_time before, size_t limit, struct incident **out,
                    size_t *count)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT " COLUMNS " FROM incidents WHERE detected_at_unix_ms < ?"
                    " ORDER BY detected_at_unix_ms DESC, id DESC LIMIT ?");
    statement_bind_i64(&st, before.unix_ms > 0 ? before.unix_ms : INT64_MAX);
    *out = statement_rows(&st, arena, limit, sizeof **out, row_read, count);
    return statement_end(&st);
}

/* The statement was begun and wants one text: the only row, or NULL. */
static bool one_read(struct statement *st, struct arena *arena, struct slice key, struct incident **out)
{
    *out = NULL;
    statement_bind_text(st, key);
    if (statement_step(st)) {
        *out = arena_zalloc(arena, sizeof **out);
        row_read(st, arena, *out);
    }
    return statement_end(st);
}

bool incidents_find(struct store *s, struct arena *arena, struct slice id, struct incident **out)
{
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM incidents WHERE id = ?");
    return one_read(&st, arena, id, out);
}

/* What waits to be written holds, whatever the database still says. */
static bool take_waiting(struct store *s, struct arena *arena, struct slice rollout, struct incident **out)
{
    const struct deed waiting = { .incident = journal_incident(&s->journal, rollout) };
    if (waiting.incident == NULL)
        return false;
    *out = arena_zalloc(arena, sizeof **out);
    **out = *deed_copy(&waiting, arena)->incident;
    return true;
}

bool incidents_newest(struct store *s, struct arena *arena, struct slice rollout, struct incident **out)
{
    struct statement st;
    if (take_waiting(s, arena, rollout, out))
        return true;
    statement_begin(&st, s,
                    "SELECT " COLUMNS " FROM incidents WHERE rollout = ?"
                    " ORDER BY detected_at_unix_ms DESC, id DESC LIMIT 1");
    return one_read(&st, arena, rollout, out);
}
