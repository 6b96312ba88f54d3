/* tests/fuzz/fuzz_compare_json.c - two documents of JSON, parted by a newline of their own: both ways, the same fields. */
#include "shadow/compare.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One of each setting that steers the walk. */
static const struct compare_plan *plan_make(struct arena *arena)
{
    static struct slice ignored[] = { SLICE("$..ignored"), SLICE("$.items[*].at") };
    static struct slice unordered[] = { SLICE("$.bag"), SLICE("$..set") };
    static struct slice redact[] = { SLICE("$.card.number") };
    static struct array_key_config keys[] = { { SLICE("$.items"), SLICE("id") }, { SLICE("$"), SLICE("id") } };
    static const struct compare_config config = {
        .ignore_json = { ignored, ARRAY_COUNT(ignored) },
        .unordered = { unordered, ARRAY_COUNT(unordered) },
        .redact = { redact, ARRAY_COUNT(redact) },
        .array_keys = keys,
        .array_key_count = ARRAY_COUNT(keys),
    };
    return compare_plan_build(arena, &config);
}

static struct json *parse(struct slice bytes)
{
    struct text error = { 0 };
    struct json *document = json_parse(bytes, &error);
    text_fini(&error);
    return document;
}

/* The same fields must differ whichever document is asked first; the same document never differs from itself. Past the
   limit the fields that are told depend on the order. */
static void compare_all_ways(const struct compare_plan *plan, const struct json *a, const struct json *b)
{
    struct comparison there, back, self;
    comparison_init(&there);
    comparison_init(&back);
    comparison_init(&self);
    compare_json(plan, a, b, PAIR_SHADOW, &there);
    compare_json(plan, b, a, PAIR_CONTROL, &back);
    compare_json(plan, a, a, PAIR_SHADOW, &self);
    CHECK(self.count == 0);
    CHECK(there.count == back.count);
    for (uint32_t i = 0; i < there.count && there.count <= COMPARE_FIELDS_MAX; i++) {
        CHECK(map_get(&back.ids, there.items[i].field) != NULL);
        CHECK(there.items[i].field.len <= COMPARE_NAME_BYTES + 16);
        CHECK(there.items[i].values[PAIR_SHADOW].len <= COMPARE_VALUE_BYTES + 8);
    }
    comparison_clear(&there);
    comparison_clear(&back);
    comparison_clear(&self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole = slice_from((const char *)data, size);
    struct slice first = slice_first(whole, slice_find(whole, '\n'));
    struct json *a = parse(first), *b = parse(slice_after(whole, first.len + 1));
    if (a != NULL && b != NULL) {
        struct arena arena;
        arena_init(&arena, NULL, 0);
        compare_all_ways(plan_make(&arena), a, b);
        arena_reset(&arena);
    }
    json_destroy(a);
    json_destroy(b);
    return 0;
}
