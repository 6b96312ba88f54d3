/* tests/unit/lua/test_stints.c - calls that run long are left and gone on with, and nothing but their end tells. */
#include "lua/vm.h"

#include <criterion/criterion.h>

#include <lauxlib.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "lua/chunk.h"
#include "lua/fixture.h"
#include "lua/hooks.h"

static struct script_test t;

static void open(void)
{
    script_test_open(&t);
}

static void close(void)
{
    script_test_close(&t);
}

TestSuite(stints, .init = open, .fini = close);

struct run {
    const char *code;
    lua_State *co;
    struct vm_stint stint;
    char result[1024];
};

static int finish(lua_State *L, int status, lua_KContext context)
{
    struct run *r = (struct run *)context; /* NOLINT(performance-no-int-to-ptr): as Lua has it */
    (void)status;
    snprintf(r->result, sizeof r->result, "%s", luaL_tolstring(L, -1, NULL));
    return 0;
}

static int body(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, r->code, strlen(r->code), "=test", "t") != LUA_OK)
        return lua_error(L);
    chunk_push_environment(L);
    cr_assert_str_eq(lua_setupvalue(L, -2, 1), "_ENV");
    lua_callk(L, 0, 1, (lua_KContext)r, finish);
    return finish(L, LUA_OK, (lua_KContext)r);
}

static enum vm_result start(struct run *r, const char *code, int64_t budget_us)
{
    *r = (struct run){ .code = code, .co = vm_coroutine(t.vm), .stint = { .left_us = budget_us } };
    cr_assert_not_null(r->co);
    return vm_start_stint(t.vm, r->co, body, r, &r->stint);
}

/* To its end; how often it was left. */
static enum vm_result finish_run(struct run *r, enum vm_result result, int *pause_count)
{
    for (*pause_count = 0; result == VM_PAUSED; ++*pause_count)
        result = vm_go_on(t.vm, r->co, &r->stint);
    vm_release(t.vm, r->co);
    return result;
}

#define LONG_US 60000000 /* enough for whatever ends */

/* ---- one call -------------------------------------------------------------------------------------------------------- */

/* Left at whatever instruction, it computes what it computes when it is not. */
Test(stints, a_call_that_was_left_goes_on_where_it_was)
{
    static const char *const codes[] = {
        "local n = 0 for i = 1, 200000 do n = (n * 31 + i) % 65521 end return n",
        "local t = {} for i = 1, 3000 do t[i] = ('%d'):format(i * 7919 % 10007) end table.sort(t) return t[1] .. "
        "t[3000]",
        "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(20)",
        "local function all(...) return select('#', ...), ... end local n = 0 "
        "for i = 1, 20000 do local c, a, b = all(i, all(i, i)) n = n + c + a + b end return n",
        "local m = setmetatable({}, { __index = function(_, k) return k * 2 end, __add = function(a, b) return 3 end, "
        "__lt = function() return true end, __eq = function() return true end, __concat = function() return 'c' end }) "
        "local n = 0 for i = 1, 10000 do n = n + m[i] + (m + 1) + (m < m and 1 or 2) + #(m .. 'x') end return n",
        "local n = 0 for i = 1, 10000 do local ok, v = pcall(function() if i % 3 == 0 then error(i, 0) end return i "
        "end) "
        "n = n + v + (ok and 1 or 0) end return n",
        "local n = 0 for i = 1, 6000 do local _, v = xpcall(function() if i % 3 == 0 then error(1, 0) end return 2 "
        "end, "
        "function(e) return e + 4 end) n = n + v end return n",
        "local n = 0 for w in ('ab cd '):rep(4000):gmatch('%a+') do n = n + #w + w:byte() end return n",
        "local fs, n = {}, 0 for i = 1, 6000 do local k = i fs[i] = function() k = k + 1 return k end end "
        "for i = 1, 6000 do n = n + fs[i]() + fs[i]() end return n",
        "local t = { } for i = 1, 60000 do t = { t, i, table.unpack({ i, i + 1 }) } if i % 100 == 0 then t = {} end "
        "end return #t",
        "local a, b, c = (('a'):rep(16) .. 'b'):find(('a?'):rep(15) .. ('(a)'):rep(15) .. '()b') return a .. ',' .. b "
        ".. c",
        "return (('a'):rep(16) .. 'b'):match(('a?'):rep(15) .. ('a'):rep(15) .. '(b)')",
        "local n = 0 for a, _, _, _, b in (('a'):rep(24) .. 'bcaacb'):rep(2):gmatch('(a-)(a-)(a-)(a-)cb()') do "
        "n = n + #a + b end return n",
        "return ('a'):rep(60):find('(.-)(.-)(.-)b')",
        "local n = 0 for i = 1, 100 do local co = coroutine.wrap(function() for j = 1, 1000 do coroutine.yield(j) end "
        "end) "
        "for j = 1, 1000 do n = n + co() end end return n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        struct run r;
        int pause_count;
        enum vm_result got = finish_run(&r, start(&r, codes[i], LONG_US), &pause_count);
        cr_assert_eq(got, VM_OK, "%s: %s: %s", codes[i], vm_result_names[got], t.vm->message);
        cr_assert_gt(pause_count, 0, "%s", codes[i]);
        t.budget_us = LONG_US;
        script_test_expect(&t, codes[i], r.result);
    }
}

Test(stints, a_call_is_cut_off_when_all_its_stints_have_used_its_budget)
{
    static const char *const endless[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(error, function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
        "local co = coroutine.create(function() while true do pcall(error) end end) while true do coroutine.resume(co) "
        "end",
        "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do pcall(function() "
        "return t[1] end) end",
        "return ('a'):rep(100000):find(('a-'):rep(60) .. 'b')",
        "return table.concat(setmetatable({}, { __len = function() return 1 << 60 end, __index = rawlen }))",
        "string.gsub(('x'):rep(1e5), '.', function() while true do end end)",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
    };
    for (size_t i = 0; i < ARRAY_COUNT(endless); i++) {
        struct run r;
        int pause_count;
        enum vm_result got = finish_run(&r, start(&r, endless[i], FIXTURE_BUDGET_US), &pause_count);
        cr_assert_eq(got, VM_TIMEOUT, "%s: %s: %s", endless[i], vm_result_names[got], t.vm->message);
        cr_assert_leq(r.stint.left_us, 0, "%s", endless[i]);
        script_test_expect(&t, "local sum = 0; for i = 1, 100 do sum = sum + i end; return sum", "5050");
    }
}

Test(stints, functions_that_call_themselves_without_end_end_soon)
{
    struct run r;
    int pause_count;
    t.budget_us = LONG_US;
    cr_assert_eq(script_test_run(&t, "local function deep() return 1 + deep() end return deep()"), VM_ERROR);
    cr_assert_not_null(strstr(t.vm->message, "stack overflow"), "%s", t.vm->message);
    enum vm_result got =
        finish_run(&r, start(&r, "local function deep() return 1 + deep() end return deep()", LONG_US), &pause_count);
    cr_assert_eq(got, VM_ERROR, "%s", vm_result_names[got]);
    cr_assert_not_null(strstr(t.vm->message, "stack overflow"), "%s", t.vm->message);
}

/* Else each stint would give it as much again. */
Test(stints, a_call_has_its_memory_for_all_its_stints_together)
{
    struct run r;
    int pause_count;
    enum vm_result got =
        finish_run(&r, start(&r, "local t = {} while true do t[#t + 1] = { #t } end", LONG_US), &pause_count);
    cr_assert_eq(got, VM_MEMORY, "%s: %s", vm_result_names[got], t.vm->message);
    cr_assert_gt(pause_count, 0);
    script_test_expect(&t, "return 1", "1");
}

/* ---- several ----------------------------------------------------------------------------------------------------------- */

Test(stints, calls_that_take_turns_do_not_disturb_each_other)
{
    static const char *const codes[] = {
        "local n = 0 for i = 1, 100000 do n = (n * 31 + i) % 65521 end return n",
        "local n = 0 for i = 1, 100000 do n = (n * 37 + i) % 65519 end return n",
        "local s = 0 for i = 1, 10000 do local p = ('%d'):format(i) s = s + #(p .. p) end return s",
    };
    struct run runs[ARRAY_COUNT(codes)];
    enum vm_result results[ARRAY_COUNT(codes)];
    size_t paused_count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        results[i] = start(&runs[i], codes[i], LONG_US);
        paused_count += results[i] == VM_PAUSED;
    }
    cr_assert_eq(paused_count, ARRAY_COUNT(codes));
    while (paused_count > 0) {
        paused_count = 0;
        for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
            if (results[i] == VM_PAUSED)
                results[i] = vm_go_on(t.vm, runs[i].co, &runs[i].stint);
            paused_count += results[i] == VM_PAUSED;
        }
        script_test_expect(&t, "return 1", "1");
    }
    t.budget_us = LONG_US;
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        cr_assert_eq(results[i], VM_OK);
        script_test_expect(&t, codes[i], runs[i].result);
        vm_release(t.vm, runs[i].co);
    }
}

Test(stints, a_paused_call_may_be_forgotten)
{
    for (int i = 0; i < 100; i++) {
        struct run r;
        cr_assert_eq(start(&r, "local t = {} for i = 1, 50 do t[i] = {} end while true do t[1] = {} end", LONG_US),
                     VM_PAUSED);
        vm_release(t.vm, r.co);
    }
    lua_gc(t.vm->state, LUA_GCCOLLECT);
    cr_assert_lt(t.vm->used_bytes, 200 * 1024);
}

/* ---- hooks -------------------------------------------------------------------------------------------------------------- */

#define BUDGET_US 20000

static struct hooks h;
static struct hooks_request requests[2];

static void open_hooks(const char *text)
{
    cr_assert(hooks_open(&h, slice_from_cstr(text), SLICE_NONE), "%s",
              h.errors.first != NULL ? h.errors.first->message : "");
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++)
        cr_assert(hooks_request_begin(&requests[i], SLICE("GET /a HTTP/1.1\r\nHost: x\r\nX-N: 7\r\n\r\n"),
                                      SLICE("HTTP/1.1 200 OK\r\n\r\n")));
}

static void close_hooks(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++)
        hooks_request_end(&requests[i], &h);
    hooks_close(&h);
}

TestSuite(long_hooks, .fini = close_hooks);

static enum vm_result call_hook(size_t request)
{
    return hooks_on_request(&h, 0, &requests[request], BUDGET_US);
}

static enum vm_result go_on(size_t request)
{
    return script_host_go_on(h.host, &requests[request].call);
}

static const char loops_twice[] =
    "local calls = 0 return { on_request = function(req) calls = calls + 1 if calls <= 2 then while true do end end "
    "return req:header('x-n') == '7' and 'b' or 'a' end }";

/* The first one that runs long holds its worker; what comes after it does not. */
Test(long_hooks, a_script_that_ran_long_runs_in_stints)
{
    open_hooks(loops_twice);
    cr_assert_eq(call_hook(0), VM_TIMEOUT);
    script_host_ran_long(h.host, &requests[0].call, VM_TIMEOUT);
    enum vm_result result = call_hook(0);
    cr_assert_eq(result, VM_PAUSED);
    cr_assert_eq(call_hook(1), VM_OK, "meanwhile");
    cr_assert_eq(requests[1].call.upstream_index, 1);
    while (result == VM_PAUSED)
        result = go_on(0);
    cr_assert_eq(result, VM_TIMEOUT);
    cr_assert_eq(call_hook(0), VM_OK, "the state is fit");
}

/* Only the thread's own time counts: a call that another process kept from the core is none that runs long. */
Test(long_hooks, a_call_that_the_watchdog_did_not_see_at_work_is_not_long)
{
    open_hooks("local calls = 0 return { on_request = function(req) calls = calls + 1 if calls == 2 then "
               "while true do end end end }");
    cr_assert_eq(call_hook(0), VM_OK);
    script_host_ran_long(h.host, &requests[0].call, VM_OK);
    cr_assert_eq(call_hook(0), VM_TIMEOUT);
}

Test(long_hooks, a_paused_hook_still_has_its_request)
{
    open_hooks("local calls = 0 return { on_request = function(req) calls = calls + 1 req.ctx.n = calls "
               "if calls == 1 then while true do end end "
               "for i = 1, 20000 do req.ctx.n = req.ctx.n + #req:header('x-n') end "
               "return { status = 200, body = tostring(req.ctx.n) } end }");
    cr_assert_eq(call_hook(0), VM_TIMEOUT);
    script_host_ran_long(h.host, &requests[0].call, VM_TIMEOUT);
    enum vm_result results[2] = { VM_PAUSED, VM_PAUSED };
    for (size_t i = 0; i < 2; i++)
        results[i] = hooks_on_request(&h, 0, &requests[i], LONG_US);
    cr_assert_eq(results[0], VM_PAUSED);
    while (results[0] == VM_PAUSED || results[1] == VM_PAUSED)
        for (size_t i = 0; i < 2; i++)
            if (results[i] == VM_PAUSED)
                results[i] = go_on(i);
    cr_assert(slice_equal(requests[0].call.answer->body, SLICE("20002")));
    cr_assert(slice_equal(requests[1].call.answer->body, SLICE("20003")));
}

Test(long_hooks, one_that_waits_too_long_for_others_is_cut_off)
{
    open_hooks(loops_twice);
    cr_assert_eq(call_hook(0), VM_TIMEOUT);
    script_host_ran_long(h.host, &requests[0].call, VM_TIMEOUT);
    cr_assert_eq(hooks_on_request(&h, 0, &requests[0], LONG_US), VM_PAUSED);
    requests[0].call.run.pause_ends.us = 1; /* long ago */
    cr_assert_eq(go_on(0), VM_TIMEOUT);
}

/* A script may keep the coroutine of a call that nobody wants any more: to resume it would go on with a request that is gone. */
Test(long_hooks, what_is_left_of_a_call_cannot_be_resumed)
{
    open_hooks("local kept return { on_request = function(req) "
               "if not kept then kept = coroutine.running() while true do end end "
               "local ok, why = coroutine.resume(kept, 1) kept = nil return { status = 200, body = why } end }");
    for (size_t i = 0; i < 3; i++) {
        enum vm_result result = call_hook(0);
        cr_assert_eq(result, i == 0 ? VM_TIMEOUT : VM_PAUSED);
        if (result == VM_TIMEOUT)
            script_host_ran_long(h.host, &requests[0].call, VM_TIMEOUT);
        else
            script_host_abandon(h.host, &requests[0].call);
        hooks_request_end(&requests[0], &h);
        cr_assert_eq(call_hook(1), VM_OK, "%s", script_host_message(h.host));
        cr_assert(slice_equal(requests[1].call.answer->body, SLICE("cannot resume dead coroutine")));
        cr_assert(hooks_request_begin(&requests[0], SLICE("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
                                      SLICE("HTTP/1.1 200 OK\r\n\r\n")));
    }
}

Test(long_hooks, no_more_are_paused_than_the_limit_has)
{
    static struct script_call calls[SCRIPT_PAUSED_MAX + 1];
    open_hooks("return { on_request = function(req) while true do end end }");
    cr_assert_eq(call_hook(0), VM_TIMEOUT);
    script_host_ran_long(h.host, &requests[0].call, VM_TIMEOUT);
    for (size_t i = 0; i < SCRIPT_PAUSED_MAX; i++) {
        calls[i] = requests[0].call;
        cr_assert_eq(script_host_call(h.host, 0, SCRIPT_ON_REQUEST, BUDGET_US, &calls[i]), VM_PAUSED, "%zu", i);
    }
    calls[SCRIPT_PAUSED_MAX] = requests[0].call;
    cr_assert_eq(script_host_call(h.host, 0, SCRIPT_ON_REQUEST, BUDGET_US, &calls[SCRIPT_PAUSED_MAX]), VM_TIMEOUT);
    for (size_t i = 0; i < SCRIPT_PAUSED_MAX; i++)
        script_host_abandon(h.host, &calls[i]);
    cr_assert_eq(call_hook(0), VM_PAUSED, "there is room again");
    script_host_abandon(h.host, &requests[0].call);
}

Test(long_hooks, an_answer_does_not_wait_for_its_hook)
{
    open_hooks(
        "return { on_request = function(req) while true do end end, on_response = function() while true do end end }");
    cr_assert_eq(call_hook(0), VM_TIMEOUT);
    script_host_ran_long(h.host, &requests[0].call, VM_TIMEOUT);
    cr_assert_eq(hooks_on_response(&h, 0, &requests[0], BUDGET_US), VM_TIMEOUT);
}
