/* tests/unit/lua/test_globals.c - every global of a file is found, with its line, and nothing else is. */
#include "lua/globals.h"

#include <criterion/criterion.h>

#include <lauxlib.h>

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "lua/bytecode.h"

static int write_code(lua_State *L, const void *bytes, size_t length, void *arg)
{
    (void)L;
    text_add(arg, slice_from(bytes, length));
    return 0;
}

/* "line:name" of reads, "line:name=" of writes, "line:(name)" of modules, "*" when the environment is used; in order of lines. */
static const char *found(const char *source)
{
    static char out[1024];
    struct text code = { 0 };
    struct arena arena;
    struct global_uses uses;
    lua_State *L = luaL_newstate();
    cr_assert_eq(luaL_loadbufferx(L, source, strlen(source), "=x", "t"), LUA_OK, "%s", lua_tostring(L, -1));
    lua_dump(L, write_code, &code, 0);
    lua_close(L);
    arena_init(&arena, NULL, 0);
    globals_find(bytecode_read(text_slice(&code), &arena), &arena, &uses);
    out[0] = '\0';
    for (uint32_t line = 0; line < 3000; line++)
        for (size_t i = 0; i < uses.count; i++)
            if (uses.items[i].line == line) {
                static const char *const forms[] = { "%u:%.*s ", "%u:%.*s= ", "%u:(%.*s) " };
                snprintf(out + strlen(out), sizeof out - strlen(out), forms[uses.items[i].kind], line,
                         SLICE_ARG(uses.items[i].name));
            }
    if (uses.has_escaped)
        strcat(out, "*");
    arena_reset(&arena);
    text_fini(&code);
    return out;
}

static void expect(const char *source, const char *wanted)
{
    const char *got = found(source);
    cr_expect_str_eq(got, wanted, "%s: %s", source, got);
}

Test(globals, reads_and_writes_have_their_lines)
{
    expect("return 1", "");
    expect("local x = 1 return x", "");
    expect("return x", "1:x ");
    expect("\n\nx = 1\nlocal y\n= y2", "3:x= 5:y2 ");
    expect("function f() end", "1:f= ");
    expect("a.b.c = d.e", "1:a 1:d ");
    expect("return a:b(c)", "1:a 1:c ");
    expect("for k, v in pairs(t) do\n print(k, v, w)\nend", "1:pairs 1:t 2:print 2:w ");
}

Test(globals, functions_within_functions)
{
    expect("local function f()\n return function()\n  g(h)\n end\nend\nreturn f", "3:g 3:h ");
    expect("local x\nreturn function() return x, function() x = y end end", "2:y ");
    expect("local t = {}\nfunction t.a() a() end\nfunction t:b() return self, b end return t", "2:a 3:b ");
}

Test(globals, another_environment_is_none_of_ours)
{
    expect("local _ENV = {} x = y", "");
    expect("local function f(_ENV) return x, function() return y end end return f", "");
    expect("local function f() local _ENV <const> = { x = 1 } return x end return f, z", "1:z ");
}

Test(globals, an_environment_that_is_used_as_a_value)
{
    expect("return _ENV", "*");
    expect("rawset(_ENV, 'x', 1) return x", "1:rawset 1:x *");
    expect("local e = _ENV return e.x", "*");
    expect("_ENV = {}", "*");
    expect("return _ENV.x", "1:x ");
    expect("_ENV.x = 1", "1:x= ");
    expect("local k = f() return _ENV[k]", "1:f *");
    expect("return function() return function() return _ENV end end", "*");
}

Test(globals, modules_that_are_named_by_a_text)
{
    expect("local m = require('a.b')\nreturn m", "1:require 1:(a.b) ");
    expect("return require 'a'", "1:require 1:(a) ");
    expect("return function()\n return 1, require('a').x\nend", "2:require 2:(a) ");
    expect("return require(x)", "1:require 1:x ");
    expect("return require('a' .. x)", "1:require 1:x ");
    expect("return require('a', 1)", "1:require ");
    expect("return pcall(require, 'a')", "1:pcall 1:require ");
    expect("local require = f return require('a')", "1:f ");
}

/* A name that does not fit into an instruction: more than 256 constants come before it. And lines that are far apart. */
Test(globals, large_files)
{
    char source[8192] = "local t = {";
    for (int i = 0; i < 300; i++)
        snprintf(source + strlen(source), sizeof source - strlen(source), "'c%d',", i);
    strcat(source, "}\nreturn x, function() return y end, x.z");
    expect(source, "2:y 2:x 2:x ");
    memset(source, '\n', 700); /* a line too far away for a byte */
    memcpy(source, "local a = b", 11);
    strcpy(source + 700, "return c");
    expect(source, "1:b 690:c ");
    char long_line[4096] = "local x = 0\n";
    for (int i = 0; i < 200; i++)
        strcat(long_line, "x = x + 1 ");
    strcat(long_line, "\ny = x");
    expect(long_line, "3:y= ");
}

Test(globals, every_kind_of_constant_is_passed_over)
{
    expect("local a, b, c, d, e = 123456789, 1.25e300, 'short', true, nil\n"
           "local long = 'a text that is longer than forty bytes, and so of a kind of its own' f(a, b, c, d, e, long, "
           "{x=y})",
           "2:f 2:y ");
    expect("return { 1 << 40, -7, 0.1, false, [nil or 1] = nil, ... }", "");
}
