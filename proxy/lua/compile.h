/* lua/compile.h - a text of Lua as checked code: of a script or of a module of one. */
#ifndef LUA_COMPILE_H
#define LUA_COMPILE_H

#include <lua.h>

#include "base/err.h"
#include "lua/module.h"

/* What is made of a text; in the arena that compile_text was given. */
struct compiled {
    struct slice code;         /* by lua_dump; empty: nothing */
    struct module_names names; /* of modules, in the code */
};

/* Pushes the function, inside a call (lua/vm.h). Raises when it is no Lua. False, and nothing is pushed: it has names of globals that
   nobody knows or variables to be closed, which is told in `errors` with `file` and their lines. `source` is what Lua calls it. */
bool compile_text(lua_State *L, struct slice text, const char *file, const char *source, struct arena *arena,
                  struct err_list *errors, struct compiled *out);

/* Pushes the function of some compiled code; raises when memory is out. */
void compile_load(lua_State *L, struct slice code, const char *source);

#endif
