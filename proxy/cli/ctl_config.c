/* cli/ctl_config.c - `weir ctl reload` and `weir ctl config`: the configuration of a running instance and its past. */
#include "cli/ctl.h"

#include <string.h>

/* ---- reload --------------------------------------------------------------------------------------------------------------- */

/* "applied: generation 4", then the warnings. A reload that was rejected is no good answer and comes as an error with its problems
   (ctl_call.c). */
static enum ctl_verdict print_reload(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const char *result = ctl_text(call, answer, "result");
    enum paint paint = strcmp(result, "applied") == 0 ? PAINT_GREEN : PAINT_NONE;
    terminal_add(out, coloured, paint, slice_from_cstr(result));
    text_printf(out, ": generation %lld\n", (long long)ctl_integer(answer, "generation"));
    const struct json *problems = json_get(answer, "problems");
    for (size_t i = 0; i < json_count(problems); i++) {
        struct slice problem = SLICE_NONE;
        json_as_string(json_at(problems, i), &problem);
        terminal_add(out, coloured, PAINT_YELLOW, problem);
        text_add_char(out, '\n');
    }
    return result[0] != '\0' ? CTL_SHOWN : CTL_UNKNOWN;
}

/* A write without more in its body than the reason. */
static enum command_status post(struct call *call, const char *path, ctl_print_fn *print)
{
    struct text json = { 0 };
    ctl_open_body(call, &json);
    text_add_char(&json, '}');
    struct ctl_request request = { .method = "POST", .path = path, .json = &json };
    enum command_status status = ctl_show(call, &request, print);
    text_fini(&json);
    return status;
}

static enum command_status run_reload(struct call *call)
{
    return post(call, "reload", print_reload);
}

static const struct option_row optional_reason[] = { CTL_REASON_OPTION(false) };
static const struct option_row required_reason[] = { CTL_REASON_OPTION(true) };

const struct command ctl_reload = {
    .name = "reload",
    .synopsis = "[--reason TEXT]",
    .summary = "reads the configuration file again",
    .details = "A file with problems changes nothing: every problem is printed, and the exit "
               "status is 1.\n",
    .options = optional_reason,
    .option_count = ARRAY_COUNT(optional_reason),
    .run = run_reload,
};

/* ---- config versions -------------------------------------------------------------------------------------------------------- */

static enum ctl_verdict print_versions(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "generation", ALIGN_RIGHT }, { "applied", ALIGN_LEFT },
                                                   { "by", ALIGN_LEFT },          { "source", ALIGN_LEFT },
                                                   { "digest", ALIGN_LEFT },      { "", ALIGN_LEFT } };
    const struct json *versions = json_get(answer, "versions");
    struct table t;
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(versions); i++) {
        const struct json *v = json_at(versions, i);
        table_add(&t, PAINT_BOLD, "%lld", (long long)ctl_integer(v, "generation"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, v, "at"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, v, "by"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, v, "source"));
        table_add(&t, PAINT_DIM, "%s", ctl_text(call, v, "digest"));
        table_add(&t, PAINT_GREEN, "%s", ctl_flag(v, "current") ? "in force" : " ");
    }
    table_print(&t, coloured, out);
    table_fini(&t);
    return json_kind(versions) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

static enum command_status run_versions(struct call *call)
{
    struct ctl_request request = { .method = "GET", .path = "config/versions" };
    return ctl_show(call, &request, print_versions);
}

static const struct command config_versions = {
    .name = "versions",
    .synopsis = "",
    .summary = "lists the configurations that were in force",
    .run = run_versions,
};

/* ---- config diff ------------------------------------------------------------------------------------------------------------ */

/* Of a unified diff. */
static enum paint paint_of_line(struct slice line)
{
    if (slice_has_prefix(line, SLICE("@@")))
        return PAINT_CYAN;
    if (slice_has_prefix(line, SLICE("+")))
        return PAINT_GREEN;
    return slice_has_prefix(line, SLICE("-")) ? PAINT_RED : PAINT_NONE;
}

static enum ctl_verdict print_diff(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    struct slice rest;
    (void)call;
    if (!json_as_string(json_get(answer, "diff"), &rest))
        return CTL_UNKNOWN;
    while (rest.len > 0) {
        struct slice line = slice_first(rest, slice_find(rest, '\n'));
        terminal_add(out, coloured, paint_of_line(line), line);
        text_add_char(out, '\n');
        rest = slice_after(rest, line.len + 1);
    }
    return CTL_SHOWN;
}

/* Checked here because it becomes part of a path: "../reload" would be another request. */
static bool is_generation(const char *word)
{
    uint64_t number;
    return slice_to_u64(slice_from_cstr(word), &number);
}

static enum command_status run_diff(struct call *call)
{
    for (size_t i = 0; i < call->argument_count; i++) {
        if (!is_generation(call->arguments[i]))
            return command_misused(call, "\"%s\" is no generation", call->arguments[i]);
    }
    struct text path = { 0 };
    text_printf(&path, "config/versions?diff=%s..%s", call->arguments[0], call->arguments[1]);
    struct ctl_request request = { .method = "GET", .path = path.bytes };
    enum command_status status = ctl_show(call, &request, print_diff);
    text_fini(&path);
    return status;
}

static const struct command config_diff = {
    .name = "diff",
    .synopsis = "A B",
    .summary = "compares two of them, by generation",
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run_diff,
};

/* ---- config restore --------------------------------------------------------------------------------------------------------- */

static enum command_status run_restore(struct call *call)
{
    if (!is_generation(call->arguments[0]))
        return command_misused(call, "\"%s\" is no generation", call->arguments[0]);
    struct text path = { 0 };
    text_printf(&path, "config/versions/%s/restore", call->arguments[0]);
    enum command_status status = post(call, path.bytes, print_reload);
    text_fini(&path);
    return status;
}

static const struct command config_restore = {
    .name = "restore",
    .synopsis = "N --reason TEXT",
    .summary = "writes one of them back to its files, and reloads",
    .details = "All files are written or none; what stood in each is kept as FILE.before-restore. A\n"
               "version that does not validate any more, or whose `include` would read files that it\n"
               "did not have, changes nothing.\n",
    .options = required_reason,
    .option_count = ARRAY_COUNT(required_reason),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run_restore,
};

static const struct command *const children[] = { &config_versions, &config_diff, &config_restore };

const struct command ctl_config = {
    .name = "config",
    .synopsis = "versions|diff A B|restore N",
    .summary = "the configurations that were in force",
    .children = children,
    .child_count = ARRAY_COUNT(children),
};

/* ---- drain ------------------------------------------------------------------------------------------------------------------ */

static enum ctl_verdict print_drain(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    (void)call;
    (void)answer;
    terminal_add(out, coloured, PAINT_GREEN, SLICE("draining"));
    text_add_cstr(out, ": no more connections are taken\n");
    return CTL_SHOWN;
}

static enum command_status run_drain(struct call *call)
{
    return post(call, "drain", print_drain);
}

const struct command ctl_drain = {
    .name = "drain",
    .synopsis = "[--reason TEXT]",
    .summary = "takes no more connections, finishes what is under way",
    .options = optional_reason,
    .option_count = ARRAY_COUNT(optional_reason),
    .run = run_drain,
};
