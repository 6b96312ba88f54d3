/* cli/ctl.c - `weir ctl`: the group of commands that talk to a running instance, and the options they share. */
#include "cli/ctl.h"

static const struct option_row options[] = {
    { .name = "admin",
      .value_name = "ADDRESS",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, admin),
      .doc = "unix:PATH, http://HOST:PORT or https://HOST:PORT" },
    { .name = "state-dir",
      .value_name = "DIR",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, state_dir),
      .doc = "whose admin.sock to use when --admin is not given" },
    { .name = "token-file",
      .value_name = "FILE",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, token_file),
      .doc = "a file with the bearer token" },
    { .name = "ca",
      .value_name = "FILE",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, ca_file),
      .doc = "PEM file of the authorities to trust over https (default the system's)" },
    { .letter = 'k',
      .name = "insecure",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_insecure),
      .doc = "believes any certificate over https, whosever it is" },
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

static const struct command *const children[] = { &ctl_status,  &ctl_routes, &ctl_upstreams, &ctl_rollouts,
                                                  &ctl_rollout, &ctl_split,  &ctl_shadow,    &ctl_reload,
                                                  &ctl_config,  &ctl_audit,  &ctl_events,    &ctl_incidents,
                                                  &ctl_export,  &ctl_import, &ctl_hygiene,   &ctl_drain };

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
