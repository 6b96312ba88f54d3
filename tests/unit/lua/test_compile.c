/* tests/unit/lua/test_compile.c - what gets in as a script: nothing in it is ever closed. */
#include "lua/compile.h"

#include <criterion/criterion.h>

#include <lauxlib.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "lua/chunk.h"
#include "lua/fixture.h"

#define BUDGET_US 2000000 /* compiling counts */

static struct script_test t;
static struct arena arena;
static struct err_list errors;
static char result[256];

static void open(void)
{
    script_test_open(&t);
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
}

static void close(void)
{
    arena_reset(&arena);
    script_test_close(&t);
}

TestSuite(compile, .init = open, .fini = close);

/* Compiles the text and runs what comes of it. */
static int run_body(lua_State *L)
{
    const char *text = lua_touserdata(L, 1);
    struct compiled compiled;
    result[0] = '\0';
    if (!compile_text(L, slice_from_cstr(text), "dir/a.lua", "=a.lua", &arena, &errors, &compiled))
        return 0;
    chunk_push_environment(L);
    lua_setupvalue(L, -2, 1);
    lua_call(L, 0, 1);
    snprintf(result, sizeof result, "%s", luaL_tolstring(L, -1, NULL));
    return 0;
}

static enum vm_result run(const char *text)
{
    lua_State *co = vm_coroutine(t.vm);
    enum vm_result got = vm_start(t.vm, co, run_body, (void *)(uintptr_t)text, BUDGET_US);
    vm_release(t.vm, co);
    return got;
}

static void expect(const char *text, const char *wanted)
{
    enum vm_result got = run(text);
    cr_assert_eq(got, VM_OK, "%s: %s", text, t.vm->message);
    cr_expect_eq(errors.error_count, 0);
    cr_expect_str_eq(result, wanted, "%s: %s", text, result);
}

static void expect_problems(const char *text, const char *wanted)
{
    char told[1024] = "";
    err_list_init(&errors, &arena);
    cr_assert_eq(run(text), VM_OK, "%s", t.vm->message);
    for (const struct err *e = errors.first; e != NULL; e = e->next)
        snprintf(told + strlen(told), sizeof told - strlen(told), "%s%.*s", told[0] != '\0' ? "\n" : "",
                 SLICE_ARG(err_format(&arena, e)));
    cr_expect_str_eq(told, wanted, "%s: %s", text, told);
    cr_expect_str_eq(result, "", "and it does not run");
}

Test(compile, variables_to_be_closed_are_refused_with_their_lines)
{
    expect_problems("local x\nlocal y <close> = nil\nreturn 1",
                    "dir/a.lua:2: there are no to-be-closed variables in scripts (write `local` without <close>)");
    expect_problems("return function()\n  local function f(v)\n    local x <close> = v\n  end\n  return f\nend",
                    "dir/a.lua:3: there are no to-be-closed variables in scripts (write `local` without <close>)");
    expect_problems("local a <close> = nil\nlocal b <const> = 1\n\nlocal c <close>, d = nil\nreturn b, d",
                    "dir/a.lua:1: there are no to-be-closed variables in scripts (write `local` without <close>)\n"
                    "dir/a.lua:4: there are no to-be-closed variables in scripts (write `local` without <close>)");
    expect_problems("local x <close> = y\nreturn 1",
                    "dir/a.lua:1:19: unknown global 'y'\n"
                    "dir/a.lua:1: there are no to-be-closed variables in scripts (write `local` without <close>)");
}

/* Each would say "closed", or raise, in plain Lua 5.4. */
Test(compile, the_fourth_value_of_a_loop_is_never_closed)
{
    static const char closer[] =
        "local mt = {} local closer, said = setmetatable({}, mt), 'no' "
        "mt.__close = function() said = 'closed' end "
        "local function each(n) return function(_, i) if i < n then return i + 1 end end, nil, 0, "
        "closer end ";
    static const char *const loops[] = {
        "for i in each(3) do end return said",
        "for i in each(3) do if i == 2 then break end end return said",
        "local function f() for i in each(3) do return i end end f() return said",
        "pcall(function() for i in each(3) do error('x') end end) return said",
        "for i in each(2) do for j in each(2) do goto next end ::next:: end return said",
        "local co = coroutine.wrap(function() for i in each(1) do coroutine.yield(i) end end) co() co() return said",
        "for i in function() end, nil, nil, 'no closer at all' do end return said",
    };
    for (size_t i = 0; i < ARRAY_COUNT(loops); i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", closer, loops[i]);
        expect(text, "no");
    }
}

Test(compile, loops_do_what_they_did)
{
    static const char *const loops[][2] = {
        { "local s = '' for i, v in ipairs { 'a', 'b', 'c' } do s = s .. i .. v end return s", "1a2b3c" },
        { "local n = 0 for k, v in pairs { x = 1, y = 2, 3 } do n = n + v end return n", "6" },
        { "local n = 0 for _ in pairs {} do n = n + 1 end return n", "0" },
        { "local s = '' for w in ('a b c'):gmatch('%a') do s = s .. w:upper() end return s", "ABC" },
        { "local s = '' for p, c in utf8.codes('xy') do s = s .. p .. ':' .. c .. ' ' end return s", "1:120 2:121 " },
        { "local s = 0 for i in ipairs { 1, 2, 3, 4 } do if i == 3 then break end s = s + i end return s", "3" },
        { "local s = 0 for i in ipairs { 1, 2, 3, 4 } do if i == 2 then goto on end s = s + i ::on:: end return s",
          "8" },
        { "local s = '' for i in ipairs { 1, 2 } do for j in ipairs { 1, 2, 3 } do if j == 3 then break end s = s .. i "
          ".. j .. ' ' end end return s",
          "11 12 21 22 " },
        { "local f = {} for i, v in ipairs { 'a', 'b', 'c' } do f[i] = function() v = v .. i return v end end "
          "f[1]() return f[1]() .. f[2]() .. f[3]()",
          "a11b2c3" },
        { "local function f() for i in ipairs { 1, 2 } do local g = function() return i end if i == 2 then return g() "
          "end end end return f()",
          "2" },
        { "local function f(n) for i in ipairs { 1 } do if n == 0 then return 'end' end return f(n - 1) end end return "
          "f(50)",
          "end" },
        { "local s = 0 for i = 1, 3 do for _, v in ipairs { i } do s = s + v end end return s", "6" },
        { "local t = setmetatable({}, { __pairs = function() return next, { x = 1 } end }) for k in pairs(t) do return "
          "k "
          "end",
          "x" },
        { "return select(2, pcall(function() for i in nil do end end))",
          "a.lua:1: attempt to call a nil value (for iterator 'for iterator')" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(loops); i++)
        expect(loops[i][0], loops[i][1]);
}

/* Near the longest jump of a loop: 17 bits. */
Test(compile, loops_with_large_bodies)
{
    struct text text = { 0 };
    text_add_cstr(&text, "local n = 0 for i in ipairs { 1, 2, 3 } do ");
    for (int i = 0; i < 60000; i++)
        text_add_cstr(&text, "n=n+i ");
    text_add_cstr(&text, "end return n");
    expect(text.bytes, "360000");
    text_fini(&text);
}
