/* tests/unit/json/test_json.c - documents are built, read and written without a reference to count. */
#include "json/json.h"

#include <criterion/criterion.h>

static struct json *parse(const char *text)
{
    struct text error = { 0 };
    struct json *j = json_parse(slice_from_cstr(text), &error);
    cr_assert_not_null(j, "%s: %s", text, error.bytes);
    text_fini(&error);
    return j;
}

static void assert_written(struct json *j, const char *expected)
{
    struct text out = { 0 };
    json_write(j, &out);
    cr_assert_str_eq(out.bytes, expected);
    text_fini(&out);
    json_destroy(j);
}

Test(json, objects_keep_the_order_they_were_built_in)
{
    struct json *j = json_create_object();
    json_put_cstr(j, "name", "canary");
    json_put_i64(j, "delta", -5);
    json_put_u64(j, "count", 7);
    json_put_bool(j, "overridden", true);
    json_put_null(j, "owner");
    json_put_cstr(j, "doc", NULL);
    assert_written(j, "{\"name\":\"canary\",\"delta\":-5,\"count\":7,\"overridden\":true,"
                      "\"owner\":null,\"doc\":null}");
}

Test(json, times_are_rfc_3339_and_none_is_null)
{
    struct json *j = json_create_object();
    json_put_time(j, "at", (struct wall_time){ INT64_C(1795608000042) });
    json_put_time(j, "never", (struct wall_time){ 0 });
    assert_written(j, "{\"at\":\"2026-11-25T12:00:00.042Z\",\"never\":null}");
}

Test(json, children_belong_to_their_parent)
{
    struct json *j = json_create_object();
    struct json *split = json_put_object(j, "split");
    json_put_named_u64(split, slice_from("checkout-v1-and-more", 11), 95);
    struct json *list = json_put_array(j, "list");
    json_put_cstr(json_push_object(list), "a", "b");
    json_push_i64(list, 3);
    json_push_string(list, SLICE("x"));
    assert_written(j, "{\"split\":{\"checkout-v1\":95},\"list\":[{\"a\":\"b\"},3,\"x\"]}");
}

Test(json, a_key_put_again_is_replaced)
{
    struct json *j = json_create_object();
    json_put_object(j, "k");
    json_put_i64(j, "k", 1);
    assert_written(j, "{\"k\":1}");
}

Test(json, bytes_that_are_not_utf8_are_replaced)
{
    struct json *j = json_create_object();
    json_put_string(j, "path",
                    SLICE("/a\xff\x01"
                          "b\""));
    assert_written(j, "{\"path\":\"/a\xef\xbf\xbd\\u0001b\\\"\"}");
}

Test(json, numbers_that_json_has_no_word_for_become_null)
{
    struct json *j = json_create_object();
    json_put_real(j, "ratio", 0.5);
    json_put_real(j, "nan", __builtin_nan(""));
    json_put_real(j, "inf", __builtin_inf());
    assert_written(j, "{\"ratio\":0.5,\"nan\":null,\"inf\":null}");
}

Test(json, getters_refuse_other_types_and_leave_the_result_alone)
{
    struct json *j = parse("{\"s\":\"text\",\"n\":12,\"m\":-1,\"r\":1.5,\"b\":false,\"z\":null}");
    struct slice s = SLICE("before");
    int64_t i = 1;
    uint64_t u = 1;
    double r = 1;
    bool b = true;
    cr_assert(json_as_string(json_get(j, "s"), &s) && slice_equal(s, SLICE("text")));
    cr_assert_not(json_as_string(json_get(j, "n"), &s));
    cr_assert(slice_equal(s, SLICE("text")));
    cr_assert(json_as_i64(json_get(j, "m"), &i) && i == -1);
    cr_assert_not(json_as_u64(json_get(j, "m"), &u));
    cr_assert_not(json_as_i64(json_get(j, "r"), &i));
    cr_assert_not(json_as_i64(json_get(j, "absent"), &i));
    cr_assert(json_as_real(json_get(j, "n"), &r) && r == 12.0);
    cr_assert(json_as_bool(json_get(j, "b"), &b) && !b);
    cr_assert_not(json_as_bool(json_get(j, "z"), &b));
    cr_assert_eq(u, 1);
    json_destroy(j);
}

Test(json, absent_and_foreign_values_are_safe_to_ask)
{
    struct json *j = parse("[1,\"two\"]");
    cr_assert_null(json_get(j, "key"));
    cr_assert_null(json_get(NULL, "key"));
    cr_assert_null(json_at(j, 2));
    cr_assert_null(json_at(NULL, 0));
    cr_assert_eq(json_count(j), 2);
    cr_assert_eq(json_count(json_at(j, 0)), 0);
    cr_assert_eq(json_kind(NULL), JSON_KIND_ABSENT);
    cr_assert_eq(json_kind(json_at(j, 1)), JSON_KIND_STRING);
    json_destroy(j);
}

Test(json, walking_an_object_yields_each_member_once)
{
    struct json *j = parse("{\"a\":1,\"b\":2,\"c\":3}");
    void *cursor = NULL;
    struct slice key;
    char seen[8] = "";
    int64_t sum = 0, value = 0;
    for (const struct json *v; (v = json_next(j, &cursor, &key)) != NULL;) {
        strncat(seen, key.ptr, 1);
        cr_assert(json_as_i64(v, &value));
        sum += value;
    }
    cr_assert_str_eq(seen, "abc");
    cr_assert_eq(sum, 6);
    json_destroy(j);
}

static void assert_refused(struct slice bytes, const char *part)
{
    struct text error = { 0 };
    cr_assert_null(json_parse(bytes, &error));
    cr_assert(slice_contains(text_slice(&error), slice_from_cstr(part)), "%s", error.bytes);
    text_fini(&error);
}

Test(json, faulty_documents_are_refused_with_a_place)
{
    assert_refused(SLICE(""), "line 1");
    assert_refused(SLICE("{\n\"a\":}"), "line 2, column 5");
    assert_refused(SLICE("{\"a\":1,\"a\":2}"), "duplicate");
    assert_refused(SLICE("{} {}"), "end of file");
    assert_refused(SLICE("{\"a\":\"\\u0000\"}"), "\\u0000");
    assert_refused(SLICE("\"\xff\""), "byte 0xff");
}

Test(json, nesting_is_bounded_but_brackets_in_strings_are_not_nesting)
{
    char deep[JSON_MAX_DEPTH + 2];
    memset(deep, '[', sizeof deep);
    assert_refused(slice_from(deep, sizeof deep), "nested deeper than 64");
    json_destroy(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                       "\\\"[[[[[[[[[\"]"));
}

Test(json, pretty_text_ends_in_a_newline)
{
    struct json *j = parse("{\"a\":[1]}");
    struct text out = { 0 };
    json_write_pretty(j, &out);
    cr_assert_str_eq(out.bytes, "{\n  \"a\": [\n    1\n  ]\n}\n");
    text_fini(&out);
    json_destroy(j);
}

static void assert_canonical(const char *document, const char *expected)
{
    struct json *j = parse(document);
    struct text out = { 0 };
    json_write_canonical(j, &out);
    cr_assert_str_eq(out.bytes, expected);
    text_fini(&out);
    json_destroy(j);
}

Test(json, the_canonical_form_knows_neither_order_nor_blanks_but_every_value)
{
    assert_canonical(" { \"b\" : [ 1 , 2 ],\n\"a\": { \"z\": null, \"y\": \"\\u00e9\" } } ",
                     "{\"a\":{\"y\":\"\xc3\xa9\",\"z\":null},\"b\":[1,2]}");
    assert_canonical("[2,1]", "[2,1]");
    assert_canonical("1", "1");
    assert_canonical("1.0", "1.0");
    assert_canonical("[0.10000000000000001,0.10000000000000002]", "[0.10000000000000001,0.10000000000000002]");
}

Test(json, values_are_counted_before_they_are_parsed)
{
    static const struct {
        const char *text;
        size_t count; /* of values, or one too many */
    } cases[] = { { "[1,2]", 3 }, { "{\"a\":[],\"b,[\":\"c,\\\",\"}", 4 }, { "7", 1 } };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct text error;
        text_init(&error);
        struct json_limits limits = { .value_max = cases[i].count };
        struct json *parsed = json_parse_limited(slice_from_cstr(cases[i].text), &limits, &error);
        cr_assert_not_null(parsed, "%s: %.*s", cases[i].text, SLICE_ARG(text_slice(&error)));
        json_destroy(parsed);
        limits.value_max--;
        cr_assert_null(json_parse_limited(slice_from_cstr(cases[i].text), &limits, &error));
        cr_assert_eq(slice_find(text_slice(&error), 'm'), 0, "more than N values");
        text_fini(&error);
    }
}

static bool count_down(void *arg)
{
    return (*(int *)arg)-- > 0;
}

Test(json, a_parse_can_be_ended_from_outside)
{
    struct text document, error;
    text_init(&document);
    text_init(&error);
    text_add_char(&document, '[');
    for (int i = 0; i < 5000; i++)
        text_add_cstr(&document, "1,");
    text_add_cstr(&document, "1]");
    int left = 1000;
    struct json_limits limits = { .value_max = SIZE_MAX, .may_go_on = count_down, .arg = &left };
    struct json *parsed = json_parse_limited(text_slice(&document), &limits, &error);
    cr_assert_eq(json_count(parsed), 5001);
    json_destroy(parsed);
    cr_assert_lt(left, 992, "asked at each KiB");
    left = 4;
    cr_assert_null(json_parse_limited(text_slice(&document), &limits, &error));
    cr_assert_eq(left, -1);
    text_fini(&document);
    text_fini(&error);
}
