/* tests/unit/lua/test_lines.c - which lines of a script can be executed. */
#include "lua/lines.h"

#include <criterion/criterion.h>

#include <lauxlib.h>

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static int write_code(lua_State *L, const void *bytes, size_t length, void *arg)
{
    (void)L;
    text_add(arg, slice_from(bytes, length));
    return 0;
}

static void read_lines(const char *script, struct line_set *out)
{
    struct text code = { 0 };
    lua_State *L = luaL_newstate();
    cr_assert_eq(luaL_loadbuffer(L, script, strlen(script), "=x.lua"), LUA_OK, "%s", lua_tostring(L, -1));
    cr_assert_eq(lua_dump(L, write_code, &code, 0), 0);
    lines_read(text_slice(&code), out);
    lua_close(L);
    text_fini(&code);
}

static void expect_lines(const char *script, const char *wanted)
{
    struct line_set lines = { 0 };
    char have[256] = "";
    read_lines(script, &lines);
    for (uint32_t line = line_set_next(&lines, 1); line != 0; line = line_set_next(&lines, line + 1))
        snprintf(have + strlen(have), sizeof have - strlen(have), "%s%u", have[0] != '\0' ? " " : "", line);
    cr_expect_str_eq(have, wanted, "%s: %s", script, have);
    line_set_fini(&lines);
}

Test(lines, statements_count_and_comments_and_blanks_do_not)
{
    expect_lines("-- comment\n\nlocal a = 1\nlocal b = a + 1\nreturn b\n", "3 4 5");
    expect_lines("", "");
}

Test(lines, functions_that_never_run_are_read_too)
{
    expect_lines("local function f()\n  local function g()\n    return 1\n  end\nend\n", "3 4 5");
}

Test(lines, the_return_that_nobody_wrote_does_not_count)
{
    /* That of the main part stands on the last line, those of functions at their `end`, where the part around them makes
       the function: such an `end` counts for that, and has run once it is made. */
    expect_lines("local a = 1\n\n\n", "1");
    expect_lines("local M = {}\nfunction M.f(x)\n  if x then\n    return 1\n  end\n  return 2\nend\nreturn M\n",
                 "1 2 3 4 6 7 8");
    expect_lines("return function(x)\n  if x then\n    return 1\n  end\nend, 2\n", "2 3 5");
}

Test(lines, a_function_with_dots_begins_where_its_first_statement_does)
{
    expect_lines("local f = function(...)\n\n  return ...\nend\n", "3 4");
}

Test(lines, constants_of_every_kind_are_passed_over)
{
    expect_lines("local a = 12345678901\nlocal b = 0.5\nlocal c = 'short'\n"
                 "local d = 'a text that is longer than the forty bytes of short ones, by far'\n"
                 "local e = { true, false, nil, x = a == 12345678902, y = 0.25 == b }\n",
                 "1 2 3 4 5");
}

Test(lines, steps_that_fit_no_byte_and_long_functions)
{
    struct text script = { 0 };
    struct line_set lines = { 0 };
    text_add_cstr(&script, "local a = 1\n");
    for (int i = 0; i < 500; i++)
        text_add_char(&script, '\n');
    for (int i = 0; i < 1000; i++) /* past 128 instructions lines are in full now and then */
        text_add_cstr(&script, "a = a + 1\n");
    read_lines(script.bytes, &lines);
    cr_expect(line_set_has(&lines, 1));
    cr_expect_eq(line_set_next(&lines, 2), 502);
    for (uint32_t line = 502; line < 1502; line++)
        cr_assert(line_set_has(&lines, line), "%u", line);
    cr_expect_eq(line_set_next(&lines, 1502), 0);
    line_set_fini(&lines);
    text_fini(&script);
}

Test(lines, sets_grow_and_have_an_end)
{
    struct line_set s = { 0 };
    cr_expect_eq(line_set_next(&s, 0), 0);
    line_set_add(&s, 200);
    line_set_add(&s, 3);
    line_set_add(&s, LINES_MAX); /* not looked at */
    cr_expect(line_set_has(&s, 3) && line_set_has(&s, 200));
    cr_expect_not(line_set_has(&s, 4) || line_set_has(&s, 199) || line_set_has(&s, LINES_MAX));
    cr_expect_eq(line_set_next(&s, 4), 200);
    cr_expect_eq(line_set_next(&s, 201), 0);
    line_set_fini(&s);
}
