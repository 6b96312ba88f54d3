/* lua/library.h - the functions of Lua's standard library that are ours: each asks whether the call is over.
 *
 * A hook is called between instructions of Lua code only. C code that can run for long on what a script or a peer hands
 * it (a pattern, a table of a million entries, one that has metamethods without end) would not notice that its call is
 * over. These do what the Lua 5.4 manual says of their names, and call vm_check in their loops.
 *
 * Which functions a script finds, ours and Lua's own, is the table in lua/library.def; lua/sandbox.c builds it. */
#ifndef LUA_LIBRARY_H
#define LUA_LIBRARY_H

#include <lua.h>

int library_string_find(lua_State *L);
int library_string_gmatch(lua_State *L);
int library_string_gsub(lua_State *L);
int library_string_lower(lua_State *L);
int library_string_match(lua_State *L);
int library_string_rep(lua_State *L);
int library_string_reverse(lua_State *L);
int library_string_upper(lua_State *L);

int library_table_concat(lua_State *L);
int library_table_insert(lua_State *L);
int library_table_move(lua_State *L);
int library_table_remove(lua_State *L);
int library_table_sort(lua_State *L);
int library_table_unpack(lua_State *L);

/* Call their upvalue, a function of Lua's own that does not ask, with what takes it a millisecond or two at most: a text of
   at most 1 MiB; 256 values with texts of 1 MiB together (16 KiB with %q); (text, from, to) with 8192 results; a format of 8192 bytes
   whose sizes are 1 MiB together. They raise for more. */
int library_bounded_text(lua_State *L);
int library_bounded_values(lua_State *L);
int library_bounded_range(lua_State *L);
int library_bounded_format(lua_State *L);

/* There is no coroutine.close: what it would close cannot be made (lua/compile.c). */
int library_coroutine_create(lua_State *L);
int library_coroutine_resume(lua_State *L);
int library_coroutine_wrap(lua_State *L);
int library_coroutine_yield(lua_State *L);

/* Refuses __gc, whose function would run with hooks off, and __close, whose function nobody would call. */
int library_setmetatable(lua_State *L);
/* The handler runs after unwinding: inside an error that a hook raised, hooks would be off in it. Both raise when they are
   called more than 200 calls deep inside of what C has called: from there a call that is over gets out by errors only, and each
   that they catch takes as long as there are frames below. */
int library_pcall(lua_State *L);
int library_xpcall(lua_State *L);

#endif
