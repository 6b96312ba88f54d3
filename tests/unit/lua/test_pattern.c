/* tests/unit/lua/test_pattern.c - our string functions say what Lua's own say. */
#include "lua/pattern.h"

#include <criterion/criterion.h>

#include <lauxlib.h>
#include <lualib.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "lua/fixture.h"

static struct script_test t;
static lua_State *stock; /* with Lua's own libraries, and no limit */

static void open(void)
{
    script_test_open(&t);
    stock = luaL_newstate();
    luaL_openlibs(stock);
}

static void close(void)
{
    lua_close(stock);
    script_test_close(&t);
}

TestSuite(pattern, .init = open, .fini = close);

/* Both run the code, which returns a text or raises. */
static void expect_same(const char *code)
{
    bool is_good = luaL_loadbuffer(stock, code, strlen(code), "=test") == LUA_OK && lua_pcall(stock, 0, 1, 0) == LUA_OK;
    enum vm_result got = script_test_run(&t, code);
    if (is_good) {
        cr_assert_eq(got, VM_OK, "%s: %s", code, t.vm->message);
        cr_assert_str_eq(t.result, luaL_tolstring(stock, -1, NULL), "%s", code);
    } else {
        cr_assert_eq(got, VM_ERROR, "%s: %s", code, t.result);
        const char *message = strrchr(lua_tostring(stock, -1), ':');
        cr_assert_not_null(strstr(t.vm->message, message), "%s: %s instead of %s", code, t.vm->message, message);
    }
    lua_settop(stock, 0);
}

#define PACK "local r = table.pack(pcall(%s)) for i = 1, r.n do r[i] = tostring(r[i]) end return table.concat(r, '|')"

static const char *const cases[] = {
    "('hello world'):find('o w')",
    "('hello world'):find('o', 6)",
    "('hello'):find('')",
    "('hello'):find('', 6)",
    "('hello'):find('', 7)",
    "('hello'):find('l', -2)",
    "('a.b'):find('.', 2, true)",
    "('a+b'):find('+', 1, true)",
    "('key = value'):match('^(%w+)%s*=%s*(%w+)$')",
    "('key = value'):match('()=()')",
    "('THE (quick) fox'):find('%((%a+)%)')",
    "('f(a(b)c)d'):match('%b()')",
    "('THE (quick) fox'):gsub('%f[%a]%a+', 'x')",
    "('abcabc'):match('(abc)%1')",
    "('[[x]]'):match('%[(%b[])%]')",
    "('a]b'):match('[]]')",
    "('a-b'):match('[a-]+')",
    "('a^b'):match('[b^]+')",
    "('x=1'):match('[^%w]')",
    "('äöü'):match('[\\xc3].')",
    "('a\\0b'):find('\\0')",
    "('a\\0b'):match('%z*')",
    "('abc'):gsub('', '-')",
    "('abc'):gsub('b*', '-')",
    "('abc def'):gsub('%w+', '<%0>')",
    "('abc def'):gsub('(%w)(%w*)', '%2%1')",
    "('abc'):gsub('%w', { a = '1', b = true, c = false })",
    "('abc'):gsub('%w', { a = 1.5 })",
    "('abc'):gsub('%w', {}, 2)",
    "('abc'):gsub('^a', 'x')",
    "('aaa'):gsub('^a', 'x')",
    "('abc'):gsub('%w', '%')",
    "('abc'):gsub('%w', '%2')",
    "('abc'):gsub('()', '%1')",
    "('abc'):gsub('a', function() return {} end)",
    "('abc'):gsub('a', 1)",
    "('abc'):gsub('a', true)",
    "('abc'):gsub('(a)(b)', function(x, y) return y .. x end)",
    "('abc'):gsub('a', 'b', 0)",
    "('abc'):gsub('.', '%%')",
    "('abc'):match('(')",
    "('abc'):match(')')",
    "('abc'):match('(a')",
    "('abc'):match('%')",
    "('abc'):match('[a')",
    "('abc'):match('[a%')",
    "('abc'):match('[')",
    "('abc'):match('[^')",
    "('abc'):match('[]')",
    "('abc'):match('%b')",
    "('abc'):match('%bx')",
    "('abc'):match('%f')",
    "('abc'):match('%fa')",
    "('abc'):match('%1')",
    "('abc'):match('%0')",
    "('abc'):match('(a%1)')",
    "('a'):match(('('):rep(33) .. 'a')",
    "('a'):rep(300):match(('a'):rep(300))",
    "('a'):rep(300):match(('a?'):rep(300))",
    "('$'):match('$$')",
    "('a$b'):match('a$b')",
    "('a*'):match('%*')",
    "('*'):match('*')",
    "('-'):match('-')",
    "('aXb'):match('%u'), ('aXb'):match('%U')",
    "('x'):rep(3, ', ')",
    "('x'):rep(0)",
    "('x'):rep(-1)",
    "(''):rep(100)",
    "(''):rep(3, 'ab')",
    "('ab'):rep(5)",
    "('aBc'):lower(), ('aBc'):upper(), ('abc'):reverse()",
    "table.concat({ 1, 2, 3 }, ', ')",
    "table.concat({ 1, 2, 3 }, ', ', 2)",
    "table.concat({ 1, 2, 3 }, ', ', 2, 2)",
    "table.concat({}, 'x')",
    "table.concat({ 1, {} })",
    "table.unpack({ 1, 2, nil, 4 }, 1, 4)",
    "table.unpack({ 1, 2, 3 }, 2)",
    "table.unpack({}, 1, 1e8)",
    "table.concat(table.move({ 1, 2, 3, 4 }, 1, 3, 2), ',')",
    "table.concat(table.move({ 1, 2, 3, 4 }, 2, 4, 1), ',')",
    "table.concat(table.move({ 1, 2 }, 1, 2, 3, { 7, 8 }), ',')",
    "table.remove({})",
    "table.remove({ 1, 2, 3 }, 1)",
    "table.remove({ 1, 2, 3 }, 4)",
    "table.insert({}, 2, 1)",
    "table.insert({})",
    "table.insert({}, 1, 2, 3)",
    "setmetatable({}, { __metatable = 1 }) and getmetatable(setmetatable({}, { __metatable = 7 }))",
    "setmetatable(setmetatable({}, { __metatable = 1 }), nil)",
    "xpcall(function(a, b) return a + b end, error, 1, 2)",
    "xpcall(error, function(m) return 'got ' .. m end, 'x')",
    "table.sort({ 1, 2 }, 3)",
    "utf8.len('äö\\xff')",
    "utf8.codepoint('äöü', 1, -1)",
    "utf8.char(228, 246)",
};

Test(pattern, cases)
{
    char code[1024];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char call[512];
        snprintf(call, sizeof(call), "function() return %s end", cases[i]);
        snprintf(code, sizeof(code), PACK, call);
        expect_same(code);
    }
}

/* Patterns put together at random from all that has a meaning in one, on short subjects where much of it matches. */
Test(pattern, a_million_little_ones)
{
    static const char *const parts[] = { "a",    "b",     ".",  "%a", "%d",   "%A", "[ab]", "[^a]", "[a-c]",
                                         "(",    ")",     "()", "*",  "+",    "-",  "?",    "$",    "^",
                                         "%b()", "%f[a]", "%1", "%%", "[%a]", "]",  "1" };
    static const char *const functions[] = { "('%s'):find('%s')", "('%s'):match('%s', 2)", "('%s'):gsub('%s', '<%%0>')",
                                             "('%s'):gmatch('%s')()" };
    struct rng rng;
    rng_init(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        char subject[16] = "", pattern[64] = "", call[256], code[512];
        for (uint64_t n = rng_next(&rng) % 9; n > 0; n--)
            strncat(subject, &"ab(1)ac"[rng_next(&rng) % 7], 1);
        for (uint64_t n = rng_next(&rng) % 7; n > 0; n--)
            strcat(pattern, parts[rng_next(&rng) % ARRAY_COUNT(parts)]);
        int length = snprintf(call, sizeof(call), "function() return ");
        char format[64];
        snprintf(format, sizeof(format), "%s end", functions[rng_next(&rng) % ARRAY_COUNT(functions)]);
        snprintf(call + length, sizeof(call) - (size_t)length, format, subject, pattern);
        snprintf(code, sizeof(code), PACK, call);
        expect_same(code);
    }
}

static bool count_look(void *arg)
{
    ++*(size_t *)arg;
    return false;
}

/* A set is walked for each character, and may be as long as a text. */
Test(pattern, what_a_step_walks_counts)
{
    static const struct {
        const char *pattern, *subject; /* %s: 2000 times 'b', 200 times 'a' */
    } walks[] = { { "[%s]", "%s" }, { "[%s]*c", "%s" }, { "[^%s]+c", "%s" }, { "%%f[%s]", "%s" } };
    char run[2][2001] = { "", "" }, pattern[2100], subject[300];
    memset(run[0], 'b', 2000);
    memset(run[1], 'a', 200);
    for (size_t i = 0; i < ARRAY_COUNT(walks); i++) {
        struct pattern_search q;
        size_t look_count = 0;
        snprintf(pattern, sizeof pattern, walks[i].pattern, run[0]);
        snprintf(subject, sizeof subject, walks[i].subject, run[1]);
        pattern_begin(&q, slice_from_cstr(pattern), PATTERN_MAY_BE_ANCHORED, slice_from_cstr(subject));
        q.on_steps = count_look;
        q.arg = &look_count;
        pattern_start(&q, 0);
        pattern_run(&q);
        cr_assert_gt(look_count, 20, "%s", walks[i].pattern);
    }
}

/* Pieces of what is walked at once begin anywhere. */
Test(pattern, a_plain_text_is_found_wherever_it_stands)
{
    expect_same("local s = ('ab'):rep(100000) .. 'aab' local found = {} "
                "for _, n in ipairs({ 1, 2, 65530, 65535, 65536, 65537, 131071, 131072, 199999 }) do "
                "found[#found + 1] = tostring(s:find('aa', n, true)) "
                "found[#found + 1] = tostring((s:sub(1, n) .. 'x' .. s:sub(n)):find('x')) end "
                "return table.concat(found, ',')");
    expect_same(
        "local s = ('x'):rep(150000) .. 'y' "
        "return tostring(s:find(('x'):rep(70000) .. 'y')) .. tostring(s:find(s)) .. tostring(s:find(s .. 'z'))");
}

/* Where one call of ours does much that has no steps. */
Test(pattern, a_replacement_of_many_parts_is_cut_off)
{
    t.budget_us = 30 * 1000; /* writing the replacement takes a part of it */
    cr_assert_eq(script_test_run(&t, "return ('a'):rep(4000):gsub('(b-)', ('%1'):rep(400000))"), VM_TIMEOUT);
    cr_assert_not_null(strstr(t.vm->message, "gsub"), "%s", t.vm->message);
}

Test(pattern, sorting_puts_in_order)
{
    script_test_expect(&t,
                       "local t = {} for i = 1, 500 do t[i] = (i * 7919) % 501 end table.sort(t) "
                       "for i = 2, #t do if t[i] < t[i - 1] then return i end end return 'sorted'",
                       "sorted");
    script_test_expect(
        &t, "local t = { 'b', 'c', 'a' } table.sort(t, function(x, y) return x > y end) return table.concat(t)", "cba");
    script_test_expect(&t, "local t = { 3, 1, 2 } table.sort(t, function() return true end) return #t", "3");
    script_test_expect(&t, "local t = {} table.sort(t) t[1] = 1 table.sort(t) return t[1]", "1");
}
