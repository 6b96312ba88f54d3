/* store/drills.c - the rows behind drills. */
#include "store/drills.h"

#include "store/statement.h"

#define COLUMNS "id, rollout, revision, who, reason, state, begun_at_unix_ms, ended_at_unix_ms, detail"

#define OLD_DELETE                                                                                                     \
    "DELETE FROM drills WHERE id IN"                                                                                   \
    " (SELECT id FROM drills ORDER BY begun_at_unix_ms DESC, id DESC LIMIT -1 OFFSET ?)"

bool drill_put(struct store *s, const struct drill_row *d)
{
    struct statement st;
    statement_begin(&st, s, "INSERT OR REPLACE INTO drills (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_bind_text(&st, d->id);
    statement_bind_text(&st, d->rollout);
    statement_bind_text(&st, d->revision);
    statement_bind_text(&st, d->who);
    statement_bind_text(&st, d->reason);
    statement_bind_text(&st, d->state);
    statement_bind_i64(&st, d->begun_at.unix_ms);
    statement_bind_i64(&st, d->ended_at.unix_ms);
    statement_bind_text(&st, d->detail);
    statement_step(&st);
    return statement_end(&st) && statement_run_i64(s, OLD_DELETE, DRILLS_KEPT);
}

static void row_read(struct statement *st, struct arena *arena, void *row)
{
    *(struct drill_row *)row = (struct drill_row){
        .id = statement_text(st, 0, arena),
        .rollout = statement_text(st, 1, arena),
        .revision = statement_text(st, 2, arena),
        .who = statement_text(st, 3, arena),
        .reason = statement_text(st, 4, arena),
        .state = statement_text(st, 5, arena),
        .begun_at = { statement_i64(st, 6) },
        .ended_at = { statement_i64(st, 7) },
        .detail = statement_text(st, 8, arena),
    };
}

bool drills_list(struct store *s, struct arena *arena, const struct drill_filter *filter, size_t limit,
                 struct drill_row **out, size_t *count)
{
    const struct slice values[] = { filter->rollout, filter->state, filter->before };
    struct statement st;
    statement_begin(&st, s,
                    "SELECT " COLUMNS " FROM drills WHERE (? = '' OR rollout = ?) AND (? = '' OR state = ?) AND"
                    " (? = '' OR (begun_at_unix_ms, id) < (SELECT begun_at_unix_ms, id FROM drills WHERE id = ?))"
                    " ORDER BY begun_at_unix_ms DESC, id DESC LIMIT ?");
    for (size_t i = 0; i < 3; i++) {
        statement_bind_text(&st, values[i]);
        statement_bind_text(&st, values[i]);
    }
    *out = statement_rows(&st, arena, limit, sizeof **out, row_read, count);
    return statement_end(&st);
}

bool drills_running(struct store *s, struct arena *arena, size_t limit, struct drill_row **out, size_t *count)
{
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM drills WHERE state = 'running' ORDER BY begun_at_unix_ms LIMIT ?");
    *out = statement_rows(&st, arena, limit, sizeof **out, row_read, count);
    return statement_end(&st);
}
