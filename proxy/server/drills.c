/* server/drills.c - a drill from its beginning to its end, one guardrail after the other. */
#include "server/drills.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/random.h"
#include "server/publisher.h"

#define TURN_MS       20 /* between two looks for requests that are due */
#define LOOK_US       100000
#define HOLD_MS       3600000 /* nothing but a breach ends the rehearsal's step */
#define LIVE_GRACE_MS 1000    /* for the weights to be in force */
#define SEED_ANSWERS  1000    /* stable's durations from before: thresholds are known at the first request */

static void on_timer(void *arg);

void drills_init(struct drills *all)
{
    rng_init(&all->rng, random_u64());
    list_init(&all->running);
    list_init(&all->ended);
    list_init(&all->marks);
}

/* ---- the plan, with hands of its own ------------------------------------------------------------------------------------- */

static void drill_event(struct drill *d, struct plan_event *event);

static struct drill *find_serial(struct drills *all, uint64_t serial)
{
    LIST_FOREACH_SAFE (link, &all->running)
        if (LIST_ITEM(link, struct drill, link)->serial == serial)
            return LIST_ITEM(link, struct drill, link);
    return NULL;
}

static void on_settled(void *arg, uint64_t serial)
{
    struct drills *all = arg;
    struct drill *d = find_serial(all, serial);
    if (d == NULL)
        return;
    if (!publisher_is_settled(all->rollouts->publisher)) {
        publisher_when_settled(all->rollouts->publisher, on_settled, all, serial);
        return;
    }
    if (d->wish.is_live) {
        if (d->failing_since.us == 0)
            d->failing_since = clock_mono();
        return;
    }
    struct plan_event event = { .kind = PLAN_WEIGHT_IN_FORCE, .weight_ppm = d->progress.weight_ppm };
    drill_event(d, &event);
    timer_start(all->rollouts->loop, &d->timer, 0); /* the way back is measured */
}

static void publish(struct drill *d)
{
    struct rollouts *rollouts = d->all->rollouts;
    rollouts->publish(rollouts->arg);
    publisher_when_settled(rollouts->publisher, on_settled, d->all, d->serial);
}

/* What a release would write down, tell or ask is left out. */
static void drill_event(struct drill *d, struct plan_event *event)
{
    struct plan_actions actions;
    struct progress before = d->progress;
    event->mono = loop_now(d->all->rollouts->loop);
    event->wall = clock_wall();
    if (plan_next(&d->config, &before, event, &d->progress, &actions) == PLAN_REFUSED)
        return;
    for (uint32_t i = 0; i < actions.count; i++)
        if (actions.items[i].kind == PLAN_DO_WEIGHT)
            publish(d);
}

/* ---- a trial -------------------------------------------------------------------------------------------------------------- */

static bool is_sticky(const struct drill *d)
{
    const struct snapshot *snapshot = publisher_snapshot(d->all->rollouts->publisher);
    return route_has(&snapshot->table->routes[d->source->route_index], ROUTE_IS_STICKY);
}

static void seed(struct drill *d)
{
    struct histogram before = { 0 };
    for (unsigned i = 0; i < SEED_ANSWERS; i++) {
        struct drill_request request;
        drill_script_request(&d->scripts[drill_case_now(d)->guardrail], false, (uint32_t)rng_next(&d->all->rng),
                             &request);
        histogram_add(&before, request.arms[TALLY_STABLE].latency_us);
    }
    evidence_seed_durations(&d->evidence, &before);
}

static void feed_let_go(struct drill *d)
{
    if (d->feed == NULL)
        return;
    struct evidence_feed *feed = TAKE(&d->feed);
    feed->evidence = NULL;
    list_append(&d->all->rollouts->ending, &feed->link);
    evidence_fini(&d->evidence);
}

/* One step that nothing but a breach ends, and the rest of the way, which is never gone. */
static void set_steps(struct drill *d)
{
    d->steps[0] = (struct step_config){ .kind = STEP_WEIGHT,
                                        .weight_ppm = drill_case_now(d)->place.weight_ppm,
                                        .hold_ms = HOLD_MS };
    d->steps[1] = (struct step_config){ .kind = STEP_WEIGHT, .weight_ppm = 1000000 };
}

static void trial_begin(struct drill *d)
{
    struct plan_event start = { .kind = PLAN_START, .who = slice_from_cstr(d->who) };
    feed_let_go(d);
    d->feed = memory_zalloc(sizeof *d->feed);
    evidence_init(&d->evidence, d->specs.items, d->specs.count, is_sticky(d));
    feed_init(d->feed, &d->evidence, is_sticky(d), d->all->rollouts->worker_count);
    seed(d);
    d->judged = (struct judge_result){ 0 };
    d->begun = clock_mono();
    d->sampled = d->looked = (struct mono_time){ 0 };
    d->sent_count = 0;
    memset(d->errands, 0, sizeof d->errands); /* what is under way belongs to nobody any more, and is counted on */
    drill_trial_begin(&drill_case_now(d)->trial);
    set_steps(d);
    progress_init(&d->progress, &d->config);
    drill_event(d, &start);
}

/* Those to come; false: there is none. */
static bool trial_find(struct drill *d)
{
    while (d->at < d->case_count && (!d->cases[d->at].is_wanted || d->cases[d->at].trial.result == DRILL_NOT_REHEARSED))
        d->at++;
    return d->at < d->case_count;
}

static void sample(struct drill *d, struct mono_time now)
{
    struct drill_case *c = drill_case_now(d);
    const struct drill_script *script = &d->scripts[c->guardrail];
    if (script->fault != DRILL_SAMPLE || (d->sampled.us != 0 && mono_diff_us(now, d->sampled) < DRILL_SAMPLE_MS * 1000))
        return;
    bool is_bad = drill_trial_is_failing(&c->trial);
    d->sampled = now;
    evidence_add_sample(&d->evidence, c->guardrail, is_bad ? script->bad_sample : script->good_sample,
                        loop_now(d->all->rollouts->loop));
    drill_trial_on_sample(&c->trial, is_bad, now);
}

/* The guardrail under trial alone, judged beside all others as in a release: they share what may be spent on false alarms. */
static void judge_trial(struct drill *d)
{
    struct mono_time now = loop_now(d->all->rollouts->loop);
    struct drill_case *c = drill_case_now(d);
    feed_collect(d->feed, now);
    if (!rollout_state_is_active(d->progress.state))
        return;
    judge(&d->evidence, now, &d->judged);
    struct plan_event event = { .kind = PLAN_VERDICT };
    if (d->judged.guardrails[c->guardrail].verdict == JUDGE_BREACH)
        event.verdict.breached = 1u << c->guardrail;
    memcpy(c->reason, d->judged.guardrails[c->guardrail].reason, sizeof c->reason);
    drill_event(d, &event);
    if (evidence_learn_thresholds(&d->evidence, now))
        publish(d);
}

static void trial_end(struct drill *d)
{
    const struct drill_case *c = drill_case_now(d);
    log_info("drill %s: step %u, guardrail %s: %s", d->id, c->step, d->specs.items[c->guardrail].name,
             drill_result_names[c->trial.result]);
    d->at++;
    if (trial_find(d))
        trial_begin(d);
    else
        d->is_ending = true;
}

static void trial_look(struct drill *d, struct mono_time now)
{
    struct drill_trial *t = &drill_case_now(d)->trial;
    sample(d, now);
    judge_trial(d);
    enum rollout_state state = d->progress.state;
    const struct drill_view view = { .is_breached = !rollout_state_is_active(state) || state == ROLLOUT_PAUSED,
                                     .is_paused = state == ROLLOUT_PAUSED,
                                     .is_in_force = d->progress.is_in_force };
    drill_trial_look(t, &d->wish.settings, &view, now);
    if (t->stage == DRILL_DONE)
        trial_end(d);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------ */

static void drill_destroy(struct drill *d)
{
    feed_let_go(d);
    guardrail_specs_fini(&d->specs);
    memory_free(d->cases);
    memory_free(d->id);
    memory_free(d->rollout);
    memory_free(d->revision);
    memory_free(d->who);
    memory_free(d->reason);
    memory_free(d->cause);
    memory_free(d);
}

static bool is_passed(const struct drill *d)
{
    struct drill_sum sum = { 0 };
    for (uint32_t i = 0; i < d->case_count; i++)
        drill_sum_add(&sum, d->cases[i].trial.result);
    return drill_sum_is_passed(&sum);
}

/* Whoever publishes next takes the workers' order away. */
static void finish(struct drill *d)
{
    struct drills *all = d->all;
    list_remove(&d->link);
    all->running_count--;
    timer_stop(all->rollouts->loop, &d->timer);
    d->state = d->cause != NULL ? "aborted" : is_passed(d) ? "passed" : "failed";
    d->ended_at = clock_wall();
    drill_record_end(d);
    log_info("drill %s: %s%s%s", d->id, d->state, d->cause != NULL ? ": " : "", d->cause != NULL ? d->cause : "");
    feed_let_go(d);
    list_append(&all->ended, &d->link);
    drill_let_go(d);
}

void drill_let_go(struct drill *d)
{
    if (d->ended_at.unix_ms == 0 || d->under_way > 0)
        return;
    list_remove(&d->link);
    drill_destroy(d);
}

/* It ends as soon as its requests are back. */
static void cut_short(struct drill *d, const char *cause)
{
    if (d->cause == NULL)
        d->cause = memory_strdup(cause);
    d->is_ending = true;
}

bool drills_abort(struct drills *all, const char *cause)
{
    bool has_one = all->running_count > 0;
    LIST_FOREACH_SAFE (link, &all->running) {
        struct drill *d = LIST_ITEM(link, struct drill, link);
        cut_short(d, cause);
        finish(d);
    }
    return has_one;
}

struct drill *drills_find(struct drills *all, struct slice rollout)
{
    LIST_FOREACH_SAFE (link, &all->running)
        if (slice_equal(slice_from_cstr(LIST_ITEM(link, struct drill, link)->rollout), rollout))
            return LIST_ITEM(link, struct drill, link);
    return NULL;
}

bool drills_stop(struct drills *all, const struct rollout *r, struct slice who, const char *role, struct slice reason,
                 struct text *error)
{
    struct drill *d = drills_find(all, slice_from_cstr(r->name));
    if (d == NULL) {
        text_printf(error, "no drill of \"%s\" is under way", r->name);
        return false;
    }
    drill_record_stop(d, who, role, reason);
    struct text cause = { 0 };
    text_printf(&cause, "%.*s: %.*s", SLICE_ARG(who), SLICE_ARG(reason));
    cut_short(d, cause.bytes);
    if (d->wish.is_live) {
        finish(d);
        all->rollouts->publish(all->rollouts->arg);
    }
    text_fini(&cause);
    return true;
}

void drills_fini(struct drills *all)
{
    drills_abort(all, "weir ended");
    drill_marks_fini(all);
}

/* Then the release itself is what is watched, and a rehearsal beside it would only confuse who looks. */
static bool is_released(const struct rollout *r)
{
    return r != NULL && r->progress.state != ROLLOUT_PENDING && r->progress.state != ROLLOUT_SUCCEEDED &&
           !rollout_state_is_over(r->progress.state);
}

static void turn(struct drill *d, struct mono_time now)
{
    if (d->wish.is_live) {
        d->is_ending = drill_live_look(d, now);
        return;
    }
    if (is_released(rollouts_find(d->all->rollouts, slice_from_cstr(d->rollout)))) {
        cut_short(d, "the rollout was started");
        return;
    }
    drill_send(d, now);
    if (d->looked.us != 0 && mono_diff_us(now, d->looked) < LOOK_US &&
        !(drill_case_now(d)->trial.stage == DRILL_RETURNING && d->progress.is_in_force))
        return;
    d->looked = now;
    trial_look(d, now);
}

static void on_timer(void *arg)
{
    struct drill *d = arg;
    struct rollouts *rollouts = d->all->rollouts;
    if (!d->is_ending)
        turn(d, clock_mono());
    if (d->is_ending && d->under_way == 0) {
        finish(d);
        rollouts->publish(rollouts->arg);
        return;
    }
    timer_start(rollouts->loop, &d->timer, TURN_MS);
}

/* ---- the beginning -------------------------------------------------------------------------------------------------------- */

static void make_token(char out[DRILL_TOKEN_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[DRILL_TOKEN_BYTES / 2];
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[DRILL_TOKEN_BYTES] = '\0';
}

static char *copy_of(struct slice text)
{
    char *copy = memory_alloc(text.len + 1);
    memcpy(copy, text.len > 0 ? text.ptr : "", text.len);
    copy[text.len] = '\0';
    return copy;
}

static struct drill *drill_create(struct drills *all, const struct rollout *r, const struct drill_wish *wish,
                                  struct slice who, const char *role, struct slice reason)
{
    struct drill *d = memory_zalloc(sizeof *d);
    const struct snapshot *snapshot = publisher_snapshot(all->rollouts->publisher);
    struct text id = { 0 };
    d->all = all;
    d->wish = *wish;
    d->source = r->config;
    d->begun_at = clock_wall();
    d->serial = ++all->newest_serial;
    timer_init(&d->timer, on_timer, d);
    text_printf(&id, "%s-%lld", r->name, (long long)d->begun_at.unix_ms);
    d->id = id.bytes;
    d->rollout = memory_strdup(r->name);
    d->revision = copy_of(r->config->revision);
    d->who = copy_of(who);
    d->role = role;
    d->reason = copy_of(reason);
    d->state = "running";
    guardrail_specs_init(&d->specs, snapshot->config, r->config);
    make_token(d->token);
    return d;
}

static bool is_possible(struct drill *d, struct rollout *r, struct text *error)
{
    if (!d->wish.is_live && is_released(r)) {
        text_printf(
            error,
            "rollout \"%s\" is %s: a rehearsal is for before the release or after it; --live makes the canary of "
            "this release fail",
            r->name, rollout_state_names[r->progress.state]);
        return false;
    }
    bool is_so = drill_choose(d, r, error) &&
                 (d->wish.is_live ? drill_live_is_possible(d, r, error) : drill_find_listener(d, error));
    d->wish.guardrail = SLICE_NONE; /* borrowed; what it meant is in is_wanted */
    return is_so;
}

static void begin(struct drill *d)
{
    struct drills *all = d->all;
    list_append(&all->running, &d->link);
    all->running_count++;
    d->mark = drill_mark_of(all, slice_from_cstr(d->rollout));
    log_info("drill %s: begun by %s: %s", d->id, d->who, d->reason);
    if (d->wish.is_live) {
        int64_t us = (d->wish.settings.timeout_ms + LIVE_GRACE_MS) * 1000;
        d->live_until = (struct mono_time){ clock_mono().us + us };
        drill_live_begin(d, clock_mono());
        publish(d);
    } else {
        trial_find(d);
        trial_begin(d);
    }
    timer_start(all->rollouts->loop, &d->timer, TURN_MS);
}

enum drill_answer drills_start(struct drills *all, struct rollout *r, const struct drill_wish *wish, struct slice who,
                               const char *role, struct slice reason, struct text *error)
{
    const struct drill *other = drills_find(all, slice_from_cstr(r->name));
    if (other != NULL) {
        text_printf(error, "drill %s is under way: one at a time for a rollout", other->id);
        return DRILL_REFUSED;
    }
    if (all->running_count >= DRILLS_MOST) {
        text_printf(error, "%u drills are under way, and no more may be at once", all->running_count);
        return DRILL_REFUSED;
    }
    struct drill *d = drill_create(all, r, wish, who, role, reason);
    if (!is_possible(d, r, error)) {
        drill_destroy(d);
        return DRILL_REFUSED;
    }
    if (!drill_record_begin(d)) {
        text_printf(error, "it could not be stored: %s", store_message(all->rollouts->store));
        drill_destroy(d);
        return DRILL_NOT_STORED;
    }
    begin(d);
    return DRILL_BEGUN;
}

/* ---- for the workers ------------------------------------------------------------------------------------------------------ */

static void fill_live(const struct drill *d, struct drill_order *order)
{
    order->live_route = d->source->route_index;
    order->live_ppm = d->is_ending ? 0 : d->wish.settings.share_ppm;
    order->live_until = d->live_until;
}

static void fill_rehearsal(struct drill *d, uint64_t generation, struct drill_order *order)
{
    memcpy(order->token, d->token, sizeof order->token);
    order->canary_ppm = d->progress.weight_ppm;
    if (!rollout_state_is_active(d->progress.state) || d->feed == NULL)
        return;
    order->sheet = feed_publish(d->feed, generation, d->progress.weight_ppm / 1e6);
    rollout_fill_sheet(d->source, &d->specs, order->sheet);
}

static struct drill_order *add_order(struct arena *arena, struct weights *weights)
{
    struct drill_order *order = arena_zalloc(arena, sizeof *order);
    order->next = weights->drill;
    weights->drill = order;
    return order;
}

void drills_apply(struct drills *all, struct arena *arena, struct weights *weights)
{
    LIST_FOREACH_SAFE (link, &all->running) {
        struct drill *d = LIST_ITEM(link, struct drill, link);
        if (d->wish.is_live)
            fill_live(d, add_order(arena, weights));
        else
            fill_rehearsal(d, weights->generation, add_order(arena, weights));
    }
    LIST_FOREACH_SAFE (link, &all->ended) {
        struct drill_order *order = add_order(arena, weights);
        memcpy(order->token, LIST_ITEM(link, struct drill, link)->token, sizeof order->token);
    }
}

void drills_on_weights_unused(struct drills *all, uint64_t generation)
{
    LIST_FOREACH_SAFE (link, &all->running) {
        struct drill *d = LIST_ITEM(link, struct drill, link);
        if (d->feed != NULL)
            feed_retire(d->feed, generation);
    }
}
