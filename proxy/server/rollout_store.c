/* server/rollout_store.c - a rollout's transitions, progress and evidence: into the store, and back after a restart. */
#include "server/rollouts.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/base64.h"
#include "store/deed.h"

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static void write_approvals(const struct progress *p, struct text *out)
{
    struct json *names = json_create_array();
    for (uint32_t i = 0; i < p->approval_count; i++)
        json_push_string(names, slice_from_cstr(p->approvals[i]));
    json_write(names, out);
    json_destroy(names);
}

/* By name: a column may be another one in the next process. */
static void write_told(const struct rollout *r, struct text *out)
{
    struct json *told = json_create_array();
    for (uint32_t i = 0; i < r->specs.event_count; i++) {
        struct json *counts = json_push_object(told);
        json_put_string(counts, "event", r->specs.events[i]);
        json_put_u64(counts, "stable", r->outcomes.told[TALLY_STABLE][i]);
        json_put_u64(counts, "canary", r->outcomes.told[TALLY_CANARY][i]);
    }
    json_write(told, out);
    json_destroy(told);
}

/* {"progress": {...}, "approvals": [...], "saved_at": ms, "told": [...], "evidence": "base64"}; "" is
   read as none. Approvals are those of the
   gate that it stands at: the table of them has also those of steps that were changed since, and is for people alone. */
static void write_detail(const struct rollout *r, bool has_evidence, struct text *out)
{
    struct text progress = { 0 }, evidence = { 0 };
    progress_write_detail(&r->progress, &progress);
    if (has_evidence)
        evidence_save(&r->evidence, loop_now(r->all->loop), &evidence);
    text_printf(out, "{\"progress\": %s, \"approvals\": ", progress.bytes);
    write_approvals(&r->progress, out);
    if (has_evidence) { /* they are of it */
        text_add_cstr(out, ", \"told\": ");
        write_told(r, out);
    }
    text_printf(out, ", \"saved_at\": %lld, \"evidence\": \"", (long long)rollouts_wall(r->all).unix_ms);
    base64_add(out, text_slice(&evidence));
    text_add_cstr(out, "\"}");
    text_fini(&progress);
    text_fini(&evidence);
}

static struct rollout_row row_of(const struct rollout *r, struct slice detail)
{
    const struct progress *p = &r->progress;
    return (struct rollout_row){ .name = slice_from_cstr(r->name),
                                 .revision = slice_from_cstr(p->revision),
                                 .state = slice_from_cstr(rollout_state_names[p->state]),
                                 .step = p->step,
                                 .weight_ppm = p->weight_ppm,
                                 .hold_left_ms = p->left_ms,
                                 .started_by = slice_from_cstr(p->started_by),
                                 .started_at = p->started_at,
                                 .changed_at = r->changed_at,
                                 .detail = detail };
}

static bool is_of_gate(const struct plan_transition *t)
{
    return t->cause == CAUSE_WEBHOOK_PASSED || t->cause == CAUSE_WEBHOOK_FAILED;
}

static void write_transition(const struct rollout *r, const struct plan_transition *t, struct text *out)
{
    struct json *detail = json_create_object();
    json_put_cstr(detail, "from", rollout_state_names[t->from]);
    json_put_cstr(detail, "to", rollout_state_names[t->to]);
    json_put_i64(detail, "step", t->step);
    json_put_u64(detail, "from_weight_ppm", t->from_weight_ppm);
    json_put_u64(detail, "weight_ppm", t->weight_ppm);
    json_put_string(detail, "revision", slice_from_cstr(r->progress.revision));
    if (t->guardrail != PLAN_NO_GUARDRAIL)
        rollout_write_judgement(r, t->guardrail, json_put_object(detail, "evidence"));
    if (is_of_gate(t))
        rollout_write_gate(r, json_put_object(detail, "gate"));
    if (t->is_stable_short)
        rollout_write_short_stable(r, detail);
    json_write(detail, out);
    json_destroy(detail);
}

/* ---- deeds -------------------------------------------------------------------------------------------------------------- */

/* Why, for the audit log: a person's reason, or what the plan saw. `text` is room for what has to be written. */
static struct slice reason_of(const struct rollout *r, const struct plan_transition *t, const struct rollout_word *word,
                              struct text *text)
{
    if (word != NULL && word->reason.len > 0)
        return word->reason;
    if (t->guardrail != PLAN_NO_GUARDRAIL)
        return slice_from_cstr(r->judged.guardrails[t->guardrail].reason);
    if (!is_of_gate(t))
        return slice_from_cstr(plan_cause_names[t->cause]);
    text_printf(text, "%s: ", plan_cause_names[t->cause]);
    rollout_say_gate(r, text);
    return text_slice(text);
}

static bool write_deed(struct store *store, struct deed *deed, bool must_hold)
{
    return must_hold ? deed_write(store, deed) : deed_keep(store, deed);
}

/* Texts that a deed borrows. */
struct record_texts {
    struct text stored, detail, action, reason, told, told_detail;
};

static void record_texts_fini(struct record_texts *t)
{
    struct text *const all[] = { &t->stored, &t->detail, &t->action, &t->reason, &t->told, &t->told_detail };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        text_fini(all[i]);
}

static struct transition_row transition_of(const struct rollout *r, const struct plan_transition *t,
                                           const struct rollout_word *word, struct record_texts *texts)
{
    write_transition(r, t, &texts->detail);
    return (struct transition_row){ .rollout = slice_from_cstr(r->name),
                                    .revision = slice_from_cstr(r->progress.revision),
                                    .at = r->changed_at,
                                    .from_state = slice_from_cstr(rollout_state_names[t->from]),
                                    .to_state = slice_from_cstr(rollout_state_names[t->to]),
                                    .step = t->step,
                                    .weight_ppm = t->weight_ppm,
                                    .who = t->who,
                                    .reason = reason_of(r, t, word, &texts->reason),
                                    .detail = text_slice(&texts->detail) };
}

static struct approval_row approval_of(const struct transition_row *t)
{
    return (struct approval_row){
        .rollout = t->rollout, .revision = t->revision, .step = t->step, .who = t->who, .at = t->at, .reason = t->reason
    };
}

/* "holding at step 2, the canary with 10 %: hold_over", kind "rollout.hold_over". By route and rollout it is found again; the
   route of one that the configuration has no more may be unknown. */
static struct event_row event_of(const struct rollout *r, const struct plan_transition *t,
                                 const struct transition_row *row, struct record_texts *texts)
{
    struct json *detail = json_create_object();
    json_put_string(detail, "rollout", row->rollout);
    if (r->config != NULL)
        json_put_string(detail, "route", r->config->route);
    json_put_cstr(detail, "from", rollout_state_names[t->from]);
    json_put_cstr(detail, "to", rollout_state_names[t->to]);
    json_put_i64(detail, "step", t->step + 1);
    json_put_real(detail, "from_weight", t->from_weight_ppm / 1e6);
    json_put_real(detail, "weight", t->weight_ppm / 1e6);
    json_put_string(detail, "revision", row->revision);
    if (t->guardrail != PLAN_NO_GUARDRAIL)
        json_put_cstr(detail, "guardrail", r->specs.items[t->guardrail].name);
    json_write(detail, &texts->told_detail);
    json_destroy(detail);
    text_printf(&texts->told, "%s at step %d, the canary with %g %%: %.*s", rollout_state_names[t->to], t->step + 1,
                t->weight_ppm / 1e4, SLICE_ARG(row->reason));
    return (struct event_row){ .at = row->at,
                               .kind = text_slice(&texts->action),
                               .subject = row->rollout,
                               .text = text_slice(&texts->told),
                               .who = row->who,
                               .detail = text_slice(&texts->told_detail) };
}

bool rollout_record(struct rollout *r, const struct plan_transition *t, const struct rollout_word *word, bool must_hold)
{
    struct record_texts texts = { 0 };
    struct incident_form incident;
    struct transition_row transition = transition_of(r, t, word, &texts);
    struct approval_row approval = approval_of(&transition);
    write_detail(r, !rollout_begins_anew(t), &texts.stored);
    struct rollout_row row = row_of(r, text_slice(&texts.stored));
    text_printf(&texts.action, "rollout.%s", plan_cause_names[t->cause]);
    struct event_row event = event_of(r, t, &transition, &texts);
    incident_form_init(&incident, r);
    struct deed deed = { .audit = { .at = r->changed_at,
                                    .who = t->who,
                                    .role = word != NULL ? word->role : SLICE("admin"),
                                    .action = text_slice(&texts.action),
                                    .target = transition.rollout,
                                    .reason = transition.reason,
                                    .detail = transition.detail },
                         .rollout = &row,
                         .transition = &transition,
                         .approval = word != NULL && word->kind == PLAN_APPROVE ? &approval : NULL,
                         .incident = rollout_is_of_incident(r, t) ? &incident.row : NULL,
                         .outcomes = outcome_pending_ids(&r->outcomes.pending),
                         .event = &event };
    bool is_written = write_deed(r->all->store, &deed, must_hold);
    if (is_written)
        outcome_pending_stored(&r->outcomes.pending);
    if (!is_written)
        log_error("rollout %s: it could not be stored: %s", r->name, store_message(r->all->store));
    if ((is_written || !must_hold) && r->all->publish_event != NULL)
        r->all->publish_event(r->all->arg, &event);
    record_texts_fini(&texts);
    incident_form_fini(&incident);
    return is_written;
}

void rollout_tell_void(struct rollout *r)
{
    const struct plan_transition none = { .from = r->progress.state,
                                          .to = r->progress.state,
                                          .step = r->progress.step,
                                          .cause = CAUSE_MISMATCH,
                                          .who = SLICE("weir"),
                                          .guardrail = PLAN_NO_GUARDRAIL };
    struct deed deed = { .audit = { .at = rollouts_wall(r->all),
                                    .who = SLICE("weir"),
                                    .role = SLICE("admin"),
                                    .action = SLICE("rollout.sample_ratio_mismatch"),
                                    .target = slice_from_cstr(r->name),
                                    .reason = slice_from_cstr(r->judged.void_reason) } };
    log_error("rollout %s: no comparison holds any more, and no step ends: %s", r->name, r->judged.void_reason);
    deed_keep(r->all->store, &deed);
    rollout_notify(r, &none, NULL);
}

static bool save(struct rollout *r, bool has_evidence)
{
    struct text stored = { 0 };
    write_detail(r, has_evidence, &stored);
    struct rollout_row row = row_of(r, text_slice(&stored));
    struct outcome_ids outcomes = outcome_pending_ids(&r->outcomes.pending);
    bool is_saved = rollouts_save_progress(r->all->store, &row, &outcomes);
    if (is_saved)
        outcome_pending_stored(&r->outcomes.pending);
    text_fini(&stored);
    return is_saved;
}

bool rollout_save(struct rollout *r)
{
    return save(r, true);
}

bool rollout_save_brief(struct rollout *r)
{
    return save(r, false);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

static bool read_evidence(struct rollout *r, const struct json *detail, struct arena *arena)
{
    struct slice text, bytes;
    int64_t saved_at = 0;
    json_as_i64(json_get(detail, "saved_at"), &saved_at);
    int64_t down_ms = rollouts_wall(r->all).unix_ms - saved_at;
    return json_as_string(json_get(detail, "evidence"), &text) && base64_read(arena, text, &bytes) &&
           evidence_load(&r->evidence, bytes, loop_now(r->all->loop), (down_ms > 0 ? down_ms : 0) * 1000);
}

static void read_told(struct rollout *r, const struct json *told)
{
    struct slice event;
    for (size_t i = 0; i < json_count(told); i++) {
        const struct json *counts = json_at(told, i);
        for (uint32_t at = 0; at < r->specs.event_count; at++)
            if (json_as_string(json_get(counts, "event"), &event) && slice_equal(event, r->specs.events[at])) {
                json_as_u64(json_get(counts, "stable"), &r->outcomes.told[TALLY_STABLE][at]);
                json_as_u64(json_get(counts, "canary"), &r->outcomes.told[TALLY_CANARY][at]);
            }
    }
}

static bool read_progress(struct progress *p, const struct rollout_row *row, const struct json *detail)
{
    struct text inner = { 0 };
    json_write(json_get(detail, "progress"), &inner);
    bool is_good = rollout_state_read(row->state, &p->state) && progress_read_detail(text_slice(&inner), p) &&
                   row->revision.len < sizeof p->revision && person_copy(p->started_by, row->started_by);
    text_fini(&inner);
    if (!is_good)
        return false;
    memcpy(p->revision, row->revision.ptr, row->revision.len);
    p->revision[row->revision.len] = '\0';
    p->step = (int32_t)row->step;
    p->weight_ppm = row->weight_ppm;
    p->left_ms = row->hold_left_ms;
    p->started_at = row->started_at;
    return true;
}

bool rollout_read_progress(const struct rollout_row *row, struct progress *p)
{
    struct text problem = { 0 };
    struct json *detail = json_parse(row->detail, &problem);
    bool is_good = detail != NULL && json_get(detail, "progress") != NULL && read_progress(p, row, detail);
    json_destroy(detail);
    text_fini(&problem);
    return is_good;
}

/* What cannot be read has to be said again. */
static void read_approvals(struct progress *p, const struct json *names)
{
    struct slice who;
    p->approval_count = 0;
    for (size_t i = 0; i < json_count(names) && p->approval_count < APPROVALS_MAX; i++)
        if (json_as_string(json_at(names, i), &who) && person_copy(p->approvals[p->approval_count], who))
            p->approval_count++;
}

/* How it came there, for the timeline of an incident; without it that begins here. */
static void read_moments(struct rollout *r, struct arena *arena)
{
    struct transition_row *rows;
    size_t count;
    if (!transitions_list(r->all->store, arena, slice_from_cstr(r->name), ROLLOUT_MOMENTS_MAX / 2, &rows, &count))
        return;
    for (size_t i = count; i > 0; i--) {
        const struct transition_row *row = &rows[i - 1];
        if (slice_equal(row->revision, slice_from_cstr(r->progress.revision)))
            rollout_note_moment(r, row->at, row->reason, row->to_state, row->weight_ppm);
    }
}

static void restore(struct rollout *r, const struct rollout_stored *stored, struct arena *arena)
{
    struct text problem = { 0 };
    struct json *detail = json_parse(stored->row.detail, &problem);
    struct progress p = r->progress;
    if (detail == NULL || json_get(detail, "progress") == NULL || !read_progress(&p, &stored->row, detail)) {
        r->progress.state = ROLLOUT_FAILED; /* it may have been taken back: only a new revision begins anew */
        log_error("rollout %s: what was stored of it cannot be read; it has failed, and its canary gets nothing",
                  r->name);
    } else {
        read_approvals(&p, json_get(detail, "approvals"));
        plan_restore(&p, loop_now(r->all->loop));
        r->progress = p;
        r->changed_at = stored->row.changed_at;
        bool has_evidence = read_evidence(r, detail, arena);
        if (has_evidence)
            read_told(r, json_get(detail, "told"));
        read_moments(r, arena);
        rollout_take_up_incident(r, arena);
        log_info("rollout %s: goes on as %s, the canary with %g %%%s", r->name, rollout_state_names[p.state],
                 p.weight_ppm / 1e4, has_evidence ? "" : "; its evidence begins anew");
    }
    json_destroy(detail);
    text_fini(&problem);
}

bool rollout_load(struct rollout *r)
{
    struct arena arena;
    struct rollout_stored *stored;
    arena_init(&arena, NULL, 0);
    bool is_loaded = rollouts_load(r->all->store, &arena, slice_from_cstr(r->name), &stored);
    if (is_loaded && stored != NULL)
        restore(r, stored, &arena);
    arena_reset(&arena);
    return is_loaded;
}
