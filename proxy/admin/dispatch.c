/* admin/dispatch.c - finds the row of a request, checks who asks and why, and runs its handler.
 *
 * The order of the checks is a rule of its own, since each answer tells something:
 *
 *   public row        handler                     /healthz needs nobody's name
 *   who asks          401                         before 404: strangers learn nothing about which paths exist
 *   row               404, or 405 with Allow      RFC 9110 15.5.6
 *   host              403 foreign_host            DNS rebinding: a page's own name may lead to 127.0.0.1
 *   role              403
 *   path parameters   400
 *   body and reason   400                         writes only; handlers find both checked
 *
 * Every way out leaves exactly one reply. A handler that changes something writes its audit line first (call_audit). */
#include "admin/dispatch.h"

#include "base/log.h"

#include <string.h>

/* Takes the next segment off a path that starts with '/'. */
static struct slice segment_take(struct slice *path)
{
    struct slice rest = slice_after(*path, 1);
    struct slice segment = slice_first(rest, slice_find(rest, '/'));
    *path = slice_after(rest, segment.len);
    return segment;
}

/* Segment by segment, and parameters are decoded later: "%2F" in a name does not make two segments of it. */
bool endpoint_matches(const struct endpoint_row *row, struct slice path, struct slice params[CALL_PARAMS_MAX])
{
    struct slice pattern = slice_from_cstr(row->path);
    size_t param_count = 0;
    while (pattern.len > 0 && path.len > 0) {
        struct slice wanted = segment_take(&pattern), segment = segment_take(&path);
        if (wanted.len > 0 && wanted.ptr[0] == '{') {
            if (segment.len == 0)
                return false;
            CHECK(param_count < CALL_PARAMS_MAX);
            params[param_count++] = segment;
        } else if (!slice_equal(wanted, segment)) {
            return false;
        }
    }
    return pattern.len == 0 && path.len == 0;
}

static bool method_fits(const struct endpoint_row *row, const struct message *request)
{
    return slice_equal(slice_from_cstr(row->method), request->method_name) ||
           (request->method == METHOD_HEAD && strcmp(row->method, "GET") == 0);
}

/* "GET, HEAD, PUT" of all rows with this path, in the arena. */
static const char *allowed_methods(struct admin_call *call)
{
    struct slice params[CALL_PARAMS_MAX], list = SLICE("");
    for (size_t i = 0; i < endpoint_row_count; i++) {
        const struct endpoint_row *row = &endpoint_rows[i];
        if (endpoint_matches(row, call->request->path, params))
            list = arena_printf(call->arena, "%.*s%s%s%s", SLICE_ARG(list), list.len ? ", " : "", row->method,
                                strcmp(row->method, "GET") == 0 ? ", HEAD" : "");
    }
    return list.ptr;
}

/* NULL, with a 404 or 405 in the reply, when there is none. */
static const struct endpoint_row *row_find(struct admin_call *call)
{
    for (size_t i = 0; i < endpoint_row_count; i++)
        if (method_fits(&endpoint_rows[i], call->request) &&
            endpoint_matches(&endpoint_rows[i], call->request->path, call->params))
            return &endpoint_rows[i];
    const char *allow = allowed_methods(call);
    if (allow[0] == '\0') {
        reply_error(call->reply, 404, "not_found", "there is nothing at %.*s", SLICE_ARG(call->request->path));
        return NULL;
    }
    call->reply->allow = allow;
    reply_error(call->reply, 405, "method_not_allowed", "%.*s is not possible here, but %s",
                SLICE_ARG(call->request->method_name), allow);
    return NULL;
}

static bool is_public(const struct endpoint_row *row, const struct admin_config *config)
{
    return row->access == ACCESS_PUBLIC || (row->access == ACCESS_METRICS && config->is_metrics_public);
}

static void refuse_stranger(struct admin_call *call, enum auth_verdict verdict)
{
    call->reply->wants_authentication = true;
    call->reply->allow = NULL;
    if (verdict == AUTH_ABSENT) {
        reply_error(call->reply, 401, "unauthenticated", "a token is needed: Authorization: Bearer TOKEN");
    } else {
        log_warn("admin: %.*s %.*s with a token that is nobody's", SLICE_ARG(call->request->method_name),
                 SLICE_ARG(call->request->path));
        reply_error(call->reply, 401, "bad_token", "the token is not one of admin.tokens");
    }
}

/* A browser can be led to send requests here, by a name of the attacker that resolves to this machine; the Host then is that name. With
   tokens the browser has none to send, so names are no danger, and a reverse proxy's own name may be used. */
static bool host_check(struct admin_call *call, const struct admin_config *config, bool is_unix)
{
    if (is_unix || config->token_count > 0 || auth_host_is_local(call->request))
        return true;
    reply_error(call->reply, 403, "foreign_host",
                "without admin.tokens the API answers to addresses and localhost, not to the name %.*s",
                SLICE_ARG(call->request->authority));
    return false;
}

/* Without tokens, TCP is read-only: design.md, "Who asks". */
static bool role_check(struct admin_call *call, const struct admin_config *config, const struct endpoint_row *row,
                       bool is_unix)
{
    if (auth_allows(&call->actor, row->role))
        return true;
    if (!is_unix && config->token_count == 0)
        reply_error(call->reply, 403, "read_only", "without admin.tokens only the UNIX socket can change anything");
    else
        reply_error(call->reply, 403, "forbidden", "%.*s is %s; this needs %s", SLICE_ARG(call->actor.who),
                    role_names[call->actor.role], role_names[row->role]);
    return false;
}

static bool has_lines(const struct admin_call *call, const struct endpoint_row *row)
{
    const struct field *type = message_field(call->request, FIELD_CONTENT_TYPE);
    return row->takes_lines && type != NULL && slice_has_prefix(type->value, SLICE("application/x-ndjson"));
}

/* The body, when there is one, is a JSON object. *document is the caller's to destroy, also on false; call->body borrows it. */
static bool body_read(struct admin_call *call, struct slice bytes, struct json **document)
{
    struct text fault;
    *document = NULL;
    if (slice_trim(bytes).len == 0)
        return true;
    text_init(&fault);
    *document = json_parse(bytes, &fault);
    if (*document == NULL)
        reply_error(call->reply, 400, "bad_json", "the body is not JSON: %s", fault.bytes);
    else if (json_kind(*document) != JSON_KIND_OBJECT)
        reply_error(call->reply, 400, "bad_json", "the body is not a JSON object");
    text_fini(&fault);
    call->body = *document;
    return json_kind(*document) == JSON_KIND_OBJECT;
}

/* One line of text: it is shown in lines, by people's terminals and by what reads the audit log line by line. C1 controls are
   U+0080 to U+009F, C2 80 to C2 9F in UTF-8. */
static bool is_line_of_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0))
            return false;
    }
    return text_is_utf8(s);
}

/* The body's counts, and a body that has none may have it in the query. Trimmed: blanks are no reason. */
static bool reason_read(struct admin_call *call)
{
    struct slice reason = SLICE_NONE;
    if (!json_as_string(json_get(call->body, "reason"), &reason))
        call_argument(call, "reason", &reason);
    call->reason = slice_trim(reason);
    if (call->reason.len > 0 && call->reason.len <= CALL_REASON_BYTES && is_line_of_text(call->reason))
        return true;
    if (call->reason.len == 0)
        reply_error(call->reply, 400, "reason_missing",
                    "a change needs a reason, as \"reason\" in the body or ?reason=");
    else if (call->reason.len > CALL_REASON_BYTES)
        reply_error(call->reply, 400, "reason_too_long", "the reason is longer than %d bytes", CALL_REASON_BYTES);
    else
        reply_error(call->reply, 400, "bad_reason", "the reason is not one line of UTF-8 without control characters");
    return false;
}

static bool params_decode(struct admin_call *call)
{
    for (size_t i = 0; i < CALL_PARAMS_MAX; i++)
        if (!percent_decode(call->params[i], call->arena, &call->params[i])) {
            reply_error(call->reply, 400, "bad_path", "the path has a broken %%-sequence");
            return false;
        }
    return true;
}

static void row_run(struct admin_call *call, const struct endpoint_row *row, struct slice body)
{
    struct json *document = NULL;
    bool is_write = strcmp(row->method, "GET") != 0;
    call->lines = has_lines(call, row) ? body : SLICE_NONE;
    if (call->lines.len > 0)
        body = SLICE_NONE;
    if (params_decode(call) && (!is_write || (body_read(call, body, &document) && reason_read(call))))
        row->run(call);
    call->body = NULL;
    json_destroy(document);
}

void dispatch(struct admin_call *call, const struct admin_config *config, const struct actor *unix_actor,
              struct slice body)
{
    enum auth_verdict verdict = AUTH_KNOWN;
    if (unix_actor != NULL)
        call->actor = *unix_actor;
    else
        verdict = auth_tcp_request(config, call->request, &call->actor);
    const struct endpoint_row *row = row_find(call);
    if (row != NULL && is_public(row, config)) {
        row->run(call);
        return;
    }
    /* Strangers learn nothing about which paths exist. */
    if (verdict != AUTH_KNOWN) {
        refuse_stranger(call, verdict);
        return;
    }
    bool is_unix = unix_actor != NULL;
    if (row != NULL && host_check(call, config, is_unix) && role_check(call, config, row, is_unix))
        row_run(call, row, body);
}
