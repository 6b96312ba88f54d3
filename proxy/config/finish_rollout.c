/* config/finish_rollout.c - the rules within one map of rollouts, and what follows from its keys together.
 *
 * As config/finish.c: a key that has no effect where it stands is a misunderstanding, and is told as one. What names other
 * things (config/rollouts.c) is not resolved yet. */
#include "config/finish_parts.h"

#include "config/finish.h"
#include "config/formats.h"
#include "config/load.h"
#include "config/model_rollout.h"

#define WHOLE_PPM 1000000u

/* Reads statuses that have passed their format; `standard` when none are written. */
static size_t read_statuses(struct fill *f, const struct slice_list *texts, struct status_range standard,
                            struct status_range **out)
{
    size_t count = texts->count > 0 ? texts->count : 1;
    *out = arena_zalloc_array(f->arena, count, sizeof **out);
    (*out)[0] = standard;
    for (size_t i = 0; i < texts->count; i++)
        if (!format_read_status(texts->items[i], &(*out)[i].from, &(*out)[i].to))
            (*out)[i] = standard;
    return count;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void approve_finish(struct fill *f, const struct node *map, const struct step_config *step)
{
    const struct node *approvers = node_get(map, "approvers");
    size_t count = step->approvers.count;
    if (step->approve_count == 0 || approvers == NULL ||
        (approvers->kind == NODE_LIST && approvers->child_count != count))
        return; /* one that was refused might have been enough */
    for (size_t i = 0; i < step->approvers.count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(step->approvers.items[i], step->approvers.items[j])) {
                err_add(f->errors, approvers->place, "'approvers' names '%.*s' twice",
                        SLICE_ARG(step->approvers.items[i]));
                count--;
                break;
            }
    if (count >= step->approve_count)
        return;
    struct err *e =
        err_add(f->errors, approvers->place, "'approvers' are %zu, and %u have to approve", count, step->approve_count);
    err_hint(f->errors, e, "name more, or leave approvers out to ask everybody whose role allows it");
}

void step_finish(struct fill *f, const struct node *map, void *target)
{
    static const char *const kinds[] = { "weight", "approve", "webhook" };
    static const char *const of_weight[] = { "hold", "min_requests", "require" };
    static const char *const of_approve[] = { "approvers", "allow_starter" };
    static const char *const of_webhook[] = { "timeout" };
    struct step_config *step = target;
    const char *kind =
        finish_find_only(f, map, kinds, ARRAY_COUNT(kinds), "the step does nothing",
                         "a step has one of weight, approve and webhook: write the others as steps of their own");
    if (kind == NULL)
        return;
    step->kind = kind == kinds[0] ? STEP_WEIGHT : kind == kinds[1] ? STEP_APPROVE : STEP_WEBHOOK;
    if (step->kind != STEP_WEIGHT)
        finish_refuse_strangers(f, map, of_weight, ARRAY_COUNT(of_weight), "without 'weight'");
    if (step->kind != STEP_APPROVE)
        finish_refuse_strangers(f, map, of_approve, ARRAY_COUNT(of_approve), "without 'approve'");
    if (step->kind != STEP_WEBHOOK)
        finish_refuse_strangers(f, map, of_webhook, ARRAY_COUNT(of_webhook), "without 'webhook'");
    approve_finish(f, map, step);
}

/* ---- windows and freezes ----------------------------------------------------------------------------------------- */

/* A time that was refused left its default, and then nothing is said about both. */
static void window_times_finish(struct fill *f, const struct node *map, struct window_config *window)
{
    if (!format_read_clock(window->from_text, &window->from_s) || !format_read_clock(window->to_text, &window->to_s))
        return;
    const struct node *to = node_get(map, "to"), *from = node_get(map, "from");
    bool is_read = (to == NULL || (to->kind == NODE_TEXT && slice_equal(to->text, window->to_text))) &&
                   (from == NULL || (from->kind == NODE_TEXT && slice_equal(from->text, window->from_text)));
    if (!is_read || window->from_s < window->to_s)
        return;
    struct err *e = err_add(f->errors, to != NULL ? to->place : from->place, "the window ends before it begins");
    err_hint(f->errors, e, "write two, one to \"24:00\" and one from \"00:00\"");
}

static void window_zone_finish(struct fill *f, const struct node *map, struct window_config *window)
{
    struct zone *zone = arena_zalloc(f->arena, sizeof *zone);
    struct slice file;
    const struct node *tz = node_get(map, "tz");
    window->zone = zone;
    zone_init_utc(zone);
    if (slice_equal(window->tz, SLICE("UTC")) || tz == NULL)
        return;
    if (f->source->read_zone != NULL && f->source->read_zone(window->tz.ptr, f->arena, &file) &&
        zone_read(file, f->arena, zone))
        return;
    struct err *e = err_add(f->errors, window->tz_place, "there is no time zone '%.*s'", SLICE_ARG(window->tz));
    err_hint(f->errors, e, "write UTC, or a name of the system's zone database, such as Europe/Berlin");
}

void window_finish(struct fill *f, const struct node *map, void *target)
{
    struct window_config *window = target;
    unsigned days;
    const struct node *list = node_get(map, "days");
    if (list == NULL)
        window->days = 0x7f;
    else if (list->kind == NODE_LIST && list->child_count == 0)
        finish_refuse(f, map, "days", "is an empty list", "remove it to open on all days");
    for (size_t i = 0; i < window->day_texts.count; i++)
        if (format_read_days(window->day_texts.items[i], &days))
            window->days |= days;
    window_times_finish(f, map, window);
    window_zone_finish(f, map, window);
}

void freeze_finish(struct fill *f, const struct node *map, void *target)
{
    const struct freeze_config *freeze = target;
    bool is_given = freeze->from.unix_ms != 0 && freeze->to.unix_ms != 0;
    if (is_given && freeze->from.unix_ms >= freeze->to.unix_ms)
        err_add(f->errors, finish_place(map, "to"), "the freeze ends before it begins");
}

/* ---- rollouts ---------------------------------------------------------------------------------------------------- */

/* Weights rise, so that no step takes users back by itself; what was refused is passed over. */
static void steps_finish(struct fill *f, const struct rollout_config *r)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < r->step_count; i++) {
        const struct step_config *step = &r->steps[i];
        if (step->kind != STEP_WEIGHT || step->weight_ppm == 0)
            continue;
        if (step->weight_ppm <= highest) {
            struct err *e = err_add(f->errors, step->place, "the weight is not more than that of the step before");
            err_hint(f->errors, e, "weights rise from step to step; a rollback goes to 0 by itself");
        }
        highest = step->weight_ppm;
    }
}

static void last_step_finish(struct fill *f, const struct node *map, const struct rollout_config *r)
{
    const struct node *steps = node_get(map, "steps");
    if (steps == NULL || steps->kind != NODE_LIST)
        return;
    if (r->step_count > STEPS_MAX)
        err_add(f->errors, r->steps[STEPS_MAX].place, "a rollout has at most %u steps", STEPS_MAX);
    const struct step_config *last = r->step_count > 0 ? &r->steps[r->step_count - 1] : NULL;
    if (last != NULL && last->kind == STEP_WEIGHT && (last->weight_ppm == WHOLE_PPM || last->weight_ppm == 0))
        return;
    struct err *e =
        err_add(f->errors, last != NULL ? last->place : steps->place, "the last step is not all of the weight");
    err_hint(f->errors, e, "end with - { weight: 100%% }");
}

/* A request that proves nothing, as it has nothing to prove by, would wait for ever. */
static void require_finish(struct fill *f, const struct rollout_config *r)
{
    bool has_comparison = false;
    for (size_t i = 0; i < r->guardrail_count; i++)
        has_comparison |= guardrail_config_compares(&r->guardrails[i]);
    for (size_t i = 0; i < r->step_count; i++) {
        const struct step_config *step = &r->steps[i];
        if (step->require != REQUIRE_NOT_WORSE || step->kind != STEP_WEIGHT)
            continue;
        if (!has_comparison) {
            struct err *e = err_add(f->errors, step->place, "'require' has no guardrail that could prove it");
            err_hint(f->errors, e, "add one with worse_than_stable: { ratio: 1.5 }");
        } else if (step->weight_ppm == WHOLE_PPM) {
            struct err *e = err_add(f->errors, step->place, "'require' has no stable left to compare with");
            err_hint(f->errors, e, "ask for it at the step before");
        }
    }
}

void rollout_finish(struct fill *f, const struct node *map, void *target)
{
    struct rollout_config *r = target;
    r->route_index = r->stable_entry = r->canary_entry = CONFIG_NONE;
    r->error_count = read_statuses(f, &r->error_texts, (struct status_range){ 500, 599 }, &r->errors);
    steps_finish(f, r);
    last_step_finish(f, map, r);
    require_finish(f, r);
    if (r->guardrail_count > ROLLOUT_GUARDRAILS_MAX)
        err_add(f->errors, r->guardrails[ROLLOUT_GUARDRAILS_MAX].place, "a rollout has at most %u guardrails",
                ROLLOUT_GUARDRAILS_MAX);
    else
        guardrail_names_finish(f, r);
    for (size_t i = 0; i < r->guardrail_count; i++)
        if (r->guardrails[i].on_breach == POLICY_INHERIT)
            r->guardrails[i].on_breach = r->on_breach;
    if (r->start == ROLLOUT_START_ON_REVISION && node_get(map, "revision") == NULL)
        finish_refuse(f, map, "start", "on_revision has no 'revision'",
                      "add revision: \"1.0\", and change it with each release");
}

/* ---- objectives, monitors, notifications ------------------------------------------------------------------------- */

void slo_finish(struct fill *f, const struct node *map, void *target)
{
    struct slo_config *slo = target;
    slo->route_index = CONFIG_NONE;
    if (node_get(map, "availability") != NULL || node_get(map, "latency") != NULL)
        return;
    struct err *e = err_add(f->errors, map->place, "the objective has no target");
    err_hint(f->errors, e, "add availability: 99.9%%, or latency: { below: 300ms, for: 99%% }");
}

void monitor_expect_finish(struct fill *f, const struct node *map, void *target)
{
    struct monitor_expect_config *expect = target;
    (void)map;
    expect->status_count =
        read_statuses(f, &expect->status_texts, (struct status_range){ 200, 299 }, &expect->statuses);
}

/* One that is still running when the next is due would be two at a time. */
void monitor_finish(struct fill *f, const struct node *map, void *target)
{
    struct monitor_config *monitor = target;
    const struct node *upstreams = node_get(map, "upstreams");
    if (node_get(map, "expect") == NULL)
        monitor_expect_finish(f, map, &monitor->expect);
    if (upstreams != NULL && upstreams->kind == NODE_LIST && upstreams->child_count == 0)
        err_add(f->errors, upstreams->place, "'upstreams' is an empty list");
    if (monitor->timeout_ms <= monitor->every_ms)
        return;
    if (node_get(map, "timeout") == NULL)
        monitor->timeout_ms = monitor->every_ms;
    else
        finish_refuse(f, map, "timeout", "is longer than 'every'", NULL);
}

void notify_finish(struct fill *f, const struct node *map, void *target)
{
    (void)target;
    if (node_get(map, "webhook") != NULL || node_get(map, "alertmanager") != NULL)
        return;
    struct err *e = err_add(f->errors, map->place, "the notification tells nobody");
    err_hint(f->errors, e, "add webhook: URL or alertmanager: URL");
}
