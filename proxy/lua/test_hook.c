/* lua/test_hook.c - t.hook: a hook's file loaded as in production, and its functions called with a test's requests. */
#include "lua/test_parts.h"

#include <string.h>

#include "base/memory.h"
#include "lua/script_host.h"
#include "lua/vm.h"
#include "route/snapshot.h"

/* The made-up configuration; scripts are read from where they are. */
#define CONFIG_NAME "weir-script-test.yaml"

#define SHADOW_BODY_BYTES (1u << 20) /* a shadow's max_body when it says none */

/* ---- loading --------------------------------------------------------------------------------------------------------------- */

static void add_quoted(struct text *out, struct slice s)
{
    text_add_char(out, '"');
    text_add_json(out, s);
    text_add_char(out, '"');
}

/* What a configuration must say so that the hook finds what the test named. */
static void write_config(const struct test_run *run, const struct test_hook *h, struct text *out)
{
    const struct test_setup *setup = &run->setup;
    text_add_cstr(out, "listeners: { web: { bind: 127.0.0.1:1 } }\n");
    text_add_cstr(out, "upstreams:\n  {");
    for (size_t i = 0; i < setup->upstream_count; i++) {
        text_add_cstr(out, i > 0 ? ", " : " ");
        add_quoted(out, setup->upstreams[i]);
        text_add_cstr(out, ": { endpoints: [ 127.0.0.1:1 ] }");
    }
    text_add_cstr(out, " }\nsegments:\n  {");
    for (size_t i = 0; i < setup->segment_count; i++) {
        text_add_cstr(out, i > 0 ? ", " : " ");
        add_quoted(out, setup->segments[i].name);
        text_add_cstr(out, ": { header: x, present: true }");
    }
    text_add_cstr(out, " }\nroutes:\n- { name: test, respond: { status: 200 }, script: { file: ");
    add_quoted(out, h->path);
    if (h->budget_ms > 0)
        text_printf(out, ", budget: %lldms", (long long)h->budget_ms);
    text_add_cstr(out, " } }\n");
}

static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    if (!slice_has_suffix(slice_from_cstr(path), SLICE(CONFIG_NAME)))
        return config_source_system.read_file(config_source_system.arg, path, arena, out);
    *out = arena_copy(arena, text_slice(arg));
    return true;
}

static const char *get_no_env(void *arg, const char *name)
{
    (void)arg, (void)name;
    return NULL;
}

static struct snapshot *load(const struct test_run *run, const struct test_hook *h, struct err_list *errors)
{
    struct text yaml = { 0 };
    write_config(run, h, &yaml);
    struct config_source source = { .get_env = get_no_env,
                                    .read_file = read_file,
                                    .compile_scripts = script_set_compile,
                                    .directory = "/",
                                    .arg = &yaml };
    struct snapshot *s = snapshot_create(CONFIG_NAME, &source, 1, errors);
    text_fini(&yaml);
    return s;
}

/* All problems of the file, one a line. */
static int raise_problems(lua_State *L, const struct test_run *run, const struct err_list *errors)
{
    luaL_Buffer all;
    const char *separator = "";
    struct arena arena;
    luaL_where(L, 1);
    luaL_buffinit(L, &all);
    arena_init(&arena, NULL, 0);
    for (const struct err *e = errors->first; e != NULL; e = e->next) {
        struct slice line = err_format(&arena, e);
        if (slice_has_prefix(line, slice_from_cstr(run->directory)))
            line = slice_after(line, strlen(run->directory));
        luaL_addstring(&all, separator);
        luaL_addlstring(&all, line.ptr, line.len);
        separator = "\n";
    }
    arena_reset(&arena);
    luaL_pushresult(&all);
    lua_concat(L, 2);
    return lua_error(L);
}

/* ---- for the time of a test ------------------------------------------------------------------------------------------------ */

/* Lines of a file are counted from now on. */
static void cover(struct test_run *run, struct test_hook *h, struct slice path, const char *source, struct slice code)
{
    struct test_file_lines *f = arena_zalloc(&run->arena, sizeof *f);
    struct slice folder = slice_from_cstr(run->directory);
    struct slice name = slice_has_prefix(path, folder) ? slice_after(path, folder.len) : path;
    const char *shown = slice_has_prefix(path, folder) ? run->shown_directory : "";
    f->source = source;
    f->coverage = test_coverage_of(run->report, arena_printf(run->report->arena, "%s%.*s", shown, SLICE_ARG(name)));
    f->next = h->files;
    h->files = f;
    lines_read(code, &f->coverage->lines);
}

/* What the hook's first call in a test makes, and the test's end takes away. */
static void open_hook(lua_State *L, struct test_run *run, struct test_hook *h)
{
    struct err_list errors;
    if (h->host != NULL)
        return;
    err_list_init(&errors, &run->arena);
    h->snapshot = load(run, h, &errors);
    if (h->snapshot == NULL)
        raise_problems(L, run, &errors);
    const struct script_set *set = h->snapshot->config->scripts;
    cover(run, h, set->scripts[0].path, set->scripts[0].source, set->scripts[0].code);
    for (const struct module *m = set->modules.modules; m != NULL; m = m->next)
        if (slice_has_prefix(m->path, SLICE("/"))) /* the binary's own have tests of their own */
            cover(run, h, m->path, m->source, m->code);
    run->active = h;
    h->host = script_host_create_fake(h->snapshot->table, run->dog, &run->fakes);
    script_host_attach(h->host, NULL);
    run->active = NULL;
}

static void close_hook(struct test_hook *h)
{
    if (h->host != NULL)
        script_host_destroy(TAKE(&h->host));
    if (h->snapshot != NULL)
        snapshot_destroy(TAKE(&h->snapshot));
    h->files = NULL;
}

void test_hooks_close(struct test_run *run)
{
    for (struct test_request *r = run->requests; r != NULL; r = r->next)
        if (r->hook != NULL)
            script_host_forget(r->hook->host, &r->call);
    for (struct test_hook *h = run->hooks; h != NULL; h = h->next)
        close_hook(h);
}

/* ---- calls ----------------------------------------------------------------------------------------------------------------- */

static void push_answer(lua_State *L, const struct script_answer *answer)
{
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, answer->status);
    lua_setfield(L, -2, "status");
    if (answer->body.ptr != NULL) {
        lua_pushlstring(L, answer->body.ptr, answer->body.len);
        lua_setfield(L, -2, "body");
    }
    if (answer->headers.set_count == 0)
        return;
    lua_createtable(L, 0, (int)answer->headers.set_count);
    for (size_t i = 0; i < answer->headers.set_count; i++) {
        const struct header_set *set = &answer->headers.set[i];
        lua_pushlstring(L, set->name.ptr, set->name.len);
        lua_pushlstring(L, set->value.ptr, set->value.len);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "headers");
}

/* What on_request returned, as weir understood it. */
static int push_result(lua_State *L, const struct test_hook *h, const struct script_call *call)
{
    if (call->answer != NULL) {
        push_answer(L, call->answer);
    } else if (call->upstream_index != CONFIG_NONE) {
        struct slice name = h->snapshot->config->upstreams[call->upstream_index].name;
        lua_createtable(L, 0, 1);
        lua_pushlstring(L, name.ptr, name.len);
        lua_setfield(L, -2, "upstream");
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* Argument 1 as a request that this hook may be called with: its ctx is in one state only. */
static struct test_request *check_request(lua_State *L, struct test_hook *h)
{
    struct test_request *r = test_request_check(L, 1);
    if (r->is_copy)
        luaL_error(L, "a copy goes through no further hook");
    if (r->hook != NULL && r->hook != h)
        luaL_error(L, "this request has been through %s", r->hook->name.ptr);
    return r;
}

/* Raises unless the hook ended well: then its word is in the call, which is r's own or that of a copy of it. */
static void call_hook(lua_State *L, struct test_hook *h, enum script_hook hook, struct test_request *r,
                      struct script_call *call)
{
    struct test_run *run = test_run_of(L);
    const struct config *config = h->snapshot->config;
    if (!config->scripts->scripts[0].has_hook[hook]) {
        call->response = NULL;
        luaL_error(L, "%s has no %s", h->name.ptr, script_hook_names[hook]);
    }
    luaL_checkstack(L, 16, NULL);
    r->hook = h;
    run->caller = L;
    run->current = r;
    run->active = h;
    enum vm_result result = script_host_call(h->host, 0, hook, config->routes[0].script.budget_ms * 1000, call);
    call->response = NULL;
    run->active = NULL;
    run->current = NULL;
    if (run->has_callback_failed) {
        run->has_callback_failed = false;
        lua_error(L);
    }
    if (result == VM_TIMEOUT)
        luaL_error(L, "%s: over its budget of %dms: %s", script_hook_names[hook],
                   (int)config->routes[0].script.budget_ms, script_host_message(h->host));
    if (result != VM_OK)
        luaL_error(L, "%s: %s: %s", script_hook_names[hook], vm_result_names[result], script_host_message(h->host));
}

static struct test_hook *hook_upvalue(lua_State *L, const char *what)
{
    struct test_hook *h = lua_touserdata(L, lua_upvalueindex(1));
    open_hook(L, test_check_running(L, what), h);
    return h;
}

static int hook_on_request(lua_State *L)
{
    struct test_hook *h = hook_upvalue(L, "on_request");
    struct test_request *r = check_request(L, h);
    r->call.upstream_index = CONFIG_NONE;
    r->call.answer = NULL;
    call_hook(L, h, SCRIPT_ON_REQUEST, r, &r->call);
    return push_result(L, h, &r->call);
}

static int hook_on_response(lua_State *L)
{
    struct test_hook *h = hook_upvalue(L, "on_response");
    struct test_request *r = check_request(L, h);
    r->call.response = test_response_check(L, 2);
    call_hook(L, h, SCRIPT_ON_RESPONSE, r, &r->call);
    return 0;
}

/* ---- copies ---------------------------------------------------------------------------------------------------------------- */

static void set_copy_body(void *arg, struct slice bytes)
{
    struct test_request *copy = arg;
    copy->body = arena_copy(copy->call.arena, bytes);
}

/* As front/script.c makes one: a head of its own, everything else is the request's. */
static struct test_request *copy_request(struct test_run *run, struct test_request *r, struct script_copy *about)
{
    struct test_request *copy = arena_zalloc(&run->arena, sizeof *copy);
    *copy = *r;
    copy->is_copy = true;
    copy->message.fields = arena_zalloc_array(&run->arena, r->message.field_capacity, sizeof *copy->message.fields);
    for (size_t i = 0; i < r->message.field_count; i++)
        copy->message.fields[i] = r->message.fields[i];
    copy->call.request = &copy->message;
    copy->call.view = &copy->view;
    copy->call.has_encoded_slash = &copy->has_encoded_slash;
    copy->call.copy = about;
    copy->call.edit_count = copy->call.edited_bytes = 0;
    about->set_body = set_copy_body;
    about->arg = copy;
    return copy;
}

/* A body in chunks, as it would have come; until the test ends. */
struct arrived {
    struct pieces_pool pieces_pool;
    struct chunk_pool chunk_pool;
    struct pieces pieces;
};

static void depart(void *arg)
{
    struct arrived *a = arg;
    pieces_clear(&a->pieces, &a->pieces_pool);
    chunk_pool_fini(&a->chunk_pool);
    pieces_pool_fini(&a->pieces_pool);
}

static const struct pieces *arrive(struct arena *arena, struct slice body)
{
    struct arrived *a = arena_zalloc(arena, sizeof *a);
    pieces_pool_init(&a->pieces_pool, 0);
    chunk_pool_init(&a->chunk_pool, 0);
    pieces_init(&a->pieces);
    if (body.len > 0)
        pieces_pack(&a->pieces, &a->pieces_pool, &a->chunk_pool, body.ptr, body.len);
    arena_on_reset(arena, depart, a);
    return &a->pieces;
}

/* What the second argument says: { to = upstream, max_body = bytes }. */
static void take_shadow(lua_State *L, struct arena *arena, struct script_copy *about)
{
    about->upstream = SLICE("shadow");
    about->body_max_bytes = SHADOW_BODY_BYTES;
    if (lua_isnoneornil(L, 2))
        return;
    luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_getfield(L, 2, "to") != LUA_TNIL)
        about->upstream = arena_copy(arena, test_check_slice(L, -1));
    if (lua_getfield(L, 2, "max_body") != LUA_TNIL)
        about->body_max_bytes = (size_t)luaL_checkinteger(L, -1);
}

/* hook.on_shadow(req[, shadow]) -> the copy as it was let go, or nil. */
static int hook_on_shadow(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    struct test_hook *h = hook_upvalue(L, "on_shadow");
    struct test_request *r = check_request(L, h);
    struct script_copy about = { .body = NULL };
    take_shadow(L, &run->arena, &about);
    if (r->body.len > about.body_max_bytes)
        return luaL_error(L, "a body longer than max_body is not copied");
    if (r->body.ptr != NULL)
        about.body = arrive(&run->arena, r->body);
    struct test_request *copy = copy_request(run, r, &about);
    call_hook(L, h, SCRIPT_ON_SHADOW, r, &copy->call);
    r->call.ctx_epoch = copy->call.ctx_epoch;
    r->call.ctx = copy->call.ctx;
    copy->call.copy = NULL;
    if (about.is_vetoed)
        return 0;
    test_request_push(L, copy);
    return 1;
}

/* ---- t.hook ---------------------------------------------------------------------------------------------------------------- */

/* "x_test.lua" -> "x.lua" */
static struct slice tested_name(const struct test_run *run)
{
    struct slice name = slice_from_cstr(run->source + 1);
    return arena_printf(run->report->arena, "%.*s.lua", (int)(name.len - strlen("_test.lua")), name.ptr);
}

static int64_t take_budget(lua_State *L, const struct test_run *run)
{
    if (lua_isnoneornil(L, 2))
        return run->options->budget_ms;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "budget_ms");
    lua_Integer budget_ms = luaL_optinteger(L, -1, run->options->budget_ms);
    luaL_argcheck(L, budget_ms >= 0 && budget_ms <= 1000, 2, "budget_ms is from 1 to 1000");
    return budget_ms;
}

/* t.hook([file[, { budget_ms = N }]]): the functions of that file, beside the tests; loaded when one is called, anew in
   each test. */
int test_library_hook(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    struct arena *arena = run->report->arena;
    struct test_hook *h = arena_zalloc(arena, sizeof *h);
    h->name = lua_isnoneornil(L, 1) ? tested_name(run) : arena_copy(arena, test_check_slice(L, 1));
    bool is_absolute = slice_has_prefix(h->name, SLICE("/"));
    h->path = arena_printf(arena, "%s%.*s", is_absolute ? "" : run->directory, SLICE_ARG(h->name));
    h->budget_ms = take_budget(L, run);
    h->next = run->hooks;
    run->hooks = h;
    static const luaL_Reg functions[] = {
        { "on_request", hook_on_request },
        { "on_response", hook_on_response },
        { "on_shadow", hook_on_shadow },
        { NULL, NULL },
    };
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, h);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
