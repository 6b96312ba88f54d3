/* tests/unit/lua/test_shared_map.c - what is kept, for how long, and what goes when there is no room. */
#include "lua/shared_map.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "lua/fixture.h"

#define SECOND 1000000

static struct shared_map *map;
static struct mono_time now;
static char buffer[SHARED_VALUE_MAX_BYTES];

static void open(void)
{
    map = shared_map_create(1u << 20);
    now = (struct mono_time){ 5 * SECOND };
}

static void close(void)
{
    shared_map_destroy(map);
}

TestSuite(shared_map, .init = open, .fini = close);

static bool put_text(const char *key, const char *text, int64_t ttl_us, enum shared_write how)
{
    struct shared_value value = { .type = SHARED_TEXT, .text = slice_from_cstr(text) };
    return shared_map_put(map, slice_from_cstr(key), &value, ttl_us, how, now);
}

/* NULL: nothing is there. */
static void expect_text(const char *key, const char *text)
{
    struct shared_value value;
    bool is_there = shared_map_get(map, slice_from_cstr(key), now, buffer, &value);
    cr_assert_eq(is_there, text != NULL, "%s", key);
    if (is_there)
        cr_assert(value.type == SHARED_TEXT && slice_equal(value.text, slice_from_cstr(text)), "%s: %.*s", key,
                  SLICE_ARG(value.text));
}

static bool increase(const char *key, int64_t amount, int64_t ttl_us, int64_t *sum)
{
    struct shared_value by = { .type = SHARED_INTEGER, .integer = amount }, out = { .type = SHARED_BOOLEAN };
    bool is_number = shared_map_increase(map, slice_from_cstr(key), &by, ttl_us, now, &out);
    cr_assert(!is_number || out.type == SHARED_INTEGER);
    *sum = out.integer;
    return is_number;
}

Test(shared_map, a_value_is_what_was_put_last)
{
    expect_text("k", NULL);
    cr_assert(put_text("k", "one", 0, SHARED_SET));
    expect_text("k", "one");
    cr_assert(put_text("k", "", 0, SHARED_SET));
    expect_text("k", "");
    cr_assert(put_text("k", "something longer than before", 0, SHARED_SET));
    expect_text("k", "something longer than before");
    cr_assert_not(put_text("k", "two", 0, SHARED_ADD));
    expect_text("k", "something longer than before");
    cr_assert(shared_map_delete(map, SLICE("k"), now));
    cr_assert_not(shared_map_delete(map, SLICE("k"), now));
    expect_text("k", NULL);
    cr_assert(put_text("k", "two", 0, SHARED_ADD));
    expect_text("k", "two");
}

Test(shared_map, keys_are_bytes)
{
    struct shared_value one = { .type = SHARED_INTEGER, .integer = 1 },
                        two = { .type = SHARED_BOOLEAN, .boolean = true };
    struct shared_value out;
    cr_assert(shared_map_put(map, SLICE("a\0b"), &one, 0, SHARED_SET, now));
    cr_assert(shared_map_put(map, SLICE("a\0c"), &two, 0, SHARED_SET, now));
    cr_assert(shared_map_get(map, SLICE("a\0b"), now, buffer, &out) && out.type == SHARED_INTEGER && out.integer == 1);
    cr_assert(shared_map_get(map, SLICE("a\0c"), now, buffer, &out) && out.type == SHARED_BOOLEAN && out.boolean);
    cr_assert_not(shared_map_get(map, SLICE("a"), now, buffer, &out));
}

Test(shared_map, a_time_to_live_ends)
{
    int64_t sum;
    put_text("k", "x", 2 * SECOND, SHARED_SET);
    put_text("good", "x", 0, SHARED_SET);
    now.us += 2 * SECOND - 1;
    expect_text("k", "x");
    cr_assert_not(put_text("k", "y", 0, SHARED_ADD));
    now.us += 1;
    cr_assert_not(shared_map_delete(map, SLICE("k"), now));
    cr_assert(put_text("k", "y", SECOND, SHARED_ADD));
    cr_assert(put_text("k", "z", 0, SHARED_SET), "for good, from now on");
    now.us += 1000000LL * SECOND;
    expect_text("k", "z");
    expect_text("good", "x");
    cr_assert(increase("count", 2, SECOND, &sum) && sum == 2);
    now.us += SECOND / 2;
    cr_assert(increase("count", 3, SECOND, &sum) && sum == 5);
    now.us += SECOND / 2;
    cr_assert(increase("count", 4, SECOND, &sum) && sum == 4, "its window began with the first");
}

Test(shared_map, only_numbers_are_added_to)
{
    int64_t sum;
    struct shared_value half = { .type = SHARED_NUMBER, .number = 0.5 }, out;
    cr_assert(increase("n", INT64_MAX, 0, &sum) && sum == INT64_MAX);
    cr_assert(increase("n", 1, 0, &sum) && sum == INT64_MIN);
    put_text("text", "7", 0, SHARED_SET);
    cr_assert_not(increase("text", 1, 0, &sum));
    expect_text("text", "7");
    cr_assert(increase("f", 1, 0, &sum));
    cr_assert(shared_map_increase(map, SLICE("f"), &half, 0, now, &out) && out.type == SHARED_NUMBER &&
              out.number == 1.5);
    cr_assert(put_text("f", "a text again", 0, SHARED_SET));
    expect_text("f", "a text again");
}

static void fill(size_t count, size_t length, int64_t ttl_us)
{
    char key[32];
    static char text[SHARED_VALUE_MAX_BYTES];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < count; i++) {
        struct shared_value value = { .type = SHARED_TEXT, .text = slice_from(text, length) };
        snprintf(key, sizeof key, "key %zu", i);
        cr_assert(shared_map_put(map, slice_from_cstr(key), &value, ttl_us, SHARED_SET, now));
    }
}

Test(shared_map, memory_is_bounded_and_the_least_recently_used_go)
{
    put_text("warm", "x", 0, SHARED_SET);
    put_text("cold", "x", 0, SHARED_SET);
    for (size_t i = 0; i < 4000; i++) {
        char key[32];
        snprintf(key, sizeof key, "bulk %zu", i);
        struct shared_value value = { .type = SHARED_TEXT, .text = slice_from(buffer, 1000) };
        cr_assert(shared_map_put(map, slice_from_cstr(key), &value, 0, SHARED_SET, now));
        if (i % 16 == 0)
            expect_text("warm", "x");
    }
    fill(200, SHARED_VALUE_MAX_BYTES, 0);
    struct shared_stats stats = shared_map_stats(map);
    cr_assert_leq(stats.used_bytes, 1u << 20);
    cr_assert_gt(stats.entry_count, 32);
    cr_assert_gt(stats.evicted_count, 1000);
    expect_text("cold", NULL);
}

Test(shared_map, what_is_over_goes_before_what_is_not)
{
    fill(4000, 8, SECOND);
    cr_assert_eq(shared_map_stats(map).evicted_count, 0);
    now.us += SECOND;
    for (size_t i = 0; i < 20000; i++) { /* comes by every bucket */
        char key[32];
        snprintf(key, sizeof key, "new %zu", i % 1000);
        shared_map_delete(map, slice_from_cstr(key), now);
        put_text(key, "x", 0, SHARED_SET);
    }
    struct shared_stats stats = shared_map_stats(map);
    cr_assert_eq(stats.evicted_count, 0);
    cr_assert_eq(stats.entry_count, 1000, "%zu", (size_t)stats.entry_count);
}

Test(shared_map, a_lower_limit_holds_from_the_next_writes_on)
{
    shared_map_set_limit(map, 16u << 20);
    fill(10000, 400, 0);
    cr_assert_gt(shared_map_stats(map).used_bytes, 4u << 20);
    shared_map_set_limit(map, 1u << 20);
    fill(500, 10, 0);
    cr_assert_leq(shared_map_stats(map).used_bytes, 1u << 20);
}

Test(shared_map, a_counter_in_use_stays_when_its_room_does)
{
    int64_t sum;
    fill(1, 4000, 0);
    cr_assert(put_text("key 0", "x", 0, SHARED_SET), "the room for 4000 bytes is given back");
    uint64_t before = shared_map_stats(map).used_bytes;
    for (int i = 1; i <= 1000; i++)
        cr_assert(increase("n", 1, 0, &sum) && sum == i);
    cr_assert_lt(shared_map_stats(map).used_bytes, before + 200 + 64 * 1024);
    cr_assert_lt(before, 70000);
}

/* ---- weir.shared -------------------------------------------------------------------------------------------------------- */

static struct script_test t;
static struct script_call call;

static void open_state(void)
{
    open();
    script_test_open(&t);
    t.world.shared = map;
    t.world.call = &call;
}

static void close_state(void)
{
    script_test_close(&t);
    close();
}

TestSuite(api_shared, .init = open_state, .fini = close_state);

static void expect_raised(const char *code, const char *part)
{
    cr_assert_eq(script_test_run(&t, code), VM_ERROR, "%s: %s", code, t.result);
    cr_assert_not_null(strstr(t.vm->message, part), "%s: %s", code, t.vm->message);
}

Test(api_shared, values_come_back_as_they_were)
{
    script_test_expect(
        &t,
        "local s = weir.shared s.set('a', 'x\\0y') s.set('b', 7) s.set('c', 0.5) s.set('d', false) "
        "return #s.get('a') .. math.type(s.get('b')) .. s.get('c') .. tostring(s.get('d')) .. tostring(s.get('e'))",
        "3integer0.5falsenil");
    script_test_expect(&t,
                       "local s = weir.shared return tostring(s.add('a', 1)) .. tostring(s.add('f', 1)) .. s.get('f')",
                       "falsetrue1");
    script_test_expect(&t, "local s = weir.shared return tostring(s.delete('a')) .. tostring(s.delete('a'))",
                       "truefalse");
    script_test_expect(&t, "local s = weir.shared s.incr('n') s.incr('n', 10) return s.incr('n', -1, 60)", "10");
    script_test_expect(&t, "return weir.shared.incr('m', 0.5) + weir.shared.incr('m')", "2.0");
    script_test_expect(&t, "weir.shared.set('k', ('x'):rep(16384), 3600) return #weir.shared.get('k')", "16384");
}

Test(api_shared, mistakes_are_raised)
{
    expect_raised("weir.shared.set('', 1)", "a key is a text of 1 to 256 bytes");
    expect_raised("weir.shared.get(('x'):rep(257))", "a key is a text of 1 to 256 bytes");
    expect_raised("weir.shared.set('k')", "text, number or boolean expected");
    expect_raised("weir.shared.set('k', {})", "text, number or boolean expected");
    expect_raised("weir.shared.set('k', ('x'):rep(16385))", "more than 16 KiB");
    expect_raised("weir.shared.set('k', 1, 0)", "more than 0 seconds");
    expect_raised("weir.shared.set('k', 1, 0 / 0)", "more than 0 seconds");
    expect_raised("weir.shared.set('k', 1, 1e300)", "at most ten years");
    expect_raised("weir.shared.incr('k', '1')", "number expected");
    expect_raised("weir.shared.set('k', 'x') weir.shared.incr('k')", "the value of 'k' is not a number");
}

Test(api_shared, it_works_in_hooks_only)
{
    t.world.call = NULL;
    expect_raised("weir.shared.get('k')", "works in hooks only");
    t.world.call = &call;
    t.world.shared = NULL;
    expect_raised("weir.shared.get('k')", "there is no shared memory here");
}
