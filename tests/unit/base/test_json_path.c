/* tests/unit/base/test_json_path.c - what patterns stand for, and what is none. */
#include "base/json_path.h"

#include <criterion/criterion.h>

#define MEMBER(name)                                                                                                   \
    {                                                                                                                  \
        .member = SLICE(name)                                                                                          \
    }
#define ITEM(number)                                                                                                   \
    {                                                                                                                  \
        .index = (number)                                                                                              \
    }

static const struct json_step price[] = { MEMBER("items"), ITEM(3), MEMBER("price") };
static const struct json_step odd[] = { MEMBER("a.b"), MEMBER(""), MEMBER("it's") };

static void expect(const char *text, const struct json_step *steps, size_t count, bool is, bool covers)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct slice pattern = slice_from_cstr(text);
    cr_assert_null(json_path_fault(pattern), "%s %s", text, json_path_fault(pattern));
    const struct json_path *path = json_path_parse(&arena, pattern);
    cr_expect_eq(json_path_is(path, steps, count), is, "%s is", text);
    cr_expect_eq(json_path_covers(path, steps, count), covers, "%s covers", text);
    arena_reset(&arena);
}

Test(json_path, names_a_place_and_covers_what_is_in_it)
{
    expect("$.items[3].price", price, 3, true, true);
    expect("$.items[*].price", price, 3, true, true);
    expect("$[\"items\"][3]['price']", price, 3, true, true);
    expect("$.*[*].*", price, 3, true, true);
    expect("$..price", price, 3, true, true);
    expect("$..*", price, 3, true, true);
    expect("$.items..price", price, 3, true, true);
    expect("$.items", price, 3, false, true);
    expect("$.items[*]", price, 3, false, true);
    expect("$..items", price, 3, false, true);
    expect("$", price, 3, false, true);
    expect("$", price, 0, true, true);
}

Test(json_path, leaves_other_places_alone)
{
    expect("$.items[2].price", price, 3, false, false);
    expect("$.items.*.price", price, 3, false, false);
    expect("$.items[*].price.net", price, 3, false, false);
    expect("$.price", price, 3, false, false);
    expect("$.item", price, 3, false, false);
    expect("$[*]", price, 3, false, false);
    expect("$..net", price, 3, false, false);
    expect("$.a", price, 0, false, false);
    expect("$..price..price", price, 3, false, false);
}

Test(json_path, takes_any_name_in_quotes)
{
    expect("$[\"a.b\"][\"\"][\"it's\"]", odd, 3, true, true);
    static const struct json_step bracket[] = { MEMBER("a]b") };
    expect("$['a]b']", bracket, 1, true, true);
}

/* A name that repeats at many depths: every choice of where `..` ends is tried, and no more. */
Test(json_path, finds_its_way_back_from_a_wrong_turn)
{
    struct json_step steps[64];
    for (size_t i = 0; i < 64; i++)
        steps[i] = (struct json_step){ .member = SLICE("a") };
    steps[63].member = SLICE("b");
    expect("$..a..b", steps, 64, true, true);
    expect("$..a.a.b", steps, 64, true, true);
    expect("$..a..c", steps, 64, false, false);
}

Test(json_path, says_what_is_wrong)
{
    static const char *const bad[] = {
        "",           "items",       ".items",     "$items",           "$.",
        "$..",        "$...a",       "$.a.",       "$.items[",         "$.items[]",
        "$.items[x]", "$.items[-1]", "$.items[3",  "$.items[\"a]",     "$.items['a\"]",
        "$.a b",      "$.items[3]x", "$..a..b..c", "$.a[99999999999]", "$[\"a\"x]",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        cr_expect_not_null(json_path_fault(slice_from_cstr(bad[i])), "'%s'", bad[i]);
    struct text deep = { 0 };
    text_add_char(&deep, '$');
    for (int i = 0; i < JSON_PATH_STEPS_MAX; i++)
        text_add_cstr(&deep, ".a");
    cr_expect_null(json_path_fault(text_slice(&deep)));
    text_add_cstr(&deep, ".a");
    cr_expect_not_null(json_path_fault(text_slice(&deep)));
    text_fini(&deep);
}

Test(json_path, writes_places_and_what_they_have_in_common)
{
    struct text out = { 0 };
    struct json_step keyed[] = { MEMBER("items"), { .index = 1, .label = SLICE("id=7") }, MEMBER("net price") };
    json_steps_write(&out, price, 3);
    text_add_char(&out, ' ');
    json_steps_write_general(&out, price, 3);
    text_add_char(&out, ' ');
    json_steps_write(&out, keyed, 3);
    text_add_char(&out, ' ');
    json_steps_write(&out, odd, 0);
    cr_expect_str_eq(out.bytes, "$.items[3].price $.items[*].price $.items[id=7][\"net price\"] $");
    text_fini(&out);
}
