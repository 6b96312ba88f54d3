/* store/rollouts.c - the rows behind rollouts, transitions and approvals. */
#include "store/rollouts.h"

#include "store/statement.h"

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

/* Approvals hold for one revision: those of another go with it. */
static bool stale_approvals_delete(struct store *s, const struct rollout_row *row)
{
    struct statement st;
    statement_begin(&st, s, "DELETE FROM approvals WHERE rollout = ? AND revision <> ?");
    statement_bind_text(&st, row->name);
    statement_bind_text(&st, row->revision);
    statement_step(&st);
    return statement_end(&st);
}

bool rollout_put(struct store *s, const struct rollout_row *row)
{
    struct statement st;
    statement_begin(
        &st, s,
        "INSERT OR REPLACE INTO rollouts (name, revision, state, step, weight_ppm, hold_left_ms, started_by,"
        " started_at_unix_ms, changed_at_unix_ms, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_bind_text(&st, row->name);
    statement_bind_text(&st, row->revision);
    statement_bind_text(&st, row->state);
    statement_bind_i64(&st, row->step);
    statement_bind_i64(&st, row->weight_ppm);
    statement_bind_i64(&st, row->hold_left_ms);
    statement_bind_text(&st, row->started_by);
    statement_bind_i64(&st, row->started_at.unix_ms);
    statement_bind_i64(&st, row->changed_at.unix_ms);
    statement_bind_text(&st, row->detail);
    statement_step(&st);
    return statement_end(&st) && stale_approvals_delete(s, row);
}

static bool progress_put(struct store *s, const struct rollout_row *row)
{
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE rollouts SET hold_left_ms = ?, detail = ? WHERE name = ? AND revision = ?"
                    " AND state = ? AND step = ?");
    statement_bind_i64(&st, row->hold_left_ms);
    statement_bind_text(&st, row->detail);
    statement_bind_text(&st, row->name);
    statement_bind_text(&st, row->revision);
    statement_bind_text(&st, row->state);
    statement_bind_i64(&st, row->step);
    statement_step(&st);
    return statement_end(&st);
}

bool rollouts_save_progress(struct store *s, const struct rollout_row *row, const struct outcome_ids *outcomes)
{
    if (!transaction_begin(s))
        return false;
    return transaction_finish(s, progress_put(s, row) && outcome_ids_put(s, outcomes));
}

bool transition_put(struct store *s, const struct transition_row *t, int64_t audit_id)
{
    struct statement st;
    statement_begin(
        &st, s,
        "INSERT INTO transitions (rollout, revision, at_unix_ms, from_state, to_state, step, weight_ppm, who,"
        " reason, detail, audit_id, recorded_at_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_bind_text(&st, t->rollout);
    statement_bind_text(&st, t->revision);
    statement_bind_i64(&st, t->at.unix_ms);
    statement_bind_text(&st, t->from_state);
    statement_bind_text(&st, t->to_state);
    statement_bind_i64(&st, t->step);
    statement_bind_i64(&st, t->weight_ppm);
    statement_bind_text(&st, t->who);
    statement_bind_text(&st, t->reason);
    statement_bind_text(&st, t->detail);
    statement_bind_i64(&st, audit_id);
    statement_bind_i64(&st, clock_wall().unix_ms);
    statement_step(&st);
    return statement_end(&st) &&
           statement_run_i64(s, "DELETE FROM transitions WHERE id <= (SELECT max(id) FROM transitions) - ?",
                             TRANSITIONS_KEPT);
}

bool approval_put(struct store *s, const struct approval_row *a)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT OR REPLACE INTO approvals (rollout, revision, step, who, at_unix_ms, reason)"
                    " VALUES (?, ?, ?, ?, ?, ?)");
    statement_bind_text(&st, a->rollout);
    statement_bind_text(&st, a->revision);
    statement_bind_i64(&st, a->step);
    statement_bind_text(&st, a->who);
    statement_bind_i64(&st, a->at.unix_ms);
    statement_bind_text(&st, a->reason);
    statement_step(&st);
    return statement_end(&st);
}

static bool approvals_forget(struct store *s, struct slice name)
{
    struct statement st;
    statement_begin(&st, s, "DELETE FROM approvals WHERE rollout = ?");
    statement_bind_text(&st, name);
    statement_step(&st);
    return statement_end(&st);
}

static bool row_forget(struct store *s, struct slice name)
{
    struct statement st;
    statement_begin(&st, s, "DELETE FROM rollouts WHERE name = ?");
    statement_bind_text(&st, name);
    statement_step(&st);
    return statement_end(&st);
}

bool rollouts_forget(struct store *s, const struct rollout_brief *rows, size_t count)
{
    bool is_good = true;
    if (!transaction_begin(s))
        return false;
    for (size_t i = 0; i < count && is_good; i++)
        is_good = approvals_forget(s, rows[i].name) && row_forget(s, rows[i].name);
    return transaction_finish(s, is_good);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

static struct rollout_row row_read(struct statement *st, struct arena *arena)
{
    return (struct rollout_row){
        .name = statement_text(st, 0, arena),
        .revision = statement_text(st, 1, arena),
        .state = statement_text(st, 2, arena),
        .step = statement_i64(st, 3),
        .weight_ppm = (uint32_t)statement_i64(st, 4),
        .hold_left_ms = statement_i64(st, 5),
        .started_by = statement_text(st, 6, arena),
        .started_at = { statement_i64(st, 7) },
        .changed_at = { statement_i64(st, 8) },
        .detail = statement_text(st, 9, arena),
    };
}

static struct rollout_row rollout_copy(const struct rollout_row *row, struct arena *arena)
{
    struct rollout_row copy = *row;
    copy.name = arena_copy(arena, row->name);
    copy.revision = arena_copy(arena, row->revision);
    copy.state = arena_copy(arena, row->state);
    copy.started_by = arena_copy(arena, row->started_by);
    copy.detail = arena_copy(arena, row->detail);
    return copy;
}

/* count(*) OVER () repeats the number of rows in each, so that the array is made once. */
static bool approvals_read(struct store *s, struct arena *arena, struct rollout_stored *r)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT step, who, at_unix_ms, reason, count(*) OVER () FROM approvals"
                    " WHERE rollout = ? AND revision = ? ORDER BY at_unix_ms, who");
    statement_bind_text(&st, r->row.name);
    statement_bind_text(&st, r->row.revision);
    while (statement_step(&st)) {
        if (r->approvals == NULL)
            r->approvals = arena_zalloc_array(arena, (size_t)statement_i64(&st, 4), sizeof *r->approvals);
        r->approvals[r->approval_count++] = (struct approval_row){
            .rollout = r->row.name,
            .revision = r->row.revision,
            .step = statement_i64(&st, 0),
            .who = statement_text(&st, 1, arena),
            .at = { statement_i64(&st, 2) },
            .reason = statement_text(&st, 3, arena),
        };
    }
    return statement_end(&st);
}

static bool brief_rows_read(struct store *s, struct arena *arena, struct rollout_brief **out, size_t *count)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT name, state, count(*) OVER () FROM rollouts ORDER BY changed_at_unix_ms DESC, name");
    while (statement_step(&st)) {
        if (*out == NULL)
            *out = arena_zalloc_array(arena, (size_t)statement_i64(&st, 2) + s->journal.count, sizeof **out);
        struct rollout_brief *row = &(*out)[(*count)++];
        row->name = statement_text(&st, 0, arena);
        row->state = statement_text(&st, 1, arena);
    }
    return statement_end(&st);
}

/* What waits to be written holds, whatever the database still says. */
static void waiting_rows_apply(struct store *s, struct arena *arena, struct rollout_brief **out, size_t *count)
{
    const struct rollout_row *row;
    for (size_t place = 0, i = 0; (row = journal_rollout(&s->journal, &place)) != NULL; i = 0) {
        if (*out == NULL)
            *out = arena_zalloc_array(arena, s->journal.count, sizeof **out);
        while (i < *count && !slice_equal((*out)[i].name, row->name))
            i++;
        *count += i == *count;
        (*out)[i] =
            (struct rollout_brief){ .name = arena_copy(arena, row->name), .state = arena_copy(arena, row->state) };
    }
}

bool rollouts_list(struct store *s, struct arena *arena, struct rollout_brief **out, size_t *count)
{
    *out = NULL;
    *count = 0;
    bool is_good = brief_rows_read(s, arena, out, count);
    waiting_rows_apply(s, arena, out, count);
    return is_good;
}

static bool row_find(struct store *s, struct arena *arena, struct slice name, struct rollout_stored **out)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT name, revision, state, step, weight_ppm, hold_left_ms, started_by,"
                    " started_at_unix_ms, changed_at_unix_ms, detail FROM rollouts WHERE name = ?");
    statement_bind_text(&st, name);
    if (statement_step(&st)) {
        *out = arena_zalloc(arena, sizeof **out);
        (*out)->row = row_read(&st, arena);
    }
    return statement_end(&st);
}

/* The newest of that name; NULL: none waits. */
static const struct rollout_row *waiting_row(const struct store *s, struct slice name)
{
    const struct rollout_row *row, *newest = NULL;
    for (size_t place = 0; (row = journal_rollout(&s->journal, &place)) != NULL;)
        newest = slice_equal(row->name, name) ? row : newest;
    return newest;
}

bool rollouts_load(struct store *s, struct arena *arena, struct slice name, struct rollout_stored **out)
{
    const struct rollout_row *waiting = waiting_row(s, name);
    *out = NULL;
    if (waiting != NULL) {
        *out = arena_zalloc(arena, sizeof **out);
        (*out)->row = rollout_copy(waiting, arena);
    } else if (!row_find(s, arena, name, out)) {
        return false;
    }
    return *out == NULL || approvals_read(s, arena, *out);
}

static void transition_read(struct statement *st, struct arena *arena, void *row)
{
    *(struct transition_row *)row = (struct transition_row){
        .id = statement_i64(st, 0),
        .audit_id = statement_i64(st, 1),
        .rollout = statement_text(st, 2, arena),
        .revision = statement_text(st, 3, arena),
        .at = { statement_i64(st, 4) },
        .recorded_at = { statement_i64(st, 5) },
        .from_state = statement_text(st, 6, arena),
        .to_state = statement_text(st, 7, arena),
        .step = statement_i64(st, 8),
        .weight_ppm = (uint32_t)statement_i64(st, 9),
        .who = statement_text(st, 10, arena),
        .reason = statement_text(st, 11, arena),
        .detail = statement_text(st, 12, arena),
    };
}

bool transitions_list(struct store *s, struct arena *arena, struct slice rollout, size_t limit,
                      struct transition_row **out, size_t *count)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT id, audit_id, rollout, revision, at_unix_ms, recorded_at_unix_ms, from_state, to_state,"
                    " step, weight_ppm, who, reason, detail FROM transitions WHERE rollout = ?"
                    " ORDER BY id DESC LIMIT ?");
    statement_bind_text(&st, rollout);
    *out = statement_rows(&st, arena, limit, sizeof **out, transition_read, count);
    return statement_end(&st);
}
