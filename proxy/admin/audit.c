/* admin/audit.c - GET /api/v1/audit and its verification.
 *
 * Newest first, in pages: `next_before` is the ?before= of the next one, null at the end. Lines are written elsewhere, before
 * each deed (call_audit); nothing here changes any. */
#include "store/audit.h"

#include "admin/dispatch.h"

static void put_line(struct json *object, const struct audit_line *line)
{
    json_put_i64(object, "id", line->id);
    json_put_time(object, "at", line->at);
    json_put_string(object, "who", line->who);
    json_put_string(object, "role", line->role);
    json_put_string(object, "action", line->action);
    json_put_string(object, "target", line->target);
    json_put_string(object, "reason", line->reason);
    put_optional(object, "detail", line->detail); /* as text: what was hashed */
    json_put_string(object, "hash", line->hash);
}

void api_audit(struct admin_call *call)
{
    uint64_t before = 0, limit;
    struct audit_line *lines;
    size_t count;
    if (!call_number(call, "before", 1, INT64_MAX, &before) || !call_limit(call, &limit))
        return;
    if (!audit_list(call->control->store, call->arena, (int64_t)before, limit, &lines, &count)) {
        reply_unreadable(call, "the audit log");
        return;
    }
    struct json *root = json_create_object();
    struct json *list = json_put_array(root, "lines");
    for (size_t i = 0; i < count; i++)
        put_line(json_push_object(list), &lines[i]);
    if (count == limit && lines[count - 1].id > 1)
        json_put_i64(root, "next_before", lines[count - 1].id);
    else
        json_put_null(root, "next_before");
    reply_json(call->reply, 200, root);
}

void api_audit_verify(struct admin_call *call)
{
    struct audit_verdict verdict;
    if (!audit_verify(call->control->store, &verdict)) {
        reply_unreadable(call, "the audit log");
        return;
    }
    struct json *root = json_create_object();
    json_put_bool(root, "ok", verdict.bad_id == 0);
    json_put_i64(root, "checked", verdict.checked_count);
    put_optional(root, "newest_hash", slice_from_cstr(verdict.newest_hash));
    if (verdict.bad_id != 0) {
        json_put_i64(root, "bad_id", verdict.bad_id);
        json_put_cstr(root, "why", verdict.why);
    }
    reply_json(call->reply, 200, root);
}
