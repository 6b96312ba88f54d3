/* tests/unit/base/test_handle.c - a handle never reaches an object other than its own. */
#include "base/handle.h"

#include <criterion/criterion.h>

#include <signal.h>

Test(handle, a_zero_handle_names_nothing)
{
    struct handle_table t;
    handle_table_init(&t);
    int object;
    cr_assert_null(handle_get(&t, (struct handle){ 0, 0 }));
    handle_create(&t, &object);
    cr_assert_null(handle_get(&t, (struct handle){ 0, 0 }));
    cr_assert_null(handle_get(&t, (struct handle){ 9999, 1 }));
    handle_table_fini(&t);
}

Test(handle, a_reused_slot_hides_from_the_old_handle)
{
    struct handle_table t;
    handle_table_init(&t);
    int first, second;
    struct handle old = handle_create(&t, &first);
    handle_destroy(&t, old);
    cr_assert_null(handle_get(&t, old));
    struct handle reused = handle_create(&t, &second);
    cr_assert_eq(reused.slot, old.slot);
    cr_assert_null(handle_get(&t, old));
    cr_assert_eq(handle_get(&t, reused), &second);
    handle_table_fini(&t);
}

Test(handle, handles_survive_growth)
{
    struct handle_table t;
    handle_table_init(&t);
    static int objects[1000];
    struct handle handles[1000];
    for (int i = 0; i < 1000; i++)
        handles[i] = handle_create(&t, &objects[i]);
    cr_assert_eq(t.live_count, 1000);
    for (int i = 0; i < 1000; i += 2)
        handle_destroy(&t, handles[i]);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(handle_get(&t, handles[i]), i % 2 ? &objects[i] : NULL, "handle %d", i);
    cr_assert_eq(t.live_count, 500);
    handle_table_fini(&t);
}

Test(handle, a_wrapped_generation_skips_zero)
{
    struct handle_table t;
    handle_table_init(&t);
    int object;
    struct handle h = handle_create(&t, &object);
    handle_destroy(&t, h);
    t.slots[h.slot].generation = UINT32_MAX;
    h = handle_create(&t, &object);
    cr_assert_eq(h.generation, 1);
    cr_assert_eq(handle_get(&t, h), &object);
    handle_table_fini(&t);
}

Test(handle, destroying_twice_aborts, .signal = SIGABRT)
{
    struct handle_table t;
    handle_table_init(&t);
    int object;
    struct handle h = handle_create(&t, &object);
    handle_destroy(&t, h);
    handle_destroy(&t, h);
}
