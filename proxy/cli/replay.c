/* cli/replay.c - `weir replay`: sends recorded requests again, and tells how today's answers differ. */
#include "cli/replay.h"

#include "cli/command.h"
#include "cli/terminal.h"
#include "http/validate.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_CONCURRENCY 64
#define DEFAULT_SHOWN       10
#define DEFAULT_TIMEOUT_MS  10000
#define FILES_MAX           4096

/* ---- what the options say --------------------------------------------------------------------------------------------- */

/* Scheme and authority, and what stands in front of each target. NULL: the URL is fine. */
static const char *url_fault(struct slice url, struct slice *prefix)
{
    size_t scheme = slice_has_prefix(url, SLICE("http://")) ? 7 : slice_has_prefix(url, SLICE("https://")) ? 8 : 0;
    struct slice rest = slice_after(url, scheme);
    struct slice authority = slice_first(rest, slice_find(rest, '/'));
    *prefix = slice_after(rest, authority.len);
    if (scheme == 0)
        return "begins with neither http:// nor https://";
    if (!authority_is_valid(authority))
        return "names no host";
    for (size_t i = 0; i < prefix->len; i++)
        if (prefix->ptr[i] <= ' ' || prefix->ptr[i] == 0x7f || strchr("?#", prefix->ptr[i]) != NULL)
            return "has more than a path behind the host";
    if (slice_has_suffix(*prefix, SLICE("/")))
        prefix->len--;
    return NULL;
}

static bool header_parse(const char *word, struct http_header *out)
{
    struct slice text = slice_from_cstr(word);
    size_t colon = slice_find(text, ':');
    *out = (struct http_header){ slice_first(text, colon), slice_trim(slice_after(text, colon + 1)) };
    return colon < text.len && is_token(out->name) && is_field_value(out->value);
}

static enum command_status target_make(struct call *call, struct replay_target *target)
{
    const struct replay_values *values = call->values;
    const char *fault = url_fault(slice_from_cstr(values->to), &target->prefix);
    if (fault != NULL)
        return command_misused(call, "\"%s\" %s", values->to, fault);
    struct http_header *headers = arena_zalloc_array(&call->arena, values->headers.count, sizeof(*headers));
    for (size_t i = 0; i < values->headers.count; i++)
        if (!header_parse(values->headers.items[i], &headers[i]))
            return command_misused(call, "\"%s\" is no 'NAME: VALUE'", values->headers.items[i]);
    target->url = values->to;
    target->headers = headers;
    target->header_count = values->headers.count;
    return COMMAND_OK;
}

static void set_defaults(struct replay_values *values)
{
    if (values->speed == NULL)
        values->speed = "1x";
    if (values->concurrency == 0)
        values->concurrency = DEFAULT_CONCURRENCY;
    if (values->shown == 0)
        values->shown = DEFAULT_SHOWN;
    if (values->timeout_ms == 0)
        values->timeout_ms = DEFAULT_TIMEOUT_MS;
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static void print_report(struct replay_report *report)
{
    struct text out = { 0 };
    if (report->values->is_json)
        replay_report_json(report, &out);
    else
        replay_report_print(report, terminal_has_colour(stdout), &out);
    fputs(out.bytes, stdout);
    text_fini(&out);
}

static enum command_status replay(struct call *call, const struct replay_target *target, const struct replay_pace *pace)
{
    const struct replay_values *values = call->values;
    struct replay_input input;
    struct replay_report report;
    struct replay_progress progress;
    struct text error = { 0 };
    enum command_status status = COMMAND_FAILED;
    if (replay_input_open(&input, &call->arena, call->arguments, call->argument_count, &error)) {
        replay_report_init(&report, &call->arena, values, &input);
        replay_progress_init(&progress, &report, values->is_json);
        replay_run(&report, &input, target, pace, &progress);
        replay_progress_end(&progress);
        print_report(&report);
        status = replay_report_is_good(&report) ? COMMAND_OK : COMMAND_FAILED;
        replay_report_fini(&report);
    } else {
        command_failed(call, "%s", error.bytes);
    }
    replay_input_close(&input);
    text_fini(&error);
    return status;
}

static enum command_status run(struct call *call)
{
    struct replay_values *values = call->values;
    struct replay_target target = { 0 };
    struct replay_pace pace;
    set_defaults(values);
    if (!replay_pace_parse(values->speed, &pace))
        return command_misused(call, "--speed: \"%s\" is none of 1x, 0.5x, 100/s and max", values->speed);
    if (values->ca != NULL && values->is_insecure)
        return command_misused(call, "--ca and --insecure exclude each other");
    enum command_status status = target_make(call, &target);
    return status == COMMAND_OK ? replay(call, &target, &pace) : status;
}

static const struct option_row options[] = {
    { .name = "to",
      .value_name = "URL",
      .kind = OPTION_TEXT,
      .is_required = true,
      .offset = offsetof(struct replay_values, to),
      .doc = "where to: http:// or https://, host, port; a path goes in front of each target" },
    { .name = "speed",
      .value_name = "SPEED",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct replay_values, speed),
      .doc = "1x as recorded (default), 2x twice as fast, 100/s evenly, max" },
    { .name = "concurrency",
      .value_name = "N",
      .kind = OPTION_NUMBER,
      .offset = offsetof(struct replay_values, concurrency),
      .low = 1,
      .high = 4096,
      .doc = "requests at a time (default 64); past it they are sent late" },
    { .name = "limit",
      .value_name = "N",
      .kind = OPTION_NUMBER,
      .offset = offsetof(struct replay_values, limit),
      .low = 1,
      .high = UINT32_MAX,
      .doc = "ends after so many requests" },
    { .name = "only",
      .value_name = "ROUTE",
      .kind = OPTION_LIST,
      .offset = offsetof(struct replay_values, only),
      .doc = "sends requests of this route; may be repeated" },
    { .name = "unsafe-methods",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct replay_values, is_unsafe),
      .doc = "sends POST, PUT, DELETE and the like, too" },
    { .letter = 'H',
      .name = "header",
      .value_name = "'NAME: VALUE'",
      .kind = OPTION_LIST,
      .offset = offsetof(struct replay_values, headers),
      .doc = "a header in place of the recorded one; may be repeated" },
    { .name = "ignore-header",
      .value_name = "NAME",
      .kind = OPTION_LIST,
      .offset = offsetof(struct replay_values, ignored_headers),
      .doc = "a header of answers that may differ; may be repeated" },
    { .name = "show",
      .value_name = "N",
      .kind = OPTION_NUMBER,
      .offset = offsetof(struct replay_values, shown),
      .low = 1,
      .high = 10000,
      .doc = "lists so many requests that differ (default 10)" },
    { .name = "timeout",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct replay_values, timeout_ms),
      .doc = "for each answer (default 10s)" },
    { .name = "ca",
      .value_name = "FILE",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct replay_values, ca),
      .doc = "certificates to trust instead of the system's" },
    { .name = "insecure",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct replay_values, is_insecure),
      .doc = "trusts any certificate" },
    { .name = "http2",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct replay_values, is_http2),
      .doc = "speaks HTTP/2 without asking; over https it is agreed on anyway" },
    { .name = "json",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct replay_values, is_json),
      .doc = "prints the report as JSON, and no progress" },
};

const struct command command_replay = {
    .name = "replay",
    .synopsis = "FILE... --to URL [--speed 1x|100/s|max] [--only ROUTE]... [--unsafe-methods]",
    .summary = "sends recorded shadow traffic again, and compares",
    .details = "Sends what `record:` of a shadow has written, marked with x-shadow: 1, and compares the\n"
               "answers with those that were recorded: status, headers, and body by its digest; order of\n"
               "members and blanks of JSON do not count. Several FILEs, rotated ones among them, are sent in the\n"
               "order of their times; - is standard input. Redacted headers are left out: -H gives others.\n"
               "Exit status: 0 all answers are the same, 1 some differ or failed, nothing was sent, or\n"
               "it was interrupted, 2 wrong usage.\n\n"
               "  weir replay shadow.jsonl* --to http://127.0.0.1:9003 --speed 2x -H 'authorization: Bearer test'\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct replay_values),
    .arguments_min = 1,
    .arguments_max = FILES_MAX,
    .run = run,
};
