/* lua/traceback.h - the frames of a call that failed, at a bounded cost.
 *
 * Runs in the state of the worker that called; may raise an error of memory. */
#ifndef LUA_TRACEBACK_H
#define LUA_TRACEBACK_H

#include <lua.h>

/* Onto L: the message and below it co's innermost frames, as luaL_traceback writes them. */
void traceback_push(lua_State *L, lua_State *co, const char *message);

#endif
