/* cli/ctl_drill_live.c - before a live drill: how many real requests it would meet, and whether that is meant. */
#include "cli/ctl_drill.h"

#include "base/units.h"

#include <stdio.h>
#include <unistd.h>

#define TIMEOUT_MS INT64_C(30000) /* the API's own, when nothing is said */
#define PPM        1e6

/* ---- how many ------------------------------------------------------------------------------------------------------------- */

static enum ctl_verdict note_weight(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    struct ctl_values *values = call->values;
    (void)coloured, (void)out;
    values->live_weight = ctl_real(json_get(answer, "rollout"), "weight");
    return CTL_SHOWN;
}

static enum ctl_verdict note_traffic(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    struct ctl_values *values = call->values;
    (void)coloured, (void)out;
    values->live_per_s = ctl_real(json_get(json_get(answer, "plan"), "traffic"), "requests_per_s");
    return CTL_SHOWN;
}

static enum command_status ask_for(struct call *call, const char *part, ctl_print_fn *note)
{
    struct ctl_values *values = call->values;
    struct text path = { 0 };
    int64_t timeout_ms = values->timeout_ms;
    bool is_json = values->is_json;
    text_add_cstr(&path, "rollouts/");
    ctl_add_segment(&path, call->arguments[0]);
    text_add_cstr(&path, part);
    struct ctl_request request = { .method = "GET", .path = path.bytes };
    values->timeout_ms = 0;
    values->is_json = false;
    enum command_status status = ctl_show(call, &request, note);
    values->timeout_ms = timeout_ms;
    values->is_json = is_json;
    text_fini(&path);
    return status;
}

static void tell(struct call *call)
{
    const struct ctl_values *values = call->values;
    uint32_t share_ppm = (uint32_t)PPM;
    int64_t timeout_ms = values->timeout_ms > 0 ? values->timeout_ms : TIMEOUT_MS;
    if (values->share != NULL && !units_parse_share(slice_from_cstr(values->share), &share_ppm))
        return; /* is refused later */
    double bad_per_s = values->live_per_s * values->live_weight * share_ppm / PPM;
    fprintf(stderr,
            "The canary of %s has %g%% of %.1f requests/s of real users. %g%% of its answers would be 503:\n"
            "%.1f requests/s, at most about %.0f in %s, and fewer when a guardrail acts before.\n",
            call->arguments[0], 100 * values->live_weight, values->live_per_s, share_ppm / 1e4, bad_per_s,
            bad_per_s * (double)timeout_ms / 1000, ctl_time_text(call, timeout_ms));
}

/* ---- whether -------------------------------------------------------------------------------------------------------------- */

static bool is_yes(void)
{
    char line[16];
    fputs("Go on? [y/N] ", stderr);
    fflush(stderr);
    return fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

enum command_status ctl_drill_confirm_live(struct call *call)
{
    const struct ctl_values *values = call->values;
    enum command_status status = ask_for(call, "", note_weight);
    if (status == COMMAND_OK)
        status = ask_for(call, "/plan", note_traffic);
    if (status != COMMAND_OK || values->live_weight <= 0)
        return status; /* with no weight it is refused anyway, with a better sentence */
    tell(call);
    if (values->is_yes)
        return COMMAND_OK;
    if (!isatty(STDIN_FILENO))
        return command_misused(call, "--live meets real users: say --yes where nobody can be asked");
    return is_yes() ? COMMAND_OK : command_failed(call, "nothing was done");
}
