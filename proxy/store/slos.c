/* store/slos.c - the rows behind objectives. */
#include "store/slos.h"

#include "store/statement.h"

static bool row_put(struct store *s, const struct slo_row *row)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO slo_counts (slo, identity, from_unix_ms, requests, errors, slow)"
                    " VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,"
                    " errors = errors + excluded.errors, slow = slow + excluded.slow");
    statement_bind_text(&st, row->slo);
    statement_bind_i64(&st, row->identity);
    statement_bind_i64(&st, row->from.unix_ms);
    statement_bind_i64(&st, (int64_t)row->requests);
    statement_bind_i64(&st, (int64_t)row->errors);
    statement_bind_i64(&st, (int64_t)row->slow);
    statement_step(&st);
    return statement_end(&st);
}

bool slo_row_add(struct store *s, const struct slo_row *row, struct wall_time forget)
{
    if (!transaction_begin(s))
        return false;
    return transaction_finish(
        s, row_put(s, row) && statement_run_i64(s, "DELETE FROM slo_counts WHERE from_unix_ms < ?", forget.unix_ms));
}

bool slo_rows_each(struct store *s, struct slice slo, int64_t identity, struct wall_time from,
                   void (*each)(void *arg, const struct slo_row *row), void *arg)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT from_unix_ms, requests, errors, slow FROM slo_counts"
                    " WHERE slo = ? AND identity = ? AND from_unix_ms >= ? ORDER BY from_unix_ms");
    statement_bind_text(&st, slo);
    statement_bind_i64(&st, identity);
    statement_bind_i64(&st, from.unix_ms);
    while (statement_step(&st)) {
        const struct slo_row row = { .slo = slo,
                                     .identity = identity,
                                     .from = { statement_i64(&st, 0) },
                                     .requests = (uint64_t)statement_i64(&st, 1),
                                     .errors = (uint64_t)statement_i64(&st, 2),
                                     .slow = (uint64_t)statement_i64(&st, 3) };
        each(arg, &row);
    }
    return statement_end(&st);
}
