/* lua/test_surroundings.c - what a test sets up around its hooks: upstreams, segments, the clock, requests; and the fakes. */
#include "lua/test_parts.h"

#include <math.h>

#include "config/formats.h"

#define SEGMENTS_MAX  256
#define UPSTREAMS_MAX 256

/* Before a hook is called for the first time: its configuration is made then. */
static struct test_run *check_open(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    for (const struct test_hook *h = run->hooks; h != NULL; h = h->next)
        if (h->host != NULL)
            luaL_error(L, "a hook has been called: say which upstreams and segments there are before");
    return run;
}

/* What is said outside of tests is for all of them. */
struct arena *test_setup_arena(struct test_run *run)
{
    return run->serial != 0 ? &run->arena : run->report->arena;
}

static struct slice check_name(lua_State *L, struct test_run *run, int index)
{
    struct slice name = test_check_slice(L, index);
    const char *fault = format_name.fault(name);
    if (fault != NULL)
        luaL_error(L, "'%s' %s", lua_tostring(L, index), fault);
    return arena_copy(test_setup_arena(run), name);
}

/* t.upstreams { "stable", "canary" }: these, and no others. */
static int library_upstreams(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct test_run *run = check_open(L);
    size_t count = lua_rawlen(L, 1);
    if (count > UPSTREAMS_MAX)
        return luaL_error(L, "more than %d upstreams", UPSTREAMS_MAX);
    struct slice *names = arena_zalloc_array(test_setup_arena(run), count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        names[i] = check_name(L, run, lua_gettop(L));
        for (size_t k = 0; k < i; k++)
            if (slice_equal(names[k], names[i]))
                return luaL_error(L, "'%s' is there twice", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    run->setup.upstreams = names;
    run->setup.upstream_count = count;
    return 0;
}

/* t.segment(name, true | false | function(req)): as if the configuration had it. Said again, the last word counts, also while
   hooks have been called: only its name is part of their configuration. */
static int library_segment(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    struct test_segment segment = { .function = TEST_FUNCTION_NONE, .is_in = lua_toboolean(L, 2) != 0 };
    size_t at = 0, count = run->setup.segment_count;
    struct slice name = test_check_slice(L, 1);
    while (at < count && !slice_equal(run->setup.segments[at].name, name))
        at++;
    if (at == count)
        check_open(L);
    segment.name = check_name(L, run, 1);
    luaL_argexpected(L, lua_isboolean(L, 2) || lua_isfunction(L, 2), 2, "boolean or function");
    if (at == SEGMENTS_MAX)
        return luaL_error(L, "more than %d segments", SEGMENTS_MAX);
    lua_settop(L, 2);
    if (lua_isfunction(L, 2))
        segment.function = luaL_ref(L, LUA_REGISTRYINDEX);
    struct test_segment *list = arena_zalloc_array(test_setup_arena(run), count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = run->setup.segments[i];
    list[at] = segment;
    run->setup.segments = list;
    run->setup.segment_count = at == count ? count + 1 : count;
    return 0;
}

/* t.logs(): the lines of weir.log so far, as { { level =, text = }, ... }. */
static int library_logs(lua_State *L)
{
    static const char *const names[] = {
        [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"
    };
    struct test_run *run = test_check_running(L, "t.logs");
    lua_Integer count = 0;
    lua_newtable(L);
    for (const struct test_log *log = run->logs; log != NULL; log = log->next) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, names[log->level]);
        lua_setfield(L, -2, "level");
        lua_pushlstring(L, log->text.ptr, log->text.len);
        lua_setfield(L, -2, "text");
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* ---- the clock ------------------------------------------------------------------------------------------------------------- */

static int clock_set(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    if (lua_type(L, 1) == LUA_TNUMBER) {
        run->setup.now.unix_ms = llround(lua_tonumber(L, 1) * 1000);
        return 0;
    }
    struct slice text = test_check_slice(L, 1);
    luaL_argcheck(L, wall_parse(text.ptr, text.len, &run->setup.now), 1,
                  "no time: seconds since 1970, or 2026-12-20T09:30:00Z");
    return 0;
}

static int clock_advance(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0, 1, "time goes forwards; t.clock.set puts it anywhere");
    test_run_of(L)->setup.now.unix_ms += llround(seconds * 1000);
    return 0;
}

void test_library_push_clock(lua_State *L)
{
    static const luaL_Reg functions[] = { { "set", clock_set }, { "advance", clock_advance }, { NULL, NULL } };
    luaL_newlib(L, functions);
}

const luaL_Reg test_surroundings[] = {
    { "upstreams", library_upstreams },
    { "segment", library_segment },
    { "logs", library_logs },
    { "request", test_library_request },
    { "response", test_library_response },
    { "fetch", test_library_fetch },
    { "fetches", test_library_fetches },
    { NULL, NULL },
};

/* ---- what hooks ask for ------------------------------------------------------------------------------------------------------ */

static struct wall_time fake_now(void *arg)
{
    struct test_run *run = arg;
    return run->setup.now;
}

/* Called in the state of the tests while a call in the hooks' runs: an error may not unwind that one, and waits. */
static int call_segment(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    const struct test_segment *segment = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, segment->function);
    test_request_push(L, run->current);
    lua_call(L, 1, 1);
    luaL_checktype(L, -1, LUA_TBOOLEAN);
    return 1;
}

static bool fake_segment(void *arg, size_t index)
{
    struct test_run *run = arg;
    const struct test_segment *segment = &run->setup.segments[index];
    lua_State *L = run->caller;
    if (segment->function == TEST_FUNCTION_NONE || run->has_callback_failed)
        return segment->is_in;
    lua_pushcfunction(L, call_segment);
    lua_pushlightuserdata(L, (void *)(uintptr_t)segment);
    run->has_callback_failed = lua_pcall(L, 1, 1, 0) != LUA_OK;
    if (run->has_callback_failed)
        return false;
    bool is_in = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return is_in;
}

static void fake_log(void *arg, enum log_level level, struct slice text)
{
    struct test_run *run = arg;
    struct test_log *log = arena_zalloc(&run->arena, sizeof *log);
    *log = (struct test_log){ .level = level, .text = arena_copy(&run->arena, text) };
    *run->last_log = log;
    run->last_log = &log->next;
}

static void fake_line(void *arg, const char *source, int line)
{
    struct test_run *run = arg;
    if (run->active == NULL || line <= 0)
        return;
    for (const struct test_file_lines *f = run->active->files; f != NULL; f = f->next)
        if (strcmp(f->source, source) == 0)
            line_set_add(&f->coverage->hits, (uint32_t)line);
}

void test_fakes_init(struct test_run *run)
{
    run->fakes = (struct script_fakes){ .arg = run,
                                        .now = fake_now,
                                        .segment = fake_segment,
                                        .log = fake_log,
                                        .line = fake_line,
                                        .fetch = test_fetch_begin };
}
