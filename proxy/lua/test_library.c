/* lua/test_library.c - the table `t` of tests: t.test, and what can be asserted.
 *
 * A failed assertion raises, and also marks the test: a pcall around it makes it no success. */
#include "lua/test_parts.h"

#include <math.h>
#include <string.h>

#include "lua/vm.h"

struct test_run *test_run_of(lua_State *L)
{
    return vm_of(L)->owner;
}

struct slice test_check_slice(lua_State *L, int index)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, index, &length);
    return slice_from(bytes, length);
}

struct test_run *test_check_running(lua_State *L, const char *what)
{
    struct test_run *run = test_run_of(L);
    if (run->serial == 0)
        luaL_error(L, "%s works inside t.test only", what);
    return run;
}

uint32_t test_line(lua_State *L, const struct test_run *run)
{
    lua_Debug info;
    for (int level = 0; lua_getstack(L, level, &info); level++) {
        lua_getinfo(L, "Sl", &info);
        if (info.currentline > 0 && strcmp(info.source, run->source) == 0)
            return (uint32_t)info.currentline;
    }
    return 0;
}

/* ---- failing ------------------------------------------------------------------------------------------------------------- */

/* Begins the words of a failure; `note`: where on the stack the caller's own word may stand, 0: nowhere. */
static struct text *begin_failure(lua_State *L, const char *what, int note)
{
    struct text *out = &test_run_of(L)->failure;
    text_clear(out);
    text_add_cstr(out, what);
    if (note != 0 && lua_isstring(L, note))
        text_printf(out, ": %s", lua_tostring(L, note));
    text_add_char(out, '\n');
    return out;
}

static void add_line(lua_State *L, struct text *out, const char *label, int index)
{
    text_printf(out, "%-9s ", label);
    test_value_add(L, index, out);
    text_add_char(out, '\n');
}

/* The first failure of a test is told; what comes after it, past a pcall, is not. */
static int raise_failure(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    run->has_failed = true;
    run->failure_line = test_line(L, run);
    return luaL_error(L, "an assertion failed");
}

/* A test that has failed and goes on is let go no further. */
static void check_good(lua_State *L)
{
    if (test_run_of(L)->has_failed)
        luaL_error(L, "an assertion failed before, and its error was caught");
}

/* ---- assertions ------------------------------------------------------------------------------------------------------------ */

static int assert_equal(lua_State *L)
{
    struct text differences = { 0 };
    luaL_checkany(L, 2);
    check_good(L);
    bool is_equal = test_value_equal(L, 1, 2, &differences);
    if (!is_equal) {
        struct text *out = begin_failure(L, "not equal", 3);
        add_line(L, out, "expected", 2);
        add_line(L, out, "actual", 1);
        text_add(out, text_slice(&differences));
    }
    text_fini(&differences);
    return is_equal ? 0 : raise_failure(L);
}

static int assert_not_equal(lua_State *L)
{
    struct text unused = { 0 };
    luaL_checkany(L, 2);
    check_good(L);
    bool is_equal = test_value_equal(L, 1, 2, &unused);
    text_fini(&unused);
    if (!is_equal)
        return 0;
    add_line(L, begin_failure(L, "equal, and should not be", 3), "both", 1);
    return raise_failure(L);
}

static int assert_ok(lua_State *L)
{
    luaL_checkany(L, 1);
    check_good(L);
    if (lua_toboolean(L, 1))
        return 0;
    add_line(L, begin_failure(L, "neither true nor a value", 2), "actual", 1);
    return raise_failure(L);
}

/* Is the text at `text` found by the pattern at `pattern`? By string.find of the sandbox, which can be stopped. */
static bool is_match(lua_State *L, int text, int pattern)
{
    lua_pushliteral(L, "");
    luaL_getmetafield(L, -1, "__index");
    lua_getfield(L, -1, "find");
    lua_pushvalue(L, text);
    lua_pushvalue(L, pattern);
    lua_call(L, 2, 1);
    bool is_found = !lua_isnil(L, -1);
    lua_pop(L, 3);
    return is_found;
}

static int assert_matches(lua_State *L)
{
    luaL_checkany(L, 1);
    luaL_checkstring(L, 2);
    check_good(L);
    if (lua_isstring(L, 1) && is_match(L, 1, 2))
        return 0;
    struct text *out = begin_failure(L, "does not match", 3);
    add_line(L, out, "pattern", 2);
    add_line(L, out, "actual", 1);
    return raise_failure(L);
}

/* errors(function, pattern): what it raises, also a hook's error, matches. Returns the message. */
static int assert_errors(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checkstring(L, 2);
    check_good(L);
    lua_settop(L, 3);
    lua_pushvalue(L, 1);
    bool is_good = lua_pcall(L, 0, 0, 0) == LUA_OK;
    check_good(L);
    if (is_good) {
        add_line(L, begin_failure(L, "no error was raised", 3), "wanted", 2);
        return raise_failure(L);
    }
    luaL_tolstring(L, -1, NULL);
    if (is_match(L, lua_gettop(L), 2))
        return 1;
    struct text *out = begin_failure(L, "another error was raised", 3);
    add_line(L, out, "pattern", 2);
    add_line(L, out, "error", lua_gettop(L));
    return raise_failure(L);
}

static int assert_near(lua_State *L)
{
    lua_Number actual = luaL_checknumber(L, 1), expected = luaL_checknumber(L, 2), most = luaL_checknumber(L, 3);
    check_good(L);
    if (fabs(actual - expected) <= most)
        return 0;
    struct text *out = begin_failure(L, "not near enough", 4);
    add_line(L, out, "expected", 2);
    add_line(L, out, "actual", 1);
    add_line(L, out, "within", 3);
    return raise_failure(L);
}

static int assert_fail(lua_State *L)
{
    luaL_checkstring(L, 1);
    check_good(L);
    begin_failure(L, "failed", 1);
    return raise_failure(L);
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------- */

static int library_test(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    struct slice name = test_check_slice(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (run->serial != 0)
        return luaL_error(L, "a test cannot hold another one");
    if (run->options->filter != NULL && !slice_contains(name, slice_from_cstr(run->options->filter)))
        return 0;
    struct test_case *c = arena_zalloc(run->report->arena, sizeof *c);
    c->name = arena_copy(run->report->arena, name);
    c->line = test_line(L, run);
    lua_settop(L, 2);
    c->function = luaL_ref(L, LUA_REGISTRYINDEX);
    *run->file->last = c;
    run->file->last = &c->next;
    return 0;
}

const luaL_Reg test_assertions[] = {
    { "test", library_test },
    { "equal", assert_equal },
    { "not_equal", assert_not_equal },
    { "ok", assert_ok },
    { "truthy", assert_ok },
    { "matches", assert_matches },
    { "errors", assert_errors },
    { "near", assert_near },
    { "fail", assert_fail },
    { "hook", test_library_hook },
    { NULL, NULL },
};

void test_library_push(lua_State *L)
{
    lua_newtable(L);
    luaL_setfuncs(L, test_assertions, 0);
    luaL_setfuncs(L, test_surroundings, 0);
    test_library_push_clock(L);
    lua_setfield(L, -2, "clock");
}
