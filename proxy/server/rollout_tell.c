/* server/rollout_tell.c - those who are told of a rollout, and the gates that are asked. */
#include "server/rollouts.h"

#include "base/log.h"
#include "server/publisher.h"

#define NOTICE_TIMEOUT_MS  10000
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

static void on_told(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    (void)arg;
    (void)ticket;
    if (answer->failure != NULL)
        log_warn("notify: nobody was told: %s", answer->failure);
    else if (answer->status >= 300)
        log_warn("notify: the answer was %u", answer->status);
}

static void send_json(struct rollout *r, struct slice url, const struct json *document)
{
    struct text body = { 0 };
    json_write(document, &body);
    const struct courier_errand errand = { .url = url,
                                           .method = SLICE("POST"),
                                           .content_type = SLICE("application/json"),
                                           .body = text_slice(&body),
                                           .timeout_ms = NOTICE_TIMEOUT_MS,
                                           .done = on_told,
                                           .arg = r->all };
    if (!r->all->send(r->all->arg, &errand))
        log_warn("notify: too much is under way, %.*s is not told", SLICE_ARG(url));
    text_fini(&body);
}

static const char *say_what(const struct rollout *r, const struct plan_transition *t)
{
    if (t->cause == CAUSE_MISMATCH)
        return r->judged.void_reason;
    return t->guardrail != PLAN_NO_GUARDRAIL ? r->judged.guardrails[t->guardrail].reason : plan_cause_names[t->cause];
}

static void tell_webhook(struct rollout *r, struct slice url, const struct plan_transition *t,
                         const struct rollout_word *word)
{
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
        json_put_bool(notice, "stable_is_short", true);
    send_json(r, url, notice);
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
static void tell_alertmanager(struct rollout *r, struct slice server, const struct plan_transition *t)
{
    char at[25];
    struct text url = { 0 };
    struct json *alerts = json_create_array(), *alert = json_push_object(alerts);
    struct json *labels = json_put_object(alert, "labels"), *notes = json_put_object(alert, "annotations");
    json_put_cstr(labels, "alertname", "WeirRollout");
    json_put_cstr(labels, "rollout", r->name);
    json_put_string(labels, "route", r->config->route);
    json_put_cstr(notes, "state", rollout_state_names[t->to]);
    json_put_cstr(notes, "cause", plan_cause_names[t->cause]);
    json_put_cstr(notes, "summary", say_what(r, t));
    wall_format(rollouts_wall(r->all), at);
    json_put_cstr(alert, is_alarm(t) ? "startsAt" : "endsAt", at);
    text_printf(&url, "%.*s/api/v2/alerts", SLICE_ARG(server));
    send_json(r, text_slice(&url), alerts);
    text_fini(&url);
    json_destroy(alerts);
}

void rollout_notify(struct rollout *r, const struct plan_transition *t, const struct rollout_word *word)
{
    const struct config *config = publisher_snapshot(r->all->publisher)->config;
    for (size_t i = 0; i < r->config->notify.count; i++) {
        const struct notify_config *to = &config->notify[r->config->notify_indexes[i]];
        if (to->webhook.len > 0)
            tell_webhook(r, to->webhook, t, word);
        if (to->alertmanager.len > 0)
            tell_alertmanager(r, to->alertmanager, t);
    }
}

/* ---- gates -------------------------------------------------------------------------------------------------------------- */

static void on_gate(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct rollout *r = rollouts_find_ticket(arg, ticket);
    if (r == NULL)
        return;
    r->gate_ticket = 0; /* a question has one answer */
    struct plan_event event = { .kind = PLAN_WEBHOOK_ANSWER,
                                .is_passed = answer->failure == NULL && answer->status >= 200 && answer->status < 300 };
    if (!event.is_passed)
        log_info("rollout %s: its gate has not said yes: %s, status %u", r->name,
                 answer->failure != NULL ? answer->failure : "it answered", answer->status);
    rollout_event(r, &event, NULL, NULL);
}

void rollout_ask_webhook(struct rollout *r, uint32_t step)
{
    struct text body = { 0 };
    struct json *question = json_create_object();
    r->gate_ticket = ++r->all->newest_ticket;
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
                                           .ticket = r->gate_ticket };
    if (!r->all->send(r->all->arg, &errand))
        log_warn("rollout %s: too much is under way, its gate is asked later", r->name);
    json_destroy(question);
    text_fini(&body);
}
