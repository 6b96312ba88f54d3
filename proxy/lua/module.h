/* lua/module.h - what a script brings along: modules that it requires, and files that it reads.
 *
 *   require("sub.name")   sub/name.lua beside the script, or a module of the binary: weir.NAME (lua/builtin.h)
 *   weir.file("a.pem")    the text of a file beside the script
 *
 * Both work while the script's file runs, and never later: a request waits for no disk, and what was checked is what runs.
 * On the main thread they read, compile and keep what is new; in the states of workers they find what was kept. A module that
 * is required in a hook only is loaded with the file all the same, when its name stands there as a plain text.
 *
 * Each script has its modules to itself; they run in its environment. Owner of everything kept: the configuration. */
#ifndef LUA_MODULE_H
#define LUA_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/slice.h"

#define MODULE_NAME_BYTES     128
#define MODULE_PATH_BYTES     4096
#define SCRIPT_FILE_MAX_BYTES (64u * 1024) /* of weir.file */

/* require("name") in some code. */
struct module_name {
    struct slice name;
    const char *source; /* of the code; as Lua has it */
    uint32_t line;
};

struct module_names {
    const struct module_name *items;
    size_t count;
};

struct module {
    struct module *next;
    struct slice path;  /* absolute, NUL behind it; of the binary's own: its name */
    const char *source; /* what Lua calls it: "=sub/name.lua" */
    struct slice text;  /* of its file */
    struct slice code;  /* as in struct script; empty: it could not be compiled, which has been told */
    struct module_names names;
};

struct module_file {
    struct module_file *next;
    struct slice path, text;
};

struct module_set {
    struct module *modules; /* of all scripts, each once */
    struct module_file *files;
};

/* Behind world->loading while a script's file runs. */
struct module_loading {
    const struct module_set *set;
    struct slice directory; /* the script's, with its last "/" */
    /* What the set has not: reads it and puts it in, or returns NULL with errno set; may raise. NULL in workers. `name` is the path
       without the directory, or NULL for a module of the binary, whose path is its name. */
    const struct module *(*add_module)(lua_State *L, void *arg, const char *path, const char *name);
    const struct module_file *(*add_file)(lua_State *L, void *arg, const char *path);
    void *arg;
};

/* The environment on top gets its `require`. */
void module_push_require(lua_State *L);
/* Loads what the names in some code ask for, into that environment. */
void module_require_all(lua_State *L, int environment, const struct module_names *names);

/* weir.file */
int module_file_text(lua_State *L);

#endif
