/* lua/chunk.c - running a script's file once, to get at its table of hooks. */
#include "lua/chunk.h"

#include <string.h>

#include <lauxlib.h>

#include "base/check.h"
#include "lua/api.h"
#include "lua/sandbox.h"

void chunk_push_environment(lua_State *L)
{
    sandbox_push_environment(L);
    lua_pushliteral(L, "weir");
    api_push(L);
    lua_rawset(L, -3); /* the environment's guard refuses new names */
    module_push_require(L);
}

void chunk_run(lua_State *L, const struct module_names *names)
{
    chunk_push_environment(L);
    lua_insert(L, -2); /* below the function */
    int environment = lua_gettop(L) - 1;
    lua_pushvalue(L, environment);
    const char *upvalue = lua_setupvalue(L, -2, 1);
    CHECK(upvalue != NULL && strcmp(upvalue, "_ENV") == 0);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        luaL_error(L, "the script returns %s, not a table of hooks", luaL_typename(L, -1));
    module_require_all(L, environment, names);
    lua_remove(L, environment);
}
