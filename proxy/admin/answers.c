/* admin/answers.c - THE table of what endpoints answer with, and of the shapes of their documents. */
#include "admin/answers.h"

#include <string.h>

#include "base/check.h"

#define JSON_ANSWER(method, path, shape)                                                                               \
    {                                                                                                                  \
        method, path, shape, "application/json"                                                                        \
    }
#define TEXT_ANSWER(method, path)                                                                                      \
    {                                                                                                                  \
        method, path, NULL, "text/plain"                                                                               \
    }

static const struct answer_row answers[] = {
    TEXT_ANSWER("GET", "/healthz"),
    TEXT_ANSWER("GET", "/readyz"),
    TEXT_ANSWER("GET", "/metrics"),
    JSON_ANSWER("GET", "/api/v1/status", "status"),
    JSON_ANSWER("GET", "/api/v1/routes", "routes"),
    JSON_ANSWER("GET", "/api/v1/routes/{name}", "one_route"),
    JSON_ANSWER("PUT", "/api/v1/routes/{name}/split", "one_route"),
    JSON_ANSWER("DELETE", "/api/v1/routes/{name}/split", "one_route"),
    JSON_ANSWER("GET", "/api/v1/upstreams", "upstreams"),
    JSON_ANSWER("GET", "/api/v1/rollouts", "rollouts"),
    JSON_ANSWER("GET", "/api/v1/rollouts/{name}", "one_rollout"),
    JSON_ANSWER("GET", "/api/v1/rollouts/{name}/plan", "rollout_plan"),
    JSON_ANSWER("POST", "/api/v1/rollouts/{name}/start", "one_rollout"),
    JSON_ANSWER("POST", "/api/v1/rollouts/{name}/approve", "one_rollout"),
    JSON_ANSWER("POST", "/api/v1/rollouts/{name}/promote", "one_rollout"),
    JSON_ANSWER("POST", "/api/v1/rollouts/{name}/pause", "one_rollout"),
    JSON_ANSWER("POST", "/api/v1/rollouts/{name}/resume", "one_rollout"),
    JSON_ANSWER("POST", "/api/v1/rollouts/{name}/rollback", "one_rollout"),
    JSON_ANSWER("POST", "/api/v1/rollouts/{name}/abort", "one_rollout"),
    JSON_ANSWER("GET", "/api/v1/drills", "drills"),
    JSON_ANSWER("GET", "/api/v1/drill/{name}", "one_drill"),
    JSON_ANSWER("POST", "/api/v1/drill/{name}", "one_drill"),
    JSON_ANSWER("POST", "/api/v1/drill/{name}/abort", "one_drill"),
    JSON_ANSWER("GET", "/api/v1/shadow/{route}", "shadow"),
    JSON_ANSWER("GET", "/api/v1/shadow/{route}/diffs", "shadow_diffs"),
    JSON_ANSWER("GET", "/api/v1/config", "config"),
    JSON_ANSWER("GET", "/api/v1/config/versions", "versions"),
    JSON_ANSWER("GET", "/api/v1/config/versions/{generation}", "version_text"),
    JSON_ANSWER("POST", "/api/v1/config/versions/{generation}/restore", "reload"),
    JSON_ANSWER("POST", "/api/v1/reload", "reload"),
    JSON_ANSWER("POST", "/api/v1/drain", "drain"),
    JSON_ANSWER("GET", "/api/v1/audit", "audit"),
    JSON_ANSWER("GET", "/api/v1/audit/verify", "audit_verdict"),
    JSON_ANSWER("GET", "/api/v1/events", "events"), /* ?follow=false; else text/event-stream of "event" */
    JSON_ANSWER("POST", "/api/v1/events", "event"),
    JSON_ANSWER("GET", "/api/v1/events/{id}", "one_event"),
    JSON_ANSWER("GET", "/api/v1/incidents", "incidents"),
    JSON_ANSWER("GET", "/api/v1/incidents/{id}", "one_incident"),
    JSON_ANSWER("POST", "/api/v1/outcomes", "outcomes"),
    JSON_ANSWER("GET", "/api/v1/slos", "slos"),
    JSON_ANSWER("GET", "/api/v1/hygiene", "hygiene"),
    JSON_ANSWER("GET", "/api/v1/openapi.json", "openapi"),
};

/* Names of shapes are those of the things; what is a document of its own is named like its endpoint. */
static const struct {
    const char *name, *members;
} shapes[] = {
    { "live", "clients:integer requests:integer exchanges:integer shadows:integer chunks:integer" },
    { "status",
      "version:string pid:integer state:starting/serving/draining started_at:time uptime_ms:integer"
      " config:{file:string generation:integer digest:string applied_at:time? source:string by:string"
      " weights_generation:integer snapshots:integer restart_needed:[string]}"
      " last_reload:@last_reload? reloads:{applied:integer unchanged:integer rejected:integer}"
      " listeners:[{name:string bind:string address:string}]"
      " workers:[{index:integer generation:integer weights_generation:integer last_swap_us:integer"
      " is_drained:boolean live:@live}] live:@live"
      " store:{is_usable:boolean problem:string? waiting_count:integer lost_count:integer waiting_since:time?}"
      " failing_monitors:[{name:string upstream:string endpoint:string complaint:string}]"
      " admin:{address:string?} access_log:{dropped:integer}" },
    { "last_reload", "result:none/applied/unchanged/rejected generation:integer at:time source:string by:string"
                     " problems:[string]" },
    { "reload", "result:none/applied/unchanged/rejected generation:integer problems:[string]" },
    { "drain", "state:string" },
    { "routes", "generation:integer weights_generation:integer routes:[@route]" },
    { "one_route", "generation:integer weights_generation:integer route:@route" },
    { "route", "name:string match:string action:string sticky:string? overridden:boolean override:@override?"
               " split:[{upstream:string weight:integer file_weight:integer share:number}] rules:[@rule]"
               " owner:string? kind:string? expires:time? doc:string? runbook:string?" },
    { "override", "set_by:string reason:string at:time" },
    { "rule",
      "name:string when:string to:string owner:string? kind:string? expires:time? doc:string? runbook:string?" },
    { "upstreams", "upstreams:[@upstream]" },
    { "upstream", "name:string balance:string? max_connections:integer max_pending:integer"
                  " endpoints:[{address:string weight:integer healthy:boolean?}]"
                  " connections:{idle:integer active:integer pending:integer connects:integer "
                  "connect_failures:integer} monitors:[@monitor]" },
    { "monitor",
      "name:string verdict:unknown/good/bad complaint:string? failures_in_a_row:integer unready_after:integer"
      " latency_ms:number at:time? endpoints:[{address:string verdict:unknown/good/bad complaint:string?}]" },
    { "rollouts", "rollouts:[@rollout]" },
    { "one_rollout", "rollout:@rollout" },
    { "rollout",
      "name:string route:string stable:string canary:string revision:string state:pending/running/holding/"
      "awaiting_approval/awaiting_webhook/paused/baking/succeeded/rolling_back/rolled_back/failed"
      " step:integer weight:number is_in_force:boolean hold_ms:integer hold_left_ms:integer"
      " started_by:string started_at:time? changed_at:time? is_store_down:boolean"
      " stable_is_short?:boolean stable_is_short_because?:string approvals:[string]"
      " gate?:@gate requests:{stable:integer canary:integer at_step:integer} calendar:@calendar steps:[@rollout_step]"
      " guardrails:[@guardrail] void?:string breach?:@breach history:[@rollout_change]" },
    { "gate", "step:integer asked:integer failures_in_a_row:integer is_asked_now:boolean answered_at:time?"
              " status?:integer error?:string next_ask_ms?:integer" },
    { "rollout_change", "at:time revision:string from:string to:string step:integer weight:number who:string"
                        " reason:string" },
    { "calendar", "is_open:boolean why?:string opens_at?:time?" },
    { "rollout_step", "weight?:number hold_ms?:integer min_requests?:integer requires_proof?:boolean approve?:integer"
                      " allow_starter?:boolean approvers?:[string] webhook?:string timeout_ms?:integer" },
    { "guardrail", "name:string breaches:integer verdict:string reason?:string progress?:number evidence_log10?:number?"
                   " bound_log10?:number proof_progress?:number" },
    { "breach", "at:time guardrail:string reason:string zero_exposure_ms?:number" },
    { "rollout_plan", "plan:{name:string revision:string"
                      " traffic:{requests_per_s:number error_rate:number? measured_s:number} ends_at:time?"
                      " steps:[@planned_step]}" },
    { "planned_step", "kind:string earliest:time? waits_for?:string? weight?:number lasts_ms?:integer"
                      " is_slowed_by_requests?:boolean notices?:[{guardrail:string is_all_bad?:boolean times?:number"
                      " seconds:number?}]" },
    { "drills", "drills:[@drill]" },
    { "one_drill", "drill:@drill" },
    { "drill", "id:string rollout:string revision:string who:string reason:string"
               " state:running/passed/failed/aborted/interrupted begun_at:time ended_at:time? detail:@drill_detail" },
    { "drill_detail", "live:boolean listener:string weight:number rate:integer share:number delay_ms:integer"
                      " timeout_ms:integer cause?:string guardrails:[@drilled]" },
    { "drilled",
      "step:integer weight:number name:string fault:error/connect/latency/event/sample is_simulated:boolean"
      " result:not_drilled/not_rehearsed/fired/silent/false_alarm/exposed/stuck/unreached/warming/failing/returning"
      "/checking is_paused:boolean planned_ms:number? detect_ms:number? is_late:boolean rollback_ms:number?"
      " requests:integer bad_requests:integer exposed_after:integer reason:string why:string" },
    { "shadow", "route:string compares_dropped:integer shadows:[@shadow_findings]" },
    { "shadow_findings", "upstream:string control:string? since:time verdict:string"
                         " pairs:{same:integer different:integer noise:integer checked:integer skipped:integer}"
                         " fields:[@shadow_field] latency:<@latency>" },
    { "shadow_field", "field:string verdict:string settled:boolean shadow_only:integer control_only:integer"
                      " both:integer unchecked:integer evidence?:number? evidence_needed?:number?" },
    { "latency", "count:integer p50_ms:number p90_ms:number p99_ms:number" },
    { "shadow_diffs", "route:string compares_dropped:integer shadows:[{upstream:string diffs:[@shadow_diff]}]" },
    { "shadow_diff", "at:time verdict:string request:{method:string host:string target:string"
                     " headers:[{name:string value:string}] body_bytes:integer body:string?} primary:@shadow_answer?"
                     " shadow:@shadow_answer? control:@shadow_answer? differences:[@shadow_difference]"
                     " difference_count:integer" },
    { "shadow_answer", "upstream:string status:integer reason:string? latency_ms:number body_bytes:integer" },
    { "shadow_difference", "field:string place:string verdict:string settled:boolean control_differs:boolean"
                           " primary:string? shadow:string? control:string?" },
    { "config", "generation:integer digest:string file:string text:string" },
    { "versions", "versions?:[@version] from?:integer to?:integer is_equal?:boolean diff?:string" },
    { "version",
      "generation:integer digest:string at:time source:string by:string file_count:integer text_bytes:integer"
      " current:boolean" },
    { "version_text", "generation:integer digest:string at:time source:string by:string file_count:integer"
                      " text_bytes:integer current:boolean text:string changed:string?" },
    { "audit", "lines:[@audit_line] next_before:integer?" },
    { "audit_line", "id:integer at:time who:string role:viewer/operator/approver/admin action:string target:string"
                    " reason:string detail:string? hash:string" },
    { "audit_verdict", "ok:boolean checked:integer newest_hash:string? bad_id?:integer why?:string" },
    { "events", "events:[@event] next_before:integer?" },
    { "one_event", "event:@event" },
    { "event", "id:integer? at:time kind:string subject:string? text:string? who:string detail:any title?:string"
               " tags?:[string] link?:string route?:string upstream?:string rollout?:string metrics?:@event_metrics" },
    { "event_metrics", "window_ms:integer is_complete:boolean before:@traffic_figures? after:@traffic_figures?" },
    { "traffic_figures", "seconds:number requests:integer requests_per_second:number errors:integer error_ratio:number?"
                         " p50_ms:number? p95_ms:number? p99_ms:number?" },
    { "incidents", "incidents:[@incident]" },
    { "one_incident", "incident:@incident" },
    { "incident",
      "id:string rollout:string revision:string guardrail:string cause:string detected_at:time"
      " time_to_detect_ms:integer? time_to_zero_exposure_ms:integer? evidence:any timeline:[{at:time what:string}]"
      " told:[{at:time target:string kind:webhook/alertmanager of:string was_told:boolean result:string"
      " tries:integer}]" },
    { "outcomes", "counted:integer compared:integer repeated:integer left_out:integer" },
    { "slos", "slos:[@slo]" },
    { "slo", "name:string route:string availability?:number latency?:{below_ms:integer for:number} window_ms:integer"
             " requests:integer errors:integer slow:integer"
             " burn_rate:{5m:number? 30m:number? 1h:number? 6h:number? 3d:number?} budget_remaining:number"
             " judged_by:availability/latency" },
    { "hygiene", "findings:[{what:string name:string problem:expired/no_owner place:string owner:string? expires:time?"
                 " doc:string? runbook:string?}]" },
    { "openapi", "openapi:string info:{title:string version:string} security:[any] paths:<any> components:any" },
};

const struct answer_row *answer_find(const char *method, const char *path)
{
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++)
        if (strcmp(answers[i].method, method) == 0 && strcmp(answers[i].path, path) == 0)
            return &answers[i];
    return NULL;
}

void answers_put_shapes(struct json *schemas)
{
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        shape_write(json_put_object(schemas, shapes[i].name), shapes[i].members);
}
