/* cli/ctl.c - `weir ctl`: the group of commands that talk to a running instance, and the options they share. */
#include "cli/ctl.h"

static const struct option_row options[] = {
    CTL_CONNECTION_OPTIONS,
    { .name = "json",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_json),
      .doc = "prints the answer of the API as it is" },
    { .name = "timeout",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct ctl_values, timeout_ms),
      .doc = "waits so long for the answer (default 30s)" },
};

static const struct command *const children[] = { &ctl_status,  &ctl_routes,    &ctl_upstreams, &ctl_rollouts,
                                                  &ctl_rollout, &ctl_drill,     &ctl_drills,    &ctl_split,
                                                  &ctl_shadow,  &ctl_reload,    &ctl_config,    &ctl_audit,
                                                  &ctl_events,  &ctl_incidents, &ctl_export,    &ctl_import,
                                                  &ctl_hygiene, &ctl_slos,      &ctl_drain };

const struct command command_ctl = {
    .name = "ctl",
    .synopsis = "[--admin unix:PATH|http://HOST:PORT|https://HOST:PORT] [--json] COMMAND",
    .summary = "talks to a running instance",
    .details = "Without --admin it talks to the socket in the state directory: --state-dir, else\n"
               "$WEIR_STATE_DIR, else /var/lib/weir. The options may stand before or behind COMMAND.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct ctl_values),
    .children = children,
    .child_count = ARRAY_COUNT(children),
};
