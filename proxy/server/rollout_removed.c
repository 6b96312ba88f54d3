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

void rollout_end_removed(struct rollout *r)
{
    if (r->is_loaded && is_under_way(r->progress.state))
        record_end(r);
}

/* Nobody's any more: just what its record needs. */
static void end_stored(struct rollouts *all, const struct rollout_row *row)
{
    struct rollout *r = memory_zalloc(sizeof *r);
    r->magic = ROLLOUT_MAGIC;
    r->all = all;
    r->name = memory_copy_text(row->name.ptr, row->name.len);
    if (rollout_read_progress(row, &r->progress) && is_under_way(r->progress.state))
        record_end(r);
    memory_free(r->name);
    memory_free(r);
}

void rollouts_end_removed(struct rollouts *all)
{
    struct arena arena;
    struct rollout_stored *stored;
    size_t count;
    arena_init(&arena, NULL, 0);
    if (!rollouts_load_all(all->store, &arena, &stored, &count))
        count = 0; /* asked again with the next configuration */
    for (size_t i = 0; i < count; i++)
        if (rollouts_find(all, stored[i].row.name) == NULL)
            end_stored(all, &stored[i].row);
    arena_reset(&arena);
}
