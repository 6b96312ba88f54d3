/* store/outcome_ids.c - the rows behind ids of outcomes: their order, and a hash. */
#include "store/outcome_ids.h"

#include "store/statement.h"

bool outcome_ids_each(struct store *s, void (*each)(void *arg, uint64_t hash), void *arg)
{
    struct statement st;
    statement_begin(&st, s, "SELECT hash FROM outcome_ids ORDER BY place");
    while (statement_step(&st))
        each(arg, (uint64_t)statement_i64(&st, 0));
    return statement_end(&st);
}

bool outcome_ids_put(struct store *s, const struct outcome_ids *ids)
{
    bool is_good = true;
    for (size_t i = 0; i < ids->count && is_good; i++)
        is_good = statement_run_i64(s, "INSERT INTO outcome_ids (hash) VALUES (?)", (int64_t)ids->hashes[i]);
    if (ids->count == 0)
        return true;
    return is_good &&
           statement_run_i64(s, "DELETE FROM outcome_ids WHERE place <= (SELECT max(place) FROM outcome_ids) - ?",
                             OUTCOME_IDS_KEPT);
}
