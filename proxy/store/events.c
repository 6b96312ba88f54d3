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

bool events_list(struct store *s, struct arena *arena, int64_t before_id, size_t limit, struct event_row **out,
                 size_t *count)
{
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM events WHERE id < ? ORDER BY id DESC LIMIT ?");
    statement_bind_i64(&st, before_id > 0 ? before_id : INT64_MAX);
    *out = statement_rows(&st, arena, limit, sizeof **out, row_read, count);
    return statement_end(&st);
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
