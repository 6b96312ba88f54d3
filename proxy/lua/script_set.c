/* lua/script_set.c - the scripts of one configuration: read, compiled and tried once, before anything uses them.
 *
 * The state here is one like a worker's, with the same limit: what loads here loads there. */
#include "lua/script_set.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>

#include "base/hash.h"
#include "lua/api.h"
#include "lua/builtin.h"
#include "lua/chunk.h"
#include "lua/compile.h"
#include "lua/lines.h"
#include "lua/vm.h"

const char *const script_hook_names[SCRIPT_HOOK_COUNT] = {
    [SCRIPT_ON_REQUEST] = "on_request",
    [SCRIPT_ON_RESPONSE] = "on_response",
    [SCRIPT_ON_SHADOW] = "on_shadow",
};

/* One run. */
struct compile {
    const struct config_source *source;
    struct config *config;
    struct script_set *set;
    struct err_list *errors;
    struct vm *vm;
    struct script_world world;
};

/* One file of it; `arg` of the calls into Lua. */
struct file_job {
    struct compile *compile;
    struct script *script;
    struct slice text;
};

/* ---- telling ----------------------------------------------------------------------------------------------------------- */

static struct place place_in(const struct script *s, uint32_t line)
{
    return (struct place){ .file = s->path.ptr, .line = line };
}

/* "NAME:12: words" -> 12 and the words; line 0, and the message as it was, when it is of another form. */
static uint32_t split_message(const char *source, struct slice *message)
{
    struct slice name = slice_from_cstr(source + 1);
    if (!slice_has_prefix(*message, name))
        return 0;
    struct slice rest = slice_after(*message, name.len);
    uint64_t line;
    if (rest.len == 0 || rest.ptr[0] != ':')
        return 0;
    rest = slice_after(rest, 1);
    size_t end = slice_find(rest, ':');
    if (end == rest.len || !slice_to_u64(slice_first(rest, end), &line) || line > UINT32_MAX)
        return 0;
    *message = slice_trim(slice_after(rest, end + 1));
    return (uint32_t)line;
}

/* The last line that does something: for problems with what the file as a whole returns. */
static uint32_t last_line(const struct script *s)
{
    struct line_set lines = { 0 };
    uint32_t last = 1;
    if (s->code.len > 0)
        lines_read(s->code, &lines);
    for (uint32_t line = line_set_next(&lines, 1); line != 0; line = line_set_next(&lines, line + 1))
        last = line;
    line_set_fini(&lines);
    return last;
}

/* The innermost of the script's own lines: for errors that do not say theirs, such as error({}). 0: none of it ran. */
static uint32_t line_in_traceback(const struct script *s, struct slice traceback)
{
    uint32_t line = 0;
    while (traceback.len > 0 && line == 0) {
        size_t end = slice_find(traceback, '\n');
        struct slice entry = slice_trim(slice_first(traceback, end));
        line = split_message(s->source, &entry);
        traceback = slice_after(traceback, end < traceback.len ? end + 1 : end);
    }
    return line;
}

/* The first line of the message, at the place that it begins with: in the script or in one of its modules. Another script's
   module of the same name is in another folder. */
static void tell_failure(struct compile *c, const struct script *s)
{
    struct slice whole = slice_from_cstr(c->vm->message);
    struct slice message = slice_first(whole, slice_find(whole, '\n'));
    struct place place = place_in(s, split_message(s->source, &message));
    for (const struct module *m = c->set->modules.modules; m != NULL && place.line == 0; m = m->next)
        if (m->path.ptr[0] != '/' || slice_has_prefix(m->path, script_directory(s))) {
            uint32_t line = split_message(m->source, &message);
            if (line != 0)
                place = (struct place){ .file = m->path.ptr, .line = line };
        }
    if (place.line == 0)
        place.line = line_in_traceback(s, slice_after(whole, message.len));
    if (place.line == 0)
        place.line = last_line(s);
    err_add(c->errors, place, "%.*s", SLICE_ARG(message));
}

/* ---- names ----------------------------------------------------------------------------------------------------------------- */

struct slice script_directory(const struct script *s)
{
    size_t end = s->path.len;
    while (end > 0 && s->path.ptr[end - 1] != '/')
        end--;
    return slice_first(s->path, end);
}

/* Lua cuts longer names in its messages. */
static const char *source_of(struct arena *arena, struct slice name)
{
    return arena_printf(arena, "=%.*s", SLICE_ARG(slice_first(name, LUA_IDSIZE - 1))).ptr;
}

static struct slice keep(struct arena *arena, const char *text)
{
    return arena_printf(arena, "%s", text);
}

/* ---- what it brings along ------------------------------------------------------------------------------------------------ */

/* False with errno set. What was read is part of what the configuration is. */
static bool read_text(struct compile *c, const char *path, struct slice *text)
{
    if (!c->source->read_file(c->source->arg, path, c->config->arena, text))
        return false;
    uint64_t *digest = &c->config->script_digest;
    *digest = hash_siphash((struct hash_key){ *digest, 2 }, text->len > 0 ? text->ptr : "", text->len);
    return true;
}

/* A pipe or a device would keep a reload waiting. What is not there at all is told by who reads it. */
static void check_regular(lua_State *L, const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        luaL_error(L, "'%s' is not a regular file", path);
}

/* It is in the set while it is compiled, so that its messages are understood. */
static const struct module *add_module(lua_State *L, void *arg, const char *path, const char *name)
{
    struct compile *c = arg;
    struct compiled compiled;
    struct module *m = arena_zalloc(c->config->arena, sizeof *m);
    if (name != NULL)
        check_regular(L, path);
    if (name != NULL ? !read_text(c, path, &m->text) : !builtin_find(slice_from_cstr(path), &m->text))
        return NULL;
    m->path = keep(c->config->arena, path);
    m->source = source_of(c->config->arena, slice_from_cstr(name != NULL ? name : path));
    m->next = c->set->modules.modules;
    c->set->modules.modules = m;
    if (!compile_text(L, m->text, m->path.ptr, m->source, c->config->arena, c->errors, &compiled))
        luaL_error(L, "the module '%s' could not be compiled", m->source + 1);
    lua_pop(L, 1);
    m->code = compiled.code;
    m->names = compiled.names;
    return m;
}

static const struct module_file *add_file(lua_State *L, void *arg, const char *path)
{
    struct compile *c = arg;
    struct module_file *f = arena_zalloc(c->config->arena, sizeof *f);
    check_regular(L, path);
    if (!read_text(c, path, &f->text))
        return NULL;
    f->path = keep(c->config->arena, path);
    f->next = c->set->modules.files;
    c->set->modules.files = f;
    return f;
}

/* ---- one file ----------------------------------------------------------------------------------------------------------- */

/* The line at which the function on top begins; takes it off. */
static uint32_t line_of_function(lua_State *L)
{
    lua_Debug info;
    lua_getinfo(L, ">S", &info);
    return info.linedefined > 0 ? (uint32_t)info.linedefined : 0;
}

/* Of the pair on top, key below value. */
static void look_at_hook(lua_State *L, struct file_job *job)
{
    struct err_list *errors = job->compile->errors;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    uint32_t line = 0;
    unsigned hook = 0;
    if (lua_isfunction(L, -1)) {
        lua_pushvalue(L, -1);
        line = line_of_function(L);
    }
    struct place place = place_in(job->script, line > 0 ? line : last_line(job->script));
    while (hook < SCRIPT_HOOK_COUNT && (name == NULL || strcmp(script_hook_names[hook], name) != 0))
        hook++;
    if (hook == SCRIPT_HOOK_COUNT) {
        name =
            name != NULL ? name : luaL_tolstring(L, -2, NULL); /* which leaves it on top, for look_at_hooks to drop */
        struct err *e = err_add(errors, place, "there is no hook '%s'", name);
        const char *near = err_nearest_word(slice_from_cstr(name), script_hook_names, SCRIPT_HOOK_COUNT);
        if (near != NULL)
            err_hint(errors, e, "did you mean '%s'?", near);
    } else if (!lua_isfunction(L, -1)) {
        err_add(errors, place, "'%s' is not a function", name);
    } else {
        job->script->has_hook[hook] = true;
        job->script->hook_line[hook] = line;
    }
}

static void look_at_hooks(lua_State *L, struct file_job *job)
{
    bool is_empty = true;
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_settop(L, table + 1)) {
        is_empty = false;
        look_at_hook(L, job);
    }
    if (is_empty) {
        struct place place = place_in(job->script, last_line(job->script));
        struct err *e = err_add(job->compile->errors, place, "the script has no hook");
        err_hint(job->compile->errors, e, "write: return { on_request = function(req) ... end }");
    }
}

static int compile_body(lua_State *L)
{
    struct file_job *job = lua_touserdata(L, 1);
    struct script *s = job->script;
    struct compiled compiled;
    if (!compile_text(L, job->text, s->path.ptr, s->source, job->compile->config->arena, job->compile->errors,
                      &compiled))
        return 0; /* running it would only tell of one of the names once more */
    s->code = compiled.code;
    s->names = compiled.names;
    chunk_run(L, &s->names);
    look_at_hooks(L, job);
    return 0;
}

static void compile_file(struct compile *c, struct script *s, struct slice text)
{
    struct file_job job = { .compile = c, .script = s, .text = text };
    struct module_loading loading = { .set = &c->set->modules,
                                      .directory = script_directory(s),
                                      .add_module = add_module,
                                      .add_file = add_file,
                                      .arg = c };
    size_t error_count = c->errors->error_count;
    lua_State *co = vm_coroutine(c->vm);
    c->world.loading = &loading;
    enum vm_result result = co != NULL ? vm_start(c->vm, co, compile_body, &job, SCRIPT_LOAD_BUDGET_US) : VM_MEMORY;
    c->world.loading = NULL;
    if (co == NULL)
        err_add(c->errors, place_in(s, 0), "the scripts need more than limits.script_memory");
    else if (result != VM_OK && c->errors->error_count == error_count) /* else what is wrong has been told */
        tell_failure(c, s);
    if (co != NULL)
        vm_release(c->vm, co);
}

/* ---- whom it asks: for people ---------------------------------------------------------------------------------------------- */

/* What follows "weir.fetch": ("name" -> the name; empty: it is not said so plainly. */
static struct slice named_upstream(struct slice rest)
{
    rest = slice_trim(rest);
    if (rest.len < 2 || rest.ptr[0] != '(')
        return SLICE_NONE;
    rest = slice_trim(slice_after(rest, 1));
    if (rest.len == 0 || (rest.ptr[0] != '"' && rest.ptr[0] != '\''))
        return SLICE_NONE;
    struct slice name = slice_after(rest, 1);
    return slice_first(name, slice_find(name, rest.ptr[0]));
}

static void add_asked(const struct config *config, struct slice name, struct script *s)
{
    struct slice shown = SLICE("whom it finds out itself"), rest = s->asks, item;
    for (size_t i = 0; i < config->upstream_count; i++)
        if (slice_equal(config->upstreams[i].name, name))
            shown = name;
    while (slice_next_item(&rest, ',', &item))
        if (slice_equal(item, shown))
            return;
    s->asks =
        arena_printf(config->arena, "%.*s%s%.*s", SLICE_ARG(s->asks), s->asks.len > 0 ? ", " : "", SLICE_ARG(shown));
}

static void find_asked(const struct config *config, struct slice text, struct script *s)
{
    static const struct slice call = SLICE("weir.fetch");
    for (size_t at = 0; at + call.len <= text.len; at++)
        if (slice_has_prefix(slice_after(text, at), call))
            add_asked(config, named_upstream(slice_after(text, at + call.len)), s);
}

/* In its modules too: which of those in its folder are its own, or only another script's, is not told apart. */
static void find_all_asked(const struct compile *c, struct slice text, struct script *s)
{
    find_asked(c->config, text, s);
    for (const struct module *m = c->set->modules.modules; m != NULL; m = m->next)
        if (slice_has_prefix(m->path, script_directory(s)))
            find_asked(c->config, m->text, s);
}

/* ---- all of them --------------------------------------------------------------------------------------------------------- */

static uint32_t find(const struct script_set *set, struct slice path)
{
    uint32_t at = 0;
    while (at < set->count && !slice_equal(set->scripts[at].path, path))
        at++;
    return at;
}

/* False: it cannot be read, which is told at the route. */
static bool read_script(struct compile *c, const struct script_config *script, struct slice *text)
{
    bool is_read = read_text(c, script->path.ptr, text);
    if (!is_read)
        err_add(c->errors, script->place, "could not read '%.*s': %s", SLICE_ARG(script->path), strerror(errno));
    return is_read;
}

static uint32_t add(struct compile *c, const struct script_config *script)
{
    struct script_set *set = c->set;
    struct slice text;
    uint32_t at = find(set, script->path);
    if (at < set->count)
        return at;
    set->scripts[at].path = script->path;
    set->scripts[at].source =
        source_of(c->config->arena, slice_after(script->path, script_directory(&set->scripts[at]).len));
    set->count++;
    if (read_script(c, script, &text)) {
        compile_file(c, &set->scripts[at], text);
        find_all_asked(c, text, &set->scripts[at]);
    }
    return at;
}

static bool open_state(struct compile *c)
{
    lua_State *co = vm_coroutine(c->vm);
    bool is_good = co != NULL && vm_start(c->vm, co, api_open, NULL, SCRIPT_LOAD_BUDGET_US) == VM_OK;
    if (co != NULL)
        vm_release(c->vm, co);
    return is_good;
}

static bool has_shadow(const struct config *config, uint32_t script)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (config->scripts->of_route[i] == script && config->routes[i].shadow_count > 0)
            return true;
    return false;
}

/* Somebody believes that something is redacted. */
static void look_for_idle_hooks(struct compile *c)
{
    for (uint32_t i = 0; i < c->set->count; i++)
        if (c->set->scripts[i].has_hook[SCRIPT_ON_SHADOW] && !has_shadow(c->config, i))
            err_add_warning(c->errors, place_in(&c->set->scripts[i], c->set->scripts[i].hook_line[SCRIPT_ON_SHADOW]),
                            "on_shadow is never called: no route with this script has a shadow");
}

static bool is_any(const struct config *config)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].script.path.len > 0)
            return true;
    return false;
}

void script_set_compile(const struct config_source *source, struct config *config, struct err_list *errors)
{
    if (!is_any(config))
        return;
    struct vm_limits limits = { .memory_bytes = config->limits.script_memory_bytes };
    struct watchdog *dog = watchdog_create();
    struct compile c = { .source = source,
                         .config = config,
                         .errors = errors,
                         .vm = vm_create(&limits, dog),
                         .world = { .config = config } };
    c.vm->owner = &c.world;
    config->scripts = c.set = arena_zalloc(config->arena, sizeof *c.set);
    c.set->scripts = arena_zalloc_array(config->arena, config->route_count, sizeof *c.set->scripts);
    c.set->of_route = arena_zalloc_array(config->arena, config->route_count, sizeof *c.set->of_route);
    if (!open_state(&c))
        err_add(errors, (struct place){ .file = config->file.ptr }, "limits.script_memory is too small for any script");
    else
        for (size_t i = 0; i < config->route_count; i++)
            c.set->of_route[i] =
                config->routes[i].script.path.len > 0 ? add(&c, &config->routes[i].script) : CONFIG_NONE;
    look_for_idle_hooks(&c);
    vm_destroy(c.vm);
    watchdog_destroy(dog);
}
