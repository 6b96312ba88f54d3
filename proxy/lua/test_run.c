/* lua/test_run.c - runs the tests beside Lua hooks, without a server: `weir script test`. */
#include "lua/test_run.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/load.h"
#include "lua/builtin.h"
#include "lua/chunk.h"
#include "lua/compile.h"
#include "lua/shared_map.h"
#include "lua/test_parts.h"
#include "lua/vm.h"

#define TESTS_MEMORY_BYTES  (64u << 20)
#define SHARED_MEMORY_BYTES (1u << 20)
#define CLOCK_START_MS      INT64_C(1767225600000) /* 2026-01-01T00:00:00Z: the same in every run */

/* Upstreams and segments are those of the hooks' own configurations. */
static const struct config no_config;

void test_report_init(struct test_report *report, struct arena *arena)
{
    *report = (struct test_report){ .arena = arena };
    report->last = &report->files;
}

void test_report_fini(struct test_report *report)
{
    for (struct test_coverage *c = report->coverage; c != NULL; c = c->next) {
        line_set_fini(&c->lines);
        line_set_fini(&c->hits);
    }
}

/* ---- what failed ------------------------------------------------------------------------------------------------------------- */

/* "x_test.lua:12: words" -> 12 and the words. */
static uint32_t split_message(const struct test_run *run, struct slice *message)
{
    uint64_t line;
    struct slice rest, name = slice_from_cstr(run->source + 1);
    if (!slice_has_prefix(*message, name) || slice_first(slice_after(*message, name.len), 1).len == 0)
        return 0;
    rest = slice_after(*message, name.len + 1);
    size_t end = slice_find(rest, ':');
    if (end == rest.len || !slice_to_u64(slice_first(rest, end), &line) || line > UINT32_MAX)
        return 0;
    *message = slice_trim(slice_after(rest, end + 1));
    return (uint32_t)line;
}

/* Where a hook failed is of interest, and where it was called stands in front already. */
static struct slice without_outer_traceback(struct slice words)
{
    static const char mark[] = "\nstack traceback:";
    const char *first = strstr(words.ptr, mark);
    const char *second = first != NULL ? strstr(first + 1, mark) : NULL;
    return second != NULL ? slice_from(words.ptr, (size_t)(second - words.ptr)) : words;
}

static void tell(struct test_run *run, struct test_case *c, enum vm_result result)
{
    struct slice words = text_slice(&run->failure);
    c->is_good = result == VM_OK && !run->has_failed;
    if (c->is_good)
        return;
    c->message_line = run->failure_line;
    if (!run->has_failed) {
        words = slice_from_cstr(run->vm->message);
        c->message_line = split_message(run, &words);
        words = without_outer_traceback(words);
    }
    while (words.len > 0 && words.ptr[words.len - 1] == '\n')
        words.len--;
    c->message = arena_copy(run->report->arena, words);
}

/* ---- calls ------------------------------------------------------------------------------------------------------------------- */

static enum vm_result run_body(struct test_run *run, lua_CFunction body, void *arg)
{
    lua_State *co = vm_coroutine(run->vm);
    CHECK(co != NULL); /* between tests there is room */
    run->has_failed = run->has_callback_failed = false;
    run->failure_line = 0;
    enum vm_result result = vm_start(run->vm, co, body, arg, run->options->timeout_ms * 1000);
    vm_release(run->vm, co);
    return result;
}

static int open_body(lua_State *L)
{
    api_open(L);
    test_request_open(L);
    return 0;
}

/* The file's environment is that of a hook, and has `t`. */
static int load_body(lua_State *L)
{
    const struct slice *text = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, text->ptr, text->len, test_run_of(L)->source, "t") != LUA_OK)
        return lua_error(L);
    chunk_push_environment(L);
    lua_pushliteral(L, "t");
    test_library_push(L);
    lua_rawset(L, -3);
    const char *upvalue = lua_setupvalue(L, -2, 1);
    CHECK(upvalue != NULL && strcmp(upvalue, "_ENV") == 0);
    lua_call(L, 0, 0);
    return 0;
}

static int case_body(lua_State *L)
{
    const struct test_case *c = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_call(L, 0, 0);
    return 0;
}

/* ---- what a file of tests requires and reads, as a hook would ---------------------------------------------------------------- */

static bool read_file(struct test_run *run, const char *path, struct slice *text)
{
    return config_source_system.read_file(config_source_system.arg, path, run->report->arena, text);
}

static struct slice keep(struct test_run *run, const char *text)
{
    return arena_copy(run->report->arena, slice_from_cstr(text));
}

/* Raises when it is no Lua, with what is wrong first. */
static const struct module *add_module(lua_State *L, void *arg, const char *path, const char *name)
{
    struct test_run *run = arg;
    struct arena *arena = run->report->arena;
    struct compiled compiled;
    struct err_list errors;
    struct slice text;
    if (name != NULL ? !read_file(run, path, &text) : !builtin_find(slice_from_cstr(path), &text))
        return NULL;
    struct module *m = arena_zalloc(arena, sizeof *m);
    m->path = keep(run, path);
    m->source = arena_printf(arena, "=%.*s", LUA_IDSIZE - 1, name != NULL ? name : path).ptr;
    err_list_init(&errors, arena);
    if (!compile_text(L, text, m->path.ptr, m->source, arena, &errors, &compiled))
        luaL_error(L, "%s", err_format(arena, errors.first).ptr);
    lua_pop(L, 1);
    m->code = compiled.code;
    m->names = compiled.names;
    m->next = run->modules.modules;
    run->modules.modules = m;
    return m;
}

static const struct module_file *add_file(lua_State *L, void *arg, const char *path)
{
    struct test_run *run = arg;
    struct slice text;
    if (!read_file(run, path, &text))
        return NULL;
    if (text.len > SCRIPT_FILE_MAX_BYTES)
        luaL_error(L, "'%s' is longer than %d bytes", path, (int)SCRIPT_FILE_MAX_BYTES);
    struct module_file *f = arena_zalloc(run->report->arena, sizeof *f);
    *f = (struct module_file){ run->modules.files, keep(run, path), text };
    run->modules.files = f;
    return f;
}

static enum vm_result load(struct test_run *run, struct slice text)
{
    struct module_loading loading = { .set = &run->modules,
                                      .directory = slice_from_cstr(run->directory),
                                      .add_module = add_module,
                                      .add_file = add_file,
                                      .arg = run };
    run->world.loading = &loading;
    enum vm_result result = run_body(run, load_body, &text);
    run->world.loading = NULL;
    return result;
}

/* ---- a file -------------------------------------------------------------------------------------------------------------------- */

/* Up to the last slash and with it; "" without one. */
static const char *directory_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    return arena_copy(arena, slice_from(path, slash != NULL ? (size_t)(slash - path) + 1 : 0)).ptr;
}

static void add_problem(struct test_run *run, uint32_t line, struct slice message)
{
    struct test_case *c = arena_zalloc(run->report->arena, sizeof *c);
    c->name = SLICE("the file");
    c->message = arena_copy(run->report->arena, message);
    c->message_line = line;
    run->file->problem = c;
    run->report->failed_count++;
}

/* A test has what the file said, and leaves nothing behind. */
static void run_case(struct test_run *run, struct test_case *c)
{
    run->serial++;
    luaL_unref(run->vm->state, LUA_REGISTRYINDEX, run->fetches);
    run->fetches = LUA_NOREF;
    run->setup = run->file_setup;
    run->requests = NULL;
    run->logs = NULL;
    run->last_log = &run->logs;
    run->fakes.shared = shared_map_create(SHARED_MEMORY_BYTES);
    tell(run, c, run_body(run, case_body, c));
    test_hooks_close(run);
    shared_map_destroy(TAKE(&run->fakes.shared));
    arena_reset(&run->arena);
    if (c->is_good)
        run->report->passed_count++;
    else
        run->report->failed_count++;
}

static void run_text(struct test_run *run, struct slice text)
{
    struct test_case loading = { 0 };
    run->setup.now.unix_ms = CLOCK_START_MS;
    CHECK(run_body(run, open_body, NULL) == VM_OK);
    tell(run, &loading, load(run, text));
    run->file_setup = run->setup;
    if (!loading.is_good) {
        run->file->cases = NULL;
        add_problem(run, loading.message_line, loading.message);
        return;
    }
    for (struct test_case *c = run->file->cases; c != NULL; c = c->next)
        run_case(run, c);
}

static void open_run(struct test_run *run, const char *path, const char *absolute)
{
    struct arena *arena = run->report->arena;
    struct vm_limits limits = { .memory_bytes = TESTS_MEMORY_BYTES };
    const char *slash = strrchr(absolute, '/');
    run->directory = directory_of(arena, absolute);
    run->shown_directory = directory_of(arena, path);
    run->source = arena_printf(arena, "=%.*s", LUA_IDSIZE - 1, slash + 1).ptr;
    arena_init(&run->arena, NULL, 0);
    test_fakes_init(run);
    run->dog = watchdog_create();
    run->vm = vm_create(&limits, run->dog);
    run->vm->owner = run;
    run->world = (struct script_world){ .config = &no_config, .epoch = 1, .fakes = &run->fakes };
}

static void close_run(struct test_run *run)
{
    vm_destroy(run->vm);
    watchdog_destroy(run->dog);
    text_fini(&run->failure);
    arena_reset(&run->arena);
}

void test_run(struct test_report *report, const char *path, const struct test_options *options)
{
    char absolute[PATH_MAX];
    struct slice text;
    struct test_file *file = arena_zalloc(report->arena, sizeof *file);
    struct test_run run = { .options = options, .report = report, .file = file, .fetches = LUA_NOREF };
    *report->last = file;
    report->last = &file->next;
    file->path = arena_copy(report->arena, slice_from_cstr(path));
    file->last = &file->cases;
    if (realpath(path, absolute) == NULL ||
        !config_source_system.read_file(config_source_system.arg, absolute, report->arena, &text)) {
        add_problem(&run, 0, slice_from_cstr(strerror(errno)));
        return;
    }
    open_run(&run, path, absolute);
    run_text(&run, text);
    close_run(&run);
}
