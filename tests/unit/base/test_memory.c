/* tests/unit/base/test_memory.c - allocation that never answers NULL. */
#include "base/memory.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdint.h>
#include <string.h>

Test(memory, a_size_of_zero_is_a_pointer)
{
    void *p = memory_alloc(0), *q = memory_zalloc(0);
    cr_assert(p != NULL && q != NULL);
    p = memory_resize(p, 0);
    cr_assert_not_null(p);
    memory_free(p);
    memory_free(q);
    memory_free(NULL);
}

Test(memory, resize_keeps_the_bytes)
{
    char *p = memory_resize(NULL, 4);
    memcpy(p, "abc", 4);
    p = memory_resize_array(p, 1000, 10);
    cr_assert_str_eq(p, "abc");
    memory_free(p);
    char *copy = memory_strdup("");
    cr_assert_str_eq(copy, "");
    memory_free(copy);
}

Test(memory, an_array_that_overflows_aborts, .signal = SIGABRT)
{
    memory_resize_array(NULL, SIZE_MAX / 8 + 1, 16);
}
