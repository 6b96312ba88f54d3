/* admin/outcomes.c - POST /api/v1/outcomes: what came of requests, told afterwards by those who know.
 *
 * Three forms of a body: one outcome, { "outcomes": [ ... ] }, and one outcome a line (application/x-ndjson, with the reason in
 * the query). All of a call is counted, or none. */
#include "admin/dispatch.h"

#define ITEMS_MAX   1000
#define EVENT_BYTES 256
#define ID_BYTES    128
#define NAME_BYTES  256
#define KEY_BYTES   4096
#define COUNT_MAX   1000000

/* What was read so far. */
struct outcome_list {
    struct outcome_item *items; /* in the arena */
    size_t count;
};

static bool refuse(struct admin_call *call, size_t index, const char *what)
{
    reply_error(call->reply, 400, "bad_outcome", "outcome %zu: %s", index + 1, what);
    return false;
}

static bool text_read(struct admin_call *call, const struct json *object, size_t index, const char *key, size_t most,
                      struct slice *out)
{
    const struct json *value = json_get(object, key);
    if (value == NULL)
        return true;
    if (json_as_string(value, out) && out->len > 0 && out->len <= most) {
        *out = arena_copy(call->arena, *out);
        return true;
    }
    return refuse(call, index, arena_printf(call->arena, "\"%s\" is not a text of 1 to %zu bytes", key, most).ptr);
}

static bool count_read(struct admin_call *call, const struct json *object, size_t index, struct outcome_item *item)
{
    const struct json *value = json_get(object, "count");
    int64_t count = 1;
    if (value != NULL && (!json_as_i64(value, &count) || count < 1 || count > COUNT_MAX))
        return refuse(call, index, "\"count\" is not a whole number from 1 to 1000000");
    item->count = (uint64_t)count;
    return true;
}

static bool time_read(struct admin_call *call, const struct json *object, size_t index, struct outcome_item *item)
{
    struct slice at = SLICE_NONE;
    if (!text_read(call, object, index, "at", 64, &at))
        return false;
    return at.len == 0 || wall_parse(at.ptr, at.len, &item->at) ||
           refuse(call, index, "\"at\" is not a time such as 2026-11-23T21:45:13Z");
}

static bool item_read(struct admin_call *call, const struct json *object, size_t index, struct outcome_item *item)
{
    *item = (struct outcome_item){ .count = 1 };
    if (json_kind(object) != JSON_KIND_OBJECT)
        return refuse(call, index, "is not an object");
    if (!text_read(call, object, index, "event", EVENT_BYTES, &item->event) ||
        !text_read(call, object, index, "id", ID_BYTES, &item->id) ||
        !text_read(call, object, index, "exposure", NAME_BYTES, &item->exposure) ||
        !text_read(call, object, index, "rollout", NAME_BYTES, &item->rollout) ||
        !text_read(call, object, index, "route", NAME_BYTES, &item->route) ||
        !text_read(call, object, index, "upstream", NAME_BYTES, &item->upstream) ||
        !text_read(call, object, index, "key", KEY_BYTES, &item->key) || !count_read(call, object, index, item) ||
        !time_read(call, object, index, item))
        return false;
    if (item->event.len == 0)
        return refuse(call, index, "\"event\" is missing");
    if (item->exposure.len + item->rollout.len + item->route.len == 0)
        return refuse(call, index, "says neither its \"exposure\" nor a \"rollout\" or \"route\"");
    return true;
}

static bool too_many(struct admin_call *call)
{
    reply_error(call->reply, 413, "too_many", "a call tells at most %d outcomes", ITEMS_MAX);
    return false;
}

static bool lines_read(struct admin_call *call, struct outcome_list *list)
{
    struct slice rest = call->lines, line;
    while (rest.len > 0) {
        size_t end = slice_find(rest, '\n');
        line = slice_trim(slice_first(rest, end));
        rest = slice_after(rest, end < rest.len ? end + 1 : end);
        if (line.len == 0)
            continue;
        if (list->count == ITEMS_MAX)
            return too_many(call);
        struct text fault = { 0 };
        struct json *object = json_parse(line, &fault);
        bool is_good = item_read(call, object, list->count, &list->items[list->count]);
        list->count++;
        json_destroy(object);
        text_fini(&fault);
        if (!is_good)
            return false;
    }
    return true;
}

static bool array_read(struct admin_call *call, const struct json *array, struct outcome_list *list)
{
    if (json_count(array) > ITEMS_MAX)
        return too_many(call);
    for (; list->count < json_count(array); list->count++)
        if (!item_read(call, json_at(array, list->count), list->count, &list->items[list->count]))
            return false;
    return true;
}

static bool list_read(struct admin_call *call, struct outcome_list *list)
{
    const struct json *array = json_get(call->body, "outcomes");
    list->items = arena_zalloc_array(call->arena, ITEMS_MAX, sizeof *list->items);
    if (call->lines.len > 0)
        return lines_read(call, list);
    if (array != NULL)
        return array_read(call, array, list);
    list->count = 1;
    return item_read(call, call->body, 0, &list->items[0]);
}

void api_outcomes_post(struct admin_call *call)
{
    struct outcome_list list = { 0 };
    struct outcome_summary summary;
    struct outcome_failure failure = { 0 };
    const struct admin_control *control = call->control;
    if (!list_read(call, &list))
        return;
    if (control->outcomes(control->arg, list.items, list.count, &call->actor, call->reason, &summary, &failure)) {
        struct json *root = json_create_object();
        json_put_u64(root, "counted", summary.counted);
        json_put_u64(root, "compared", summary.compared);
        json_put_u64(root, "repeated", summary.repeated);
        json_put_u64(root, "left_out", summary.left_out);
        reply_json(call->reply, 200, root);
    } else {
        reply_error(call->reply, failure.status, failure.code, "outcome %zu: %s", failure.index + 1,
                    failure.message.bytes);
    }
    text_fini(&failure.message);
}
