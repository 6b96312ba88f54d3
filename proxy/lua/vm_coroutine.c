/* lua/vm_coroutine.c - the coroutines that calls run in, made, kept for the next, and given back. */
#include "lua/vm.h"

#include "base/check.h"

#define SHRINK_ROUNDS 12 /* each halves what a thread keeps of its levels */

/* (slot) -> thread: registry[thread] = true keeps it. */
static int make_coroutine(lua_State *L)
{
    lua_State **slot = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    lua_pushboolean(L, true);
    lua_rawset(L, LUA_REGISTRYINDEX);
    *slot = co;
    return 0;
}

static int drop_coroutine(lua_State *L)
{
    lua_State *co = lua_touserdata(L, 1);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushnil(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 0;
}

bool vm_run_protected(struct vm *vm, lua_CFunction body, void *arg)
{
    lua_State *L = vm->state;
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, arg);
    bool is_good = lua_pcall(L, 1, 0, 0) == LUA_OK;
    lua_settop(L, 0);
    return is_good;
}

lua_State *vm_coroutine(struct vm *vm)
{
    lua_State *co;
    if (vm->spare_count > 0)
        return vm->spares[--vm->spare_count];
    return vm_run_protected(vm, make_coroutine, &co) ? co : NULL;
}

bool vm_is_call(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    bool is_call = lua_rawget(L, LUA_REGISTRYINDEX) != LUA_TNIL;
    lua_pop(L, 1);
    return is_call;
}

/* A thread keeps the levels of its deepest recursion, and Lua's collector frees those of a hundred dead threads in one step: milliseconds
 * of some later call. Each error that is caught gives half of the unused ones back, so they go here, at the cost of the call
 * that made them. */
static void drop_levels(lua_State *co)
{
    lua_resetthread(co);
    lua_settop(co, 0);
    for (int i = 0; i < SHRINK_ROUNDS; i++) {
        lua_pushcfunction(co, lua_error);
        lua_pushnil(co);
        lua_pcall(co, 1, 0, 0);
        lua_settop(co, 0);
    }
}

void vm_release(struct vm *vm, lua_State *co)
{
    CHECK(vm->calling != co);
    if (vm->spare_count < VM_SPARES_MAX && lua_status(co) == LUA_OK) {
        lua_settop(co, 0);
        vm->spares[vm->spare_count++] = co;
        return;
    }
    drop_levels(co);
    if (!vm_run_protected(vm, drop_coroutine, co))
        CHECK(!"taking a key out of a table needs no memory");
}
