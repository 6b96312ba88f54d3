/* shadow/compare_json.c - two documents of JSON by structure, place by place. */
#include "shadow/compare.h"

#include "base/hash.h"
#include "base/memory.h"
#include "shadow/compare_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One walk through the primary's document and another, side by side. steps [0, depth) say where it is. */
struct walk {
    const struct compare_plan *plan;
    struct comparison *out;
    enum pair_side side;
    size_t depth;
    struct json_step steps[2 * JSON_MAX_DEPTH + 2]; /* room for redact_write_json behind the deepest place */
    struct text scratch;
};

static void walk_values(struct walk *w, const struct json *a, const struct json *b);

static bool covers_any(const struct json_path *const *paths, size_t count, const struct walk *w)
{
    for (size_t i = 0; i < count; i++)
        if (json_path_covers(paths[i], w->steps, w->depth))
            return true;
    return false;
}

static bool is_any(const struct json_path *const *paths, size_t count, const struct walk *w)
{
    for (size_t i = 0; i < count; i++)
        if (json_path_is(paths[i], w->steps, w->depth))
            return true;
    return false;
}

/* ---- numbers --------------------------------------------------------------------------------------------------------- */

/* JSON has one kind of number: 1, 1.0 and 1e0 are the same. What is whole and fits is an integer, whatever it was
   written as; all others are doubles. */
struct number {
    bool is_whole;
    int64_t whole;
    double real;
};

#define WHOLE_END 9223372036854775808.0 /* 2^63: the first that does not fit */

static bool number_read(const struct json *value, struct number *out)
{
    *out = (struct number){ 0 };
    if (json_as_i64(value, &out->whole)) {
        out->is_whole = true;
        return true;
    }
    if (!json_as_real(value, &out->real))
        return false;
    out->is_whole = out->real >= -WHOLE_END && out->real < WHOLE_END && floor(out->real) == out->real;
    if (out->is_whole) {
        out->whole = (int64_t)out->real;
        out->real = 0;
    }
    return true;
}

static bool number_equal(const struct number *a, const struct number *b)
{
    return a->is_whole == b->is_whole && (a->is_whole ? a->whole == b->whole : a->real == b->real);
}

static bool scalar_equal(const struct json *a, const struct json *b)
{
    struct number na, nb;
    struct slice sa, sb;
    bool ba, bb;
    if (number_read(a, &na) && number_read(b, &nb))
        return number_equal(&na, &nb);
    if (json_as_string(a, &sa) && json_as_string(b, &sb))
        return slice_equal(sa, sb);
    if (json_as_bool(a, &ba) && json_as_bool(b, &bb))
        return ba == bb;
    return true; /* of one kind, so both are null */
}

/* ---- differences ----------------------------------------------------------------------------------------------------- */

enum difference_kind { DIFFERENT_VALUE, DIFFERENT_TYPE, DIFFERENT_PRESENCE };

static struct slice shown(struct walk *w, const struct json *value)
{
    if (value == NULL)
        return SLICE_NONE;
    text_clear(&w->scratch);
    redact_write_json(w->plan->redact, value, w->steps, w->depth, COMPARE_VALUE_BYTES, &w->scratch);
    return arena_copy(&w->out->arena, text_slice(&w->scratch));
}

/* The values are shown of one place. What the control had there is known when its first difference is in the same. */
static void difference_fill(struct walk *w, struct difference *d, const struct json *a, const struct json *b)
{
    text_clear(&w->scratch);
    json_steps_write(&w->scratch, w->steps, w->depth);
    text_cut(&w->scratch, 2 * COMPARE_NAME_BYTES);
    struct slice place = text_slice(&w->scratch);
    if (d->place.ptr != NULL && !slice_equal(d->place, place))
        return;
    if (d->place.ptr == NULL) {
        d->place = arena_copy(&w->out->arena, place);
        d->values[PAIR_PRIMARY] = shown(w, a);
    }
    d->values[w->side] = shown(w, b);
}

/* a or b NULL: it is not there. */
static void note(struct walk *w, enum difference_kind kind, const struct json *a, const struct json *b)
{
    static const char *const suffixes[] = {
        [DIFFERENT_VALUE] = "", [DIFFERENT_TYPE] = " (type)", [DIFFERENT_PRESENCE] = " (presence)"
    };
    if (covers_any(w->plan->ignored, w->plan->ignored_count, w))
        return;
    text_clear(&w->scratch);
    json_steps_write_general(&w->scratch, w->steps, w->depth);
    text_cut(&w->scratch, COMPARE_NAME_BYTES);
    text_add_cstr(&w->scratch, suffixes[kind]);
    struct difference *d = comparison_mark(w->out, text_slice(&w->scratch), REACH_JSON, w->side);
    if (d->field.len > 0 && d->values[w->side].ptr == NULL)
        difference_fill(w, d, a, b);
}

static void walk_pair(struct walk *w, const struct json_step *step, const struct json *a, const struct json *b)
{
    w->steps[w->depth++] = *step;
    if (a != NULL && b != NULL)
        walk_values(w, a, b);
    else
        note(w, DIFFERENT_PRESENCE, a, b);
    w->depth--;
}

/* ---- objects and plain arrays ---------------------------------------------------------------------------------------- */

/* Keys end in a NUL, and none holds one (json_parse). */
static void walk_objects(struct walk *w, const struct json *a, const struct json *b)
{
    struct slice key;
    void *cursor = NULL;
    for (const struct json *v; (v = json_next(a, &cursor, &key)) != NULL;)
        walk_pair(w, &(struct json_step){ .member = key }, v, json_get(b, key.ptr));
    cursor = NULL;
    for (const struct json *v; (v = json_next(b, &cursor, &key)) != NULL;)
        if (json_get(a, key.ptr) == NULL)
            walk_pair(w, &(struct json_step){ .member = key }, NULL, v);
}

static void walk_by_index(struct walk *w, const struct json *a, const struct json *b)
{
    size_t count = json_count(a) > json_count(b) ? json_count(a) : json_count(b);
    for (size_t i = 0; i < count; i++)
        walk_pair(w, &(struct json_step){ .index = i }, json_at(a, i), json_at(b, i));
}

/* ---- arrays by key --------------------------------------------------------------------------------------------------- */

struct keyed_item {
    struct slice key;
    const struct json *value;
    size_t index;
};

static int keyed_compare(const void *a, const void *b)
{
    const struct keyed_item *x = a, *y = b;
    return slice_compare(x->key, y->key);
}

/* As text, so that an id that became a string is found as the same item with an id of another type. */
static bool key_text(struct walk *w, const struct json *value, struct slice *out)
{
    struct number number;
    if (json_as_string(value, out))
        return true;
    if (!number_read(value, &number))
        return false;
    *out = number.is_whole ? arena_printf(&w->out->arena, "%lld", (long long)number.whole)
                           : arena_printf(&w->out->arena, "%.17g", number.real);
    return true;
}

/* Sorted by key; NULL when an item has none or shares it with another. */
static struct keyed_item *items_by_key(struct walk *w, const struct json *array, struct slice member)
{
    size_t count = json_count(array);
    struct keyed_item *items = memory_resize_array(NULL, count + 1, sizeof *items);
    bool is_good = true;
    for (size_t i = 0; i < count && is_good; i++) {
        items[i] = (struct keyed_item){ .value = json_at(array, i), .index = i };
        is_good = key_text(w, json_get(items[i].value, member.ptr), &items[i].key);
    }
    if (is_good && count > 0)
        qsort(items, count, sizeof *items, keyed_compare);
    for (size_t i = 1; i < count && is_good; i++)
        is_good = !slice_equal(items[i - 1].key, items[i].key);
    if (is_good)
        return items;
    memory_free(items);
    return NULL;
}

/* The key is a value, too, that a rule may hide. */
static bool is_key_hidden(struct walk *w, const struct json_step *item, struct slice member)
{
    w->steps[w->depth] = *item;
    w->steps[w->depth + 1] = (struct json_step){ .member = member };
    return redact_hides_place(w->plan->redact, w->steps, w->depth + 2);
}

static void walk_keyed_item(struct walk *w, struct slice member, const struct keyed_item *a, const struct keyed_item *b)
{
    const struct keyed_item *either = a != NULL ? a : b;
    struct json_step step = { .index = either->index };
    text_clear(&w->scratch);
    text_add(&w->scratch, member);
    text_add_char(&w->scratch, '=');
    if (is_key_hidden(w, &step, member))
        text_printf(&w->scratch, "%s #%zu", REDACTED, either->index);
    else
        text_add_json(&w->scratch, slice_first(either->key, 64));
    step.label = arena_copy(&w->out->arena, text_slice(&w->scratch));
    walk_pair(w, &step, a != NULL ? a->value : NULL, b != NULL ? b->value : NULL);
}

/* Both are sorted: the smaller key is one that the other side lacks. */
static void walk_merged(struct walk *w, struct slice member, const struct keyed_item *a, size_t a_count,
                        const struct keyed_item *b, size_t b_count)
{
    size_t i = 0, k = 0;
    while (i < a_count || k < b_count) {
        int order = i == a_count ? 1 : k == b_count ? -1 : slice_compare(a[i].key, b[k].key);
        walk_keyed_item(w, member, order <= 0 ? &a[i] : NULL, order >= 0 ? &b[k] : NULL);
        i += order <= 0;
        k += order >= 0;
    }
}

/* False when the items cannot be told apart by the member. */
static bool walk_by_key(struct walk *w, struct slice member, const struct json *a, const struct json *b)
{
    struct keyed_item *as = items_by_key(w, a, member), *bs = as != NULL ? items_by_key(w, b, member) : NULL;
    if (bs != NULL)
        walk_merged(w, member, as, json_count(a), bs, json_count(b));
    bool is_done = bs != NULL;
    memory_free(as);
    memory_free(bs);
    return is_done;
}

/* ---- arrays as bags -------------------------------------------------------------------------------------------------- */

static const struct slice *key_member(const struct walk *w)
{
    for (size_t i = 0; i < w->plan->keyed_count; i++)
        if (json_path_is(w->plan->keyed[i], w->steps, w->depth))
            return &w->plan->key_members[i];
    return NULL;
}

static bool is_bag(const struct walk *w)
{
    return is_any(w->plan->unordered, w->plan->unordered_count, w);
}

/* Equal for values between which a walk would find no difference. What is added up has no order. */
static uint64_t value_hash(struct walk *w, const struct json *value);

static uint64_t object_hash(struct walk *w, const struct json *object)
{
    uint64_t sum = 0;
    struct slice key;
    void *cursor = NULL;
    for (const struct json *v; (v = json_next(object, &cursor, &key)) != NULL;) {
        w->steps[w->depth++] = (struct json_step){ .member = key };
        if (!covers_any(w->plan->ignored, w->plan->ignored_count, w))
            sum += hash_mix(hash_bytes(key.ptr, key.len) ^ hash_mix(value_hash(w, v)));
        w->depth--;
    }
    return hash_mix(sum ^ JSON_KIND_OBJECT);
}

static uint64_t array_hash(struct walk *w, const struct json *array)
{
    bool has_order = !is_bag(w) && key_member(w) == NULL;
    uint64_t sum = 0;
    for (size_t i = 0; i < json_count(array); i++) {
        w->steps[w->depth++] = (struct json_step){ .index = i };
        if (!covers_any(w->plan->ignored, w->plan->ignored_count, w))
            sum = (has_order ? hash_mix(sum) : sum) + hash_mix(value_hash(w, json_at(array, i)) + 1);
        w->depth--;
    }
    return hash_mix(sum ^ JSON_KIND_ARRAY);
}

static uint64_t value_hash(struct walk *w, const struct json *value)
{
    enum json_kind kind = json_kind(value);
    struct number number;
    struct slice s;
    bool flag = false;
    if (kind == JSON_KIND_OBJECT)
        return object_hash(w, value);
    if (kind == JSON_KIND_ARRAY)
        return array_hash(w, value);
    if (json_as_string(value, &s))
        return hash_mix(hash_bytes(s.ptr, s.len) ^ (uint64_t)kind << 56);
    if (number_read(value, &number))
        return hash_mix((number.is_whole ? (uint64_t)number.whole : hash_bytes(&number.real, sizeof number.real)) ^
                        (uint64_t)kind << 56);
    json_as_bool(value, &flag);
    return hash_mix((uint64_t)kind << 56 ^ (uint64_t)flag);
}

struct hashed_item {
    uint64_t hash;
    const struct json *value;
};

static int hashed_compare(const void *a, const void *b)
{
    const struct hashed_item *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static struct hashed_item *items_by_hash(struct walk *w, const struct json *array)
{
    size_t count = json_count(array);
    struct hashed_item *items = memory_resize_array(NULL, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        w->steps[w->depth++] = (struct json_step){ .index = i };
        items[i] = (struct hashed_item){ value_hash(w, json_at(array, i)), json_at(array, i) };
        w->depth--;
    }
    if (count > 0)
        qsort(items, count, sizeof *items, hashed_compare);
    return items;
}

/* Which item became which, nobody knows: what is left over on both sides is one difference of all items. */
static void walk_bags(struct walk *w, const struct json *a, const struct json *b)
{
    struct hashed_item *as = items_by_hash(w, a), *bs = items_by_hash(w, b);
    size_t a_count = json_count(a), b_count = json_count(b), i = 0, k = 0;
    const struct json *only_a = NULL, *only_b = NULL;
    while (i < a_count || k < b_count) {
        int order = i == a_count ? 1 : k == b_count ? -1 : hashed_compare(&as[i], &bs[k]);
        if (order < 0)
            only_a = as[i].value;
        if (order > 0)
            only_b = bs[k].value;
        i += order <= 0;
        k += order >= 0;
    }
    memory_free(as);
    memory_free(bs);
    if (only_a == NULL && only_b == NULL)
        return;
    w->steps[w->depth++] = (struct json_step){ .label = SLICE("*") };
    note(w, only_a != NULL && only_b != NULL ? DIFFERENT_VALUE : DIFFERENT_PRESENCE, only_a, only_b);
    w->depth--;
}

static void walk_arrays(struct walk *w, const struct json *a, const struct json *b)
{
    const struct slice *member = key_member(w);
    if (is_bag(w))
        walk_bags(w, a, b);
    else if (member == NULL || !walk_by_key(w, *member, a, b))
        walk_by_index(w, a, b);
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

/* Recursion is bounded by JSON_MAX_DEPTH. */
static void walk_values(struct walk *w, const struct json *a, const struct json *b)
{
    enum json_kind kind = json_kind(a);
    if (kind != json_kind(b))
        note(w, DIFFERENT_TYPE, a, b);
    else if (kind == JSON_KIND_OBJECT)
        walk_objects(w, a, b);
    else if (kind == JSON_KIND_ARRAY)
        walk_arrays(w, a, b);
    else if (!scalar_equal(a, b))
        note(w, DIFFERENT_VALUE, a, b);
}

void compare_json(const struct compare_plan *plan, const struct json *primary, const struct json *other,
                  enum pair_side side, struct comparison *out)
{
    struct walk w = { .plan = plan, .out = out, .side = side };
    walk_values(&w, primary, other);
    text_fini(&w.scratch);
}
