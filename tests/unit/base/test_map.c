/* tests/unit/base/test_map.c - the hash table against a plain array, under random operations. */
#include "base/map.h"
#include "base/hash.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>

Test(map, an_empty_map_answers_without_memory)
{
    struct map m;
    map_init(&m);
    size_t cursor = 0;
    cr_assert_null(map_get(&m, SLICE("a")));
    cr_assert_null(map_remove(&m, SLICE("a")));
    cr_assert_null(map_next(&m, &cursor));
    cr_assert_null(m.entries);
    map_fini(&m);
}

Test(map, put_replaces_and_returns_the_value_before)
{
    struct map m;
    map_init(&m);
    int one = 1, two = 2;
    const char old_key[] = "key", new_key[] = "key";
    cr_assert_null(map_put(&m, slice_from_cstr(old_key), &one));
    cr_assert_eq(map_put(&m, slice_from_cstr(new_key), &two), &one);
    cr_assert_eq(map_get(&m, SLICE("key")), &two);
    cr_assert_eq(m.count, 1);
    size_t cursor = 0;
    cr_assert_eq(map_next(&m, &cursor)->key.ptr, new_key, "the old key may be freed");
    map_fini(&m);
}

Test(map, the_empty_key_is_a_key)
{
    struct map m;
    map_init(&m);
    int one = 1;
    map_put(&m, SLICE_NONE, &one);
    cr_assert_eq(map_get(&m, SLICE("")), &one);
    cr_assert_eq(map_remove(&m, SLICE("")), &one);
    cr_assert_null(map_get(&m, SLICE_NONE));
    map_fini(&m);
}

Test(map, keys_may_hold_nul_bytes)
{
    struct map m;
    map_init(&m);
    int one = 1, two = 2;
    map_put(&m, SLICE("a\0b"), &one);
    map_put(&m, SLICE("a\0c"), &two);
    cr_assert_eq(map_get(&m, SLICE("a\0b")), &one);
    cr_assert_eq(map_get(&m, SLICE("a\0c")), &two);
    cr_assert_null(map_get(&m, SLICE("a")));
    map_fini(&m);
}

Test(map, a_null_value_aborts, .signal = SIGABRT)
{
    struct map m;
    map_init(&m);
    map_put(&m, SLICE("a"), NULL);
}

#define MODEL_COUNT 200u

struct model {
    char names[MODEL_COUNT][8];
    void *values[MODEL_COUNT]; /* NULL: absent */
    size_t count;
};

static void model_compare(const struct model *model, const struct map *m)
{
    cr_assert_eq(m->count, model->count);
    for (size_t i = 0; i < MODEL_COUNT; i++)
        cr_assert_eq(map_get(m, slice_from_cstr(model->names[i])), model->values[i], "key %zu", i);
    size_t seen = 0, cursor = 0;
    while (map_next(m, &cursor) != NULL)
        seen++;
    cr_assert_eq(seen, model->count);
}

static void model_step(struct model *model, struct map *m, struct rng *rng, void *value)
{
    size_t i = rng_below(rng, MODEL_COUNT);
    struct slice key = slice_from_cstr(model->names[i]);
    bool is_put = rng_below(rng, 2) == 0;
    void *before = is_put ? map_put(m, key, value) : map_remove(m, key);
    cr_assert_eq(before, model->values[i]);
    model->count += is_put && before == NULL;
    model->count -= !is_put && before != NULL;
    model->values[i] = is_put ? value : NULL;
}

/* 200 keys in at most 256 slots collide and wrap around the end, so deletion chains of every shape occur. */
Test(map, random_operations_agree_with_a_model)
{
    static struct model model;
    static int values[64];
    for (size_t i = 0; i < MODEL_COUNT; i++)
        snprintf(model.names[i], sizeof model.names[i], "k%zu", i);
    struct map m;
    map_init(&m);
    struct rng rng;
    rng_init(&rng, 7);
    for (size_t step = 0; step < 20000; step++) {
        model_step(&model, &m, &rng, &values[step % 64]);
        if (step % 10 == 0)
            model_compare(&model, &m);
    }
    map_fini(&m);
}
