/* shadow/compare.c - in which fields the answers to one request differ: everything but the inside of JSON. */
#include "shadow/compare.h"

#include "shadow/compare_parts.h"

#include <string.h>

/* What says how or when an answer was made, carried or found, and not what it is; and what follows from the body. */
const struct slice compare_ignored_headers[] = {
    SLICE("age"),           SLICE("alt-svc"),      SLICE("connection"),        SLICE("content-length"),
    SLICE("date"),          SLICE("etag"),         SLICE("expires"),           SLICE("keep-alive"),
    SLICE("last-modified"), SLICE("nel"),          SLICE("proxy-connection"),  SLICE("report-to"),
    SLICE("request-id"),    SLICE("server"),       SLICE("server-timing"),     SLICE("traceparent"),
    SLICE("tracestate"),    SLICE("trailer"),      SLICE("transfer-encoding"), SLICE("upgrade"),
    SLICE("via"),           SLICE("x-powered-by"), SLICE("x-request-id"),      SLICE("x-runtime"),
};
const size_t compare_ignored_header_count = ARRAY_COUNT(compare_ignored_headers);

/* ---- the plan -------------------------------------------------------------------------------------------------------- */

static struct slice_list list_copy(struct arena *arena, const struct slice_list *list)
{
    struct slice_list copy = { arena_zalloc_array(arena, list->count, sizeof *copy.items), list->count };
    for (size_t i = 0; i < list->count; i++)
        copy.items[i] = arena_copy(arena, list->items[i]);
    return copy;
}

static const struct compare_config *config_copy(struct arena *arena, const struct compare_config *config)
{
    struct compare_config *copy = arena_alloc(arena, sizeof *copy);
    *copy = *config;
    copy->control = arena_copy(arena, config->control);
    copy->headers = list_copy(arena, &config->headers);
    copy->ignore_headers = list_copy(arena, &config->ignore_headers);
    return copy;
}

static const struct json_path **paths_parse(struct arena *arena, const struct slice_list *list)
{
    const struct json_path **paths = arena_zalloc_array(arena, list->count, sizeof *paths);
    for (size_t i = 0; i < list->count; i++)
        paths[i] = json_path_parse(arena, list->items[i]);
    return paths;
}

static void plan_keys(struct compare_plan *plan, struct arena *arena, const struct compare_config *config)
{
    plan->keyed_count = config->array_key_count;
    plan->keyed = arena_zalloc_array(arena, plan->keyed_count, sizeof *plan->keyed);
    plan->key_members = arena_zalloc_array(arena, plan->keyed_count, sizeof *plan->key_members);
    for (size_t i = 0; i < plan->keyed_count; i++) {
        plan->keyed[i] = json_path_parse(arena, config->array_keys[i].path);
        plan->key_members[i] = arena_copy(arena, config->array_keys[i].member);
    }
}

const struct compare_plan *compare_plan_build(struct arena *arena, const struct compare_config *config)
{
    struct compare_plan *plan = arena_zalloc(arena, sizeof *plan);
    plan->config = config_copy(arena, config);
    plan->redact = redact_compile(arena, &config->redact);
    plan->ignored = paths_parse(arena, &config->ignore_json);
    plan->ignored_count = config->ignore_json.count;
    plan->unordered = paths_parse(arena, &config->unordered);
    plan->unordered_count = config->unordered.count;
    plan_keys(plan, arena, config);
    return plan;
}

/* ---- what was found -------------------------------------------------------------------------------------------------- */

void comparison_init(struct comparison *c)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, NULL, 0);
    map_init(&c->ids);
}

void comparison_clear(struct comparison *c)
{
    map_fini(&c->ids);
    arena_reset(&c->arena);
    comparison_init(c);
}

/* The last place is for all that find none. */
static struct difference *difference_make(struct comparison *c, struct slice name, enum compare_reach level)
{
    struct difference *d = &c->items[c->count < COMPARE_FIELDS_MAX ? c->count : COMPARE_FIELDS_MAX];
    if (c->count <= COMPARE_FIELDS_MAX) {
        bool is_last = c->count == COMPARE_FIELDS_MAX;
        d->field = is_last ? SLICE("") : arena_copy(&c->arena, name);
        d->level = level;
        c->count++;
        if (!is_last)
            map_put(&c->ids, d->field, d);
    }
    return d;
}

struct difference *comparison_mark(struct comparison *c, struct slice name, enum compare_reach level,
                                   enum pair_side side)
{
    struct difference *d = map_get(&c->ids, name);
    if (d == NULL)
        d = difference_make(c, name, level);
    d->is_different[side] = true;
    return d;
}

/* A difference in a field that has one place only; absent values have ptr NULL. */
static void mark_simple(struct comparison *c, const char *field, enum compare_reach level, enum pair_side side,
                        struct slice primary, struct slice other)
{
    struct difference *d = comparison_mark(c, slice_from_cstr(field), level, side);
    d->place = d->field;
    d->values[PAIR_PRIMARY] = primary.ptr != NULL ? arena_copy(&c->arena, primary) : SLICE_NONE;
    d->values[side] = other.ptr != NULL ? arena_copy(&c->arena, other) : SLICE_NONE;
}

/* ---- headers --------------------------------------------------------------------------------------------------------- */

static bool list_has(const struct slice *items, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(items[i], name))
            return true;
    return false;
}

bool compare_wants_header(const struct compare_plan *plan, struct slice name)
{
    const struct compare_config *config = plan->config;
    if (list_has(config->ignore_headers.items, config->ignore_headers.count, name))
        return false;
    if (config->headers.count > 0)
        return list_has(config->headers.items, config->headers.count, name);
    return !list_has(compare_ignored_headers, compare_ignored_header_count, name);
}

/* "sid=8f2...; Path=/; Expires=..." is "sid; Path=/": a session's id, and until when it lives, are new each time. */
static void add_cookie(struct text *out, struct slice value)
{
    struct slice rest = value, part;
    bool is_first = true;
    while (slice_next_item(&rest, ';', &part)) {
        struct slice name = slice_trim(slice_first(part, slice_find(part, '=')));
        if (!is_first && slice_equal_nocase(name, SLICE("expires")))
            continue;
        text_add_cstr(out, is_first ? "" : "; ");
        text_add(out, is_first ? name : part);
        is_first = false;
    }
}

/* All lines of a name, put together; false when there is none. */
static bool header_value(const struct pair *p, const struct pair_answer *a, struct slice name, struct text *out)
{
    struct slice found, value;
    bool is_there = false;
    text_clear(out);
    for (uint32_t cursor = 0; pair_next_field(p, &a->head, &cursor, &found, &value);) {
        if (!slice_equal_nocase(found, name))
            continue;
        text_add_cstr(out, is_there ? ", " : "");
        if (slice_equal_nocase(name, SLICE("set-cookie")))
            add_cookie(out, value);
        else
            text_add(out, value);
        is_there = true;
    }
    return is_there;
}

struct header_texts {
    struct text name, primary, other, shown;
};

/* A copy: both sides are shown. */
static struct slice shown_header(const struct compare_plan *plan, struct slice name, bool is_there,
                                 const struct text *value, struct header_texts *t, struct comparison *out)
{
    if (!is_there)
        return SLICE_NONE;
    text_clear(&t->shown);
    redact_write_header(plan->redact, name, text_slice(value), &t->shown);
    return arena_copy(&out->arena, slice_first(text_slice(&t->shown), COMPARE_VALUE_BYTES));
}

static void compare_header(const struct compare_plan *plan, const struct pair *p, enum pair_side side,
                           struct slice name, struct header_texts *t, struct comparison *out)
{
    bool in_primary = header_value(p, &p->answers[PAIR_PRIMARY], name, &t->primary);
    bool in_other = header_value(p, &p->answers[side], name, &t->other);
    if (in_primary == in_other && slice_equal(text_slice(&t->primary), text_slice(&t->other)))
        return;
    text_clear(&t->name);
    text_add_cstr(&t->name, "header:");
    for (size_t i = 0; i < name.len && i < COMPARE_NAME_BYTES; i++)
        text_add_char(&t->name, (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20 : name.ptr[i]));
    mark_simple(out, t->name.bytes, REACH_BODY, side, shown_header(plan, name, in_primary, &t->primary, t, out),
                shown_header(plan, name, in_other, &t->other, t, out));
}

/* A name that stands on several lines is met several times, with the same result. */
static void compare_headers(const struct compare_plan *plan, const struct pair *p, enum pair_side side,
                            struct comparison *out)
{
    const struct pair_head *heads[] = { &p->answers[PAIR_PRIMARY].head, &p->answers[side].head };
    struct header_texts texts = { 0 };
    struct slice name, value;
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++)
        for (uint32_t cursor = 0; pair_next_field(p, heads[i], &cursor, &name, &value);)
            if (compare_wants_header(plan, name))
                compare_header(plan, p, side, name, &texts, out);
    text_fini(&texts.name);
    text_fini(&texts.primary);
    text_fini(&texts.other);
    text_fini(&texts.shown);
}

/* ---- bodies ---------------------------------------------------------------------------------------------------------- */

static bool is_json_type(struct slice type)
{
    struct slice essence = slice_trim(slice_first(type, slice_find(type, ';')));
    struct slice suffix = essence.len >= 5 ? slice_after(essence, essence.len - 5) : SLICE_NONE;
    return slice_equal_nocase(essence, SLICE("application/json")) || slice_equal_nocase(essence, SLICE("text/json")) ||
           slice_equal_nocase(suffix, SLICE("+json"));
}

static bool is_json_answer(const struct pair *p, const struct pair_answer *a)
{
    struct slice coding = pair_field(p, &a->head, SLICE("content-encoding"));
    bool is_plain = coding.len == 0 || slice_equal_nocase(coding, SLICE("identity"));
    return is_plain && !a->head.is_cut && a->body.kept_bytes > 0 && pair_body_is_kept(&a->body) &&
           is_json_type(pair_field(p, &a->head, SLICE("content-type")));
}

/* NULL when it is none, or none that can be compared. */
static struct json *answer_parse(const struct pair *p, const struct pair_answer *a)
{
    struct text scratch = { 0 }, error = { 0 };
    struct json *parsed = is_json_answer(p, a) ? json_parse(pair_body(p, &a->body, &scratch), &error) : NULL;
    text_fini(&scratch);
    text_fini(&error);
    return parsed;
}

static bool are_bodies_equal(const struct pair_answer *a, const struct pair_answer *b)
{
    return a->body.total_bytes == b->body.total_bytes && a->body_hash == b->body_hash;
}

/* Nothing of what is in it. */
static struct slice shown_body(struct comparison *c, const struct pair_answer *a, bool is_json)
{
    return arena_printf(&c->arena, "%llu bytes, xxh64 %016llx%s", (unsigned long long)a->body.total_bytes,
                        (unsigned long long)a->body_hash, is_json ? ", JSON" : "");
}

static void compare_bodies(const struct compare_plan *plan, const struct pair *p, enum pair_side side,
                           const struct json *primary, struct comparison *out)
{
    const struct pair_answer *ours = &p->answers[PAIR_PRIMARY], *other = &p->answers[side];
    out->reach[side] = REACH_JSON;
    if (are_bodies_equal(ours, other))
        return;
    struct json *document = answer_parse(p, other);
    if (primary != NULL && document != NULL) {
        compare_json(plan, primary, document, side, out);
    } else {
        out->reach[side] = REACH_BODY;
        mark_simple(out, "body", REACH_BODY, side, shown_body(out, ours, primary != NULL),
                    shown_body(out, other, document != NULL));
    }
    json_destroy(document);
}

/* ---- one side -------------------------------------------------------------------------------------------------------- */

bool compare_is_possible(const struct pair *p)
{
    return p->answers[PAIR_PRIMARY].outcome == PAIR_ANSWERED && p->answers[PAIR_SHADOW].outcome >= PAIR_ANSWERED;
}

static struct slice shown_status(struct comparison *c, const struct pair_answer *a)
{
    return arena_printf(&c->arena, "%u", a->status);
}

static void compare_side(const struct compare_plan *plan, const struct pair *p, enum pair_side side,
                         const struct json *primary, struct comparison *out)
{
    const struct pair_answer *ours = &p->answers[PAIR_PRIMARY], *other = &p->answers[side];
    if (other->outcome == PAIR_FAILED) {
        out->reach[side] = REACH_ANSWER;
        mark_simple(out, "answer", REACH_ANSWER, side, shown_status(out, ours),
                    slice_from_cstr(reason_rows[other->reason].code));
        return;
    }
    out->reach[side] = REACH_STATUS;
    if (ours->status != other->status) {
        mark_simple(out, "status", REACH_STATUS, side, shown_status(out, ours), shown_status(out, other));
        return;
    }
    compare_headers(plan, p, side, out);
    compare_bodies(plan, p, side, primary, out);
}

static bool has_unequal_body(const struct pair *p)
{
    const struct pair_answer *a = p->answers;
    bool is_unequal = false;
    for (size_t side = PAIR_SHADOW; side < PAIR_SIDE_COUNT; side++)
        is_unequal |= a[side].outcome == PAIR_ANSWERED && !are_bodies_equal(&a[PAIR_PRIMARY], &a[side]);
    return is_unequal;
}

/* Most answers are the same byte for byte: then nothing is parsed. */
void compare_pair(const struct compare_plan *plan, const struct pair *p, struct comparison *out)
{
    CHECK(compare_is_possible(p) && out->count == 0);
    struct json *primary = has_unequal_body(p) ? answer_parse(p, &p->answers[PAIR_PRIMARY]) : NULL;
    for (enum pair_side side = PAIR_SHADOW; side < PAIR_SIDE_COUNT; side++)
        if (p->answers[side].outcome >= PAIR_ANSWERED)
            compare_side(plan, p, side, primary, out);
    for (uint32_t i = 0; i < out->count; i++)
        out->items[i].is_checked =
            out->reach[PAIR_SHADOW] >= out->items[i].level && out->reach[PAIR_CONTROL] >= out->items[i].level;
    json_destroy(primary);
}
