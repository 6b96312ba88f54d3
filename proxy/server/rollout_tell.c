/* server/rollout_tell.c - those who are told of a rollout, and the gates that are asked. */
#include "server/rollouts.h"

#include "base/hash.h"
#include "base/log.h"
#include "server/publisher.h"

#include <inttypes.h>

#define WEBHOOK_TIMEOUT_MS 10000

static void write_facts(const struct rollout *r, struct json *object)
{
    json_put_cstr(object, "rollout", r->name);
    json_put_string(object, "route", r->config->route);
    json_put_string(object, "stable", r->config->stable);
    json_put_string(object, "canary", r->config->canary);
    json_put_cstr(object, "revision", r->progress.revision);
    json_put_cstr(object, "state", rollout_state_names[r->progress.state]);
    json_put_i64(object, "step", r->progress.step + 1);
    json_put_real(object, "weight", r->progress.weight_ppm / 1e6);
}

/* ---- notices ------------------------------------------------------------------------------------------------------------ */

/* `document` is whole; `replaces` as in notices.h. */
static void send_json(struct rollout *r, const struct plan_transition *t, struct notice_order *order,
                      const struct json *document)
{
    struct text body = { 0 };
    json_write(document, &body);
    order->cause = plan_cause_names[t->cause];
    order->subject = slice_from_cstr(r->name);
    order->incident = rollout_is_of_incident(r, t) ? slice_from_cstr(r->breach.id) : SLICE("");
    order->body = text_slice(&body);
    notices_send(&r->all->notices, order);
    text_fini(&body);
}

static const char *say_what(const struct rollout *r, const struct plan_transition *t)
{
    if (t->cause == CAUSE_MISMATCH)
        return r->judged.void_reason;
    return t->guardrail != PLAN_NO_GUARDRAIL ? r->judged.guardrails[t->guardrail].reason : plan_cause_words[t->cause];
}

static void tell_webhook(struct rollout *r, const struct notify_config *to, const struct plan_transition *t,
                         const struct rollout_word *word)
{
    struct notice_order order = { .target = to->name, .kind = "webhook", .url = to->webhook };
    struct json *notice = json_create_object();
    write_facts(r, notice);
    json_put_cstr(notice, "from", rollout_state_names[t->from]);
    json_put_cstr(notice, "to", rollout_state_names[t->to]);
    json_put_cstr(notice, "cause", plan_cause_names[t->cause]);
    json_put_cstr(notice, "text", say_what(r, t));
    json_put_string(notice, "who", t->who);
    if (word != NULL)
        json_put_string(notice, "reason", word->reason);
    if (t->is_stable_short)
        rollout_write_short_stable(r, notice);
    send_json(r, t, &order, notice);
    json_destroy(notice);
}

/* Taken back, or about to be: what somebody may have to be woken for. */
static bool is_alarm(const struct plan_transition *t)
{
    return t->cause == CAUSE_BREACH || t->cause == CAUSE_MISMATCH || t->cause == CAUSE_UNKNOWN ||
           t->to == ROLLOUT_ROLLING_BACK || t->to == ROLLOUT_ROLLED_BACK || t->to == ROLLOUT_FAILED;
}

/* One alert a rollout, by its labels: an alarm raises it, anything else resolves it (Alertmanager's API v2, POST
   /api/v2/alerts). */
static void tell_alertmanager(struct rollout *r, const struct notify_config *to, const struct plan_transition *t)
{
    char at[25];
    struct text url = { 0 };
    struct notice_order order = { .target = to->name, .kind = "alertmanager", .replaces = true };
    struct json *alerts = json_create_array(), *alert = json_push_object(alerts);
    struct json *labels = json_put_object(alert, "labels"), *notes = json_put_object(alert, "annotations");
    json_put_cstr(labels, "alertname", "WeirRollout");
    json_put_cstr(labels, "severity", "critical"); /* of an alert that is raised; all of them have the same labels */
    json_put_cstr(labels, "rollout", r->name);
    json_put_string(labels, "route", r->config->route);
    json_put_cstr(notes, "state", rollout_state_names[t->to]);
    json_put_cstr(notes, "cause", plan_cause_names[t->cause]);
    json_put_cstr(notes, "summary", say_what(r, t));
    wall_format(rollouts_wall(r->all), at);
    json_put_cstr(alert, is_alarm(t) ? "startsAt" : "endsAt", at);
    text_printf(&url, "%.*s/api/v2/alerts", SLICE_ARG(to->alertmanager));
    order.url = text_slice(&url);
    send_json(r, t, &order, alerts);
    text_fini(&url);
    json_destroy(alerts);
}

void rollout_notify(struct rollout *r, const struct plan_transition *t, const struct rollout_word *word)
{
    const struct config *config = publisher_snapshot(r->all->publisher)->config;
    for (size_t i = 0; i < r->config->notify.count; i++) {
        const struct notify_config *to = &config->notify[r->config->notify_indexes[i]];
        if (to->webhook.len > 0)
            tell_webhook(r, to, t, word);
        if (to->alertmanager.len > 0)
            tell_alertmanager(r, to, t);
    }
}

/* ---- gates -------------------------------------------------------------------------------------------------------------- */

void rollout_note_move(struct rollout *r, const struct plan_transition *t)
{
    struct rollout_gate *gate = &r->gate;
    bool is_reached = t->to == ROLLOUT_AWAITING_WEBHOOK && t->cause != CAUSE_RESUMED;
    gate->ticket = 0;
    if (!is_reached && !rollout_begins_anew(t))
        return;
    text_fini(&gate->failure);
    *gate = (struct rollout_gate){ .step = is_reached ? (uint32_t)t->step : 0 };
}

/* Neither yes nor no, but trouble of its own: as with notices, except that a gate may say 4xx as long as it likes. */
static bool has_failed(const struct courier_answer *answer)
{
    return answer->failure != NULL || answer->status >= 500 || answer->status == 408 || answer->status == 429;
}

static void note_answer(struct rollout *r, const struct courier_answer *answer)
{
    struct rollout_gate *gate = &r->gate;
    gate->ticket = 0; /* a question has one answer */
    gate->at = rollouts_wall(r->all);
    gate->status = answer->status;
    text_clear(&gate->failure);
    if (answer->failure != NULL)
        text_add_cstr(&gate->failure, answer->failure);
}

static void on_gate(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct rollout *r = rollouts_find_ticket(arg, ticket);
    if (r == NULL)
        return;
    note_answer(r, answer);
    bool is_failed = has_failed(answer);
    struct plan_event event = { .kind = PLAN_WEBHOOK_ANSWER,
                                .is_passed = !is_failed && answer->status >= 200 && answer->status < 300,
                                .is_failed = is_failed,
                                .draw = hash_mix(ticket ^ (uint64_t)loop_now(r->all->loop).us) };
    if (!event.is_passed)
        log_info("rollout %s: its gate has not said yes: %s, status %u", r->name,
                 answer->failure != NULL ? answer->failure : "it answered", answer->status);
    rollout_event(r, &event, NULL, NULL);
}

void rollout_ask_webhook(struct rollout *r, uint32_t step)
{
    struct text body = { 0 };
    struct json *question = json_create_object();
    write_facts(r, question);
    json_put_u64(question, "gate", step + 1);
    json_write(question, &body);
    const struct courier_errand errand = { .url = r->config->steps[step].webhook,
                                           .method = SLICE("POST"),
                                           .content_type = SLICE("application/json"),
                                           .body = text_slice(&body),
                                           .timeout_ms = WEBHOOK_TIMEOUT_MS,
                                           .done = on_gate,
                                           .arg = r->all,
                                           .ticket = ++r->all->newest_ticket };
    if (r->all->send(r->all->arg, &errand)) {
        r->gate.step = step;
        r->gate.ticket = errand.ticket;
        r->gate.asked_count++;
    } else {
        log_warn("rollout %s: too much is under way, its gate is asked later", r->name);
    }
    json_destroy(question);
    text_fini(&body);
}

/* ---- gates, shown ------------------------------------------------------------------------------------------------------- */

void rollout_say_gate(const struct rollout *r, struct text *out)
{
    const struct rollout_gate *gate = &r->gate;
    if (gate->at.unix_ms == 0)
        text_add_cstr(out, "no answer yet");
    else if (gate->failure.len > 0)
        text_add(out, text_slice(&gate->failure));
    else
        text_printf(out, "status %u", gate->status);
    text_printf(out, ", asked %" PRIu64 " time%s", gate->asked_count, gate->asked_count == 1 ? "" : "s");
}

void rollout_write_gate(const struct rollout *r, struct json *object)
{
    const struct rollout_gate *gate = &r->gate;
    json_put_u64(object, "step", gate->step + 1);
    json_put_u64(object, "asked", gate->asked_count);
    json_put_time(object, "answered_at", gate->at);
    if (gate->status != 0)
        json_put_u64(object, "status", gate->status);
    if (gate->failure.len > 0)
        json_put_cstr(object, "error", gate->failure.bytes);
}
