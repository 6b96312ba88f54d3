/* tests/unit/lua/fixture.c - a state to run pieces of Lua in, as a hook would. */
#include "lua/fixture.h"

#include <criterion/criterion.h>

#include <lauxlib.h>

#include <stdio.h>
#include <string.h>

#include "lua/api.h"
#include "lua/chunk.h"

struct job {
    struct script_test *test;
    const char *code;
};

static int keep_result(lua_State *L, int status, lua_KContext context)
{
    struct job *job = lua_touserdata(L, 1);
    (void)status, (void)context;
    snprintf(job->test->result, sizeof(job->test->result), "%s", luaL_tolstring(L, -1, NULL));
    return 0;
}

/* So that the coroutine can be left, as that of a hook. */
static int run_code(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, job->code, strlen(job->code), "=test", "t") != LUA_OK)
        return lua_error(L);
    chunk_push_environment(L);
    cr_assert_str_eq(lua_setupvalue(L, -2, 1), "_ENV");
    lua_callk(L, 0, 1, 0, keep_result);
    return keep_result(L, LUA_OK, 0);
}

static enum vm_result run(struct script_test *t, lua_CFunction body, void *arg)
{
    lua_State *co = vm_coroutine(t->vm);
    cr_assert_not_null(co);
    enum vm_result result = vm_start(t->vm, co, body, arg, t->budget_us);
    t->is_left = lua_status(co) == LUA_YIELD;
    vm_release(t->vm, co);
    return result;
}

void script_test_open(struct script_test *t)
{
    struct vm_limits limits = { .memory_bytes = FIXTURE_MEMORY_BYTES };
    static const struct config empty;
    *t =
        (struct script_test){ .dog = watchdog_create(), .world = { .config = &empty }, .budget_us = FIXTURE_BUDGET_US };
    t->vm = vm_create(&limits, t->dog);
    t->vm->owner = &t->world;
    cr_assert_eq(run(t, api_open, NULL), VM_OK);
}

void script_test_close(struct script_test *t)
{
    vm_destroy(t->vm);
    watchdog_destroy(t->dog);
}

enum vm_result script_test_run(struct script_test *t, const char *code)
{
    struct job job = { t, code };
    t->result[0] = '\0';
    return run(t, run_code, &job);
}

void script_test_expect(struct script_test *t, const char *code, const char *result)
{
    enum vm_result got = script_test_run(t, code);
    cr_assert_eq(got, VM_OK, "%s: %s: %s", code, vm_result_names[got], t->vm->message);
    cr_assert_str_eq(t->result, result, "%s: %s", code, t->result);
}
