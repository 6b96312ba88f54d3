/* cli/ctl_call.c - one call of the admin API: where it listens, who asks, and what went wrong.
 *
 * Everything that a server says goes through terminal_add before a person sees it; with --json it is passed on as it is, for
 * programs.
 *
 *   find_target   --admin, --state-dir, environment     wrong: exit 2, nothing was sent
 *   read_token    --token-file                          unreadable: 1
 *   send_request                                        no answer: 1, with what to do about it
 *   show_answer   2xx: the topic prints and judges      good 0, bad news 1, not understood 1
 *                 else: message and problems            1
 *
 * Exit statuses are the same with and without --json, so a script may ask for either. */
#include "cli/ctl.h"

#include "base/memory.h"
#include "outbound/http_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_STATE_DIR "/var/lib/weir"
#define DEFAULT_REASON    "weir ctl, no reason given"
#define TOKEN_MAX_BYTES   1024 /* far beyond any; so that a file given by mistake is not sent as one */

/* ---- where ---------------------------------------------------------------------------------------------------------- */

/* What --admin and --state-dir come to. */
struct target {
    const char *unix_path; /* NULL: by URL */
    const char *base_url;  /* without a slash at the end */
    const char *shown;     /* for messages */
};

/* --state-dir, then the environment, then where the systemd unit keeps it. */
const char *ctl_state_dir(const struct ctl_values *values)
{
    if (values->state_dir != NULL)
        return values->state_dir;
    const char *from_environment = getenv("WEIR_STATE_DIR");
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : DEFAULT_STATE_DIR;
}

const char *ctl_database(struct call *call)
{
    return arena_printf(&call->arena, "%s/weir.db", ctl_state_dir(call->values)).ptr;
}

/* Over a UNIX socket the URL still needs a host: "weir" goes into Host and is looked up nowhere. */
static bool find_target(struct call *call, struct target *target)
{
    const struct ctl_values *values = call->values;
    struct arena *arena = &call->arena;
    struct slice admin = slice_from_cstr(values->admin);
    *target = (struct target){ .base_url = "http://weir", .shown = values->admin };
    if (values->admin == NULL) {
        target->shown = arena_printf(arena, "unix:%s/admin.sock", ctl_state_dir(values)).ptr;
        target->unix_path = target->shown + strlen("unix:");
        return true;
    }
    if (slice_has_prefix(admin, SLICE("unix:")) && admin.len > strlen("unix:")) {
        target->unix_path = values->admin + strlen("unix:");
        return true;
    }
    if (slice_has_prefix(admin, SLICE("http://")) || slice_has_prefix(admin, SLICE("https://"))) {
        while (admin.len > 0 && admin.ptr[admin.len - 1] == '/')
            admin.len--;
        target->base_url = arena_copy(arena, admin).ptr;
        return true;
    }
    command_misused(call, "--admin: \"%s\" is not unix:PATH, http://HOST:PORT or https://HOST:PORT", values->admin);
    return false;
}

/* ---- who ------------------------------------------------------------------------------------------------------------ */

/* The first line of the file; NULL in *token when none was asked for. From a file, since every user of the machine can read the
   arguments of a process. The buffer has room for a byte too many, which tells a long token from one that just fits. */
static bool read_token(struct call *call, const char **token)
{
    const struct ctl_values *values = call->values;
    *token = NULL;
    if (values->token_file == NULL)
        return true;
    char line[TOKEN_MAX_BYTES + 2] = "";
    FILE *file = fopen(values->token_file, "re");
    if (file == NULL || (fgets(line, sizeof(line), file) == NULL && ferror(file))) {
        command_failed(call, "%s: %s", values->token_file, strerror(errno));
        if (file != NULL)
            fclose(file);
        return false;
    }
    fclose(file);
    struct slice text = slice_trim(slice_from(line, strcspn(line, "\r\n")));
    if (text.len == 0 || text.len > TOKEN_MAX_BYTES) {
        command_failed(call, "%s: the first line is not a token", values->token_file);
        return false;
    }
    *token = arena_copy(&call->arena, text).ptr;
    return true;
}

/* ---- what went wrong ------------------------------------------------------------------------------------------------ */

/* The usual causes get a sentence on what to do. */
static void print_unreachable(struct call *call, const struct target *target, const struct http_answer *answer)
{
    command_failed(call, "could not reach %s: %s", target->shown, answer->error.bytes);
    if (answer->error_number == ENOENT || answer->error_number == ECONNREFUSED)
        fputs(CTL_UNREACHABLE_HINT, stderr);
    if (answer->error_number == EACCES)
        fprintf(stderr, "The socket is open to the user that weir runs as, and to root.\n");
}

static void print_line(bool coloured, enum paint paint, struct slice line)
{
    struct text out = { 0 };
    terminal_add(&out, coloured, paint, line);
    fprintf(stderr, "%s\n", out.bytes != NULL ? out.bytes : "");
    text_fini(&out);
}

/* An error of the API: its message, then every problem of a rejected configuration. */
static void print_refusal(struct call *call, const struct http_answer *answer)
{
    struct text fault = { 0 };
    struct json *document = json_parse(text_slice(&answer->body), &fault);
    const struct json *error = json_get(document, "error");
    struct slice message;
    if (!json_as_string(json_get(error, "message"), &message))
        message = arena_printf(&call->arena, "the answer is status %d without a message", answer->status);
    struct text line = { 0 };
    terminal_add(&line, false, PAINT_NONE, message);
    command_failed(call, "%s", line.bytes);
    text_fini(&line);
    if (answer->status == 401)
        fputs("Use " CTL_TOKEN_HINT ".\n", stderr);
    const struct json *problems = json_get(error, "problems");
    for (size_t i = 0; i < json_count(problems); i++) {
        struct slice problem;
        if (json_as_string(json_at(problems, i), &problem))
            print_line(terminal_has_colour(stderr), PAINT_RED, problem);
    }
    json_destroy(document);
    text_fini(&fault);
}

/* ---- one call ------------------------------------------------------------------------------------------------------- */

static bool send_request(struct call *call, const struct ctl_request *request, const struct target *target,
                         const char *token, struct http_answer *answer)
{
    const struct ctl_values *values = call->values;
    struct http_call http = {
        .unix_path = target->unix_path,
        .url = arena_printf(&call->arena, "%s%s%s", target->base_url, request->path[0] == '/' ? "" : "/api/v1/",
                            request->path)
                   .ptr,
        .method = request->method,
        .token = token,
        .ca_file = values->ca_file,
        .is_insecure = values->is_insecure,
        .json = request->json != NULL ? text_slice(request->json) : SLICE_NONE,
        /* Longer than the server holds the reply of a write, which is until every worker uses it. */
        .timeout_ms = values->timeout_ms > 0 ? values->timeout_ms : 30 * 1000,
        .on_bytes = request->on_bytes,
        .arg = request->arg,
    };
    return http_client_call(&http, answer);
}

/* A newer instance may have other answers. Guessing what they mean could call a failure a success. */
static enum command_status finish(struct call *call, enum ctl_verdict verdict, const struct text *fault)
{
    switch (verdict) {
    case CTL_SHOWN:
        return COMMAND_OK;
    case CTL_BAD_NEWS:
        return COMMAND_FAILED;
    case CTL_UNKNOWN:
        break;
    }
    return command_failed(call, "the answer is not what this version of weir knows%s%s", fault->len > 0 ? ": " : "",
                          fault->len > 0 ? fault->bytes : "");
}

/* With --json the topic is still asked for its verdict: exit statuses do not depend on how things are shown. */
static enum command_status show_good(struct call *call, const struct http_answer *answer, ctl_print_fn *print)
{
    const struct ctl_values *values = call->values;
    struct text fault = { 0 }, out = { 0 };
    struct json *document = json_parse(text_slice(&answer->body), &fault);
    enum ctl_verdict verdict = CTL_UNKNOWN;
    if (document != NULL)
        verdict = print(call, document, terminal_has_colour(stdout), &out);
    if (!values->is_json && verdict != CTL_UNKNOWN)
        fwrite(text_slice(&out).ptr, 1, out.len, stdout);
    enum command_status status = finish(call, verdict, &fault);
    json_destroy(document);
    text_fini(&fault);
    text_fini(&out);
    return status;
}

static enum command_status show_answer(struct call *call, const struct http_answer *answer, ctl_print_fn *print)
{
    const struct ctl_values *values = call->values;
    struct slice body = text_slice(&answer->body);
    /* Before anything is looked into: what this version does not understand, the reader may. */
    if (values->is_json && !values->is_quiet) {
        fwrite(body.ptr, 1, body.len, stdout);
        if (!slice_has_suffix(body, SLICE("\n")))
            putchar('\n');
    }
    if (answer->status >= 200 && answer->status < 300)
        return show_good(call, answer, print);
    if (!values->is_json && !values->is_quiet)
        print_refusal(call, answer);
    return COMMAND_FAILED;
}

/* COMMAND_OK: *is_answered, and the answer, which is the caller's to free, hold what came of it. Else nothing was sent. */
static enum command_status ask(struct call *call, const struct ctl_request *request, struct target *target,
                               struct http_answer *answer, bool *is_answered)
{
    const char *token;
    if (!find_target(call, target))
        return COMMAND_USAGE;
    if (!read_token(call, &token))
        return COMMAND_FAILED;
    *is_answered = send_request(call, request, target, token, answer);
    return COMMAND_OK;
}

enum command_status ctl_show(struct call *call, const struct ctl_request *request, ctl_print_fn *print)
{
    struct ctl_values *values = call->values;
    struct target target;
    struct http_answer answer;
    bool is_answered;
    enum command_status status = ask(call, request, &target, &answer, &is_answered);
    if (status != COMMAND_OK)
        return status;
    status = COMMAND_FAILED;
    values->answer_status = is_answered ? answer.status : 0;
    if (is_answered)
        status = show_answer(call, &answer, print);
    else if (!values->is_quiet)
        print_unreachable(call, &target, &answer);
    http_answer_fini(&answer);
    return status;
}

enum command_status ctl_fetch(struct call *call, const char *path, struct text *body, struct text *problem)
{
    struct ctl_request request = { .method = "GET", .path = path };
    struct target target;
    struct http_answer answer;
    bool is_answered;
    enum command_status status = ask(call, &request, &target, &answer, &is_answered);
    if (status != COMMAND_OK)
        return status;
    bool is_good = is_answered && answer.status >= 200 && answer.status < 300;
    if (is_good)
        text_add(body, text_slice(&answer.body));
    else if (is_answered)
        text_printf(problem, "%s answers with status %d%s", target.shown, answer.status,
                    answer.status == 401 ? "; use " CTL_TOKEN_HINT : "");
    else
        text_printf(problem, "could not reach %s: %s", target.shown, answer.error.bytes);
    http_answer_fini(&answer);
    return is_good ? COMMAND_OK : COMMAND_FAILED;
}

enum command_status ctl_show_document(struct call *call, const struct json *answer, ctl_print_fn *print)
{
    const struct ctl_values *values = call->values;
    struct text out = { 0 }, raw = { 0 };
    enum ctl_verdict verdict = print(call, answer, terminal_has_colour(stdout), &out);
    json_write_pretty(answer, &raw);
    struct slice shown = values->is_json ? text_slice(&raw) : text_slice(&out);
    fwrite(shown.ptr, 1, shown.len, stdout);
    enum command_status status = finish(call, verdict, &(struct text){ 0 });
    text_fini(&out);
    text_fini(&raw);
    return status;
}

/* ---- a stream of events ---------------------------------------------------------------------------------------------- */

#define EVENT_MAX_BYTES                                                                                                \
    (1024u * 1024) /* of what has not ended with a line yet: beyond it, no weir is at the other end */

struct follower {
    struct call *call;
    ctl_event_fn *on_event;
    struct text rest; /* of a line that has not ended yet */
};

/* Of the lines of an event only its data matters here: our server writes each on one line (admin/follow.c). */
static bool follow_line(struct follower *f, struct slice line)
{
    if (!slice_has_prefix(line, SLICE("data: ")))
        return true;
    return f->on_event(f->call, slice_after(line, strlen("data: ")));
}

static bool on_stream(void *arg, struct slice bytes)
{
    struct follower *f = arg;
    bool is_wanted = true;
    while (bytes.len > 0 && is_wanted && f->rest.len <= EVENT_MAX_BYTES) {
        size_t end = slice_find(bytes, '\n');
        text_add(&f->rest, slice_first(bytes, end));
        if (end < bytes.len) {
            is_wanted = follow_line(f, text_slice(&f->rest));
            text_clear(&f->rest);
        }
        bytes = slice_after(bytes, end + 1);
    }
    return is_wanted && f->rest.len <= EVENT_MAX_BYTES;
}

enum command_status ctl_follow(struct call *call, const struct ctl_request *request, ctl_event_fn *on_event)
{
    struct target target;
    struct http_answer answer;
    bool is_answered;
    struct follower follower = { .call = call, .on_event = on_event };
    struct ctl_request streamed = *request;
    streamed.on_bytes = on_stream;
    streamed.arg = &follower;
    enum command_status status = ask(call, &streamed, &target, &answer, &is_answered);
    if (status != COMMAND_OK)
        return status;
    if (!is_answered)
        print_unreachable(call, &target, &answer);
    else if (answer.status >= 200 && answer.status < 300)
        command_failed(call, "the stream of %s has ended", target.shown);
    else
        print_refusal(call, &answer);
    http_answer_fini(&answer);
    text_fini(&follower.rest);
    return COMMAND_FAILED;
}

/* ---- for the topics -------------------------------------------------------------------------------------------------- */

/* All but the unreserved characters of RFC 3986 2.3: a "/" or "?" in a name stays in its segment. */
void ctl_add_segment(struct text *path, const char *segment)
{
    for (; *segment != '\0'; segment++) {
        unsigned char c = (unsigned char)*segment;
        bool is_plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL;
        if (is_plain)
            text_add_char(path, (char)c);
        else
            text_printf(path, "%%%02X", c);
    }
}

void ctl_open_body(struct call *call, struct text *json)
{
    const struct ctl_values *values = call->values;
    text_add_cstr(json, "{\"reason\":\"");
    text_add_json(json, slice_from_cstr(values->reason ? values->reason : DEFAULT_REASON));
    text_add_cstr(json, "\"");
}

const char *ctl_text(struct call *call, const struct json *object, const char *key)
{
    struct slice text;
    if (!json_as_string(json_get(object, key), &text))
        return "";
    return arena_copy(&call->arena, text).ptr;
}

enum ctl_verdict ctl_note_state(struct call *call, const struct json *object)
{
    struct ctl_values *values = call->values;
    values->state = ctl_text(call, object, "state");
    return values->state[0] != '\0' ? CTL_SHOWN : CTL_UNKNOWN;
}

int64_t ctl_integer(const struct json *object, const char *key)
{
    int64_t number = 0;
    json_as_i64(json_get(object, key), &number);
    return number;
}

double ctl_real(const struct json *object, const char *key)
{
    double value = 0;
    json_as_real(json_get(object, key), &value);
    return value;
}

bool ctl_flag(const struct json *object, const char *key)
{
    bool flag = false;
    json_as_bool(json_get(object, key), &flag);
    return flag;
}
