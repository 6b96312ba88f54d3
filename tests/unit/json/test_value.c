/* unit/json/test_value.c - documents are read strictly, and what is not there harms nobody. */
#include "json/value.h"

#include <criterion/criterion.h>

static struct value *parse(const char *json)
{
    struct text error = { 0 };
    struct value *root = value_parse(slice_from_cstr(json), &error);
    cr_assert_not_null(root, "%s: %s", json, error.bytes);
    text_fini(&error);
    return root;
}

Test(value, members_items_and_types_are_read)
{
    struct value *root = parse("{\"name\":\"caf\\u00e9\",\"n\":[1,2.5,true,null]}");
    struct slice name;
    int64_t integer = 0;
    double number = 0;
    bool flag = false;
    cr_assert(value_text(value_member(root, "name"), &name));
    cr_assert(slice_equal(name, SLICE("caf\xc3\xa9")));
    const struct value *n = value_member(root, "n");
    cr_assert_eq(value_count(n), 4);
    cr_assert(value_integer(value_item(n, 0), &integer) && integer == 1);
    cr_assert(value_number(value_item(n, 1), &number) && number == 2.5);
    cr_assert(value_bool(value_item(n, 2), &flag) && flag);
    cr_assert(value_is_null(value_item(n, 3)));
    value_destroy(root);
}

Test(value, another_type_and_absence_leave_the_answer_alone)
{
    struct value *root = parse("{\"a\":\"1\"}");
    int64_t integer = 7;
    cr_assert_not(value_integer(value_member(root, "a"), &integer));
    cr_assert_not(value_integer(value_member(value_member(root, "b"), "c"), &integer));
    cr_assert_eq(integer, 7);
    cr_assert_null(value_item(root, 0));
    cr_assert_eq(value_count(NULL), 0);
    cr_assert(value_is_null(NULL));
    value_destroy(root);
}

Test(value, members_are_walked_in_the_order_written)
{
    struct value *root = parse("{\"z\":1,\"a\":2,\"m\":3}");
    const char *wanted = "zam";
    void *cursor = NULL;
    struct slice name;
    const struct value *member;
    while (value_next(root, &cursor, &name, &member)) {
        cr_assert_eq(name.ptr[0], *wanted);
        wanted++;
    }
    cr_assert_eq(*wanted, '\0');
    value_destroy(root);
}

Test(value, what_is_not_json_is_refused_with_its_place)
{
    static const char *const bad[] = { "",         "{",           "{\"a\":1,\"a\":2}",
                                       "[1,]",     "{\"a\":1} x", "{'a':1}",
                                       "\"\xff\"", "nul" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct text error = { 0 };
        cr_assert_null(value_parse(slice_from_cstr(bad[i]), &error), "accepted: %s", bad[i]);
        cr_assert(slice_has_prefix(text_slice(&error), SLICE("line ")));
        text_fini(&error);
    }
}
