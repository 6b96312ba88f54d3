/* lua/module.c - what a script brings along: modules that it requires, and files that it reads. */
#include "lua/module.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/check.h"
#include "lua/api.h"
#include "lua/builtin.h"
#include "lua/compile.h"

/* Upvalues of require: the environment, and the table of what is loaded, by name. */
enum { ENVIRONMENT = 1, LOADED = 2 };

static const char under_way; /* what stands for a module while it runs: as a light userdata */

/* ---- telling where: a require that is made for a name in some code has no line of its own -------------------------------- */

static int fail(lua_State *L, const struct module_name *from)
{
    if (from != NULL)
        lua_pushfstring(L, "%s:%d: ", from->source + 1, (int)from->line);
    else
        luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

/* ---- finding ------------------------------------------------------------------------------------------------------------- */

static bool is_name(struct slice s)
{
    bool is_good = s.len > 0 && s.len <= MODULE_NAME_BYTES && s.ptr[0] != '.' && s.ptr[s.len - 1] != '.';
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        is_good &= isalnum((unsigned char)c) || c == '_' || c == '-' || (c == '.' && i > 0 && s.ptr[i - 1] != '.');
    }
    return is_good;
}

/* Relative, and down from the folder only. */
static bool is_path(struct slice s)
{
    bool is_good = s.len > 0 && memchr(s.ptr, '\0', s.len) == NULL;
    while (is_good && s.len > 0) {
        size_t end = slice_find(s, '/');
        struct slice part = slice_first(s, end);
        is_good = part.len > 0 && !slice_equal(part, SLICE(".")) && !slice_equal(part, SLICE("..")) && end + 1 != s.len;
        s = slice_after(s, end < s.len ? end + 1 : end);
    }
    return is_good;
}

struct place_in_folder {
    char path[MODULE_PATH_BYTES];
    const char *name; /* the end of it */
};

static bool join(struct place_in_folder *p, struct slice directory, struct slice name, const char *suffix)
{
    int length = snprintf(p->path, sizeof p->path, "%.*s%.*s%s", SLICE_ARG(directory), SLICE_ARG(name), suffix);
    p->name = p->path + directory.len;
    return length > 0 && (size_t)length < sizeof p->path;
}

static const struct module *find_module(const struct module_set *set, const char *path)
{
    const struct module *m = set->modules;
    while (m != NULL && !slice_equal(m->path, slice_from_cstr(path)))
        m = m->next;
    return m;
}

/* Raises when there is none. */
static const struct module *get_module(lua_State *L, struct module_loading *l, struct slice name,
                                       const struct module_name *from)
{
    struct place_in_folder p;
    struct slice unused;
    bool is_builtin = slice_has_prefix(name, SLICE("weir."));
    if (is_builtin ? !join(&p, SLICE(""), name, "") : !join(&p, l->directory, name, ".lua")) {
        lua_pushfstring(L, "the path of the module '%s' is too long", name.ptr);
        fail(L, from);
    }
    for (char *c = p.path + (p.name - p.path); !is_builtin && c < p.path + (p.name - p.path) + name.len; c++)
        *c = (char)(*c == '.' ? '/' : *c);
    const struct module *m = find_module(l->set, p.path);
    errno = 0;
    if (m == NULL && l->add_module != NULL && (!is_builtin || builtin_find(name, &unused)))
        m = l->add_module(L, l->arg, p.path, is_builtin ? NULL : p.name);
    if (m == NULL) {
        lua_pushfstring(L, "there is no module '%s'", name.ptr);
        if (errno != 0)
            lua_pushfstring(L, "%s: could not read '%s': %s", lua_tostring(L, -1), p.path, strerror(errno));
        fail(L, from);
    }
    return m;
}

/* ---- require --------------------------------------------------------------------------------------------------------------- */

static void set_loaded(lua_State *L, const char *name)
{
    lua_setfield(L, lua_upvalueindex(LOADED), name);
}

/* Pushes what the module returns. */
static void run_module(lua_State *L, const struct module *m, const char *name, const struct module_name *from)
{
    if (m->code.len == 0) {
        lua_pushfstring(L, "the module '%s' could not be compiled", name);
        fail(L, from);
    }
    compile_load(L, m->code, m->source);
    lua_pushvalue(L, lua_upvalueindex(ENVIRONMENT));
    CHECK(lua_setupvalue(L, -2, 1) != NULL);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) {
        lua_pushfstring(L, "the module '%s' returns nothing", name);
        fail(L, from);
    }
}

/* require(name); from module_require_all with the name's place, which no script can hand over. */
static int require(lua_State *L)
{
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    const struct module_name *from = lua_islightuserdata(L, 2) ? lua_touserdata(L, 2) : NULL;
    struct module_loading *loading = api_world(L)->loading;
    lua_settop(L, 2);
    if (lua_getfield(L, lua_upvalueindex(LOADED), name) != LUA_TNIL) {
        if (lua_touserdata(L, -1) != &under_way)
            return 1;
        lua_pushfstring(L, "the module '%s' requires itself, or could not be loaded before", name);
        return fail(L, from);
    }
    if (loading == NULL) {
        lua_pushfstring(L, "the module '%s' was not loaded with the file, where its name must stand as a text", name);
        return fail(L, from);
    }
    if (!is_name(slice_from(name, length))) {
        lua_pushfstring(L, "'%s' is no name of a module: letters, digits, _ and -, with dots for folders", name);
        return fail(L, from);
    }
    const struct module *m = get_module(L, loading, slice_from(name, length), from);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&under_way);
    set_loaded(L, name);
    run_module(L, m, name, from);
    lua_pushvalue(L, -1);
    set_loaded(L, name);
    module_require_all(L, lua_upvalueindex(ENVIRONMENT), &m->names);
    return 1;
}

void module_push_require(lua_State *L)
{
    lua_pushliteral(L, "require");
    lua_pushvalue(L, -2);
    lua_newtable(L);
    lua_pushcclosure(L, require, 2);
    lua_rawset(L, -3);
}

void module_require_all(lua_State *L, int environment, const struct module_names *names)
{
    luaL_checkstack(L, 4, "modules nested too deep");
    for (size_t i = 0; i < names->count; i++) {
        const struct module_name *from = &names->items[i];
        lua_pushliteral(L, "require");
        if (lua_rawget(L, environment) == LUA_TFUNCTION) { /* the script may have taken it away */
            lua_pushlstring(L, from->name.ptr, from->name.len);
            lua_pushlightuserdata(L, (void *)(uintptr_t)from);
            lua_call(L, 2, 0);
        } else {
            lua_pop(L, 1);
        }
    }
}

/* ---- weir.file(name) --------------------------------------------------------------------------------------------------------- */

int module_file_text(lua_State *L)
{
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    struct module_loading *l = api_world(L)->loading;
    struct place_in_folder p;
    if (l == NULL)
        return luaL_error(L, "weir.file works while the file is loaded only");
    if (!is_path(slice_from(name, length)) || !join(&p, l->directory, slice_from(name, length), ""))
        return luaL_error(L, "'%s' is no path of a file beside the script, or in a folder there", name);
    const struct module_file *f = l->set->files;
    while (f != NULL && !slice_equal(f->path, slice_from_cstr(p.path)))
        f = f->next;
    errno = 0;
    if (f == NULL && l->add_file != NULL)
        f = l->add_file(L, l->arg, p.path);
    if (f == NULL)
        return luaL_error(L, "could not read '%s': %s", p.path,
                          errno != 0 ? strerror(errno) : "it was not there before");
    if (f->text.len > SCRIPT_FILE_MAX_BYTES)
        return luaL_error(L, "'%s' is longer than %d bytes", p.path, (int)SCRIPT_FILE_MAX_BYTES);
    lua_pushlstring(L, f->text.len > 0 ? f->text.ptr : "", f->text.len);
    return 1;
}
