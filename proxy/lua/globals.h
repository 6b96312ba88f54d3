/* lua/globals.h - what a compiled file asks of its environment, told by looking at its code.
 *
 * A global that is not there raises when it is reached, which may be in a hook, months later. So each name is looked up
 * when the file is loaded. Names that are reached in another way (through a table that was the environment, or a local
 * named _ENV) are not seen; the sandbox's guard refuses them when they run.
 *
 * Pure. */
#ifndef LUA_GLOBALS_H
#define LUA_GLOBALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum global_use_kind {
    GLOBAL_READ,
    GLOBAL_WRITE,
    GLOBAL_REQUIRE, /* of the module `name`, a text in the code: require("name") */
};

struct global_use {
    enum global_use_kind kind;
    uint32_t line;
    struct slice name; /* in the code */
};

struct global_uses {
    struct global_use *items; /* in the arena; inner functions before what is around them */
    size_t count;
    bool has_escaped; /* the environment itself is used as a value: any name may come and go at run time */
};

struct bytecode_function;

/* From the first function on (lua/bytecode.h). */
void globals_find(const struct bytecode_function *first, struct arena *arena, struct global_uses *out);

/* Adds an error for each line that reads a name which is not known, or writes one: a new global would be shared by all requests
   of a worker, and the guard refuses it. `text` is the file's, for the column. Returns how many. */
size_t globals_check(const struct global_uses *uses, const char *const *known, size_t known_count, const char *file,
                     struct slice text, struct err_list *errors);

/* Where on that line of the text the member of a table is read, from 1; 0: it does not stand there. `table` may have a dot. */
uint32_t globals_member_column(struct slice text, uint32_t line, struct slice table, struct slice name);

#endif
