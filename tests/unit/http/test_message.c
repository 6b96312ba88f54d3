/* unit/http/test_message.c - field lines, cookies, query arguments and methods. */
#include "http/message.h"

#include <criterion/criterion.h>

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct arena arena;
static struct message m;

static void begin(void)
{
    arena_init(&arena, NULL, 0);
    message_init(&m, &arena, 0);
}

static void finish(void)
{
    arena_reset(&arena);
}

TestSuite(message, .init = begin, .fini = finish);

static struct field *add(const char *name, const char *value)
{
    struct slice n = slice_from_cstr(name);
    return message_add(&m, &arena, field_id_from_name(n), n, slice_from_cstr(value));
}

static void expect_value(const struct field *f, const char *value)
{
    cr_assert_not_null(f, "%s", value);
    cr_expect(slice_equal(f->value, slice_from_cstr(value)), "%.*s, not %s", SLICE_ARG(f->value), value);
}

Test(message, lines_of_one_id_are_walked_in_order)
{
    add("Via", "1");
    add("Host", "h");
    add("via", "2");
    add("VIA", "3");
    struct field *f = message_field(&m, FIELD_VIA);
    expect_value(f, "1");
    f = message_next_field(&m, f);
    expect_value(f, "2");
    f->is_dropped = true;
    f = message_next_field(&m, f);
    expect_value(f, "3");
    cr_expect_null(message_next_field(&m, f));
    message_field(&m, FIELD_VIA)->is_dropped = true;
    expect_value(message_field(&m, FIELD_VIA), "3");
    cr_expect_null(message_field(&m, FIELD_COOKIE));
}

Test(message, names_are_found_in_any_case)
{
    add("X-Tenant", "1");
    add("Host", "h");
    add("x-tenant", "2");
    struct field *f = message_field_named(&m, SLICE("X-TENANT"), NULL);
    expect_value(f, "1");
    f = message_field_named(&m, SLICE("X-TENANT"), f);
    expect_value(f, "2");
    cr_expect_null(message_field_named(&m, SLICE("X-TENANT"), f));
    expect_value(message_field_named(&m, SLICE("hoST"), NULL), "h");
    cr_expect_null(message_field_named(&m, SLICE("hoST"), message_field(&m, FIELD_HOST)));
    cr_expect_null(message_field_named(&m, SLICE("X-Tenan"), NULL));
}

Test(message, set_replaces_all_lines_by_one)
{
    add("X-Tenant", "1");
    add("x-tenant", "2");
    add("Via", "1");
    message_set(&m, &arena, SLICE("X-Tenant"), SLICE("new"));
    message_set(&m, &arena, SLICE("via"), SLICE("new"));
    expect_value(message_field_named(&m, SLICE("x-tenant"), NULL), "new");
    expect_value(message_field(&m, FIELD_VIA), "new");
    cr_expect_null(message_next_field(&m, message_field(&m, FIELD_VIA)));
    cr_expect_eq(m.field_count, 5);
    message_drop(&m, FIELD_VIA);
    message_drop_named(&m, SLICE("x-tenant"));
    cr_expect_null(message_field(&m, FIELD_VIA));
    cr_expect_null(message_field_named(&m, SLICE("x-tenant"), NULL));
}

/* More lines than any byte can count, and the last of them is found. */
Test(message, a_thousand_lines)
{
    char names[1000][16];
    for (int i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof names[i], "X-%d", i);
        add(names[i], names[i]);
    }
    add("Cookie", "a=b");
    cr_expect_eq(m.field_count, 1001);
    expect_value(message_field(&m, FIELD_COOKIE), "a=b");
    for (int i = 0; i < 1000; i++)
        expect_value(message_field_named(&m, slice_from_cstr(names[i]), NULL), names[i]);
}

Test(message, cookies)
{
    static const char *const rows[][2] = {
        { "a", "1" },     { "b", "" },  { "c", "x=y" }, { "d", "\"q\"" }, { "e", "2" }, { "A", NULL },
        { "flag", NULL }, { "", NULL }, { "x", NULL },  { "f", "last" },  { "g", "3" },
    };
    add("Cookie", "a=1; b=; c=x=y;d=\"q\"; flag ;  g=3  ; a=second");
    add("Host", "h");
    add("cookie", "e=2; a=third; f=last");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice value;
        bool is_found = message_cookie(&m, slice_from_cstr(rows[i][0]), &value);
        cr_expect_eq(is_found, rows[i][1] != NULL, "%s", rows[i][0]);
        if (is_found && rows[i][1] != NULL)
            cr_expect(slice_equal(value, slice_from_cstr(rows[i][1])), "%s", rows[i][0]);
    }
}

Test(message, a_head_without_fields_may_be_owned)
{
    m.fields = NULL;
    m.field_count = 0;
    message_own_fields(&m, &arena); /* UBSan says whether it took NULL for an array */
    cr_expect_null(m.fields);
}

Test(message, query_arguments)
{
    static const char *const rows[][3] = {
        { "a=1&b=2", "a", "1" }, { "a=1&b=2", "b", "2" }, { "a=1&a=2", "a", "1" }, { "a&b", "a", "" },
        { "a=&b", "a", "" },     { "x=a=b", "x", "a=b" }, { "ab=1", "a", NULL },   { "a=1", "A", NULL },
        { "", "a", NULL },       { "&&a=1&", "a", "1" },  { "a%3d=1", "a", NULL }, { "a=%20+", "a", "%20+" },
        { "b=1&", "", NULL },    { "b", "a", NULL },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice value;
        bool is_found = query_argument(slice_from_cstr(rows[i][0]), slice_from_cstr(rows[i][1]), &value);
        cr_expect_eq(is_found, rows[i][2] != NULL, "%s in %s", rows[i][1], rows[i][0]);
        if (is_found && rows[i][2] != NULL)
            cr_expect(slice_equal(value, slice_from_cstr(rows[i][2])), "%s", rows[i][0]);
    }
    struct slice value;
    cr_expect_not(query_argument(SLICE_NONE, SLICE("a"), &value));
}

Test(message, methods)
{
    cr_expect_eq(method_from_name(SLICE("GET")), METHOD_GET);
    cr_expect_eq(method_from_name(SLICE("HEAD")), METHOD_HEAD);
    cr_expect_eq(method_from_name(SLICE("POST")), METHOD_POST);
    cr_expect_eq(method_from_name(SLICE("PUT")), METHOD_PUT);
    cr_expect_eq(method_from_name(SLICE("DELETE")), METHOD_DELETE);
    cr_expect_eq(method_from_name(SLICE("CONNECT")), METHOD_CONNECT);
    cr_expect_eq(method_from_name(SLICE("OPTIONS")), METHOD_OPTIONS);
    cr_expect_eq(method_from_name(SLICE("TRACE")), METHOD_TRACE);
    cr_expect_eq(method_from_name(SLICE("PATCH")), METHOD_PATCH);
    cr_expect_eq(method_from_name(SLICE("get")), METHOD_OTHER);
    cr_expect_eq(method_from_name(SLICE("GETS")), METHOD_OTHER);
    cr_expect_eq(method_from_name(SLICE("")), METHOD_OTHER);
    const unsigned safe = 1u << METHOD_GET | 1u << METHOD_HEAD | 1u << METHOD_OPTIONS | 1u << METHOD_TRACE;
    const unsigned idempotent = safe | 1u << METHOD_PUT | 1u << METHOD_DELETE;
    for (int i = METHOD_OTHER; i < METHOD_COUNT; i++) {
        cr_expect_eq(method_is_safe((enum method)i), (safe >> i & 1) != 0, "%d", i);
        cr_expect_eq(method_is_idempotent((enum method)i), (idempotent >> i & 1) != 0, "%d", i);
    }
}
