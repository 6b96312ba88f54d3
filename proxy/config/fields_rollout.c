/* config/fields_rollout.c - THE table's rows for rollouts: steps, guardrails, windows. */
#include "config/rows.h"

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static const struct setting_choice require_words[] = {
    { "nothing", REQUIRE_NOTHING, "no breach is enough" },
    { "not_worse", REQUIRE_NOT_WORSE,
      "proof that the canary is not worse, by every guardrail with `worse_than_stable`" },
    { NULL, 0, NULL },
};

static const struct setting step_rows[] = {
    { SHARE("weight", struct step_config, weight_ppm), .min_text = "0.01%",
      .doc = "The canary's share of the pair; more than that of the step before." },
    { DURATION("hold", struct step_config, hold_ms), .default_text = "0s", .max_text = "90d",
      .doc = "How long it is watched at this weight before the next step; time in which nothing watches does not "
             "count." },
    { COUNT("min_requests", struct step_config, min_requests), .default_text = "0",
      .doc = "Requests that the canary must have had at this step before the next one." },
    { CHOICE("require", struct step_config, require, enum step_require, require_words), .default_text = "nothing",
      .doc = "What must be shown before the next step." },
    { COUNT("approve", struct step_config, approve_count), .min_text = "1", .max_text = "16",
      .doc = "A gate: so many different people approve." },
    { TEXTS("approvers", struct step_config, approvers), .format = &format_person,
      .unit = "default: everybody whose role allows it",
      .doc = "Who may approve: names of tokens, or `unix:USER` for users of the admin socket." },
    { BOOL("allow_starter", struct step_config, is_starter_allowed), .default_text = "false",
      .doc = "Whether who started the rollout may approve, too." },
    { TEXT("webhook", struct step_config, webhook), .format = &format_url,
      .doc = "A gate: a URL that is sent the rollout as JSON and says yes with a status of 2xx. It is "
             "asked again every ten seconds while it says anything else, and less and less often, every two minutes at "
             "last, while it fails (no answer within ten seconds, 5xx, 408, 429)." },
    { DURATION("timeout", struct step_config, timeout_ms), .default_text = "5m", .min_text = "1s", .max_text = "30d",
      .doc = "How long a webhook has to say yes; past it the rollout ends as failed." },
};

static const struct setting_table step_table = {
    .name = "step",
    .doc = "One step of a rollout: a weight, or a gate in front of the next weight.",
    .struct_bytes = sizeof(struct step_config),
    .place_offset = offsetof(struct step_config, place),
    ROWS(step_rows),
    .rule = "A step has exactly one of `weight`, `approve` and `webhook`, and only keys that belong to it.",
    .finish = step_finish,
};

/* ---- guardrails -------------------------------------------------------------------------------------------------- */

static const struct setting comparison_rows[] = {
    { DECIMAL("ratio", struct comparison_config, ratio), .min_text = "0.01", .max_text = "100",
      .doc = "The canary's figure divided by stable's: beyond it, it is worse. Below 1, for events, less is worse." },
    { SHARE("points", struct comparison_config, points_ppm), .min_text = "0.0001%", .max_text = "50%",
      .doc = "The canary's error rate less stable's: beyond it, it is worse. Only on routes without `sticky`." },
};

static const struct setting_table comparison_table = {
    .name = "comparison",
    .doc = "A margin between the canary and stable over the same time, judged by a sequential test that is valid at "
           "every look.",
    .struct_bytes = sizeof(struct comparison_config),
    ROWS(comparison_rows),
    .rule = "A comparison has exactly one of `ratio` and `points`.",
    .finish = comparison_finish,
};

static const struct setting_choice metric_words[] = {
    { "error_rate", METRIC_ERROR_RATE, "requests that failed, of all" },
    { "latency", METRIC_LATENCY, "the usual quantiles together, against stable's" },
    { "latency_p50", METRIC_LATENCY_P50, "half of the requests are faster" },
    { "latency_p75", METRIC_LATENCY_P75, "three of four are" },
    { "latency_p90", METRIC_LATENCY_P90, "nine of ten are" },
    { "latency_p95", METRIC_LATENCY_P95, "95 of 100 are" },
    { "latency_p99", METRIC_LATENCY_P99, "99 of 100 are" },
    { "latency_p999", METRIC_LATENCY_P999, "999 of 1,000 are" },
    { "shadow_mismatch", METRIC_SHADOW_MISMATCH, "copies that were answered differently, of those compared" },
    { "saturation", METRIC_SATURATION, "requests in flight, against `max_connections`" },
    { "connect_failures", METRIC_CONNECT_FAILURES, "connections that could not be made, one after the other" },
    { NULL, 0, NULL },
};

static const struct setting_choice policy_words[] = {
    { "rollback", POLICY_ROLLBACK, "the canary's weight is 0 at once" },
    { "pause", POLICY_PAUSE, "the weight stays, and nothing goes on" },
    { NULL, 0, NULL },
};

static const struct setting_choice unknown_words[] = {
    { "pause", POLICY_PAUSE, "the weight stays, and nothing goes on" },
    { "rollback", POLICY_ROLLBACK, "the canary's weight is 0 at once" },
    { "ignore", POLICY_IGNORE, "as if it were good" },
    { NULL, 0, NULL },
};

static const struct setting guardrail_rows[] = {
    { TEXT("name", struct guardrail_config, name), .format = &format_name,
      .unit = "default: made from what it watches, such as error_rate_ratio",
      .doc = "What metrics and records call it, unique in the rollout." },
    { CHOICE("metric", struct guardrail_config, metric, enum watch_metric, metric_words),
      .doc = "Watches what the proxy sees of the canary itself." },
    { TEXT("event", struct guardrail_config, event), .format = &format_name,
      .doc = "Watches a business event, per request: answers name them in `x-weir-event`, which no client gets." },
    { DURATION("told_within", struct guardrail_config, told_within_ms), .default_text = "10s", .min_text = "400ms",
      .max_text = "1d",
      .doc = "Of `event` with `worse_than_stable`: outcomes that `POST /api/v1/outcomes` tells are compared so long "
             "after their requests, with those of the same moment; later ones are not." },
    { TEXT("prometheus", struct guardrail_config, prometheus), .format = &format_query,
      .doc = "Watches what a query of PromQL yields: one number." },
    { TEXT("slo", struct guardrail_config, slo), PLACE(struct guardrail_config, slo_place), .format = &format_name,
      .doc = "Watches how fast the canary burns the budget of an objective of the same route." },
    { TEXT("monitor", struct guardrail_config, monitor), PLACE(struct guardrail_config, monitor_place),
      .format = &format_name, .doc = "Watches a monitor of the canary." },
    { TEXT("max", struct guardrail_config, max_text), .format = &format_bound,
      .doc = "More is a breach: a share, for latencies a duration, for queries a number." },
    { TEXT("min", struct guardrail_config, min_text), .format = &format_bound,
      .doc = "Less is a breach: for events a share of requests, for queries a number." },
    { SUBTABLE("worse_than_stable", struct guardrail_config, worse_than_stable, struct comparison_config,
               comparison_table),
      .doc = "Compares with stable over the same time, instead of with a fixed number." },
    { SHARE("confidence", struct guardrail_config, confidence_ppm), .default_text = "99%", .min_text = "80%",
      .max_text = "99.9999%",
      .doc = "Of rollouts without a difference, so many are never taken back by comparisons; those of a rollout share "
             "what is left." },
    { DURATION("window", struct guardrail_config, window_ms), .default_text = "1m", .min_text = "1s", .max_text = "1d",
      .doc = "How far back `max` and `min` look." },
    { COUNT("min_requests", struct guardrail_config, min_requests), .default_text = "0",
      .unit = "0: so many that its limit is two events, at least 20",
      .doc = "With fewer requests of the canary (in the window, where it has one) nothing is said, and the step is "
             "held." },
    { TEXT("shadow", struct guardrail_config, shadow), PLACE(struct guardrail_config, shadow_place),
      .format = &format_name, .doc = "Of `shadow_mismatch`: the shadow of the route, with `compare`." },
    { TEXT("server", struct guardrail_config, server), .default_text = "http://127.0.0.1:9090", .format = &format_url,
      .doc = "Of `prometheus`: who is asked." },
    { DURATION("every", struct guardrail_config, every_ms), .default_text = "15s", .min_text = "1s", .max_text = "1h",
      .doc = "Of `prometheus`: how often." },
    { DECIMAL("burn", struct guardrail_config, burn), .min_text = "0.1", .max_text = "100000",
      .doc = "Of `slo`: a breach is a budget that burns so many times faster than it would last." },
    { COUNT("max_failures", struct guardrail_config, max_failures), .default_text = "2", .min_text = "1",
      .max_text = "1000", .doc = "Of `monitor`: a breach is so many failures of the canary, one after the other." },
    { CHOICE("on_breach", struct guardrail_config, on_breach, enum breach_policy, policy_words),
      .unit = "default: as the rollout's", .doc = "What a breach of this one does." },
    { CHOICE("on_unknown", struct guardrail_config, on_unknown, enum breach_policy, unknown_words),
      .default_text = "pause", .doc = "Of `prometheus`: what a missing answer does." },
};

static const struct setting_table guardrail_table = {
    .name = "guardrail",
    .doc = "What must stay true of the canary.",
    .struct_bytes = sizeof(struct guardrail_config),
    .place_offset = offsetof(struct guardrail_config, place),
    ROWS(guardrail_rows),
    .rule = "A guardrail watches exactly one of `metric`, `event`, `prometheus`, `slo` and `monitor`, has a limit, and "
            "only keys that belong to these.",
    .finish = guardrail_finish,
};

/* ---- windows and freezes ----------------------------------------------------------------------------------------- */

static const struct setting window_rows[] = {
    { TEXTS("days", struct window_config, day_texts), .format = &format_days, .unit = "default: all",
      .doc = "Days of the week: `mon`, or `mon-fri`." },
    { TEXT("from", struct window_config, from_text), .default_text = "00:00", .format = &format_clock,
      .doc = "Local time at which it opens." },
    { TEXT("to", struct window_config, to_text), .default_text = "24:00", .format = &format_clock,
      .doc = "Local time at which it closes, later than `from`." },
    { TEXT("tz", struct window_config, tz), PLACE(struct window_config, tz_place), .default_text = "UTC",
      .format = &format_zone, .doc = "The time zone of these: a name of the system's zone database." },
};

static const struct setting_table window_table = {
    .name = "window",
    .doc = "When the weight may rise; a rollback waits for nothing.",
    .struct_bytes = sizeof(struct window_config),
    .place_offset = offsetof(struct window_config, place),
    ROWS(window_rows),
    .rule = "A window closes after it opens, on the same day.",
    .finish = window_finish,
};

static const struct setting freeze_rows[] = {
    { TIME("from", struct freeze_config, from), .flags = SETTING_REQUIRED, .doc = "When it begins." },
    { TIME("to", struct freeze_config, to), .flags = SETTING_REQUIRED, .doc = "When it ends." },
    { TEXT("reason", struct freeze_config, reason), .flags = SETTING_REQUIRED, .format = &format_sentence,
      .doc = "Why; it is told to who waits." },
};

static const struct setting_table freeze_table = {
    .name = "freeze",
    .doc = "When the weight may not rise, whatever the windows say.",
    .struct_bytes = sizeof(struct freeze_config),
    .place_offset = offsetof(struct freeze_config, place),
    ROWS(freeze_rows),
    .rule = "A freeze ends after it begins.",
    .finish = freeze_finish,
};

/* ---- rollouts ---------------------------------------------------------------------------------------------------- */

static const struct setting_choice start_words[] = {
    { "manual", ROLLOUT_START_MANUAL, "somebody starts it, or `start_at` does" },
    { "on_revision", ROLLOUT_START_ON_REVISION, "a new `revision` does" },
    { NULL, 0, NULL },
};

static const struct setting rollout_rows[] = {
    { TEXT("route", struct rollout_config, route), PLACE(struct rollout_config, route_place), .flags = SETTING_REQUIRED,
      .format = &format_name, .doc = "The route whose split it owns." },
    { TEXT("stable", struct rollout_config, stable), PLACE(struct rollout_config, stable_place),
      .flags = SETTING_REQUIRED, .format = &format_name, .doc = "The upstream with today's version." },
    { TEXT("canary", struct rollout_config, canary), PLACE(struct rollout_config, canary_place),
      .flags = SETTING_REQUIRED, .format = &format_name,
      .doc = "The upstream with the new one. Both are in the split; the rollout shares out what they have there "
             "together, and other entries keep theirs." },
    { TEXT("revision", struct rollout_config, revision), .format = &format_revision,
      .doc = "What is rolled out. A new one begins anew: weight 0, no evidence, no approvals; what has ended stays so "
             "until then." },
    { CHOICE("start", struct rollout_config, start, enum rollout_start, start_words), .default_text = "manual",
      .doc = "What starts it." },
    { TIME("start_at", struct rollout_config, start_at), .doc = "It starts by itself then, and takes no step before." },
    { LIST_OF("steps", struct rollout_config, steps, step_count, struct step_config, step_table),
      .flags = SETTING_REQUIRED, .doc = "What happens, in order; the last is `weight: 100%`." },
    { DURATION("bake", struct rollout_config, bake_ms), .default_text = "0s", .max_text = "90d",
      .doc = "How long guardrails still watch after the last step." },
    { TEXTS("errors", struct rollout_config, error_texts), .format = &format_status, .unit = "default: 5xx",
      .doc = "Answers that count as errors, beside faults of the upstream and gRPC 2, 4, 13, 14 and 15." },
    { LIST_OF("guardrails", struct rollout_config, guardrails, guardrail_count, struct guardrail_config,
              guardrail_table),
      .doc = "What must stay true." },
    { CHOICE("on_breach", struct rollout_config, on_breach, enum breach_policy, policy_words),
      .default_text = "rollback", .doc = "What a breach does." },
    { LIST_OF("windows", struct rollout_config, windows, window_count, struct window_config, window_table),
      .unit = "default: always", .doc = "When the weight may rise: in one of these." },
    { LIST_OF("freeze", struct rollout_config, freezes, freeze_count, struct freeze_config, freeze_table),
      .doc = "When it may not." },
    { TEXTS("notify", struct rollout_config, notify), PLACE(struct rollout_config, notify_place),
      .format = &format_name, .doc = "Who is told of every transition: names under `notify`." },
    OWNERSHIP(struct rollout_config),
};

const struct setting_table config_rollout_table = {
    .name = "rollout",
    .doc = "Exposes a new version step by step, watches it, and takes it back.",
    .struct_bytes = sizeof(struct rollout_config),
    .place_offset = offsetof(struct rollout_config, place),
    ROWS(rollout_rows),
    .rule = "Weights rise from step to step, and the last step is `weight: 100%`.",
    .finish = rollout_finish,
};
