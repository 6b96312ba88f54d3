/* lua/chunk.h - running a script's file once, to get at its table of hooks. */
#ifndef LUA_CHUNK_H
#define LUA_CHUNK_H

#include <lua.h>

#include "lua/module.h"

/* Pushes a new environment of the sandbox, with `weir` and `require` in it. */
void chunk_push_environment(lua_State *L);

/* The loaded file is on top: runs it in an environment of its own, loads the modules that its code names, and leaves the table it
   returns in its place. Raises what it raises, and when it returns something else. Inside a call (lua/vm.h), with
   world->loading set. */
void chunk_run(lua_State *L, const struct module_names *names);

#endif
