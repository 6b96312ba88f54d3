/* lua/members.h - members that a compiled file reads of the sandbox's tables, such as weir.hash: are they there?
 *
 * A member that is not there is nil, and raises when it is called: in a hook, months later. Told is what can be told for
 * certain by looking at the code: weir.hsah, weir.json.decod and ("x"):formatt, of tables that stand there by their
 * names. Reading such a member is an error even where the script would test for it; rawget asks without one.
 *
 * Not told: a member of a table that the file uses in any other way (assigns to it, hands it on, has it in a variable), since
 * whoever has the table may add to it; and of an environment that is used as a value.
 *
 * Pure, but for member_tables_find. */
#ifndef LUA_MEMBERS_H
#define LUA_MEMBERS_H

#include <stddef.h>

#include <lua.h>

#include "base/arena.h"
#include "base/err.h"

struct bytecode_function;

struct member_table {
    struct slice name; /* "weir.json" */
    const char **members;
    size_t member_count;
};

struct member_tables {
    struct member_table *items;
    size_t count;
};

/* The tables that stand in the environment at that index, and in those. Everything is in the arena, but for members' names, which
   are borrowed from the environment. Raises nothing; needs 8 places on the stack. */
void member_tables_find(lua_State *L, int environment, struct arena *arena, struct member_tables *out);

/* Adds an error for each line that reads a member which is not known. `text` is the file's, for the column. */
void members_check(const struct bytecode_function *first, const struct member_tables *known, const char *file,
                   struct slice text, struct err_list *errors);

#endif
