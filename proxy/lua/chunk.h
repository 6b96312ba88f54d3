/* lua/chunk.h - running a script's file once, to get at its table of hooks. */
#ifndef LUA_CHUNK_H
#define LUA_CHUNK_H

#include <lua.h>

/* Pushes a new environment of the sandbox, with `weir` in it. */
void chunk_push_environment(lua_State *L);

/* The loaded file is on top: runs it in an environment of its own, and leaves the table it returns in its place. Raises what
   it raises, and when it returns something else. Inside a call (lua/vm.h). */
void chunk_run(lua_State *L);

#endif
