/* cli/check.c - `weir check`: validates everything reachable from a configuration without binding anything.
 *
 * It makes the very snapshot that a start or reload would make, and throws it away: what passes here is not refused there, short of
 * what only the machine can tell (ports, permissions, files that changed meanwhile). */
#include "cli/command.h"
#include "cli/problems.h"

#include "front/tls_set.h"
#include "lua/script_set.h"
#include "route/snapshot.h"

#include <stdio.h>

struct check_values {
    const char *config;
};

static const struct option_row options[] = {
    CONFIG_OPTION(struct check_values),
};

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* To standard output: problems and warnings go to standard error, so a script can tell them apart. */
static void print_summary(const char *file, const struct config *config, size_t warning_count)
{
    printf("%s: ok: %zu listener%s, %zu route%s, %zu upstream%s", file, config->listener_count,
           plural(config->listener_count), config->route_count, plural(config->route_count), config->upstream_count,
           plural(config->upstream_count));
    if (warning_count > 0)
        printf(", %zu warning%s", warning_count, plural(warning_count));
    putchar('\n');
}

static enum command_status run(struct call *call)
{
    const struct check_values *values = call->values;
    struct err_list errors;
    err_list_init(&errors, &call->arena);
    struct config_source source = config_source_system;
    source.compile_tls = tls_set_compile;
    source.compile_scripts = script_set_compile;
    source.is_check = true;
    struct snapshot *snapshot = snapshot_create(values->config, &source, 1, &errors);
    problems_print(&errors);
    if (snapshot == NULL)
        return COMMAND_FAILED;
    print_summary(values->config, snapshot->config, errors.warning_count);
    snapshot_destroy(snapshot);
    return COMMAND_OK;
}

const struct command command_check = {
    .name = "check",
    .synopsis = "-c FILE",
    .summary = "validates a configuration without binding anything",
    .details = "Reads FILE and everything it includes, compiles its conditions and routes, looks into its\n"
               "certificates, runs its scripts once without a request, and prints each problem as\n"
               "FILE:LINE:COL: message, all of them in one run.\n"
               "Warnings do not fail it.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct check_values),
    .run = run,
};
