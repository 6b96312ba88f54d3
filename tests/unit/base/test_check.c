/* tests/unit/base/test_check.c - assertions that stay on. */
#include "base/check.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdint.h>

struct object {
    uint32_t magic;
    int member;
};

Test(check, a_false_condition_aborts, .signal = SIGABRT)
{
    int zero = 0;
    CHECK(zero == 1);
}

Test(check, a_wrong_magic_aborts, .signal = SIGABRT)
{
    struct object o = { .magic = 1 };
    CHECK_MAGIC(&o, 2);
}

Test(check, a_null_object_aborts, .signal = SIGABRT)
{
    struct object *o = NULL;
    CHECK_MAGIC(o, 2);
}

Test(check, take_leaves_null_behind)
{
    int value = 7;
    int *owner = &value;
    int *taken = TAKE(&owner);
    cr_assert_eq(taken, &value);
    cr_assert_null(owner);
}

Test(check, container_of_finds_the_struct)
{
    struct object o = { .magic = 1 };
    cr_assert_eq(CONTAINER_OF(&o.member, struct object, member), &o);
}
