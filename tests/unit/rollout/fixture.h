/* tests/unit/rollout/fixture.h - rollouts without a file around them, and a driver that carries out what the plan says. */
#ifndef TESTS_ROLLOUT_FIXTURE_H
#define TESTS_ROLLOUT_FIXTURE_H

#include "rollout/plan.h"

#define NOON_UNIX_MS INT64_C(1795608000000) /* Wednesday, 2026-11-25T12:00:00Z */

/* One rollout with its steps and guardrails; embedded, and not moved once it is made. */
struct made_rollout {
    struct rollout_config config;
    struct step_config steps[12];
    struct guardrail_config guardrails[4];
    struct window_config windows[2];
    struct freeze_config freezes[2];
    struct slice approvers[3];
    uint32_t notify_index;
    struct slice notify;
    struct zone utc;
};

/* Route r, stable a, canary b, revision "1"; no steps yet. */
void made_init(struct made_rollout *m);
struct step_config *made_weight(struct made_rollout *m, uint32_t percent, int64_t hold_ms);
struct step_config *made_approve(struct made_rollout *m, uint32_t count);
struct step_config *made_webhook(struct made_rollout *m, int64_t timeout_ms);
struct guardrail_config *made_guardrail(struct made_rollout *m, const char *name, enum breach_policy on_breach);
/* UTC; days as bits from Monday. */
void made_window(struct made_rollout *m, unsigned days, int from_hour, int to_hour);
void made_freeze(struct made_rollout *m, int64_t from_unix_ms, int64_t to_unix_ms);

/* A driver: clocks, progress, and what was done last. */
struct driver {
    const struct rollout_config *config;
    struct progress p;
    struct mono_time mono;
    struct wall_time wall;
    struct plan_actions actions; /* of the last event */
    enum plan_answer answer;
    uint32_t weight_ppm;   /* published */
    bool is_asking;        /* said with each event */
    bool is_acknowledging; /* sends PLAN_WEIGHT_IN_FORCE by itself, behind each weight */
    unsigned record_count, notify_count, webhook_count, save_count;
    struct plan_transition last; /* recorded */
};

void driver_init(struct driver *d, const struct rollout_config *config);
/* Sends an event with the driver's clocks, and carries out the actions. */
enum plan_answer driver_send(struct driver *d, struct plan_event event);
enum plan_answer driver_do(struct driver *d, enum plan_event_kind kind, const char *who);
/* Both clocks go on, a second at a time, with a good verdict and a tick each. */
void driver_watch(struct driver *d, int64_t seconds, uint64_t requests_each);
void driver_verdict(struct driver *d, struct plan_verdict verdict);

/* What comes back from the store: columns and detail, with the rest as after a restart. */
struct progress progress_through_store(const struct progress *p, struct mono_time now);
/* Another boot, with the stored progress and its weight. */
void driver_restart(struct driver *d);

#endif
