/* cli/ctl_split.c - `weir ctl split`: sets the weights of a route at run time, or gives them back to the file. */
#include "cli/ctl.h"

#include <string.h>

/* "A=95": the name may hold "=", the weight is behind the last one. */
static bool add_weight(struct text *json, const char *word)
{
    const char *equals = strrchr(word, '=');
    uint64_t weight;
    if (equals == NULL || equals == word || !slice_to_u64(slice_from_cstr(equals + 1), &weight) || weight > UINT32_MAX)
        return false;
    text_add_char(json, '"');
    text_add_json(json, slice_from(word, (size_t)(equals - word)));
    text_printf(json, "\":%llu", (unsigned long long)weight);
    return true;
}

/* Answers the weights in force: "demo: stable 50%, canary 50%". */
static enum ctl_verdict print_split(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *route = json_get(answer, "route");
    const char *shares = ctl_shares(call, json_get(route, "split"));
    const char *by = ctl_flag(route, "overridden") ? "" : ", as in the file";
    terminal_add(out, coloured, PAINT_BOLD, slice_from_cstr(call->arguments[0]));
    text_printf(out, ": %s%s\n", shares, by);
    return shares[0] != '\0' ? CTL_SHOWN : CTL_UNKNOWN;
}

/* Both writes answer with the route as it is now, so that what is printed is what is in force. */
static enum command_status send_split(struct call *call, const char *method, struct text *json)
{
    struct text path = { 0 };
    text_add_cstr(&path, "routes/");
    ctl_add_segment(&path, call->arguments[0]);
    text_add_cstr(&path, "/split");
    struct ctl_request request = { .method = method, .path = path.bytes, .json = json };
    enum command_status status = ctl_show(call, &request, print_split);
    text_fini(&path);
    return status;
}

/* DELETE has a body here, for the reason: the server takes it there or as ?reason= (admin/dispatch.c). */
static enum command_status reset_weights(struct call *call)
{
    struct text json = { 0 };
    ctl_open_body(call, &json);
    text_add_char(&json, '}');
    enum command_status status = send_split(call, "DELETE", &json);
    text_fini(&json);
    return status;
}

/* The words are checked for their form alone. Which upstreams there are, and that all of them are named, is the server's to say: its
   configuration may be newer than what the caller looked at. */
static enum command_status set_weights(struct call *call)
{
    struct text json = { 0 };
    enum command_status status = COMMAND_OK;
    ctl_open_body(call, &json);
    text_add_cstr(&json, ",\"weights\":{");
    for (size_t i = 1; i < call->argument_count && status == COMMAND_OK; i++) {
        if (i > 1)
            text_add_char(&json, ',');
        if (!add_weight(&json, call->arguments[i]))
            status = command_misused(call, "\"%s\" is not UPSTREAM=WEIGHT, such as canary=5", call->arguments[i]);
    }
    text_add_cstr(&json, "}}");
    if (status == COMMAND_OK)
        status = send_split(call, "PUT", &json);
    text_fini(&json);
    return status;
}

static enum command_status run(struct call *call)
{
    const struct ctl_values *values = call->values;
    if (values->is_reset && call->argument_count > 1)
        return command_misused(call, "--reset takes no weights");
    if (values->is_reset)
        return reset_weights(call);
    if (call->argument_count < 2)
        return command_misused(call, "weights are missing: UPSTREAM=WEIGHT for each upstream");
    return set_weights(call);
}

static const struct option_row options[] = {
    { .name = "reset",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_reset),
      .doc = "gives the weights back to the configuration file" },
    CTL_REASON_OPTION(true),
};

const struct command ctl_split = {
    .name = "split",
    .synopsis = "ROUTE UPSTREAM=WEIGHT... --reason TEXT\n"
                "       weir ctl split ROUTE --reset --reason TEXT",
    .summary = "sets the weights of a route's split",
    .details = "The weights take effect at once, are stored, and survive reload and restart until --reset "
               "or\n"
               "until the file changes that split. Every upstream of the split is named.\n\n"
               "  weir ctl split checkout checkout-v1=95 checkout-v2=5 --reason 'errors are flat'\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .arguments_min = 1,
    .arguments_max = 65,
    .run = run,
};
