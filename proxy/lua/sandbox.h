/* lua/sandbox.h - the world as a script sees it: an environment of listed functions, and no way out of it.
 *
 * Each script has an environment of its own, so that scripts of one state do not meet: what one does to `string`, the
 * others do not see. Reading or writing a global that is not there raises: a typing error is found when it runs, if
 * lua/globals.c did not find it before.
 *
 * Not there, each for a reason: io, os, package, debug, dofile, loadfile (the system); load (bytecode, and code whose
 * globals nobody checked); collectgarbage (time); __gc (code that runs with hooks off); <close>, __close, coroutine.close
 * (code that runs while a call that is over is unwound: lua/compile.c). */
#ifndef LUA_SANDBOX_H
#define LUA_SANDBOX_H

#include <stddef.h>

#include <lua.h>

/* Loads Lua's libraries into the registry, out of reach. Once for a state; raises when memory is out. */
void sandbox_open(lua_State *L);

/* The names of globals in a script's environment, those that lua/chunk.c adds too; some more than once. */
extern const char *const sandbox_names[];
extern const size_t sandbox_name_count;

/* Pushes a new environment. */
void sandbox_push_environment(lua_State *L);

#endif
