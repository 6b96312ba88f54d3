/* lua/sandbox.c - the world as a script sees it: an environment of listed functions, and no way out of it. */
#include "lua/sandbox.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/check.h"
#include "lua/library.h"

#define STOCK_KEY "weir.stock" /* in the registry: Lua's libraries by name, as they come */

static const struct {
    const char *library, *name;
    lua_CFunction function; /* NULL: Lua's own */
    bool is_around;         /* function calls Lua's own, which is its upvalue */
} entries[] = {
#define STOCK(library, name)             { #library, #name, NULL, false },
#define BOUNDED(library, name, function) { #library, #name, function, true },
#define OURS(library, name, function)    { #library, #name, function, false },
#include "lua/library.def"
#undef STOCK
#undef BOUNDED
#undef OURS
};

/* A function of _G by its own name, others by their library's. */
#define NAME_IN__G(name)        #name
#define NAME_IN_coroutine(name) "coroutine"
#define NAME_IN_math(name)      "math"
#define NAME_IN_string(name)    "string"
#define NAME_IN_table(name)     "table"
#define NAME_IN_utf8(name)      "utf8"

const char *const sandbox_names[] = {
#define STOCK(library, name)             NAME_IN_##library(name),
#define BOUNDED(library, name, function) NAME_IN_##library(name),
#define OURS(library, name, function)    NAME_IN_##library(name),
#include "lua/library.def"
#undef STOCK
#undef BOUNDED
#undef OURS
    "weir",
    "require",
};
const size_t sandbox_name_count = ARRAY_COUNT(sandbox_names);

static const luaL_Reg stock[] = {
    { LUA_GNAME, luaopen_base },        { LUA_COLIBNAME, luaopen_coroutine }, { LUA_MATHLIBNAME, luaopen_math },
    { LUA_STRLIBNAME, luaopen_string }, { LUA_TABLIBNAME, luaopen_table },    { LUA_UTF8LIBNAME, luaopen_utf8 },
};

/* Pushes library[name] of the stock on top. */
static void push_stock(lua_State *L, const char *library, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, STOCK_KEY);
    lua_getfield(L, -1, library);
    lua_getfield(L, -1, name);
    CHECK(!lua_isnil(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void push_entry(lua_State *L, size_t i)
{
    if (entries[i].function == NULL) {
        push_stock(L, entries[i].library, entries[i].name);
    } else {
        if (entries[i].is_around)
            push_stock(L, entries[i].library, entries[i].name);
        lua_pushcclosure(L, entries[i].function, entries[i].is_around ? 1 : 0);
    }
}

/* The library's table within the environment at the top; the environment itself for _G. */
static void push_library(lua_State *L, const char *library)
{
    if (strcmp(library, LUA_GNAME) == 0)
        lua_pushvalue(L, -1);
    else if (lua_getfield(L, -1, library) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, library);
    }
}

static void push_libraries(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        push_library(L, entries[i].library);
        push_entry(L, i);
        lua_setfield(L, -2, entries[i].name);
        lua_pop(L, 1);
    }
}

/* Methods of texts come from a table that no script can name, and so not change. */
static void protect_strings(lua_State *L)
{
    push_libraries(L);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_getfield(L, -3, LUA_STRLIBNAME);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 3);
}

void sandbox_open(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < ARRAY_COUNT(stock); i++) {
        luaL_requiref(L, stock[i].name, stock[i].func, 0);
        lua_setfield(L, -2, stock[i].name);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, STOCK_KEY);
    protect_strings(L);
}

static int on_unknown(lua_State *L)
{
    return luaL_error(L, "unknown global '%s'", luaL_tolstring(L, 2, NULL));
}

static int on_new(lua_State *L)
{
    return luaL_error(L, "cannot make a global '%s': write `local`", luaL_tolstring(L, 2, NULL));
}

void sandbox_push_environment(lua_State *L)
{
    static const luaL_Reg guards[] = { { "__index", on_unknown }, { "__newindex", on_new }, { NULL, NULL } };
    push_libraries(L);
    luaL_newlib(L, guards);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
