/* lua/test_fetch.c - t.fetch: functions of a test that stand in for upstreams when a hook calls weir.fetch.
 *
 * They answer at once, in the state of the tests; the hook is not suspended. What the hook asked for has passed the same checks
 * as in production (lua/api_fetch.c), and is kept for t.fetches. */
#include "lua/test_parts.h"

#include "base/reason.h"

#define FETCHES_MAX 256

/* One call of a function of the test. */
struct job {
    const struct script_fetch *fetch;
    struct script_fetch_answer *answer;
    struct slice upstream;
    int function;
};

/* ---- what is asked ------------------------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *key, struct slice text)
{
    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    lua_setfield(L, -2, key);
}

/* { upstream =, method =, path =, host =, headers = {}, body =, timeout = }; timeout in seconds. */
static void push_request(lua_State *L, const struct job *job)
{
    const struct script_fetch *fetch = job->fetch;
    lua_createtable(L, 0, 7);
    set_text(L, "upstream", job->upstream);
    set_text(L, "method", fetch->method);
    set_text(L, "path", fetch->path);
    if (fetch->host.len > 0)
        set_text(L, "host", fetch->host);
    if (fetch->body.ptr != NULL)
        set_text(L, "body", fetch->body);
    lua_pushnumber(L, (double)fetch->timeout_ms / 1000);
    lua_setfield(L, -2, "timeout");
    lua_createtable(L, 0, (int)fetch->header_count);
    for (size_t i = 0; i < fetch->header_count; i++) {
        lua_pushlstring(L, fetch->headers[i].name.ptr, fetch->headers[i].name.len);
        lua_pushlstring(L, fetch->headers[i].value.ptr, fetch->headers[i].value.len);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "headers");
}

/* Pushes the list of requests. */
static void push_list(lua_State *L, struct test_run *run)
{
    if (run->fetches == LUA_NOREF) {
        lua_newtable(L);
        run->fetches = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->fetches);
}

/* ---- what is answered ------------------------------------------------------------------------------------------------------ */

static bool is_code(struct slice text)
{
    bool is_known = slice_equal(text, SLICE(SCRIPT_FETCH_TOO_LARGE));
    for (unsigned i = 1; i < REASON_COUNT; i++)
        is_known |= slice_equal(text, slice_from_cstr(reason_rows[i].code));
    return is_known;
}

/* nil and a code at the top two. */
static void take_failure(lua_State *L, struct arena *arena, struct script_fetch_answer *out)
{
    if (lua_type(L, -1) != LUA_TSTRING || !is_code(test_check_slice(L, -1)))
        luaL_error(L, "a fetch that fails returns nil and a code, such as \"response_timeout\" or \"no_endpoint\"");
    out->failure = arena_copy(arena, test_check_slice(L, -1)).ptr;
}

/* { status =, headers =, body = } at that index. */
static void take_answer(lua_State *L, int table, struct arena *arena, struct script_fetch_answer *out)
{
    struct message *head = arena_zalloc(arena, sizeof *head);
    message_init(head, arena, 8);
    head->is_response = true;
    lua_getfield(L, table, "status");
    lua_Integer status = luaL_optinteger(L, -1, 200);
    if (status < 200 || status > 599)
        luaL_error(L, "the status of an answer is a number from 200 to 599");
    out->status = (uint16_t)status;
    test_headers_take(L, table, arena, head);
    out->head = head;
    if (lua_getfield(L, table, "body") != LUA_TNIL)
        out->body = arena_copy(arena, test_check_slice(L, -1));
    if (out->body.len > SCRIPT_FETCH_ANSWER_MAX_BYTES)
        *out = (struct script_fetch_answer){ .failure = SCRIPT_FETCH_TOO_LARGE };
}

/* Inside a protected call in the state of the tests. */
static int call_function(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);
    struct test_run *run = test_run_of(L);
    push_request(L, job);
    push_list(L, run);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    if (job->function == TEST_FUNCTION_NONE)
        return luaL_error(L, "a hook fetches from '%s', and the test has no t.fetch for it", job->upstream.ptr);
    lua_rawgeti(L, LUA_REGISTRYINDEX, job->function);
    lua_pushvalue(L, 2);
    lua_call(L, 1, 2);
    if (lua_istable(L, -2))
        take_answer(L, lua_gettop(L) - 1, &run->arena, job->answer);
    else
        take_failure(L, &run->arena, job->answer);
    return 0;
}

/* An error may not unwind the hook's call, and waits until that is over. */
enum script_fetch_result test_fetch_begin(struct script_call *call, const struct script_fetch *fetch,
                                          struct script_fetch_answer *answer)
{
    struct test_run *run = call->owner;
    struct job job = { fetch, answer, run->setup.upstreams[fetch->upstream_index], TEST_FUNCTION_NONE };
    *answer = (struct script_fetch_answer){ .failure = reason_rows[REASON_NO_ENDPOINT].code };
    if (run->has_callback_failed)
        return FETCH_ANSWERED;
    for (size_t i = 0; i < run->setup.fetch_count; i++)
        if (slice_equal(run->setup.fetches[i].upstream, job.upstream))
            job.function = run->setup.fetches[i].function;
    *answer = (struct script_fetch_answer){ .failure = NULL };
    lua_pushcfunction(run->caller, call_function);
    lua_pushlightuserdata(run->caller, &job);
    run->has_callback_failed = lua_pcall(run->caller, 1, 0, 0) != LUA_OK;
    if (run->has_callback_failed)
        *answer = (struct script_fetch_answer){ .failure = reason_rows[REASON_NO_ENDPOINT].code };
    return FETCH_ANSWERED;
}

/* ---- t.fetch, t.fetches ------------------------------------------------------------------------------------------------------- */

/* t.fetch(upstream, function(request) -> { status =, headers =, body = }, or nil and a code); the last word counts. */
int test_library_fetch(lua_State *L)
{
    struct test_run *run = test_run_of(L);
    struct arena *arena = test_setup_arena(run);
    size_t count = run->setup.fetch_count;
    struct slice upstream = arena_copy(arena, test_check_slice(L, 1));
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (count == FETCHES_MAX)
        return luaL_error(L, "more than %d functions", FETCHES_MAX);
    lua_settop(L, 2);
    struct test_fetch *list = arena_zalloc_array(arena, count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = run->setup.fetches[i];
    list[count] = (struct test_fetch){ upstream, luaL_ref(L, LUA_REGISTRYINDEX) };
    run->setup.fetches = list;
    run->setup.fetch_count = count + 1;
    return 0;
}

/* t.fetches(): what hooks of this test fetched so far, in order. */
int test_library_fetches(lua_State *L)
{
    push_list(L, test_check_running(L, "t.fetches"));
    return 1;
}
