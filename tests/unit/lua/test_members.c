/* tests/unit/lua/test_members.c - members that are not there are told where it is certain, and nowhere else. */
#include "lua/members.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "lua/compile.h"
#include "lua/fixture.h"

#define BUDGET_US 2000000

static struct script_test t;
static struct arena arena;
static struct err_list errors;

static void open(void)
{
    script_test_open(&t);
    arena_init(&arena, NULL, 0);
}

static void close(void)
{
    arena_reset(&arena);
    script_test_close(&t);
}

TestSuite(members, .init = open, .fini = close);

static int compile_body(lua_State *L)
{
    const char *text = lua_touserdata(L, 1);
    struct compiled compiled;
    int top = lua_gettop(L);
    bool is_good = compile_text(L, slice_from_cstr(text), "a.lua", "=a.lua", &arena, &errors, &compiled);
    cr_expect_eq(lua_gettop(L), is_good ? top + 1 : top);
    cr_expect_eq(compiled.code.len > 0, is_good);
    return 0;
}

/* One line each. */
static void expect(const char *text, const char *wanted)
{
    char told[1024] = "";
    lua_State *co = vm_coroutine(t.vm);
    err_list_init(&errors, &arena);
    enum vm_result got = vm_start(t.vm, co, compile_body, (void *)(uintptr_t)text, BUDGET_US);
    vm_release(t.vm, co);
    cr_assert_eq(got, VM_OK, "%s: %s", text, t.vm->message);
    for (const struct err *e = errors.first; e != NULL; e = e->next)
        snprintf(told + strlen(told), sizeof told - strlen(told), "%s\n", err_format(&arena, e).ptr);
    cr_expect_str_eq(told, wanted, "%s: %s", text, told);
}

Test(members, what_is_not_there_is_told_with_its_line_column_and_neighbour)
{
    expect("\n  return weir.hsah('a')", "a.lua:2:15: unknown member 'weir.hsah' (did you mean 'weir.hash'?)\n");
    expect("local d = weir.json.decod",
           "a.lua:1:21: unknown member 'weir.json.decod' (did you mean 'weir.json.decode'?)\n");
    expect("return string.formatt('x'), math.flor(1)",
           "a.lua:1:15: unknown member 'string.formatt' (did you mean 'string.format'?)\n"
           "a.lua:1:34: unknown member 'math.flor' (did you mean 'math.floor'?)\n");
    expect("return ('x'):formatt()", "a.lua:1:14: unknown member 'string.formatt' (did you mean 'string.format'?)\n");
    expect("return weir.shared:gett('k')",
           "a.lua:1:20: unknown member 'weir.shared.gett' (did you mean 'weir.shared.get'?)\n");
    expect("return function()\n return function(req)\n  return weir.nothing\n end\nend",
           "a.lua:3:15: unknown member 'weir.nothing'\n");
    expect("return weir.shared.get.x, weir.jwt.verfy()",
           "a.lua:1:36: unknown member 'weir.jwt.verfy' (did you mean 'weir.jwt.verify'?)\n");
    expect("return string.dump, coroutine.close, math.randomseed, table.foreach",
           "a.lua:1:15: unknown member 'string.dump'\na.lua:1:31: unknown member 'coroutine.close'\n"
           "a.lua:1:43: unknown member 'math.randomseed'\na.lua:1:61: unknown member 'table.foreach'\n");
}

Test(members, one_of_a_line_is_told_once_and_a_column_is_there_where_the_name_is)
{
    expect("return weir.hsah(weir.hsah(1))", "a.lua:1:13: unknown member 'weir.hsah' (did you mean 'weir.hash'?)\n");
    expect("return weir\n.hsah", "a.lua:2: unknown member 'weir.hsah' (did you mean 'weir.hash'?)\n");
    expect("return weir['hsah']", "a.lua:1: unknown member 'weir.hsah' (did you mean 'weir.hash'?)\n");
    expect("local o = { hsah = 1 } return o.hsah, weir . hsah",
           "a.lua:1:46: unknown member 'weir.hsah' (did you mean 'weir.hash'?)\n");
    expect("if weir.fetsch then return 1 end",
           "a.lua:1:9: unknown member 'weir.fetsch' (did you mean 'weir.fetch'?)\n");
}

Test(members, what_is_there_or_may_be_is_not_told)
{
    static const char *const good[] = {
        "return weir.hash, weir.json.decode('1'), weir.shared.get, string.format('x'), utf8.char",
        "return ('x'):upper(), ('%d'):format(1), #('x')",
        "local weir = {} return weir.hsah",
        "return function(string) return string.formatt end",
        "local w = weir return w.hsah",    /* not followed */
        "local w = weir return weir.hsah", /* w may have been used to add it */
        "function string.trim(s) return s end return string.trim('x')",
        "string.trim = function(s) return s end return string.trim",
        "return function() return string.trim end, function() string.trim = 1 end",
        "weir.json.pretty = 1 return weir.json.pretty",
        "local j = weir.json j.pretty = 1 return weir.json.pretty",
        "local w = weir w.json.pretty = 1 return weir.json.pretty",
        "rawset(string, 'trim', 1) return string.trim",
        "for k in pairs(weir) do end return weir.hsah",
        "return rawget(weir, 'x')",
        "local e = _ENV return weir.hsah",
        "local mine = {} return (mine or weir).hsah, (mine.x and mine or weir).hsah",
        "local s = 'x' return (s or 'y'):formatt()",
        "local _ENV = { weir = {} } return weir.hsah",
        "return weir[1], weir[type]",
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        expect(good[i], "");
}

/* A member's name, and then the table's, no longer fit an instruction. */
Test(members, files_with_very_many_constants)
{
    struct text text = { 0 };
    text_add_cstr(&text, "local t = {");
    for (int i = 0; i < 300; i++)
        text_printf(&text, "'c%d',", i);
    text_add_cstr(&text, "} weir.mine = 1 return weir.mine, weir.hash, ('x'):upper(), function() return weir.mine end");
    expect(text.bytes, "");
    text_fini(&text);
}

/* The list is what the sandbox has: nobody keeps a second one. */
Test(members, every_member_of_the_sandbox_is_known)
{
    static const char *const tables[] = { "coroutine", "math",      "string",   "table",      "utf8",
                                          "weir",      "weir.json", "weir.jwt", "weir.shared" };
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        char code[1024];
        snprintf(code, sizeof code,
                 "local all = {} for k in pairs(%s) do all[#all + 1] = 'x = %s.' .. k .. '.y' end "
                 "return 'local x ' .. table.concat(all, ' ')",
                 tables[i], tables[i]);
        cr_assert_eq(script_test_run(&t, code), VM_OK, "%s", t.vm->message);
        cr_assert_not_null(strstr(t.result, "x = "));
        expect(t.result, "");
    }
    expect("return utf8.nothing", "a.lua:1:13: unknown member 'utf8.nothing'\n");
}
