/* store/overrides.c - the rows behind weights set at run time. */
#include "store/overrides.h"

#include "store/statement.h"

static bool row_delete(struct store *s, struct slice route)
{
    struct statement st;
    statement_begin(&st, s, "DELETE FROM weight_overrides WHERE route = ?"); /* entries cascade */
    statement_bind_text(&st, route);
    statement_step(&st);
    return statement_end(&st);
}

static bool row_insert(struct store *s, const struct override *o)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO weight_overrides (route, fingerprint, set_by, reason, at_unix_ms)"
                    " VALUES (?, ?, ?, ?, ?)");
    statement_bind_text(&st, o->route);
    statement_bind_text(&st, o->fingerprint);
    statement_bind_text(&st, o->set_by);
    statement_bind_text(&st, o->reason);
    statement_bind_i64(&st, o->at.unix_ms);
    statement_step(&st);
    return statement_end(&st);
}

static bool entry_insert(struct store *s, struct slice route, const struct override_entry *entry)
{
    struct statement st;
    statement_begin(&st, s, "INSERT INTO weight_override_entries (route, upstream, weight) VALUES (?, ?, ?)");
    statement_bind_text(&st, route);
    statement_bind_text(&st, entry->upstream);
    statement_bind_i64(&st, entry->weight);
    statement_step(&st);
    return statement_end(&st);
}

bool overrides_put(struct store *s, const struct override *o)
{
    if (!transaction_begin(s))
        return false;
    bool is_good = row_delete(s, o->route) && row_insert(s, o);
    for (size_t i = 0; i < o->entry_count && is_good; i++)
        is_good = entry_insert(s, o->route, &o->entries[i]);
    return transaction_finish(s, is_good);
}

bool overrides_delete(struct store *s, struct slice route)
{
    return row_delete(s, route);
}

static bool count_rows(struct store *s, size_t *out)
{
    struct statement st;
    statement_begin(&st, s, "SELECT count(*) FROM weight_overrides");
    *out = statement_step(&st) ? (size_t)statement_i64(&st, 0) : 0;
    return statement_end(&st);
}

/* count(*) OVER () repeats the number of rows in each, so that the array is made once. */
static bool entries_read(struct store *s, struct arena *arena, struct override *o)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT upstream, weight, count(*) OVER () FROM weight_override_entries"
                    " WHERE route = ? ORDER BY upstream");
    statement_bind_text(&st, o->route);
    while (statement_step(&st)) {
        if (o->entries == NULL)
            o->entries = arena_zalloc_array(arena, (size_t)statement_i64(&st, 2), sizeof *o->entries);
        o->entries[o->entry_count++] = (struct override_entry){
            .upstream = statement_text(&st, 0, arena),
            .weight = (uint32_t)statement_i64(&st, 1),
        };
    }
    return statement_end(&st);
}

static bool rows_read(struct store *s, struct arena *arena, struct override *out, size_t capacity, size_t *count)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT route, fingerprint, set_by, reason, at_unix_ms FROM weight_overrides"
                    " ORDER BY route");
    while (*count < capacity && statement_step(&st))
        out[(*count)++] = (struct override){
            .route = statement_text(&st, 0, arena),
            .fingerprint = statement_text(&st, 1, arena),
            .set_by = statement_text(&st, 2, arena),
            .reason = statement_text(&st, 3, arena),
            .at = { statement_i64(&st, 4) },
        };
    return statement_end(&st);
}

bool overrides_list(struct store *s, struct arena *arena, struct override **out, size_t *count)
{
    size_t rows;
    *out = NULL;
    *count = 0;
    if (!count_rows(s, &rows))
        return false;
    *out = arena_zalloc_array(arena, rows, sizeof **out);
    bool is_good = rows_read(s, arena, *out, rows, count);
    for (size_t i = 0; i < *count && is_good; i++)
        is_good = entries_read(s, arena, &(*out)[i]);
    return is_good;
}
