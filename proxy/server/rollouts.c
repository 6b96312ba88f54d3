/* server/rollouts.c - all rollouts: over reloads, in the weights, and by the clock. */
#include "server/rollouts.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "rollout/outcomes.h"
#include "server/publisher.h"

#define LOOK_EVERY_MS 100
#define IDLE_EVERY_MS 1000 /* while nothing is exposed */

static void on_timer(void *arg);

static bool send_notice(void *arg, const struct courier_errand *errand)
{
    struct rollouts *all = arg;
    return all->send(all->arg, errand);
}

static struct mono_time read_mono(void *arg)
{
    const struct rollouts *all = arg;
    return loop_now(all->loop);
}

void rollouts_init(struct rollouts *all)
{
    list_init(&all->items);
    list_init(&all->ending);
    timer_init(&all->timer, on_timer, all);
    outcome_memory_init(&all->told, all->store);
    notices_init(&all->notices);
    all->notices.send = send_notice;
    all->notices.told = rollouts_on_told;
    all->notices.now = read_mono;
    all->notices.arg = all;
}

struct rollout *rollouts_find(struct rollouts *all, struct slice name)
{
    LIST_FOREACH_SAFE (link, &all->items) {
        struct rollout *r = LIST_ITEM(link, struct rollout, link);
        if (slice_equal(slice_from_cstr(r->name), name))
            return r;
    }
    return NULL;
}

static bool has_ticket(const struct rollout *r, uint64_t ticket)
{
    bool has = r->id == ticket || (r->gate.ticket == ticket && ticket != 0);
    for (uint32_t i = 0; i < r->specs.count; i++)
        has |= r->samplers[i].ticket == ticket && ticket != 0;
    return has;
}

struct rollout *rollouts_find_ticket(struct rollouts *all, uint64_t ticket)
{
    LIST_FOREACH_SAFE (link, &all->items)
        if (has_ticket(LIST_ITEM(link, struct rollout, link), ticket))
            return LIST_ITEM(link, struct rollout, link);
    return NULL;
}

const struct rollout *rollouts_owner(struct rollouts *all, struct slice route)
{
    LIST_FOREACH_SAFE (link, &all->items) {
        struct rollout *r = LIST_ITEM(link, struct rollout, link);
        if (slice_equal(r->config->route, route))
            return r;
    }
    return NULL;
}

/* ---- one of them ------------------------------------------------------------------------------------------------------- */

static bool is_sticky(const struct rollout *r)
{
    return route_has(r->route, ROUTE_IS_STICKY);
}

/* Nothing is counted before the next weights are published. */
static void feed_begin(struct rollout *r)
{
    r->is_feed_new = true;
    r->feed = memory_zalloc(sizeof *r->feed);
    evidence_init(&r->evidence, r->specs.items, r->specs.count, is_sticky(r));
    feed_init(r->feed, &r->evidence, is_sticky(r), r->all->worker_count);
}

/* Workers may still count in its sheets, which nobody reads any more. */
static void feed_let_go(struct rollout *r)
{
    struct evidence_feed *feed = TAKE(&r->feed);
    feed->evidence = NULL;
    list_append(&r->all->ending, &feed->link);
    evidence_fini(&r->evidence);
}

void rollout_forget_evidence(struct rollout *r, bool is_same_stable)
{
    struct histogram stable = r->evidence.stable;
    feed_let_go(r);
    feed_begin(r);
    if (is_same_stable)
        evidence_seed_durations(&r->evidence, &stable);
    r->judged = (struct judge_result){ 0 };
    r->judged_requests = 0;
    memset(r->samplers, 0, sizeof r->samplers);
    memset(r->outcomes.told, 0, sizeof r->outcomes.told);
}

static struct rollout *rollout_create(struct rollouts *all, const struct rollout_config *config)
{
    struct rollout *r = memory_zalloc(sizeof *r);
    r->magic = ROLLOUT_MAGIC;
    r->all = all;
    r->id = ++all->newest_ticket;
    r->is_back = all->is_configured;
    r->name = memory_copy_text(config->name.ptr, config->name.len);
    r->breach.zero_exposure_us = -1;
    list_init(&r->link);
    return r;
}

static void rollout_destroy(struct rollout *r)
{
    CHECK_MAGIC(r, ROLLOUT_MAGIC);
    feed_let_go(r);
    guardrail_specs_fini(&r->specs);
    list_remove(&r->link);
    rollout_breach_fini(&r->breach);
    outcome_pending_fini(&r->outcomes.pending);
    text_fini(&r->gate.failure);
    memory_free(r->name);
    r->magic = 0;
    memory_free(r);
}

/* ---- configuration ------------------------------------------------------------------------------------------------------ */

/* By event, to the column that it has now. */
static void move_told(struct rollout *r, const struct guardrail_specs *old)
{
    uint64_t told[TALLY_ARM_COUNT][TALLY_EVENT_COUNT] = { 0 };
    for (uint32_t to = 0; to < r->specs.event_count; to++)
        for (uint32_t from = 0; from < old->event_count; from++)
            for (int arm = 0; arm < TALLY_ARM_COUNT && slice_equal(r->specs.events[to], old->events[from]); arm++)
                told[arm][to] = r->outcomes.told[arm][from];
    memcpy(r->outcomes.told, told, sizeof told);
}

/* By guardrail, to where it stands now; what its judge said last is said again soon. */
static void move_guardrails(struct rollout *r, const struct guardrail_specs *old)
{
    struct rollout_sampler samplers[GUARDRAILS_MAX] = { 0 };
    uint64_t breach_counts[GUARDRAILS_MAX] = { 0 };
    for (uint32_t to = 0; to < r->specs.count; to++)
        for (uint32_t from = 0; from < old->count; from++)
            if (r->specs.items[to].identity == old->items[from].identity) {
                samplers[to] = r->samplers[from];
                breach_counts[to] = r->breach_counts[from];
            }
    memcpy(r->samplers, samplers, sizeof samplers);
    memcpy(r->breach_counts, breach_counts, sizeof breach_counts);
    move_told(r, old);
    r->judged = (struct judge_result){ 0 };
}

static void take_config(struct rollout *r, const struct snapshot *snapshot, const struct rollout_config *config)
{
    struct guardrail_specs old = r->specs;
    r->config = config;
    r->route = &snapshot->table->routes[config->route_index];
    guardrail_specs_init(&r->specs, snapshot->config, config);
    r->evidence.guardrails = old.items; /* those it knows: where they stood are the new ones */
    evidence_use_guardrails(&r->evidence, r->specs.items, r->specs.count);
    move_guardrails(r, &old);
    guardrail_specs_fini(&old);
    if (is_sticky(r) != r->feed->is_sticky)
        rollout_forget_evidence(r, false);
}

static void begin_config(struct rollout *r, const struct snapshot *snapshot, const struct rollout_config *config)
{
    r->config = config;
    r->route = &snapshot->table->routes[config->route_index];
    guardrail_specs_init(&r->specs, snapshot->config, config);
    feed_begin(r);
    progress_init(&r->progress, config);
    r->is_loaded = rollout_load(r);
    rollout_end_returned(r);
    if (!r->is_loaded)
        log_error("rollout %s: where it stands cannot be read now, and its canary gets nothing: %s", r->name,
                  store_message(r->all->store));
}

void rollouts_configure(struct rollouts *all, const struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    struct list old;
    list_init(&old);
    for (struct list *link; (link = list_pop(&all->items)) != NULL;)
        list_append(&old, link);
    for (size_t i = 0; i < config->rollout_count; i++) {
        struct rollout *r = NULL;
        LIST_FOREACH_SAFE (link, &old)
            if (slice_equal(slice_from_cstr(LIST_ITEM(link, struct rollout, link)->name), config->rollouts[i].name))
                r = LIST_ITEM(link, struct rollout, link);
        if (r != NULL) {
            list_remove(&r->link);
            take_config(r, snapshot, &config->rollouts[i]);
        } else {
            r = rollout_create(all, &config->rollouts[i]);
            begin_config(r, snapshot, &config->rollouts[i]);
        }
        list_append(&all->items, &r->link);
    }
    LIST_FOREACH_SAFE (link, &old) {
        rollout_end_removed(LIST_ITEM(link, struct rollout, link));
        rollout_destroy(LIST_ITEM(link, struct rollout, link));
    }
    rollouts_end_removed(all);
    all->is_configured = true;
}

/* ---- weights ------------------------------------------------------------------------------------------------------------ */

/* Who is over has nothing to be judged any more. */
static bool is_watched(const struct rollout *r)
{
    return rollout_state_is_active(r->progress.state) || r->progress.state == ROLLOUT_PAUSED;
}

/* Before the start, too: what is slow is learnt from stable, and the canary's first request is to be measured by it. */
static bool is_counted(const struct rollout *r)
{
    return is_watched(r) || r->progress.state == ROLLOUT_PENDING;
}

bool rollout_is_watched(const struct rollout *r)
{
    return is_watched(r);
}

uint64_t rollout_tag(const struct rollout *r)
{
    static const struct hash_key key = { 0x77656972u, 0x6d61726bu };
    uint64_t revision = hash_siphash(key, r->progress.revision, strlen(r->progress.revision));
    return hash_mix(revision ^ r->route->entry_hashes[r->config->stable_entry]) ^
           r->route->entry_hashes[r->config->canary_entry];
}

void rollout_fill_sheet(const struct rollout_config *config, const struct guardrail_specs *specs,
                        struct tally_sheet *sheet)
{
    sheet->stable_entry = config->stable_entry;
    sheet->canary_entry = config->canary_entry;
    for (size_t i = 0; i < config->error_count; i++)
        for (unsigned status = config->errors[i].from; status <= config->errors[i].to; status++)
            sheet_add_status(sheet, (uint16_t)status);
    for (uint32_t i = 0; i < specs->event_count; i++)
        sheet_add_event(sheet, specs->events[i]);
}

/* Another canary has not earned what this one has: a reload that changes the pair gives it nothing, also before the plan has
   begun anew, which a store that fails may delay. */
static uint32_t weight_to_give(const struct rollout *r)
{
    return r->progress.pair_hash == progress_pair_hash(r->config) ? r->progress.weight_ppm : 0;
}

static void apply(struct rollout *r, struct arena *arena, struct weights *weights)
{
    struct weights_override *override = &weights->overrides[r->route->index];
    uint32_t ppm = weight_to_give(r);
    weights_override_share(override, arena, r->route, r->config->stable_entry, r->config->canary_entry, ppm,
                           plan_withdraws(&r->progress));
    if (r->weighted_at.unix_ms == 0 || r->weighted_ppm != ppm) {
        r->weighted_ppm = ppm;
        r->weighted_at = clock_wall();
    }
    r->is_feed_new = false;
    if (!is_counted(r))
        return;
    override->sheet = feed_publish(r->feed, weights->generation, ppm / 1e6);
    rollout_fill_sheet(r->config, &r->specs, override->sheet);
    if (r->specs.event_count > 0 && is_watched(r))
        sheet_set_mark(override->sheet, slice_from_cstr(r->name), rollout_tag(r), ppm);
}

static void overrides_alloc(const struct snapshot *snapshot, struct arena *arena, struct weights *weights)
{
    weights->route_count = snapshot->table->route_count;
    weights->overrides = arena_zalloc_array(arena, weights->route_count, sizeof *weights->overrides);
    for (uint32_t i = 0; i < weights->route_count; i++)
        weights->overrides[i].pair = (struct sticky_pair){ UINT32_MAX, UINT32_MAX, 0 };
}

void rollouts_apply(struct rollouts *all, const struct snapshot *snapshot, struct arena *arena, struct weights *weights)
{
    if (list_is_empty(&all->items))
        return;
    if (weights->overrides == NULL)
        overrides_alloc(snapshot, arena, weights);
    LIST_FOREACH_SAFE (link, &all->items)
        apply(LIST_ITEM(link, struct rollout, link), arena, weights);
}

void rollouts_on_weights_unused(struct rollouts *all, uint64_t generation)
{
    LIST_FOREACH_SAFE (link, &all->items)
        feed_retire(LIST_ITEM(link, struct rollout, link)->feed, generation);
    LIST_FOREACH_SAFE (link, &all->ending)
        feed_retire(LIST_ITEM(link, struct evidence_feed, link), generation);
}

/* ---- by the clock -------------------------------------------------------------------------------------------------------- */

static void feed_destroy(struct evidence_feed *feed)
{
    list_remove(&feed->link);
    feed_fini(feed);
    memory_free(feed);
}

static void look_at_ending(struct rollouts *all, struct mono_time now)
{
    LIST_FOREACH_SAFE (link, &all->ending) {
        struct evidence_feed *feed = LIST_ITEM(link, struct evidence_feed, link);
        feed_collect(feed, now);
        if (feed_is_over(feed))
            feed_destroy(feed);
    }
}

static void verdict_of(struct rollout *r, struct plan_verdict *out)
{
    *out = (struct plan_verdict){ .is_not_worse = r->judged.is_not_worse };
    for (uint32_t i = 0; i < r->judged.count; i++) {
        enum judge_verdict verdict = r->judged.guardrails[i].verdict;
        /* `on_unknown` is about Prometheus. What is unknown otherwise is for want of traffic, which holds a step. */
        bool is_unknown = verdict == JUDGE_UNKNOWN, is_asked = r->config->guardrails[i].kind == WATCH_PROMETHEUS;
        bool is_held = verdict == JUDGE_INSUFFICIENT || verdict == JUDGE_VOID || (is_unknown && !is_asked);
        out->breached |= (uint32_t)(verdict == JUDGE_BREACH) << i;
        out->unknown |= (uint32_t)(is_unknown && is_asked) << i;
        out->held |= (uint32_t)is_held << i;
    }
    uint64_t requests = r->evidence.requests[TALLY_CANARY];
    out->canary_requests = requests - r->judged_requests;
    r->judged_requests = requests;
}

/* What was stored counts: beginning anew might give people back what was taken from them. */
static void try_load(struct rollout *r)
{
    r->is_loaded = rollout_load(r);
    rollout_end_returned(r);
    if (!r->is_loaded)
        return;
    r->retry_ms = 0;
    r->all->publish(r->all->arg);
    rollout_await_force(r);
}

/* Comparisons say nothing any more, and the step is held: somebody has to find out why the split is not what it should be. */
static void tell_void(struct rollout *r)
{
    if (r->judged.is_void && !r->is_void_told)
        rollout_tell_void(r);
    r->is_void_told = r->judged.is_void;
}

/* Thresholds of latency reach the workers with weights of their own. */
static void look(struct rollout *r, struct mono_time now)
{
    struct plan_event event = { .kind = PLAN_VERDICT };
    feed_collect(r->feed, now);
    if (!is_counted(r))
        return;
    if (is_watched(r)) {
        rollout_sample(r, now);
        outcomes_settle(&r->evidence, now);
        judge(&r->evidence, now, &r->judged);
        rollout_note_clear(r, now);
        tell_void(r);
        verdict_of(r, &event.verdict);
        rollout_event(r, &event, NULL, NULL);
    }
    if (evidence_learn_thresholds(&r->evidence, now))
        r->all->publish(r->all->arg);
}

static void on_timer(void *arg)
{
    struct rollouts *all = arg;
    struct mono_time now = loop_now(all->loop);
    bool is_any_watched = false;
    LIST_FOREACH_SAFE (link, &all->items) {
        struct rollout *r = LIST_ITEM(link, struct rollout, link);
        struct plan_event tick = { .kind = PLAN_TICK };
        if (!r->is_loaded && rollout_may_retry(r, now))
            try_load(r);
        look(r, now);
        rollout_note_traffic(r, now);
        rollout_event(r, &tick, NULL, NULL);
        if (r->progress.is_store_down && rollout_may_retry(r, now))
            rollout_try_save(r);
        is_any_watched |= is_watched(r) || r->progress.state == ROLLOUT_ROLLING_BACK;
    }
    look_at_ending(all, now);
    notices_look(&all->notices);
    if (!list_is_empty(&all->items) || !list_is_empty(&all->ending) || all->notices.count > 0)
        timer_start(all->loop, &all->timer, is_any_watched ? LOOK_EVERY_MS : IDLE_EVERY_MS);
}

void rollouts_begin(struct rollouts *all)
{
    LIST_FOREACH_SAFE (link, &all->items)
        rollout_await_force(LIST_ITEM(link, struct rollout, link));
    on_timer(all); /* at once: what the plan takes back reaches the workers right behind the snapshot */
}

void rollouts_save(struct rollouts *all)
{
    LIST_FOREACH_SAFE (link, &all->items) {
        struct rollout *r = LIST_ITEM(link, struct rollout, link);
        if (!r->is_loaded || !is_watched(r))
            continue;
        feed_collect(r->feed, loop_now(all->loop));
        if (!rollout_save(r))
            log_warn("rollout %s: what was seen of it in the last seconds is not stored: %s", r->name,
                     store_message(all->store));
    }
}

void rollouts_fini(struct rollouts *all)
{
    timer_stop(all->loop, &all->timer);
    notices_fini(&all->notices);
    recent_fini(&all->told);
    LIST_FOREACH_SAFE (link, &all->items)
        rollout_destroy(LIST_ITEM(link, struct rollout, link));
    LIST_FOREACH_SAFE (link, &all->ending)
        feed_destroy(LIST_ITEM(link, struct evidence_feed, link));
}
