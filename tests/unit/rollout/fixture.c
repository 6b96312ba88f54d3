/* tests/unit/rollout/fixture.c - makes rollouts, and carries out actions. */
#include "rollout/fixture.h"

#include <criterion/criterion.h>

void made_init(struct made_rollout *m)
{
    *m = (struct made_rollout){ 0 };
    zone_init_utc(&m->utc);
    m->notify = SLICE("ops");
    m->config = (struct rollout_config){
        .name = SLICE("x"),
        .route = SLICE("r"),
        .stable = SLICE("a"),
        .canary = SLICE("b"),
        .revision = SLICE("1"),
        .canary_entry = 1,
        .steps = m->steps,
        .guardrails = m->guardrails,
        .windows = m->windows,
        .freezes = m->freezes,
        .on_breach = POLICY_ROLLBACK,
        .notify = { &m->notify, 1 },
        .notify_indexes = &m->notify_index,
    };
}

static struct step_config *add_step(struct made_rollout *m, enum step_kind kind)
{
    struct step_config *step = &m->steps[m->config.step_count++];
    step->kind = kind;
    return step;
}

struct step_config *made_weight(struct made_rollout *m, uint32_t percent, int64_t hold_ms)
{
    struct step_config *step = add_step(m, STEP_WEIGHT);
    step->weight_ppm = percent * 10000;
    step->hold_ms = hold_ms;
    return step;
}

struct step_config *made_approve(struct made_rollout *m, uint32_t count)
{
    struct step_config *step = add_step(m, STEP_APPROVE);
    step->approve_count = count;
    return step;
}

struct step_config *made_webhook(struct made_rollout *m, int64_t timeout_ms)
{
    struct step_config *step = add_step(m, STEP_WEBHOOK);
    step->webhook = SLICE("http://gate");
    step->timeout_ms = timeout_ms;
    return step;
}

struct guardrail_config *made_guardrail(struct made_rollout *m, const char *name, enum breach_policy on_breach)
{
    struct guardrail_config *g = &m->guardrails[m->config.guardrail_count++];
    *g = (struct guardrail_config){ .name = slice_from_cstr(name), .on_breach = on_breach, .on_unknown = POLICY_PAUSE };
    return g;
}

void made_window(struct made_rollout *m, unsigned days, int from_hour, int to_hour)
{
    m->windows[m->config.window_count++] =
        (struct window_config){ .days = days, .from_s = from_hour * 3600, .to_s = to_hour * 3600, .zone = &m->utc };
}

void made_freeze(struct made_rollout *m, int64_t from_unix_ms, int64_t to_unix_ms)
{
    m->freezes[m->config.freeze_count++] =
        (struct freeze_config){ { from_unix_ms }, { to_unix_ms }, SLICE("holidays"), { 0 } };
}

/* ---- the driver -------------------------------------------------------------------------------------------------- */

void driver_init(struct driver *d, const struct rollout_config *config)
{
    *d = (struct driver){ .config = config, .mono = { 1000000 }, .wall = { NOON_UNIX_MS }, .is_acknowledging = true };
    progress_init(&d->p, config);
    plan_restore(&d->p, d->mono);
}

static void carry_out(struct driver *d)
{
    for (uint32_t i = 0; i < d->actions.count; i++) {
        const struct plan_action *action = &d->actions.items[i];
        if (action->kind == PLAN_DO_WEIGHT)
            d->weight_ppm = action->weight_ppm;
        if (action->kind == PLAN_DO_RECORD)
            d->last = action->transition;
        d->record_count += action->kind == PLAN_DO_RECORD;
        d->notify_count += action->kind == PLAN_DO_NOTIFY;
        d->webhook_count += action->kind == PLAN_DO_WEBHOOK;
    }
    d->save_count += d->actions.should_save;
}

enum plan_answer driver_send(struct driver *d, struct plan_event event)
{
    event.mono = d->mono;
    event.wall = d->wall;
    event.is_asking = d->is_asking;
    d->answer = plan_next(d->config, &d->p, &event, &d->p, &d->actions);
    carry_out(d);
    struct plan_actions done = d->actions;
    enum plan_answer answer = d->answer;
    if (d->is_acknowledging && !d->p.is_in_force) {
        struct plan_event in_force = {
            .kind = PLAN_WEIGHT_IN_FORCE, .mono = d->mono, .wall = d->wall, .weight_ppm = d->weight_ppm
        };
        plan_next(d->config, &d->p, &in_force, &d->p, &d->actions);
        carry_out(d);
    }
    d->actions = done;
    return answer;
}

enum plan_answer driver_do(struct driver *d, enum plan_event_kind kind, const char *who)
{
    return driver_send(d, (struct plan_event){ .kind = kind, .who = slice_from_cstr(who) });
}

void driver_verdict(struct driver *d, struct plan_verdict verdict)
{
    driver_send(d, (struct plan_event){ .kind = PLAN_VERDICT, .verdict = verdict });
}

void driver_watch(struct driver *d, int64_t seconds, uint64_t requests_each)
{
    for (int64_t i = 0; i < seconds; i++) {
        d->mono = mono_add_ms(d->mono, 1000);
        d->wall.unix_ms += 1000;
        driver_verdict(d, (struct plan_verdict){ .canary_requests = requests_each });
        driver_do(d, PLAN_TICK, "");
    }
}

struct progress progress_through_store(const struct progress *stored, struct mono_time now)
{
    struct progress p;
    struct text detail;
    memset(&p, 0, sizeof p);
    text_init(&detail);
    progress_write_detail(stored, &detail);
    cr_assert(progress_read_detail(text_slice(&detail), &p));
    text_fini(&detail);
    cr_assert(rollout_state_read(slice_from_cstr(rollout_state_names[stored->state]), &p.state));
    p.step = stored->step;
    p.weight_ppm = stored->weight_ppm;
    p.left_ms = stored->left_ms;
    p.started_at = stored->started_at;
    memcpy(p.revision, stored->revision, sizeof p.revision);
    memcpy(p.started_by, stored->started_by, sizeof p.started_by);
    p.approval_count = stored->approval_count;
    memcpy(p.approvals, stored->approvals, p.approval_count * sizeof *p.approvals);
    plan_restore(&p, now);
    return p;
}

void driver_restart(struct driver *d)
{
    d->mono = (struct mono_time){ 5 };
    d->p = progress_through_store(&d->p, d->mono);
    d->weight_ppm = d->p.weight_ppm;
}
