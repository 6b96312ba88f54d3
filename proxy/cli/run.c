/* cli/run.c - `weir run`: the proxy in the foreground.
 *
 * Never a daemon: systemd, a container or a shell owns the process and its output. Options win over the file, and 0 or NULL means that
 * the file decides (server/start.c). Returns when it has
 * drained, or could not start. */
#include "cli/command.h"

#include "server/master.h"

struct run_values {
    const char *config;
    const char *state_dir;
    uint32_t worker_count;
};

static enum command_status run(struct call *call)
{
    const struct run_values *values = call->values;
    struct server_options options = { .config_file = values->config,
                                      .state_dir = values->state_dir,
                                      .worker_count = values->worker_count };
    return server_run(&options) == 0 ? COMMAND_OK : COMMAND_FAILED;
}

static const struct option_row options[] = {
    CONFIG_OPTION(struct run_values),
    { .name = "workers",
      .value_name = "N",
      .kind = OPTION_NUMBER,
      .offset = offsetof(struct run_values, worker_count),
      .low = 1,
      .high = 1024,
      .doc = "worker threads, over the file's (default one per core)" },
    { .name = "state-dir",
      .value_name = "DIR",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct run_values, state_dir),
      .doc = "where socket and stored weights live, over the file's" },
};

const struct command command_run = {
    .name = "run",
    .synopsis = "-c FILE [--workers N] [--state-dir DIR]",
    .summary = "runs the proxy in the foreground",
    .details = "TERM and INT drain and stop, HUP reloads the configuration, USR1 reopens the log files.\n"
               "A configuration with problems does not start: \"weir check\" shows them without starting.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct run_values),
    .run = run,
};
