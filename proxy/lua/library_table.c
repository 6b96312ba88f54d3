/* lua/library_table.c - table functions that can be stopped.
 *
 * A table's length and entries may be metamethods, so a loop over them has the end that a script says: each turn of a
 * loop here asks whether the call is over. */
#include "lua/library.h"

#include <lauxlib.h>

#include "lua/vm.h"

#define UNPACK_MAX 8192 /* values on the stack; more is no argument list any more */

/* Tables, and what behaves like one: lua_geti and lua_seti complain about the rest. */
static lua_Integer length_of(lua_State *L, int index)
{
    luaL_checkany(L, index);
    return luaL_len(L, index);
}

int library_table_insert(lua_State *L)
{
    lua_Integer at, end = luaL_intop(+, length_of(L, 1), 1);
    switch (lua_gettop(L)) {
    case 2:
        at = end;
        break;
    case 3:
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
        for (lua_Integer i = end; i > at; i--) {
            vm_check(L);
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
        break;
    default:
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

int library_table_remove(lua_State *L)
{
    lua_Integer length = length_of(L, 1), at = luaL_optinteger(L, 2, length);
    if (at != length)
        luaL_argcheck(L, (lua_Unsigned)at - 1u <= (lua_Unsigned)length, 2, "position out of bounds");
    lua_geti(L, 1, at);
    for (; at < length; at++) {
        vm_check(L);
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

int library_table_concat(lua_State *L)
{
    lua_Integer last = length_of(L, 1);
    size_t gap_length;
    const char *gap = luaL_optlstring(L, 2, "", &gap_length);
    lua_Integer first = luaL_optinteger(L, 3, 1);
    last = luaL_optinteger(L, 4, last);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (lua_Integer i = first; i <= last; i++) {
        vm_check_text(L, luaL_bufflen(&b));
        lua_geti(L, 1, i);
        if (!lua_isstring(L, -1))
            return luaL_error(L, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(L, -1),
                              (LUAI_UACINT)i);
        luaL_addvalue(&b);
        if (i == last)
            break; /* it may be the largest integer */
        luaL_addlstring(&b, gap, gap_length);
    }
    luaL_pushresult(&b);
    return 1;
}

int library_table_move(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2), end = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checkany(L, 1);
    if (end >= from) {
        luaL_argcheck(L, from > 0 || end < LUA_MAXINTEGER + from, 3, "too many elements to move");
        luaL_argcheck(L, to <= LUA_MAXINTEGER - (end - from), 4, "destination wrap around");
        /* Where the two overlap and the target lies behind, from the end. */
        bool is_forward = to > end || to <= from || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
        for (lua_Integer i = 0; i <= end - from; i++) {
            lua_Integer at = is_forward ? i : end - from - i;
            vm_check(L);
            lua_geti(L, 1, from + at);
            lua_seti(L, target, to + at);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

int library_table_unpack(lua_State *L)
{
    lua_Integer first = luaL_optinteger(L, 2, 1);
    lua_Integer last = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : luaL_checkinteger(L, 3);
    if (first > last)
        return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first + 1;
    if (count == 0 || count > UNPACK_MAX || !lua_checkstack(L, (int)count))
        return luaL_error(L, "too many results to unpack");
    for (lua_Unsigned i = 0; i < count; i++) {
        vm_check(L);
        lua_geti(L, 1, (lua_Integer)((lua_Unsigned)first + i));
    }
    return (int)count;
}

/* ---- sort: a heap, so that the order function may be as wrong as it likes: n log n steps and an order of some kind ------ */

static bool is_less(lua_State *L, int a, int b)
{
    vm_check(L);
    if (lua_isnil(L, 2))
        return lua_compare(L, a, b, LUA_OPLT);
    a = lua_absindex(L, a);
    b = lua_absindex(L, b);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_call(L, 2, 1);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

/* Pushes the larger child of `parent`, below `end`; its index, or 0 and nothing is pushed. */
static lua_Integer push_larger_child(lua_State *L, lua_Integer parent, lua_Integer end)
{
    lua_Integer child = 2 * parent;
    if (child >= end)
        return 0;
    lua_geti(L, 1, child);
    if (child + 1 < end) {
        lua_geti(L, 1, child + 1);
        if (is_less(L, -2, -1)) {
            lua_remove(L, -2);
            return child + 1;
        }
        lua_pop(L, 1);
    }
    return child;
}

/* Pops a value and lets it sink from `hole` to where no child is larger. Entries [1, end) are the heap. */
static void sink(lua_State *L, lua_Integer hole, lua_Integer end)
{
    lua_Integer child;
    while ((child = push_larger_child(L, hole, end)) != 0) {
        if (!is_less(L, -2, -1)) {
            lua_pop(L, 1);
            break;
        }
        lua_seti(L, 1, hole);
        hole = child;
    }
    lua_seti(L, 1, hole);
}

int library_table_sort(lua_State *L)
{
    lua_Integer count = length_of(L, 1);
    luaL_argcheck(L, count < INT32_MAX, 1, "array too big");
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    luaL_checkstack(L, 8, "no room to sort");
    for (lua_Integer i = count / 2; i >= 1; i--) {
        lua_geti(L, 1, i);
        sink(L, i, count + 1);
    }
    for (lua_Integer end = count; end > 1; end--) { /* the largest goes behind the rest */
        lua_geti(L, 1, end);
        lua_geti(L, 1, 1);
        lua_seti(L, 1, end);
        sink(L, 1, end);
    }
    return 0;
}
