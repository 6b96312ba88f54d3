/* store/events.c - the rows behind events. */
#include "store/events.h"

#include "store/statement.h"

#define COLUMNS "id, at_unix_ms, kind, subject, text, who, detail"

bool event_put(struct store *s, struct event_row *e)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO events (at_unix_ms, kind, subject, text, who, detail) VALUES (?, ?, ?, ?, ?, ?)"
                    " RETURNING id");
    statement_bind_i64(&st, e->at.unix_ms);
    statement_bind_text(&st, e->kind);
    statement_bind_text(&st, e->subject);
    statement_bind_text(&st, e->text);
    statement_bind_text(&st, e->who);
    statement_bind_text(&st, e->detail);
    e->id = statement_step(&st) ? statement_i64(&st, 0) : 0;
    return statement_end(&st) && statement_run_i64(s, "DELETE FROM events WHERE id <= ?", e->id - EVENTS_KEPT);
}

bool events_append(struct store *s, struct event_row *e)
{
    if (!transaction_begin(s))
        return false;
    bool is_good = transaction_finish(s, event_put(s, e));
    if (!is_good)
        e->id = 0;
    return is_good;
}

static void row_read(struct statement *st, struct arena *arena, void *row)
{
    *(struct event_row *)row = (struct event_row){
        .id = statement_i64(st, 0),
        .at = { statement_i64(st, 1) },
        .kind = statement_text(st, 2, arena),
        .subject = statement_text(st, 3, arena),
        .text = statement_text(st, 4, arena),
        .who = statement_text(st, 5, arena),
        .detail = statement_text(st, 6, arena),
    };
}

bool events_since(struct store *s, struct arena *arena, int64_t after_id, size_t limit, struct event_row **out,
                  size_t *count)
{
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM events WHERE id > ? ORDER BY id LIMIT ?");
    statement_bind_i64(&st, after_id);
    *out = statement_rows(&st, arena, limit, sizeof **out, row_read, count);
    return statement_end(&st);
}

/* NULL where a detail is no JSON, which is none that names anything. */
#define DETAIL_ROUTE   "CASE WHEN json_valid(detail) THEN json_extract(detail, '$.route') END"
#define DETAIL_ROLLOUT "CASE WHEN json_valid(detail) THEN json_extract(detail, '$.rollout') END"

bool events_find(struct store *s, struct arena *arena, const struct event_filter *filter, struct event_row **out,
                 size_t *count)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT " COLUMNS " FROM events WHERE id < ?1 AND at_unix_ms BETWEEN ?2 AND ?3"
                    " AND (?4 = '' OR kind = ?4)"
                    " AND (?5 = '' OR subject = ?5 OR " DETAIL_ROUTE " = ?5)"
                    " AND (?6 = '' OR subject = ?6 OR " DETAIL_ROLLOUT " = ?6)"
                    " AND (?7 = 0 OR instr(kind, '.') = 0) ORDER BY id DESC LIMIT ?8");
    statement_bind_i64(&st, filter->before_id > 0 ? filter->before_id : INT64_MAX);
    statement_bind_i64(&st, filter->since.unix_ms);
    statement_bind_i64(&st, filter->until.unix_ms > 0 ? filter->until.unix_ms : INT64_MAX);
    statement_bind_text(&st, filter->kind);
    statement_bind_text(&st, filter->route);
    statement_bind_text(&st, filter->rollout);
    statement_bind_i64(&st, filter->is_told);
    *out = statement_rows(&st, arena, filter->limit, sizeof **out, row_read, count);
    return statement_end(&st);
}

bool events_amend(struct store *s, int64_t id, struct slice detail)
{
    struct statement st;
    statement_begin(&st, s, "UPDATE events SET detail = ? WHERE id = ?");
    statement_bind_text(&st, detail);
    statement_bind_i64(&st, id);
    statement_step(&st);
    return statement_end(&st);
}

bool events_get(struct store *s, struct arena *arena, int64_t id, struct event_row **out)
{
    struct statement st;
    size_t count;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM events WHERE id = ? LIMIT ?");
    statement_bind_i64(&st, id);
    *out = statement_rows(&st, arena, 1, sizeof **out, row_read, &count);
    if (count == 0)
        *out = NULL;
    return statement_end(&st);
}
