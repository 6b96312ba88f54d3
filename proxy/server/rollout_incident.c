/* server/rollout_incident.c - a breach as people read of it later: what was seen, what was done when, who was told, how long it took. */
#include "server/rollouts.h"

#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "store/deed.h"

/* ---- what happened, line by line ----------------------------------------------------------------------------------------- */

/* The newest are kept: the oldest of a long release makes room. */
static struct rollout_moment *moment_add(struct rollout *r, struct wall_time at)
{
    if (r->moment_count == ROLLOUT_MOMENTS_MAX)
        memmove(r->moments, r->moments + 1, --r->moment_count * sizeof *r->moments);
    struct rollout_moment *moment = &r->moments[r->moment_count++];
    moment->at = at;
    return moment;
}

void rollout_note_moment(struct rollout *r, struct wall_time at, struct slice why, struct slice to, uint32_t weight_ppm)
{
    struct rollout_moment *moment = moment_add(r, at);
    snprintf(moment->what, sizeof moment->what, "%.*s, the canary with %g %%: %.*s", SLICE_ARG(to), weight_ppm / 1e4,
             SLICE_ARG(why));
}

void rollout_note_short_stable(struct rollout *r, struct wall_time at)
{
    struct text why = { 0 };
    if (rollout_is_stable_short(r, &why)) {
        struct rollout_moment *moment = moment_add(r, at);
        snprintf(moment->what, sizeof moment->what, "stable may not be able to take the load: %s", why.bytes);
    }
    text_fini(&why);
}

void rollout_forget_moment(struct rollout *r)
{
    if (r->moment_count > 0)
        r->moment_count--;
}

static void write_timeline(const struct rollout *r, struct text *out)
{
    struct json *timeline = json_create_array();
    for (uint32_t i = 0; i < r->moment_count; i++) {
        struct json *line = json_push_object(timeline);
        json_put_time(line, "at", r->moments[i].at);
        json_put_cstr(line, "what", r->moments[i].what);
    }
    json_write(timeline, out);
    json_destroy(timeline);
}

/* ---- detection ----------------------------------------------------------------------------------------------------------- */

void rollout_note_clear(struct rollout *r, struct mono_time now)
{
    for (uint32_t i = 0; i < r->judged.count; i++) {
        struct rollout_sampler *s = &r->samplers[i];
        if (r->judged.guardrails[i].is_suspect && s->clear_at.us != 0)
            continue;
        s->clear_at = now;
        s->clear_requests = r->evidence.requests[TALLY_CANARY];
    }
}

/* ---- a breach ------------------------------------------------------------------------------------------------------------ */

void rollout_breach_fini(struct rollout_breach *breach)
{
    memory_free(breach->id);
    memory_free(breach->revision);
    memory_free(breach->guardrail);
    memory_free(breach->reason);
    memory_free(breach->evidence);
    json_destroy(breach->told);
    *breach = (struct rollout_breach){ .zero_exposure_us = -1 };
}

void rollout_write_judgement(const struct rollout *r, uint32_t guardrail, struct json *object)
{
    const struct judgement *j = &r->judged.guardrails[guardrail];
    json_put_cstr(object, "guardrail", r->specs.items[guardrail].name);
    json_put_cstr(object, "reason", j->reason);
    json_put_real(object, "progress", j->progress);
    json_put_real(object, "evidence_log10", j->evidence_log10);
    json_put_real(object, "bound_log10", j->bound_log10);
    json_put_u64(object, "stable_requests", r->evidence.requests[TALLY_STABLE]);
    json_put_u64(object, "canary_requests", r->evidence.requests[TALLY_CANARY]);
    json_put_u64(object, "canary_requests_to_detect",
                 r->evidence.requests[TALLY_CANARY] - r->samplers[guardrail].clear_requests);
}

void rollout_note_breach(struct rollout *r, uint32_t guardrail)
{
    struct text evidence = { 0 }, id = { 0 };
    struct wall_time at = rollouts_wall(r->all);
    struct json *object = json_create_object();
    rollout_write_judgement(r, guardrail, object);
    json_write(object, &evidence);
    json_destroy(object);
    text_printf(&id, "%s-%lld", r->name, (long long)at.unix_ms);
    rollout_breach_fini(&r->breach);
    r->breach_counts[guardrail]++;
    r->breach =
        (struct rollout_breach){ .at = at,
                                 .mono = clock_mono(),
                                 .detect_us = mono_diff_us(loop_now(r->all->loop), r->samplers[guardrail].clear_at),
                                 .zero_exposure_us = -1,
                                 .id = id.bytes,
                                 .revision = memory_strdup(r->progress.revision),
                                 .guardrail = memory_strdup(r->specs.items[guardrail].name),
                                 .reason = memory_strdup(r->judged.guardrails[guardrail].reason),
                                 .evidence = evidence.bytes,
                                 .told = json_create_array() };
    struct rollout_moment *moment = moment_add(r, at);
    snprintf(moment->what, sizeof moment->what, "guardrail %s is breached", r->breach.guardrail);
    log_warn("rollout %s: guardrail %s is breached: %s", r->name, r->breach.guardrail, r->breach.reason);
}

static bool is_back(enum rollout_state state)
{
    return state == ROLLOUT_ROLLING_BACK || rollout_state_is_over(state);
}

/* One of before the start paused a run that has ended otherwise: nobody knows from it when that was. */
static bool is_of_run(const struct rollout *r)
{
    return strcmp(r->breach.revision, r->progress.revision) == 0 &&
           r->breach.at.unix_ms >= r->progress.started_at.unix_ms;
}

void rollout_note_way_back(struct rollout *r, const struct plan_transition *t)
{
    if (r->breach.at.unix_ms != 0 && is_back(t->to) && (t->cause == CAUSE_BREACH || is_of_run(r)))
        r->breach.is_way_back = true;
}

bool rollout_is_of_incident(const struct rollout *r, const struct plan_transition *t)
{
    if (r->breach.at.unix_ms == 0)
        return false;
    return (t->cause == CAUSE_BREACH && t->guardrail != PLAN_NO_GUARDRAIL) ||
           (t->from == ROLLOUT_ROLLING_BACK && strcmp(r->breach.revision, r->progress.revision) == 0);
}

/* ---- the row of it ------------------------------------------------------------------------------------------------------- */

static int64_t ms_of(int64_t us)
{
    return us >= 0 ? us / 1000 : -1;
}

void incident_form_init(struct incident_form *form, const struct rollout *r)
{
    const struct rollout_breach *breach = &r->breach;
    *form = (struct incident_form){ 0 };
    if (breach->at.unix_ms == 0)
        return;
    write_timeline(r, &form->timeline);
    json_write(breach->told, &form->told);
    form->row = (struct incident){ .id = slice_from_cstr(breach->id),
                                   .rollout = slice_from_cstr(r->name),
                                   .revision = slice_from_cstr(breach->revision),
                                   .guardrail = slice_from_cstr(breach->guardrail),
                                   .cause = slice_from_cstr(breach->reason),
                                   .detected_at = breach->at,
                                   .detect_ms = ms_of(breach->detect_us),
                                   .zero_exposure_ms = ms_of(breach->zero_exposure_us),
                                   .evidence = slice_from_cstr(breach->evidence),
                                   .timeline = text_slice(&form->timeline),
                                   .told = text_slice(&form->told) };
}

void incident_form_fini(struct incident_form *form)
{
    text_fini(&form->timeline);
    text_fini(&form->told);
}

/* Again, whole, with a line in the audit log that says what has come to it. */
static void keep_incident(struct rollout *r, struct slice action, struct slice why)
{
    struct incident_form form;
    incident_form_init(&form, r);
    struct deed deed = { .audit = { .at = rollouts_wall(r->all),
                                    .who = SLICE("weir"),
                                    .role = SLICE("admin"),
                                    .action = action,
                                    .target = slice_from_cstr(r->name),
                                    .reason = why },
                         .incident = &form.row };
    deed_keep(r->all->store, &deed);
    incident_form_fini(&form);
}

/* Of a breach in an earlier process the wall clock alone knows when it was: put back since, it says 0. */
static int64_t since_breach_us(const struct rollout *r, bool is_of_before)
{
    int64_t wall_us = (rollouts_wall(r->all).unix_ms - r->breach.at.unix_ms) * 1000;
    if (!is_of_before)
        return mono_diff_us(clock_mono(), r->breach.mono);
    return wall_us > 0 ? wall_us : 0;
}

void rollout_record_end_of_exposure(struct rollout *r)
{
    bool is_of_before = r->breach.mono.us == 0;
    r->breach.zero_exposure_us = since_breach_us(r, is_of_before);
    log_info("rollout %s: no worker sends anybody to the canary any more, %lld ms after the breach%s", r->name,
             (long long)(r->breach.zero_exposure_us / 1000), is_of_before ? " and a restart" : "");
    struct rollout_moment *moment = moment_add(r, rollouts_wall(r->all));
    snprintf(moment->what, sizeof moment->what, "no exposure in any worker%s", is_of_before ? ", after a restart" : "");
    keep_incident(r, SLICE("rollout.unexposed"),
                  is_of_before ? SLICE("weight 0 is in force in every worker, after a restart")
                               : SLICE("weight 0 is in force in every worker"));
}

/* ---- after a restart ----------------------------------------------------------------------------------------------------- */

/* An array that was written into a text; an empty one where it cannot be read. */
static struct json *read_array(struct slice text)
{
    struct text problem = { 0 };
    struct json *array = json_parse(text, &problem);
    text_fini(&problem);
    if (json_kind(array) == JSON_KIND_ARRAY)
        return array;
    json_destroy(array);
    return json_create_array();
}

static void read_line(struct rollout *r, const struct json *line)
{
    struct slice at, what;
    struct wall_time time;
    if (!json_as_string(json_get(line, "at"), &at) || !wall_parse(at.ptr, at.len, &time) ||
        !json_as_string(json_get(line, "what"), &what))
        return;
    struct rollout_moment *moment = moment_add(r, time);
    snprintf(moment->what, sizeof moment->what, "%.*s", SLICE_ARG(what));
}

/* The timeline as it was written last, and behind it the transitions since, which are known already. */
static void read_timeline(struct rollout *r, struct slice text)
{
    struct rollout_moment transitions[ROLLOUT_MOMENTS_MAX];
    struct json *timeline = read_array(text);
    uint32_t count = r->moment_count;
    memcpy(transitions, r->moments, sizeof transitions);
    r->moment_count = 0;
    for (size_t i = 0; i < json_count(timeline); i++)
        read_line(r, json_at(timeline, i));
    struct wall_time written =
        r->moment_count > 0 ? r->moments[r->moment_count - 1].at : (struct wall_time){ INT64_MIN };
    for (uint32_t i = 0; i < count; i++)
        if (transitions[i].at.unix_ms > written.unix_ms)
            *moment_add(r, transitions[i].at) = transitions[i];
    json_destroy(timeline);
}

static char *copy(struct slice text)
{
    return memory_copy_text(text.ptr, text.len);
}

static int64_t us_of(int64_t ms)
{
    return ms >= 0 ? ms * 1000 : -1;
}

void rollout_take_up_incident(struct rollout *r, struct arena *arena)
{
    struct incident *i;
    if (!incidents_newest(r->all->store, arena, slice_from_cstr(r->name), &i) || i == NULL ||
        !slice_equal(i->revision, slice_from_cstr(r->progress.revision)))
        return;
    rollout_breach_fini(&r->breach);
    r->breach = (struct rollout_breach){ .at = i->detected_at,
                                         .detect_us = us_of(i->detect_ms),
                                         .zero_exposure_us = us_of(i->zero_exposure_ms),
                                         .id = copy(i->id),
                                         .revision = copy(i->revision),
                                         .guardrail = copy(i->guardrail),
                                         .reason = copy(i->cause),
                                         .evidence = copy(i->evidence),
                                         .told = read_array(i->told) };
    r->breach.is_way_back = is_back(r->progress.state) && is_of_run(r);
    read_timeline(r, i->timeline);
}

/* ---- who was told -------------------------------------------------------------------------------------------------------- */

static void add_told(struct rollout *r, const struct notice *notice, enum notice_end end, const char *result)
{
    struct wall_time at = rollouts_wall(r->all);
    struct json *told = json_push_object(r->breach.told);
    json_put_time(told, "at", at);
    json_put_cstr(told, "target", notice->target);
    json_put_cstr(told, "kind", notice->kind);
    json_put_cstr(told, "of", notice->cause);
    json_put_bool(told, "was_told", end == NOTICE_TOLD);
    json_put_cstr(told, "result", result);
    json_put_u64(told, "tries", notice->tries);
    struct rollout_moment *moment = moment_add(r, at);
    snprintf(moment->what, sizeof moment->what, "%s by %s %s of %s: %s", notice->target, notice->kind,
             end == NOTICE_TOLD ? "was told" : "was not told", notice->cause, result);
    keep_incident(r, SLICE("rollout.told"), slice_from_cstr(moment->what));
}

void rollouts_on_told(void *arg, const struct notice *notice, enum notice_end end, const char *result)
{
    struct rollouts *all = arg;
    struct rollout *r = rollouts_find(all, slice_from_cstr(notice->subject));
    if (end == NOTICE_FAILED)
        log_warn("notify: %s by %s was not told of %s of rollout %s: %s", notice->target, notice->kind, notice->cause,
                 notice->subject, result);
    if (r != NULL && r->breach.id != NULL && strcmp(r->breach.id, notice->incident) == 0)
        add_told(r, notice, end, result);
}
