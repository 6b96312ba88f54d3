/* shadow/diffs.c - the newest pairs of a shadow that differ, as documents of JSON, redacted before they are kept. */
#include "shadow/diffs.h"

#include "base/memory.h"

#include <string.h>

const char *const pair_side_names[PAIR_SIDE_COUNT] = { "primary", "shadow", "control" };

/* ---- the request ----------------------------------------------------------------------------------------------------- */

static void put_headers(struct json *request, const struct compare_plan *plan, const struct pair *p)
{
    struct json *headers = json_put_array(request, "headers");
    struct slice name, value;
    struct text shown = { 0 };
    size_t bytes = 0;
    for (uint32_t cursor = 0; pair_next_field(p, &p->request.head, &cursor, &name, &value);) {
        bytes += name.len + value.len;
        if (bytes > DIFF_HEADERS_BYTES)
            break;
        struct json *line = json_push_object(headers);
        text_clear(&shown);
        redact_write_header(plan->redact, name, value, &shown);
        json_put_string(line, "name", name);
        json_put_string(line, "value", text_slice(&shown));
    }
    text_fini(&shown);
}

/* Only what can be redacted is kept; of all else the length is. */
static void put_body(struct json *request, const struct compare_plan *plan, const struct pair *p)
{
    const struct pair_body *body = &p->request.body;
    struct text scratch = { 0 }, text = { 0 };
    struct json_step steps[JSON_MAX_DEPTH + 2];
    struct json *parsed = NULL;
    json_put_u64(request, "body_bytes", body->total_bytes);
    if (body->total_bytes > 0 && pair_body_is_kept(body))
        parsed = json_parse(pair_body(p, body, &scratch), &text);
    text_clear(&text);
    if (parsed != NULL)
        redact_write_json(plan->redact, parsed, steps, 0, DIFF_BODY_BYTES, &text);
    if (parsed != NULL)
        json_put_string(request, "body", text_slice(&text));
    else
        json_put_null(request, "body");
    json_destroy(parsed);
    text_fini(&scratch);
    text_fini(&text);
}

static void put_request(struct json *root, const struct compare_plan *plan, const struct pair *p)
{
    struct json *request = json_put_object(root, "request");
    struct text target = { 0 };
    redact_write_target(plan->redact, pair_text(p, p->request.target), &target);
    text_cut(&target, DIFF_TARGET_BYTES);
    json_put_string(request, "method", pair_text(p, p->request.method));
    json_put_string(request, "host", pair_text(p, p->request.host));
    json_put_string(request, "target", text_slice(&target));
    put_headers(request, plan, p);
    put_body(request, plan, p);
    text_fini(&target);
}

/* ---- answers and differences ------------------------------------------------------------------------------------------- */

static void put_answer(struct json *root, const struct pair *p, enum pair_side side, struct slice upstream)
{
    const struct pair_answer *a = &p->answers[side];
    if (a->outcome == PAIR_ABSENT) {
        json_put_null(root, pair_side_names[side]);
        return;
    }
    struct json *answer = json_put_object(root, pair_side_names[side]);
    json_put_string(answer, "upstream", upstream);
    json_put_u64(answer, "status", a->status);
    json_put_cstr(answer, "reason", a->outcome == PAIR_FAILED ? reason_rows[a->reason].code : NULL);
    json_put_real(answer, "latency_ms", (double)a->latency_us / 1000);
    json_put_u64(answer, "body_bytes", a->body.total_bytes);
}

static void put_value(struct json *object, enum pair_side side, const struct difference *d)
{
    struct slice value = d->values[side];
    if (side != PAIR_PRIMARY && !d->is_different[side])
        value = d->is_checked || side == PAIR_SHADOW ? d->values[PAIR_PRIMARY] : SLICE_NONE;
    if (value.ptr != NULL)
        json_put_string(object, pair_side_names[side], value);
    else
        json_put_null(object, pair_side_names[side]);
}

static void put_difference(struct json *list, const struct difference *d, struct noise *noise)
{
    const struct noise_field *field = &noise->fields[noise_field_id(noise, d->field)];
    struct json *object = json_push_object(list);
    json_put_string(object, "field", d->field);
    json_put_string(object, "place", d->place);
    json_put_cstr(object, "verdict", verdict_names[noise_field_verdict(noise, field)]);
    json_put_bool(object, "settled", noise_field_is_settled(noise, field));
    json_put_bool(object, "control_differs", d->is_different[PAIR_CONTROL]);
    for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
        put_value(object, (enum pair_side)side, d);
}

static void put_differences(struct json *root, const struct comparison *c, struct noise *noise)
{
    struct json *list = json_put_array(root, "differences");
    uint32_t total = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        if (!c->items[i].is_different[PAIR_SHADOW])
            continue;
        if (total++ < DIFF_FIELDS_MAX)
            put_difference(list, &c->items[i], noise);
    }
    json_put_u64(root, "difference_count", total);
}

static void put_pair(struct json *root, const struct compare_plan *plan, const struct pair *p, enum verdict verdict)
{
    char at[25];
    const struct pair_run upstreams[] = { p->primary, p->upstream, p->control };
    wall_format(p->begun, at);
    json_put_cstr(root, "at", at);
    json_put_cstr(root, "verdict", verdict_names[verdict]);
    put_request(root, plan, p);
    for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
        put_answer(root, p, (enum pair_side)side, pair_text(p, upstreams[side]));
}

/* ---- the ring ---------------------------------------------------------------------------------------------------------- */

static void drop_oldest(struct diffs *d)
{
    d->bytes -= d->items[d->first].len;
    memory_free(d->items[d->first].bytes);
    d->first = (d->first + 1) % DIFFS_MAX;
    d->count--;
}

void diffs_fini(struct diffs *d)
{
    while (d->count > 0)
        drop_oldest(d);
}

static void ring_put(struct diffs *d, struct slice document)
{
    if (document.len > DIFF_BYTES_MAX)
        return;
    while (d->count == DIFFS_MAX || d->bytes + document.len > DIFFS_BYTES_MAX)
        drop_oldest(d);
    uint32_t at = (d->first + d->count++) % DIFFS_MAX;
    d->items[at].bytes = memory_alloc(document.len);
    d->items[at].len = document.len;
    memcpy(d->items[at].bytes, document.ptr, document.len);
    d->bytes += document.len;
}

void diffs_add(struct diffs *d, const struct compare_plan *plan, const struct pair *p, const struct comparison *c,
               struct noise *noise, enum verdict verdict)
{
    struct text document = { 0 };
    struct json *root = json_create_object();
    put_pair(root, plan, p, verdict);
    put_differences(root, c, noise);
    json_write(root, &document);
    json_destroy(root);
    ring_put(d, text_slice(&document));
    text_fini(&document);
}

void diffs_write(const struct diffs *d, struct json *array)
{
    struct text error = { 0 };
    for (uint32_t i = d->count; i-- > 0;) {
        uint32_t at = (d->first + i) % DIFFS_MAX;
        struct json *document = json_parse(slice_from(d->items[at].bytes, d->items[at].len), &error);
        CHECK(document != NULL); /* we wrote it */
        json_push(array, document);
    }
    text_fini(&error);
}
