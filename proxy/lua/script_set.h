/* lua/script_set.h - the scripts of one configuration: read, compiled and tried once, before anything uses them.
 *
 * Made on the main thread while a configuration is loaded, so that what is wrong with a script is told beside all other
 * problems, with its line; lives and dies with the configuration's arena. The compiled code becomes functions in a state for
 * each worker (lua/script_host.h). config/ and route/ see a pointer only. */
#ifndef LUA_SCRIPT_SET_H
#define LUA_SCRIPT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "config/load.h"
#include "lua/module.h"

enum script_hook { SCRIPT_ON_REQUEST, SCRIPT_ON_RESPONSE, SCRIPT_ON_SHADOW, SCRIPT_HOOK_COUNT };
extern const char *const script_hook_names[SCRIPT_HOOK_COUNT];

/* Running a file once, to get at its hooks, may take this much CPU time. */
#define SCRIPT_LOAD_BUDGET_US 50000

struct script {
    struct slice path;         /* absolute, NUL behind it: also its name in metrics and logs */
    const char *source;        /* what Lua calls it: "=targeting.lua", so that messages say targeting.lua:12 */
    struct slice code;         /* bytecode of this very Lua, made here; no other bytecode is ever loaded */
    struct module_names names; /* of modules, in the code */
    struct slice asks; /* "a, b": whom its text names in weir.fetch, as far as that can be told; empty: it has none */
    bool has_hook[SCRIPT_HOOK_COUNT];
    uint32_t hook_line[SCRIPT_HOOK_COUNT]; /* where each begins; 0: there is none, or it is not written in Lua */
};

/* Each file once, however many routes name it: they share its state. */
struct script_set {
    struct script *scripts; /* in the order of the file */
    uint32_t count;
    uint32_t *of_route; /* by index of config->routes; CONFIG_NONE: none */
    struct module_set modules;
};

/* The folder of a script, with its last "/". */
struct slice script_directory(const struct script *s);

/* config_source.compile_scripts. Leaves config->scripts NULL when no route has a script. */
void script_set_compile(const struct config_source *source, struct config *config, struct err_list *errors);

#endif
