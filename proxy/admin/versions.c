/* admin/versions.c - GET of the configuration in force and of those before it, and their differences.
 *
 * Secrets of the one in force are known by value and hidden wherever they stand (config_text_masked). Of stored ones only the
 * text is known: there all that looks like a token's digest is hidden (admin/mask.h). */
#include "admin/versions.h"

#include "admin/diff.h"
#include "admin/dispatch.h"
#include "admin/mask.h"

void api_config(struct admin_call *call)
{
    const struct snapshot *snapshot = call->control->snapshot(call->control->arg);
    struct text masked = { 0 };
    struct json *root = json_create_object();
    json_put_u64(root, "generation", snapshot->generation);
    json_put_string(root, "digest", snapshot->config->digest);
    json_put_string(root, "file", snapshot->config->file);
    config_text_masked(snapshot->config, &masked);
    json_put_string(root, "text", text_slice(&masked));
    text_fini(&masked);
    reply_json(call->reply, 200, root);
}

bool version_required(struct admin_call *call, uint64_t generation, struct version *version, struct slice *text)
{
    bool is_found;
    if (!versions_get(call->control->store, generation, call->arena, version, text, &is_found))
        reply_unreadable(call, "configuration versions");
    else if (!is_found)
        reply_error(call->reply, 404, "no_such_version", "generation %llu is not stored",
                    (unsigned long long)generation);
    else
        return true;
    return false;
}

bool generation_param(struct admin_call *call, uint64_t *generation)
{
    if (slice_to_u64(call->params[0], generation) && *generation <= INT64_MAX)
        return true;
    reply_error(call->reply, 404, "no_such_version", "\"%.*s\" is not a generation", SLICE_ARG(call->params[0]));
    return false;
}

static void put_version(struct json *object, const struct admin_control *control, const struct version *v)
{
    json_put_u64(object, "generation", v->generation);
    json_put_string(object, "digest", v->digest);
    json_put_time(object, "at", v->applied_at);
    json_put_string(object, "source", v->source);
    json_put_string(object, "by", v->applied_by);
    json_put_u64(object, "file_count", v->file_count);
    json_put_u64(object, "text_bytes", v->text_bytes);
    json_put_bool(object, "current", v->generation == control->snapshot(control->arg)->generation);
}

static void reply_list(struct admin_call *call)
{
    struct version *versions;
    size_t count;
    if (!versions_list(call->control->store, call->arena, &versions, &count)) {
        reply_unreadable(call, "configuration versions");
        return;
    }
    struct json *root = json_create_object();
    struct json *list = json_put_array(root, "versions");
    for (size_t i = 0; i < count; i++)
        put_version(json_push_object(list), call->control, &versions[i]);
    reply_json(call->reply, 200, root);
}

static struct slice masked_text(struct arena *arena, struct slice text)
{
    struct text masked = { 0 };
    mask_write(&masked, text);
    struct slice copy = arena_copy(arena, text_slice(&masked));
    text_fini(&masked);
    return copy;
}

/* Two texts that differ only in masked values show no difference, though their digests tell them apart. */
static void reply_diff(struct admin_call *call, uint64_t from, uint64_t to)
{
    struct version a, b;
    struct slice a_text, b_text;
    if (!version_required(call, from, &a, &a_text) || !version_required(call, to, &b, &b_text))
        return;
    struct text diff = { 0 };
    struct slice a_name = arena_printf(call->arena, "generation %llu", (unsigned long long)from);
    struct slice b_name = arena_printf(call->arena, "generation %llu", (unsigned long long)to);
    diff_write(&diff, a_name.ptr, masked_text(call->arena, a_text), b_name.ptr, masked_text(call->arena, b_text));
    struct json *root = json_create_object();
    json_put_u64(root, "from", from);
    json_put_u64(root, "to", to);
    json_put_bool(root, "is_equal", slice_equal(a.digest, b.digest));
    json_put_string(root, "diff", text_slice(&diff));
    text_fini(&diff);
    reply_json(call->reply, 200, root);
}

/* "A..B" */
static bool range_parse(struct slice text, uint64_t *from, uint64_t *to)
{
    size_t dot = slice_find(text, '.');
    struct slice rest = slice_after(text, dot);
    return slice_has_prefix(rest, SLICE("..")) && slice_to_u64(slice_first(text, dot), from) &&
           slice_to_u64(slice_after(rest, 2), to) && *from <= INT64_MAX && *to <= INT64_MAX;
}

void api_versions(struct admin_call *call)
{
    struct slice range;
    uint64_t from, to;
    if (!call_argument(call, "diff", &range))
        reply_list(call);
    else if (range_parse(range, &from, &to))
        reply_diff(call, from, to);
    else
        reply_error(call->reply, 400, "bad_argument", "diff is not A..B, two generations");
}

void api_version(struct admin_call *call)
{
    struct version version;
    struct slice text;
    uint64_t generation;
    if (!generation_param(call, &generation) || !version_required(call, generation, &version, &text))
        return;
    struct json *root = json_create_object();
    put_version(root, call->control, &version);
    json_put_string(root, "text", masked_text(call->arena, text));
    put_optional(root, "changed", version.diff);
    reply_json(call->reply, 200, root);
}
