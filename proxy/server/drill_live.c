/* server/drill_live.c - a live drill: the canary of a rollout fails for real users, at the weight that it has.
 *
 * Nothing is rehearsed: the rollout's own evidence, judge and plan see what happens, and what they do is done. Here the fault is
 * put on, and taken off when the rollout has acted or the time is over. */
#include "server/drills.h"

#include "base/memory.h"

static bool may_fail(const struct rollout *r)
{
    return rollout_state_is_active(r->progress.state) && r->progress.state != ROLLOUT_PAUSED &&
           r->progress.weight_ppm > 0 && r->progress.is_in_force;
}

/* One that is meant, and could fire. */
static bool is_watching(const struct drill *d, uint32_t i)
{
    return d->cases[i].is_wanted && d->scripts[i].fault == DRILL_ERROR &&
           d->cases[i].trial.result != DRILL_NOT_REHEARSED;
}

static bool is_with_errors(const struct drill *d)
{
    for (uint32_t i = 0; i < d->specs.count; i++)
        if (is_watching(d, i))
            return true;
    return false;
}

bool drill_live_is_possible(const struct drill *d, const struct rollout *r, struct text *error)
{
    if (!may_fail(r))
        text_printf(error,
                    "the rollout is %s and its canary has %g %%: --live needs one that runs, with a weight in force",
                    rollout_state_names[r->progress.state], r->progress.weight_ppm / 1e4);
    else if (!is_with_errors(d))
        text_add_cstr(error,
                      "--live makes the canary answer with errors: no guardrail that is meant watches for these");
    else
        return true;
    return false;
}

static struct rollout *rollout_of(const struct drill *d)
{
    return rollouts_find(d->all->rollouts, slice_from_cstr(d->rollout));
}

void drill_live_begin(struct drill *d, struct mono_time now)
{
    const struct rollout *r = rollout_of(d);
    d->published = now;
    for (unsigned arm = 0; arm < TALLY_ARM_COUNT; arm++)
        d->requests_before[arm] = r->evidence.requests[arm];
}

/* When it was in force everywhere; a breach that did not wait for the slowest worker is of one that was sooner. */
static struct mono_time bad_from(const struct drill *d, const struct rollout *r)
{
    return mono_diff_us(r->breach.mono, d->failing_since) < 0 ? d->published : d->failing_since;
}

/* Whose turn it was: as long as one watches for errors, those that fire with it did their work too. */
static void note_breach(struct drill *d, const struct rollout *r)
{
    for (uint32_t i = 0; i < d->specs.count; i++) {
        struct drill_trial *t = &d->cases[i].trial;
        if (!slice_equal(slice_from_cstr(d->specs.items[i].name), slice_from_cstr(r->breach.guardrail)))
            continue;
        t->stage = DRILL_RETURNING;
        t->bad = bad_from(d, r);
        t->breach = r->breach.mono;
        t->is_paused = r->progress.state == ROLLOUT_PAUSED;
        t->requests = (uint32_t)(r->evidence.requests[TALLY_STABLE] - d->requests_before[TALLY_STABLE]);
        t->bad_requests = (uint32_t)(r->evidence.requests[TALLY_CANARY] - d->requests_before[TALLY_CANARY]);
        t->requests += t->bad_requests;
        snprintf(d->cases[i].reason, sizeof d->cases[i].reason, "%s", r->breach.reason);
        d->at = i;
    }
}

/* One that was there before the drill is not its own. */
static bool has_breach(const struct drill *d, const struct rollout *r)
{
    return r->breach.at.unix_ms != 0 && mono_diff_us(r->breach.mono, d->published) >= 0;
}

static bool end(struct drill *d, enum drill_result result)
{
    d->cases[d->at].trial.stage = DRILL_DONE;
    d->cases[d->at].trial.result = result;
    return true;
}

/* Of several that were meant one takes the canary back; the others had no chance. One that was named alone must be it. */
static bool silent(struct drill *d)
{
    for (uint32_t i = 0; i < d->specs.count; i++)
        if (is_watching(d, i))
            d->cases[i].trial.result = DRILL_SILENT;
    return true;
}

static bool look_at_return(struct drill *d, const struct rollout *r, struct mono_time now)
{
    struct drill_trial *t = &d->cases[d->at].trial;
    if (!d->cases[d->at].is_wanted)
        silent(d);
    if (!t->is_paused && r->breach.zero_exposure_us < 0)
        return mono_diff_us(now, t->breach) > DRILL_RETURN_MS * 1000 && end(d, DRILL_STUCK);
    if (!t->is_paused)
        t->unexposed = (struct mono_time){ t->breach.us + r->breach.zero_exposure_us };
    return end(d, DRILL_FIRED);
}

bool drill_live_look(struct drill *d, struct mono_time now)
{
    const struct rollout *r = rollout_of(d);
    if (d->failing_since.us == 0)
        return false; /* not yet in force */
    if (d->cases[d->at].trial.stage == DRILL_RETURNING)
        return look_at_return(d, r, now);
    if (has_breach(d, r)) {
        note_breach(d, r);
        return false;
    }
    if (!may_fail(r)) {
        d->cause = memory_strdup("the rollout left its weight before a guardrail fired");
        return true;
    }
    return mono_diff_us(now, d->failing_since) > d->wish.settings.timeout_ms * 1000 && silent(d);
}
