/* tests/unit/base/test_list.c - the intrusive list. */
#include "base/list.h"

#include <criterion/criterion.h>

struct item {
    int number;
    struct list link;
};

Test(list, keeps_order_and_survives_removal_on_the_way)
{
    struct list head;
    list_init(&head);
    struct item items[4] = { { .number = 0 }, { .number = 1 }, { .number = 2 }, { .number = 3 } };
    for (int i = 0; i < 4; i++)
        list_append(&head, &items[i].link);
    int expected = 0;
    LIST_FOREACH_SAFE (link, &head) {
        cr_assert_eq(LIST_ITEM(link, struct item, link)->number, expected);
        if (expected++ % 2 == 0)
            list_remove(link);
    }
    cr_assert_eq(expected, 4);
    cr_assert_eq(LIST_ITEM(list_pop(&head), struct item, link)->number, 1);
    cr_assert_eq(LIST_ITEM(list_pop(&head), struct item, link)->number, 3);
    cr_assert_null(list_pop(&head));
}

Test(list, push_stands_first_and_removal_is_harmless_twice)
{
    struct list head;
    list_init(&head);
    struct item a, b;
    list_init(&a.link);
    cr_assert_not(list_is_linked(&a.link));
    list_append(&head, &a.link);
    list_push(&head, &b.link);
    cr_assert_eq(head.next, &b.link);
    list_remove(&b.link);
    list_remove(&b.link);
    cr_assert_not(list_is_linked(&b.link));
    cr_assert_eq(head.next, &a.link);
    list_remove(&a.link);
    cr_assert(list_is_empty(&head));
}
