/* admin/call.c - replies, arguments and the audit line of one API request.
 *
 * Handlers fill in one reply and return; they never touch the connection. A later reply_* replaces an earlier one, so that a
 * failure found late still answers. */
#include "admin/call.h"

#include "admin/auth.h"
#include "base/log.h"
#include "store/deed.h"

#include <stdarg.h>

void reply_init(struct admin_reply *r)
{
    *r = (struct admin_reply){ .status = 500, .content_type = "text/plain" };
}

void reply_fini(struct admin_reply *r)
{
    text_fini(&r->body);
}

void reply_json(struct admin_reply *r, uint16_t status, struct json *document)
{
    r->status = status;
    r->content_type = "application/json";
    text_clear(&r->body);
    json_write_pretty(document, &r->body);
    json_destroy(document);
}

void reply_text(struct admin_reply *r, uint16_t status, const char *text)
{
    r->status = status;
    r->content_type = "text/plain; charset=utf-8";
    text_clear(&r->body);
    text_add_cstr(&r->body, text);
}

/* The error object of a new document, to be filled. */
static struct json *error_create(const char *code, struct slice message, struct json **document)
{
    *document = json_create_object();
    struct json *error = json_put_object(*document, "error");
    json_put_cstr(error, "code", code);
    json_put_string(error, "message", message);
    return error;
}

void reply_error(struct admin_reply *r, uint16_t status, const char *code, const char *format, ...)
{
    struct arena arena;
    struct json *document;
    va_list args;
    arena_init(&arena, NULL, 0);
    va_start(args, format);
    error_create(code, arena_vprintf(&arena, format, args), &document);
    va_end(args);
    reply_json(r, status, document);
    arena_reset(&arena);
}

void reply_problems(struct admin_reply *r, uint16_t status, const char *code, const char *message,
                    const struct slice *problems, size_t problem_count)
{
    struct json *document;
    struct json *error = error_create(code, slice_from_cstr(message), &document);
    struct json *list = json_put_array(error, "problems");
    for (size_t i = 0; i < problem_count; i++)
        json_push_string(list, problems[i]);
    reply_json(r, status, document);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(struct slice raw, struct arena *arena, struct slice *out)
{
    char *to = arena_alloc(arena, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '%') {
            int high = i + 2 < raw.len ? hex_value(raw.ptr[i + 1]) : -1;
            int low = i + 2 < raw.len ? hex_value(raw.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        to[len++] = c;
    }
    to[len] = '\0';
    *out = slice_from(to, len);
    return true;
}

bool call_argument(const struct admin_call *call, const char *name, struct slice *out)
{
    struct slice raw;
    return query_argument(call->request->query, slice_from_cstr(name), &raw) && percent_decode(raw, call->arena, out);
}

bool call_number(struct admin_call *call, const char *name, uint64_t lowest, uint64_t highest, uint64_t *value)
{
    struct slice text;
    if (!call_argument(call, name, &text))
        return true;
    if (slice_to_u64(text, value) && *value >= lowest && *value <= highest)
        return true;
    reply_error(call->reply, 400, "bad_argument", "%s is not a whole number from %llu to %llu", name,
                (unsigned long long)lowest, (unsigned long long)highest);
    return false;
}

bool call_limit(struct admin_call *call, uint64_t *limit)
{
    *limit = LIST_DEFAULT;
    return call_number(call, "limit", 1, LIST_MAX, limit);
}

/* An object or array of the store's goes in as such; whatever else stands there, as text. */
void put_document(struct json *object, const char *key, struct slice bytes)
{
    struct text fault = { 0 };
    struct json *document = slice_is_empty(bytes) ? NULL : json_parse(bytes, &fault);
    if (document != NULL)
        json_put(object, key, document);
    else
        put_optional(object, key, bytes);
    text_fini(&fault);
}

bool call_deed(struct admin_call *call, struct deed *deed)
{
    struct store *store = call->control->store;
    struct audit_line *line = &deed->audit;
    line->at = clock_wall();
    line->who = call->actor.who;
    line->role = slice_from_cstr(role_names[call->actor.role]);
    line->reason = call->reason;
    if (deed_write(store, deed)) {
        log_info("admin: %.*s %.*s by %.*s: %.*s", SLICE_ARG(line->action), SLICE_ARG(line->target),
                 SLICE_ARG(line->who), SLICE_ARG(line->reason));
        return true;
    }
    log_error("admin: %.*s by %.*s refused: the audit log cannot be written: %s", SLICE_ARG(line->action),
              SLICE_ARG(line->who), store_message(store));
    reply_error(call->reply, 503, "audit_unavailable", "refused, because the audit log cannot be written: %s",
                store_message(store));
    return false;
}

bool call_audit(struct admin_call *call, const char *action, struct slice target, const struct json *detail)
{
    struct text text;
    text_init(&text);
    if (detail != NULL)
        json_write(detail, &text);
    struct deed deed = { .audit = {
                             .action = slice_from_cstr(action), .target = target, .detail = text_slice(&text) } };
    bool is_good = call_deed(call, &deed);
    text_fini(&text);
    return is_good;
}

void reply_no_rollout(struct admin_call *call)
{
    reply_error(call->reply, 404, "no_rollout", "there is no rollout \"%.*s\"", SLICE_ARG(call->params[0]));
}

void reply_not_done(struct admin_call *call, enum rollout_reply reply, const struct text *error)
{
    if (reply == ROLLOUT_REPLY_UNKNOWN)
        reply_no_rollout(call);
    else if (reply == ROLLOUT_REPLY_NOT_STORED)
        reply_error(call->reply, 503, "store_unavailable", "%s", error->bytes);
    else
        reply_error(call->reply, 409, "refused", "%s", error->bytes);
}

void reply_unreadable(struct admin_call *call, const char *what)
{
    reply_error(call->reply, 503, "store_unavailable", "%s cannot be read: %s", what,
                store_message(call->control->store));
}

void put_optional(struct json *object, const char *key, struct slice value)
{
    if (slice_is_empty(value))
        json_put_null(object, key);
    else
        json_put_string(object, key, value);
}
