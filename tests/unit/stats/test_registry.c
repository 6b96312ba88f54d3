/* tests/unit/stats/test_registry.c - the same names, the same id, for ever. */
#include "stats/registry.h"

#include <criterion/criterion.h>

#include <stdio.h>

Test(registry, ids_are_stable_and_tell_pairs_apart)
{
    struct registry r;
    registry_init(&r, 100);
    uint32_t ab = registry_id(&r, SLICE("a"), SLICE("b"));
    uint32_t ba = registry_id(&r, SLICE("b"), SLICE("a"));
    uint32_t a = registry_id(&r, SLICE("ab"), SLICE(""));
    uint32_t b = registry_id(&r, SLICE(""), SLICE("ab"));
    cr_assert(ab != ba && ab != a && ab != b && ba != a && ba != b && a != b);
    cr_assert(ab != 0 && ba != 0 && a != 0 && b != 0);
    cr_assert_eq(registry_id(&r, SLICE("a"), SLICE("b")), ab);
    cr_assert_eq(registry_find(&r, SLICE("a"), SLICE("b")), ab);
    cr_assert_eq(registry_find(&r, SLICE("a"), SLICE("c")), 0);
    registry_fini(&r);
}

Test(registry, names_are_copied)
{
    struct registry r;
    registry_init(&r, 100);
    char name[] = "checkout";
    uint32_t id = registry_id(&r, slice_from_cstr(name), SLICE("v1"));
    name[0] = 'X';
    cr_assert(slice_equal(registry_entry(&r, id)->first, SLICE("checkout")));
    cr_assert(slice_equal(registry_entry(&r, id)->second, SLICE("v1")));
    cr_assert_eq(registry_find(&r, SLICE("checkout"), SLICE("v1")), id);
    registry_fini(&r);
}

Test(registry, the_nameless_pair_is_id_0)
{
    struct registry r;
    registry_init(&r, 100);
    cr_assert_eq(registry_id(&r, SLICE_NONE, SLICE("")), 0);
    cr_assert_eq(registry_entry(&r, 0)->first.len, 0);
    registry_fini(&r);
}

Test(registry, beyond_capacity_all_share_id_0)
{
    struct registry r;
    registry_init(&r, 3);
    cr_assert_eq(registry_id(&r, SLICE("a"), SLICE("")), 1);
    cr_assert_eq(registry_id(&r, SLICE("b"), SLICE("")), 2);
    cr_assert_eq(registry_id(&r, SLICE("c"), SLICE("")), 0);
    cr_assert_eq(registry_id(&r, SLICE("b"), SLICE("")), 2);
    cr_assert_eq(r.count, 3);
    registry_fini(&r);
}

Test(registry, names_of_an_older_generation_are_not_current_until_they_come_back)
{
    struct registry r;
    registry_init(&r, 100);
    registry_begin_generation(&r);
    uint32_t old = registry_id(&r, SLICE("old"), SLICE(""));
    uint32_t kept = registry_id(&r, SLICE("kept"), SLICE(""));
    registry_begin_generation(&r);
    registry_id(&r, SLICE("kept"), SLICE(""));
    cr_assert(registry_is_current(&r, kept));
    cr_assert_not(registry_is_current(&r, old));
    cr_assert_eq(registry_id(&r, SLICE("old"), SLICE("")), old);
    cr_assert(registry_is_current(&r, old));
    registry_fini(&r);
}

static void register_file(struct registry *r)
{
    registry_begin_generation(r);
    for (int i = 0; i < 100; i++) {
        char route[32];
        snprintf(route, sizeof route, "route-%d", i);
        registry_id(r, slice_from_cstr(route), SLICE("stable"));
        registry_id(r, slice_from_cstr(route), SLICE("canary"));
    }
}

Test(registry, a_thousand_reloads_of_one_file_leave_memory_flat)
{
    struct registry r;
    registry_init(&r, 100000);
    register_file(&r);
    size_t used_bytes = r.arena.used_bytes;
    for (int reload = 0; reload < 1000; reload++)
        register_file(&r);
    cr_assert_eq(r.count, 201);
    cr_assert_eq(r.arena.used_bytes, used_bytes);
    registry_fini(&r);
}
