/* tests/unit/shadow/test_compare_json.c - documents of JSON, and the places in which they differ. */
#include "shadow/compare.h"

#include "shadow/fixture.h"

#include <criterion/criterion.h>

#include <string.h>

static struct arena arena;
static struct compare_config config;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    memset(&config, 0, sizeof config);
}

static void teardown(void)
{
    arena_reset(&arena);
}

TestSuite(compare_json, .init = setup, .fini = teardown);

static void compare_texts(const char *a, const char *b, struct comparison *out)
{
    struct text error = { 0 };
    struct json *left = json_parse(slice_from_cstr(a), &error), *right = json_parse(slice_from_cstr(b), &error);
    cr_assert(left != NULL && right != NULL, "%s", error.bytes);
    comparison_init(out);
    compare_json(compare_plan_build(&arena, &config), left, right, PAIR_SHADOW, out);
    json_destroy(left);
    json_destroy(right);
}

/* One line a difference; both ways, since the other way round the fields are the same. */
static void expect(const char *a, const char *b, const char *wanted)
{
    struct comparison there, back;
    compare_texts(a, b, &there);
    compare_texts(b, a, &back);
    struct slice got = comparison_text(&arena, &there);
    cr_expect(slice_equal(got, slice_from_cstr(wanted)), "%s and %s: got\n%.*swanted\n%s", a, b, SLICE_ARG(got),
              wanted);
    cr_expect_eq(there.count, back.count, "%s and %s the other way", a, b);
    comparison_clear(&there);
    comparison_clear(&back);
}

Test(compare_json, finds_nothing_where_documents_mean_the_same)
{
    expect("{\"a\":1,\"b\":[true,null,\"x\"]}", " { \"b\" : [ true , null , \"x\" ], \"a\" : 1 } ", "");
    expect("[1,100,-0,0.5,1e3]", "[1.0,1e2,0,5e-1,1000]", "");
    expect("\"\\u00e9\\n\"", "\"\xc3\xa9\\u000a\"", "");
    expect("9007199254740993", "9007199254740993", "");
}

Test(compare_json, finds_each_kind_of_difference)
{
    expect("1", "2", "$ @ $: 1 | 2 | - [s?]\n");
    expect("9007199254740993", "9007199254740992", "$ @ $: 9007199254740993 | 9007199254740992 | - [s?]\n");
    expect("0.1", "0.10000000000000001", "");
    expect("0.3", "0.30000000000000004", "$ @ $: 0.3 | 0.30000000000000004 | - [s?]\n");
    expect("{\"a\":1}", "{\"a\":\"1\"}", "$.a (type) @ $.a: 1 | \"1\" | - [s?]\n");
    expect("{\"a\":null}", "{}", "$.a (presence) @ $.a: null | - | - [s?]\n");
    expect("{\"a\":{\"b\":true}}", "{\"a\":{\"b\":false}}", "$.a.b @ $.a.b: true | false | - [s?]\n");
    expect("{\"a\":[]}", "{\"a\":{}}", "$.a (type) @ $.a: [] | {} | - [s?]\n");
    expect("\"\xc3\xa9\"", "\"e\xcc\x81\"", "$ @ $: \"\xc3\xa9\" | \"e\xcc\x81\" | - [s?]\n");
    expect("{\"net price\":1}", "{\"net price\":2}", "$[\"net price\"] @ $[\"net price\"]: 1 | 2 | - [s?]\n");
}

Test(compare_json, puts_all_items_of_an_array_into_one_field)
{
    expect("{\"items\":[{\"price\":1},{\"price\":2},{\"price\":3}]}",
           "{\"items\":[{\"price\":1},{\"price\":9},{\"price\":8}]}",
           "$.items[*].price @ $.items[1].price: 2 | 9 | - [s?]\n");
    expect("[1,2,3]", "[1,2]", "$[*] (presence) @ $[2]: 3 | - | - [s?]\n");
}

Test(compare_json, leaves_out_what_is_ignored)
{
    static const char *const ignored[] = { "$.items[*].updated_at", "$.meta", "$..etag", NULL };
    config.ignore_json = texts_of(&arena, ignored);
    expect("{\"items\":[{\"updated_at\":1,\"id\":1}],\"meta\":{\"a\":1},\"x\":{\"etag\":1}}",
           "{\"items\":[{\"id\":1}],\"meta\":[],\"x\":{\"etag\":\"2\"}}", "");
    expect("{\"items\":[{\"updated_at\":1,\"id\":1}]}", "{\"items\":[{\"updated_at\":2,\"id\":3}]}",
           "$.items[*].id @ $.items[0].id: 1 | 3 | - [s?]\n");
}

Test(compare_json, matches_items_by_the_key_they_have)
{
    struct array_key_config keys[] = { { SLICE("$.items"), SLICE("id") } };
    config.array_keys = keys;
    config.array_key_count = 1;
    expect("{\"items\":[{\"id\":1,\"p\":5},{\"id\":2,\"p\":6}]}", "{\"items\":[{\"id\":2,\"p\":6},{\"id\":1,\"p\":5}]}",
           "");
    expect("{\"items\":[{\"id\":1,\"p\":5},{\"id\":2,\"p\":6}]}", "{\"items\":[{\"id\":2,\"p\":7},{\"id\":1,\"p\":5}]}",
           "$.items[*].p @ $.items[id=2].p: 6 | 7 | - [s?]\n");
    expect("{\"items\":[{\"id\":1}]}", "{\"items\":[{\"id\":1},{\"id\":2}]}",
           "$.items[*] (presence) @ $.items[id=2]: - | {\"id\":2} | - [s?]\n");
    expect("{\"items\":[{\"id\":1}]}", "{\"items\":[{\"id\":\"1\"}]}",
           "$.items[*].id (type) @ $.items[id=1].id: 1 | \"1\" | - [s?]\n");
}

Test(compare_json, matches_by_index_where_the_key_does_not_tell_items_apart)
{
    struct array_key_config keys[] = { { SLICE("$"), SLICE("id") } };
    config.array_keys = keys;
    config.array_key_count = 1;
    expect("[{\"id\":1},{\"id\":1}]", "[{\"id\":1},{\"id\":2}]", "$[*].id @ $[1].id: 1 | 2 | - [s?]\n");
    expect("[{\"id\":1},3]", "[{\"id\":1},4]", "$[*] @ $[1]: 3 | 4 | - [s?]\n");
    expect("[{\"id\":{}}]", "[{\"id\":{}}]", "");
}

Test(compare_json, compares_bags_without_order)
{
    static const char *const bags[] = { "$.tags", "$.tags[*].inner", NULL }, *const ignored[] = { "$.tags[*].at",
                                                                                                  NULL };
    config.unordered = texts_of(&arena, bags);
    config.ignore_json = texts_of(&arena, ignored);
    expect("{\"tags\":[1,\"a\",{\"x\":[1,2],\"at\":1}]}", "{\"tags\":[{\"at\":2,\"x\":[1.0,2]},1.0,\"a\"]}", "");
    expect("{\"tags\":[{\"inner\":[1,2]}]}", "{\"tags\":[{\"inner\":[2,1]}]}", "");
    expect("{\"tags\":[1,1,2]}", "{\"tags\":[1,2,2]}", "$.tags[*] @ $.tags[*]: 1 | 2 | - [s?]\n");
    expect("{\"tags\":[1,2]}", "{\"tags\":[2]}", "$.tags[*] (presence) @ $.tags[*]: 1 | - | - [s?]\n");
    expect("{\"tags\":[[1,2]]}", "{\"tags\":[[2,1]]}", "$.tags[*] @ $.tags[*]: [1,2] | [2,1] | - [s?]\n");
    expect("{\"other\":[1,2]}", "{\"other\":[2,1]}", "$.other[*] @ $.other[0]: 1 | 2 | - [s?]\n");
}

Test(compare_json, never_shows_what_is_redacted)
{
    static const char *const rules[] = { "$.card.number", NULL };
    config.redact = texts_of(&arena, rules);
    expect("{\"card\":{\"number\":\"4111\"}}", "{\"card\":{\"number\":\"5500\"}}",
           "$.card.number @ $.card.number: \"[redacted]\" | \"[redacted]\" | - [s?]\n");
    expect("{\"card\":{\"number\":\"4111\",\"cvc\":1}}", "{}",
           "$.card (presence) @ $.card: {\"number\":\"[redacted]\",\"cvc\":1} | - | - [s?]\n");
    expect("{\"user\":{\"password\":\"a\"}}", "{\"user\":{\"password\":\"b\"}}",
           "$.user.password @ $.user.password: \"[redacted]\" | \"[redacted]\" | - [s?]\n");
}

Test(compare_json, shows_no_key_that_is_redacted)
{
    static const char *const rules[] = { "$[*].number", NULL };
    struct array_key_config keys[] = { { SLICE("$"), SLICE("number") } };
    config.array_keys = keys;
    config.array_key_count = 1;
    config.redact = texts_of(&arena, rules);
    expect("[{\"number\":\"4111\",\"limit\":1}]", "[{\"number\":\"4111\",\"limit\":2}]",
           "$[*].limit @ $[number=[redacted] #0].limit: 1 | 2 | - [s?]\n");
}

/* 500 members that all differ: so many fields are kept, and the rest is one. */
Test(compare_json, counts_what_is_too_much_as_one_field)
{
    struct text a = { 0 }, b = { 0 };
    for (int i = 0; i < 500; i++) {
        text_printf(&a, "%c\"m%d\":1", i == 0 ? '{' : ',', i);
        text_printf(&b, "%c\"m%d\":2", i == 0 ? '{' : ',', i);
    }
    text_add_char(&a, '}');
    text_add_char(&b, '}');
    struct comparison c;
    compare_texts(a.bytes, b.bytes, &c);
    cr_expect_eq(c.count, COMPARE_FIELDS_MAX + 1);
    cr_expect_eq(c.items[COMPARE_FIELDS_MAX].field.len, 0);
    cr_expect(c.items[COMPARE_FIELDS_MAX].is_different[PAIR_SHADOW]);
    comparison_clear(&c);
    text_fini(&a);
    text_fini(&b);
}

Test(compare_json, cuts_names_and_values)
{
    struct text a = { 0 }, b = { 0 };
    text_add_cstr(&a, "{\"");
    for (int i = 0; i < 1000; i++)
        text_add_cstr(&a, "\xc3\xa9");
    text_add(&b, text_slice(&a));
    text_printf(&a, "\":\"%01000d\"}", 1);
    text_printf(&b, "\":\"%01000d\"}", 2);
    struct comparison c;
    compare_texts(a.bytes, b.bytes, &c);
    cr_assert_eq(c.count, 1);
    cr_expect_leq(c.items[0].field.len, COMPARE_NAME_BYTES);
    cr_expect_leq(c.items[0].values[PAIR_SHADOW].len, COMPARE_VALUE_BYTES + 3);
    comparison_clear(&c);
    text_fini(&a);
    text_fini(&b);
}
