/* lua/builtin.h - the modules of the binary: weir.NAME, from scripts/lib/NAME.lua. */
#ifndef LUA_BUILTIN_H
#define LUA_BUILTIN_H

#include <stdbool.h>

#include "base/slice.h"

/* Its text. False: there is none of that name. */
bool builtin_find(struct slice name, struct slice *text);

#endif
