/* lua/api_shared.c - weir.shared: what all workers' scripts have in common, over reloads too (lua/shared_map.h).
 *
 * No lock is held while Lua may raise: values are copied out first. */
#include "lua/api.h"

#include "lua/shared_map.h"

#define TTL_MAX_S (10 * 365 * 86400.0)

static struct shared_map *check_shared(lua_State *L)
{
    struct shared_map *map = api_world(L)->shared;
    if (api_world(L)->call == NULL)
        luaL_error(L, "weir.shared works in hooks only, not while the file is loaded");
    if (map == NULL)
        luaL_error(L, "there is no shared memory here");
    return map;
}

static struct slice check_key(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length > 0 && length <= SHARED_KEY_MAX_BYTES, 1, "a key is a text of 1 to 256 bytes");
    return slice_from(bytes, length);
}

static struct shared_value check_number(lua_State *L, int index)
{
    if (lua_isinteger(L, index))
        return (struct shared_value){ .type = SHARED_INTEGER, .integer = lua_tointeger(L, index) };
    luaL_checktype(L, index, LUA_TNUMBER);
    return (struct shared_value){ .type = SHARED_NUMBER, .number = lua_tonumber(L, index) };
}

static struct shared_value check_value(lua_State *L, int index)
{
    size_t length;
    const char *bytes;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return (struct shared_value){ .type = SHARED_BOOLEAN, .boolean = lua_toboolean(L, index) };
    case LUA_TSTRING:
        bytes = lua_tolstring(L, index, &length);
        luaL_argcheck(L, length <= SHARED_VALUE_MAX_BYTES, index, "a text of more than 16 KiB");
        return (struct shared_value){ .type = SHARED_TEXT, .text = slice_from(bytes, length) };
    case LUA_TNUMBER:
        return check_number(L, index);
    default:
        luaL_argerror(L, index, "text, number or boolean expected");
        return (struct shared_value){ .type = SHARED_BOOLEAN };
    }
}

/* Seconds, as weir.now() counts them, in microseconds; 0: for good. */
static int64_t check_ttl(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    double seconds = luaL_checknumber(L, index);
    luaL_argcheck(L, seconds >= 1e-6 && seconds <= TTL_MAX_S, index,
                  "a time to live is more than 0 seconds, and at most ten years");
    return (int64_t)(seconds * 1e6);
}

static void push_value(lua_State *L, const struct shared_value *value)
{
    switch (value->type) {
    case SHARED_BOOLEAN:
        lua_pushboolean(L, value->boolean);
        break;
    case SHARED_INTEGER:
        lua_pushinteger(L, value->integer);
        break;
    case SHARED_NUMBER:
        lua_pushnumber(L, value->number);
        break;
    case SHARED_TEXT:
        lua_pushlstring(L, value->text.ptr, value->text.len);
        break;
    }
}

/* get(key) -> value or nil */
static int shared_get(lua_State *L)
{
    char buffer[SHARED_VALUE_MAX_BYTES];
    struct shared_value value;
    struct shared_map *map = check_shared(L);
    if (shared_map_get(map, check_key(L), api_mono(L), buffer, &value))
        push_value(L, &value);
    else
        lua_pushnil(L);
    return 1;
}

static bool put(lua_State *L, enum shared_write how)
{
    struct shared_map *map = check_shared(L);
    struct slice key = check_key(L);
    struct shared_value value = check_value(L, 2);
    return shared_map_put(map, key, &value, check_ttl(L, 3), how, api_mono(L));
}

/* set(key, value[, ttl]) */
static int shared_set(lua_State *L)
{
    (void)put(L, SHARED_SET);
    return 0;
}

/* add(key, value[, ttl]) -> true when there was nothing */
static int shared_add(lua_State *L)
{
    lua_pushboolean(L, put(L, SHARED_ADD));
    return 1;
}

/* delete(key) -> true when there was something */
static int shared_delete(lua_State *L)
{
    struct shared_map *map = check_shared(L);
    lua_pushboolean(L, shared_map_delete(map, check_key(L), api_mono(L)));
    return 1;
}

/* incr(key[, amount[, ttl]]) -> the sum */
static int shared_incr(lua_State *L)
{
    struct shared_map *map = check_shared(L);
    struct slice key = check_key(L);
    struct shared_value sum, amount = { .type = SHARED_INTEGER, .integer = 1 };
    if (!lua_isnoneornil(L, 2))
        amount = check_number(L, 2);
    if (!shared_map_increase(map, key, &amount, check_ttl(L, 3), api_mono(L), &sum))
        return luaL_error(L, "the value of '%s' is not a number", lua_tostring(L, 1));
    push_value(L, &sum);
    return 1;
}

void api_shared_push(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "get", shared_get },       { "set", shared_set },   { "add", shared_add },
        { "delete", shared_delete }, { "incr", shared_incr }, { NULL, NULL },
    };
    luaL_newlib(L, functions);
}
