/* lua/script_set.c - the scripts of one configuration: read, compiled and tried once, before anything uses them.
 *
 * The state here is one like a worker's, with the same limit: what loads here loads there. */
#include "lua/script_set.h"

#include <errno.h>
#include <string.h>

#include <lauxlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "lua/api.h"
#include "lua/chunk.h"
#include "lua/vm.h"

const char *const script_hook_names[SCRIPT_HOOK_COUNT] = {
    [SCRIPT_ON_REQUEST] = "on_request",
    [SCRIPT_ON_RESPONSE] = "on_response",
    [SCRIPT_ON_SHADOW] = "on_shadow",
};

/* One run. */
struct compile {
    struct config *config;
    struct script_set *set;
    struct err_list *errors;
    struct vm *vm;
};

/* One file of it; `arg` of the calls into Lua. */
struct file_job {
    struct compile *compile;
    struct script *script;
    struct slice text;
    struct text code; /* grows while Lua writes */
};

/* ---- telling ----------------------------------------------------------------------------------------------------------- */

static struct place place_in(const struct script *s, uint32_t line)
{
    return (struct place){ .file = s->path.ptr, .line = line };
}

/* "NAME:12: words" and whatever lines follow -> 12 and the words; line 0 when it is of another form. */
static uint32_t split_message(const struct script *s, struct slice *message)
{
    struct slice name = slice_from_cstr(s->source + 1);
    *message = slice_first(*message, slice_find(*message, '\n'));
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

static void tell_failure(struct compile *c, const struct script *s)
{
    struct slice message = slice_from_cstr(c->vm->message);
    uint32_t line = split_message(s, &message);
    err_add(c->errors, place_in(s, line), "%.*s", SLICE_ARG(message));
}

/* ---- one file ----------------------------------------------------------------------------------------------------------- */

static int write_code(lua_State *L, const void *bytes, size_t length, void *arg)
{
    (void)L;
    text_add(arg, slice_from(bytes, length));
    return 0;
}

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
    while (hook < SCRIPT_HOOK_COUNT && (name == NULL || strcmp(script_hook_names[hook], name) != 0))
        hook++;
    if (hook == SCRIPT_HOOK_COUNT) {
        name =
            name != NULL ? name : luaL_tolstring(L, -2, NULL); /* which leaves it on top, for look_at_hooks to drop */
        struct err *e = err_add(errors, place_in(job->script, line), "there is no hook '%s'", name);
        const char *near = err_nearest_word(slice_from_cstr(name), script_hook_names, SCRIPT_HOOK_COUNT);
        if (near != NULL)
            err_hint(errors, e, "did you mean '%s'?", near);
    } else if (!lua_isfunction(L, -1)) {
        err_add(errors, place_in(job->script, 0), "'%s' is not a function", name);
    } else {
        job->script->has_hook[hook] = true;
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
        struct err *e = err_add(job->compile->errors, place_in(job->script, 0), "the script has no hook");
        err_hint(job->compile->errors, e, "write: return { on_request = function(req) ... end }");
    }
}

static int compile_body(lua_State *L)
{
    struct file_job *job = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, job->text.ptr, job->text.len, job->script->source, "t") != LUA_OK)
        return lua_error(L);
    CHECK(lua_dump(L, write_code, &job->code, 0) == 0);
    chunk_run(L);
    look_at_hooks(L, job);
    return 0;
}

static void compile_file(struct compile *c, struct script *s, struct slice text)
{
    struct file_job job = { .compile = c, .script = s, .text = text };
    text_init(&job.code);
    lua_State *co = vm_coroutine(c->vm);
    enum vm_result result = co != NULL ? vm_start(c->vm, co, compile_body, &job, SCRIPT_LOAD_BUDGET_US) : VM_MEMORY;
    if (co == NULL)
        err_add(c->errors, place_in(s, 0), "the scripts need more than limits.script_memory");
    else if (result != VM_OK)
        tell_failure(c, s);
    if (co != NULL)
        vm_release(c->vm, co);
    s->code = arena_copy(c->config->arena, text_slice(&job.code));
    text_fini(&job.code);
}

/* Lua cuts longer names in its messages. */
static const char *source_name(struct arena *arena, struct slice path)
{
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '/')
        at--;
    struct slice name = slice_first(slice_after(path, at), LUA_IDSIZE - 1);
    return arena_printf(arena, "=%.*s", SLICE_ARG(name)).ptr;
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
static bool read_script(struct compile *c, const struct config_source *source, const struct script_config *script,
                        struct slice *text)
{
    if (!source->read_file(source->arg, script->path.ptr, c->config->arena, text)) {
        err_add(c->errors, script->place, "could not read '%.*s': %s", SLICE_ARG(script->path), strerror(errno));
        return false;
    }
    uint64_t *digest = &c->config->script_digest;
    *digest = hash_siphash((struct hash_key){ *digest, 2 }, text->len > 0 ? text->ptr : "", text->len);
    return true;
}

static uint32_t add(struct compile *c, const struct config_source *source, const struct script_config *script)
{
    struct script_set *set = c->set;
    struct slice text;
    uint32_t at = find(set, script->path);
    if (at < set->count)
        return at;
    set->scripts[at].path = script->path;
    set->scripts[at].source = source_name(c->config->arena, script->path);
    set->count++;
    if (read_script(c, source, script, &text))
        compile_file(c, &set->scripts[at], text);
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
            err_add_warning(c->errors, place_in(&c->set->scripts[i], 0),
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
    struct script_world world = { .config = config };
    struct compile c = { .config = config, .errors = errors, .vm = vm_create(&limits, dog) };
    c.vm->owner = &world;
    config->scripts = c.set = arena_zalloc(config->arena, sizeof *c.set);
    c.set->scripts = arena_zalloc_array(config->arena, config->route_count, sizeof *c.set->scripts);
    c.set->of_route = arena_zalloc_array(config->arena, config->route_count, sizeof *c.set->of_route);
    if (!open_state(&c))
        err_add(errors, (struct place){ .file = config->file.ptr }, "limits.script_memory is too small for any script");
    else
        for (size_t i = 0; i < config->route_count; i++)
            c.set->of_route[i] =
                config->routes[i].script.path.len > 0 ? add(&c, source, &config->routes[i].script) : CONFIG_NONE;
    look_for_idle_hooks(&c);
    vm_destroy(c.vm);
    watchdog_destroy(dog);
}
