/* rollout/outcomes.c - outcomes find the guardrails that watch them, and wait there until their moment is complete. */
#include "rollout/outcomes.h"

#include <math.h>

#define PPM 1000000.0

static bool is_cohort(const struct evidence *e, uint32_t share_ppm, uint32_t fresh_from_ppm)
{
    return lround(e->share_most * PPM) == share_ppm && lround(e->fresh_from * PPM) == fresh_from_ppm;
}

/* The canary's share among those compared; 0: nobody is. */
static double compared_share(const struct evidence *e, uint32_t share_ppm, uint32_t fresh_from_ppm)
{
    double share = share_ppm / PPM, fresh_from = fresh_from_ppm / PPM;
    if (!e->is_sticky)
        return share;
    return is_cohort(e, share_ppm, fresh_from_ppm) ? (share - fresh_from) / (1 - fresh_from) : 0;
}

static bool is_compared(const struct evidence *e, const struct evidence_outcome *o)
{
    double share = compared_share(e, o->share_ppm, o->fresh_from_ppm);
    return share > 0 && share < 1 && (!e->is_sticky || o->has_user);
}

static bool watches(const struct guardrail *g, enum guardrail_kind kind, uint32_t column)
{
    return g->kind == kind && g->column == column;
}

bool outcomes_add(struct evidence *e, const struct evidence_outcome *o, struct mono_time now)
{
    struct outcome_slot what = { .share_ppm = o->share_ppm, .fresh_from_ppm = o->fresh_from_ppm };
    bool is_any = false;
    what.counts[o->arm] = o->count;
    for (uint32_t i = 0; i < e->guardrail_count && o->arm == TALLY_CANARY; i++)
        if (watches(&e->guardrails[i], GUARDRAIL_RATE, o->column))
            window_add(&e->states[i].window, now, 0, o->count);
    if (!is_compared(e, o) || (e->is_sticky && !seen_add(&e->seen, o->user, o->column)))
        return false;
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        if (watches(&e->guardrails[i], GUARDRAIL_RATIO, o->column))
            is_any |= outcome_slots_add(&e->states[i].outcomes, e->guardrails[i].told_us, now, o->at, &what);
    return is_any;
}

void outcomes_settle(struct evidence *e, struct mono_time now)
{
    struct outcome_slot slot;
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        while (outcome_slots_take(&e->states[i].outcomes, e->guardrails[i].told_us, now, &slot)) {
            double share = compared_share(e, slot.share_ppm, slot.fresh_from_ppm);
            if (share > 0 && share < 1) /* a cohort may have ended while they waited */
                evidence_compare_events(e, i, share, slot.counts);
        }
}
