/* server/rollout_removed.c - rollouts that the configuration has no more: what was under way is over, and that is written down.
 *
 * The file's weights are in force from then on. Were the row left as it was, a rollout that comes back would give its canary
 * what it once had: past gates, calendar and audit log, whatever has happened since. So it begins anew. What has come to an
 * end stays there: who was taken back does not start again because of a detour through the file. */
#include "server/rollouts.h"

#include "base/log.h"
#include "base/memory.h"

static bool is_under_way(enum rollout_state state)
{
    return rollout_state_is_active(state) || state == ROLLOUT_PAUSED;
}

/* Told now or later: that it is gone from the file cannot be refused. */
static void record_end(struct rollout *r)
{
    struct progress *p = &r->progress, old = *p;
    const struct plan_transition t = { .from = old.state,
                                       .to = ROLLOUT_PENDING,
                                       .step = -1,
                                       .from_weight_ppm = old.weight_ppm,
                                       .cause = CAUSE_REMOVED,
                                       .who = SLICE("weir"),
                                       .guardrail = PLAN_NO_GUARDRAIL };
    *p = (struct progress){
        .state = ROLLOUT_PENDING, .step = -1, .pair_hash = old.pair_hash, .steps_hash = old.steps_hash
    };
    memcpy(p->revision, old.revision, sizeof p->revision);
    r->changed_at = rollouts_wall(r->all);
    log_warn("rollout %s: the configuration has it no more; it was %s, its canary with %g %%, and would begin anew",
             r->name, rollout_state_names[old.state], old.weight_ppm / 1e4);
    (void)rollout_record(r, &t, NULL, false);
}

/* The evidence of one that is over is of no use any more, and large; a way back still has its end to tell. Where it cannot be
   taken away now, the next configuration brings another try. */
void rollout_end_removed(struct rollout *r)
{
    if (!r->is_loaded)
        return;
    if (is_under_way(r->progress.state))
        record_end(r);
    else if (r->progress.state != ROLLOUT_ROLLING_BACK && !rollout_save_brief(r))
        r->all->is_trimmed = false;
}

void rollout_end_returned(struct rollout *r)
{
    if (!r->is_loaded || !r->is_back || !is_under_way(r->progress.state))
        return;
    record_end(r);
    r->moment_count = 0;
    rollout_forget_evidence(r, false);
}

#define BRIEF_BYTES 4096 /* of detail: more than that has evidence */

/* Nobody's any more: just what its record needs. */
static void end_stored(struct rollouts *all, struct slice name)
{
    struct arena arena;
    struct rollout_stored *stored;
    struct rollout *r = memory_zalloc(sizeof *r);
    r->magic = ROLLOUT_MAGIC;
    r->all = all;
    r->name = memory_copy_text(name.ptr, name.len);
    arena_init(&arena, NULL, 0);
    r->is_loaded = rollouts_load(all->store, &arena, name, &stored) && stored != NULL &&
                   rollout_read_progress(&stored->row, &r->progress);
    if (r->is_loaded && (is_under_way(r->progress.state) || stored->row.detail.len > BRIEF_BYTES))
        rollout_end_removed(r);
    arena_reset(&arena);
    memory_free(r->name);
    memory_free(r);
}

static bool is_brief_under_way(const struct rollout_brief *row)
{
    enum rollout_state state;
    return rollout_state_read(row->state, &state) && is_under_way(state);
}

/* They come newest first. Nobody waits for it: what the store refuses now is forgotten with the next configuration. */
static void forget_oldest(struct rollouts *all, struct rollout_brief *over, size_t count)
{
    if (count > ROLLOUTS_KEPT && !rollouts_forget(all->store, over + ROLLOUTS_KEPT, count - ROLLOUTS_KEPT))
        log_debug("rollouts: those that are long gone stay stored: %s", store_message(all->store));
}

/* With each reload a name and a word of each; a whole row only where there is something to end. */
void rollouts_end_removed(struct rollouts *all)
{
    struct arena arena;
    struct rollout_brief *rows;
    size_t count, over_count = 0;
    arena_init(&arena, NULL, 0);
    bool may_trim = !all->is_trimmed;
    all->is_trimmed = rollouts_list(all->store, &arena, &rows, &count); /* else again with the next configuration */
    bool is_read = all->is_trimmed;
    for (size_t i = 0; is_read && i < count; i++) {
        if (rollouts_find(all, rows[i].name) != NULL)
            continue;
        bool was_under_way = is_brief_under_way(&rows[i]);
        if (was_under_way || (may_trim && all->is_trimmed)) /* a store that refuses is not asked for each of them */
            end_stored(all, rows[i].name);
        if (!was_under_way)
            rows[over_count++] = rows[i];
    }
    forget_oldest(all, rows, over_count);
    arena_reset(&arena);
}
