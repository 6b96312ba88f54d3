/* tests/unit/lua/test_vm.c - whatever a script does, its call ends, and the next one works. */
#include "lua/vm.h"

#include <criterion/criterion.h>

#include <lauxlib.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "lua/fixture.h"

static struct script_test t;

static void open(void)
{
    script_test_open(&t);
}

static void close(void)
{
    script_test_close(&t);
}

TestSuite(vm, .init = open, .fini = close);

static void expect_cut(const char *code, enum vm_result wanted)
{
    enum vm_result got = script_test_run(&t, code);
    cr_assert_eq(got, wanted, "%s: %s: %s", code, vm_result_names[got], t.vm->message);
    script_test_expect(&t, "local sum = 0; for i = 1, 100 do sum = sum + i end; return sum", "5050");
}

Test(vm, a_call_that_does_not_end_is_cut_off)
{
    static const char *const endless[] = {
        "while true do end",
        "repeat until false",
        "::again:: goto again",
        "local function f() return f() end f()",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(error, 'x') end",
        "while true do pcall(pcall, pcall, error) end",
        "while true do xpcall(error, function() while true do end end) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "coroutine.wrap(function() while true do end end)()",
        "local co = coroutine.create(function() while true do pcall(error) end end) while true do coroutine.resume(co) "
        "end",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
        "for _ in function() return 1 end do end",
        "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do pcall(function() "
        "return t[1] end) end",
        "while true do local s = ('x'):rep(1000) .. 'y' end",
        "while true do pcall(string.rep, 'x', 1e6) end",
        "string.gsub(('x'):rep(1e5), '.', function() while true do end end)",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
    };
    for (size_t i = 0; i < ARRAY_COUNT(endless); i++)
        expect_cut(endless[i], VM_TIMEOUT);
}

/* Whatever would run on the way out does not, however much of it there is. */
Test(vm, a_call_that_is_over_is_left_where_it_was)
{
    static const char *const deep[] = {
        "local function f(n) if n == 0 then while true do end end pcall(f, n - 1) end f(60)",
        "local function f(n) if n == 0 then while true do end end xpcall(f, error, n - 1) end f(60)",
        "local function f(n) if n == 0 then error('x') end pcall(f, n - 1) if n == 1 then return 1 + f(50) end end "
        "f(50) "
        "while true do end",
        "local function f(n) if n == 0 then while true do end end return 1 + f(n - 1) end f(1500)",
        "local function f(n) if n == 0 then while true do end end return coroutine.wrap(function() pcall(f, n - 1) "
        "end)() end "
        "f(30)",
        "for i = 1, 1 << 60 do pcall(string.rep, 'x', 100) end",
        "return ('a'):rep(100000):find(('a-'):rep(60) .. 'b')",
        "xpcall(error, function() while true do end end)",
    };
    for (size_t i = 0; i < ARRAY_COUNT(deep); i++) {
        cr_assert_eq(script_test_run(&t, deep[i]), VM_TIMEOUT, "%s", deep[i]);
        cr_expect(t.is_left, "%s", deep[i]);
        cr_expect_not_null(strstr(t.vm->message, "test:1: the call used up its time\nstack traceback:"), "%s: %s",
                           deep[i], t.vm->message);
        script_test_expect(&t, "return 1", "1");
    }
}

/* What a coroutine's deepest recursion took does not wait for the collector, which would free that of many in one step. */
Test(vm, levels_go_with_the_call_that_made_them)
{
    static const char *const deep[] = {
        "local function f(n) if n == 0 then while true do end end return 1 + f(n - 1) end f(1500)",
        "local function f() return 1 + f() end f()",
        "local function f() return 1 + f() end while true do pcall(f) end",
    };
    enum { ROUNDS = 20, ROUND_MAX_BYTES = 48 * 1024 }; /* traceback and all; 1,500 levels are twice that */
    for (size_t i = 0; i < ARRAY_COUNT(deep); i++) {
        lua_gc(t.vm->state, LUA_GCCOLLECT);
        size_t before_bytes = t.vm->used_bytes;
        lua_gc(t.vm->state, LUA_GCSTOP);
        for (int round = 0; round < ROUNDS; round++)
            cr_assert_neq(script_test_run(&t, deep[i]), VM_OK, "%s", deep[i]);
        cr_expect_lt(t.vm->used_bytes, before_bytes + ROUNDS * ROUND_MAX_BYTES, "%s: %zu bytes before, %zu after",
                     deep[i], before_bytes, t.vm->used_bytes);
        lua_gc(t.vm->state, LUA_GCRESTART);
    }
}

/* No function that C has called can be left. There are few frames then when errors are caught. */
Test(vm, inside_of_what_c_has_called_errors_lead_out)
{
    static const char nest[] =
        "local function nest(n, f) if n == 0 then return f() end local ok, e = pcall(nest, n - 1, f) assert(ok, e) end "
        "local function deep(n, f) if n == 0 then return f() end deep(n - 1, f) return 1 end ";
    char code[1024];
    snprintf(code, sizeof(code), "%stable.sort({ 2, 1 }, function() nest(30, function() while true do end end) end)",
             nest);
    cr_assert_eq(script_test_run(&t, code), VM_TIMEOUT);
    cr_expect_not(t.is_left);
    cr_expect_not_null(strstr(t.vm->message, "test:1: the call used up its time\n"), "%s", t.vm->message);
    static const char *const calls[] = { "pcall(rawlen, 'x')", "xpcall(rawlen, type, 'x')" };
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        snprintf(code, sizeof(code), "%sreturn (('x'):gsub('x', function() deep(150, function() %s end) end))", nest,
                 calls[i]);
        script_test_expect(&t, code, "x");
        snprintf(code, sizeof(code), "%sreturn (('x'):gsub('x', function() deep(250, function() %s end) end))", nest,
                 calls[i]);
        cr_expect_eq(script_test_run(&t, code), VM_ERROR);
        cr_expect_not_null(strstr(t.vm->message, "no protected call more than 200 calls deep here"), "%s",
                           t.vm->message);
        snprintf(code, sizeof(code), "%sdeep(1500, function() %s end) return 'x'", nest, calls[i]);
        script_test_expect(&t, code, "x");
    }
}

Test(vm, protected_calls_do_what_the_manual_says)
{
    static const char *const calls[][2] = {
        { "return select('#', pcall(function() return 1, nil, nil end))", "4" },
        { "return select(2, pcall(function(...) return select('#', ...) end, nil, nil, nil))", "3" },
        { "local ok, e = pcall(error, { 7 }) return tostring(ok) .. e[1]", "false7" },
        { "return select('#', pcall(error))", "2" },
        { "return select(2, pcall(function() pcall() end))", "test:1: bad argument #1 to 'pcall' (value expected)" },
        { "return select(2, pcall(nil))", "attempt to call a nil value" },
        { "local f = coroutine.wrap(function() return pcall(function() return coroutine.yield(1) + 1 end) end) f() "
          "return "
          "select(2, f(41))",
          "42" },
        { "local f = coroutine.wrap(function() return pcall(function() error('e' .. coroutine.yield(), 0) end) end) "
          "f() "
          "return select(2, f('x'))",
          "ex" },
        { "return select(2, xpcall(error, function(e) return e .. '!' end, 'x'))", "x!" },
        { "return select('#', xpcall(error, function(e) return e, 2, 3 end, 'x'))", "4" },
        { "return select(2, xpcall(error, function(e) error(e .. '?', 0) end, 'x'))", "x?" },
        { "local f = coroutine.wrap(function() return xpcall(error, function(e) return e .. coroutine.yield() end, "
          "'x') end) "
          "f() return select(2, f('y'))",
          "xy" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        script_test_expect(&t, calls[i][0], calls[i][1]);
}

/* C that no hook reaches: ours asks. */
Test(vm, so_is_one_that_is_inside_a_library)
{
    static const char *const endless[] = {
        "return ('a'):rep(100000):find(('a-'):rep(60) .. 'b')",
        "return ('a'):rep(100000):match('(.-)(.-)(.-)(.-)b')",
        "return ('a'):rep(100000):gsub(('a*'):rep(60) .. 'b', '')",
        "return ('a'):rep(100000):gmatch('.-.-.-.-b')()",
        "return table.concat(setmetatable({}, { __len = function() return 1 << 60 end, __index = rawlen }))",
        "table.insert(setmetatable({}, { __len = function() return 1 << 60 end, __index = rawlen, __newindex = "
        "rawequal }), 1, 1)",
        "table.move(setmetatable({}, { __index = rawlen }), 1, 1 << 60, 2, setmetatable({}, { __newindex = rawequal "
        "}))",
        "table.remove(setmetatable({}, { __len = function() return 1 << 60 end, __index = rawlen, __newindex = "
        "rawequal }), 1)",
    };
    for (size_t i = 0; i < ARRAY_COUNT(endless); i++)
        expect_cut(endless[i], VM_TIMEOUT);
}

/* What is Lua's own there takes no more than it gets through in a millisecond or two. */
Test(vm, what_cannot_ask_gets_little_to_do)
{
    static const char *const refused[] = {
        "return utf8.len(('x'):rep((1 << 20) + 1))",
        "return ('x'):rep((1 << 20) + 1):format()",
        "return ('%q'):rep(2):format(('x'):rep(1 << 19), ('x'):rep(1 << 19))",
        "return ('%5s%q'):format('a', ('\\0'):rep((16 << 10) + 1))",
        "return ('x'):find('[' .. ('a'):rep(65535) .. ']')",
        "return ('x'):gsub(('.'):rep(65537), '')",
        "return ('x'):gmatch(('.'):rep(65537))()",
        "return ('%99.99f'):rep(256):format(table.unpack(setmetatable({}, { __index = function() return 1e308 end }), "
        "1, "
        "256))",
        "return ('x'):rep(9000):byte(1, -1)",
        "return utf8.codepoint(('x'):rep(9000), -9000, -1)",
        "return string.packsize(('i1'):rep(5000))",
        "return string.unpack(('B'):rep(8193), ('x'):rep(9000))",
        "return string.pack('c1048577', '')",
        "return string.pack('c700000c700000', '', '')",
        "return string.pack('c99999999999999999999', '')",
    };
    t.budget_us = 2000000;
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        cr_expect_eq(script_test_run(&t, refused[i]), VM_ERROR, "%s: %s", refused[i], t.result);
        cr_expect(strstr(t.vm->message, "too long") != NULL || strstr(t.vm->message, "more than") != NULL, "%s: %s",
                  refused[i], t.vm->message);
    }
    script_test_expect(&t, "return select('#', ('x'):rep(8192):byte(1, -1))", "8192");
    script_test_expect(&t, "return select('#', ('x'):rep(90000):byte(-8192, 1 << 60))", "8192");
    script_test_expect(
        &t, "return select('#', ('x'):byte(-9, 9)) + select('#', ('x'):byte()) + select('#', ('x'):byte(2))", "2");
    script_test_expect(&t, "return ('%s-%d-%q'):format('a', 7, 'b')", "a-7-\"b\"");
    script_test_expect(&t, "return string.unpack('>I2', string.pack('>I2', 513))", "513");
    script_test_expect(&t, "return utf8.codepoint('aé', 2)", "233");
    script_test_expect(&t, "return #string.pack('c1048576', '')", "1048576");
}

Test(vm, memory_has_an_end)
{
    static const char *const greedy[] = {
        "local s = 'x' while true do s = s .. s end",
        "return ('x'):rep(1 << 40)",
        "while true do pcall(string.rep, 'x', 1e9) end",
        "return ('x'):rep(20 << 20)",
        "return #table.concat({ ('x'):rep(5 << 20), ('y'):rep(5 << 20) })",
    };
    for (size_t i = 0; i < ARRAY_COUNT(greedy); i++)
        expect_cut(greedy[i], VM_MEMORY);
}

/* What Lua does with one in one instruction nothing can stop. */
Test(vm, a_text_has_an_end)
{
    static const char *const greedy[] = {
        "local s = ('x'):rep(600000) s = s .. s return #s",
        "return #('x'):rep(1200000)",
        "return pcall(string.rep, 'xy', 600000)",
        "local s = ('x'):rep(600000) return #table.concat({ s, s, s })",
        "return #('x'):rep(600000):gsub('x', 'xx')",
        "return #('x'):gsub('x', ('%0%0'):rep(150000)):gsub('x', '%0%0%0%0')",
        "return #weir.json.decode('\"' .. ('x'):rep(1200000) .. '\"')",
    };
    t.budget_us = 2000000;
    for (size_t i = 0; i < ARRAY_COUNT(greedy); i++) {
        cr_expect_eq(script_test_run(&t, greedy[i]), VM_MEMORY, "%s: %s", greedy[i], t.result);
        script_test_expect(&t, "return 1", "1");
    }
    script_test_expect(&t, "local s = ('x'):rep(1 << 19) return #(s .. s)", "1048576");
}

/* Moving more takes milliseconds within one instruction. Well below the memory that a call has. */
Test(vm, a_table_and_a_stack_have_an_end)
{
    static const char *const greedy[] = {
        "local t = {} for i = 1, 140000 do t[i] = i end return #t",
        "local t = {} for i = 1, 70000 do t[i + 0.5] = i end",
        "local function f(n, ...) return n == 0 or 1 + f(n - 1, ...) end return f(60, table.unpack({}, 1, 8000))",
    };
    t.budget_us = 2000000;
    for (size_t i = 0; i < ARRAY_COUNT(greedy); i++) {
        cr_expect_eq(script_test_run(&t, greedy[i]), VM_MEMORY, "%s: %s", greedy[i], t.result);
        script_test_expect(&t, "return 1", "1");
    }
    script_test_expect(&t, "local t = {} for i = 1, 130000 do t[i] = i end return #t", "130000");
    script_test_expect(&t, "local t = {} for i = 1, 65000 do t[i + 0.5] = i end return 'kept'", "kept");
}

/* Which limit comes first depends on the machine; that one comes does not. */
Test(vm, what_takes_time_and_memory_meets_one_of_the_limits)
{
    static const char *const greedy[] = {
        "local t = {} for i = 1, 1 << 60 do t[i] = {} end",
        "local t = {} while true do t[#t + 1] = pcall(string.rep, 'x', 100000) end",
        "local function f() return 1 + f() end f()",
        "local function f(...) return f(1, ...) end f()",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "local t = {} while true do local ok = pcall(function() while true do t[#t + 1] = {} end end) end",
    };
    for (size_t i = 0; i < ARRAY_COUNT(greedy); i++) {
        enum vm_result got = script_test_run(&t, greedy[i]);
        cr_assert(got == VM_TIMEOUT || got == VM_MEMORY || (got == VM_ERROR && strstr(t.vm->message, "overflow")),
                  "%s: %s", greedy[i], t.vm->message);
        cr_assert_leq(t.vm->used_bytes, FIXTURE_MEMORY_BYTES * 3 / 2);
        script_test_expect(&t, "return 1", "1");
    }
}

Test(vm, an_error_comes_with_its_traceback)
{
    cr_assert_eq(script_test_run(&t, "local function deep() error('oh') end\ndeep()"), VM_ERROR);
    cr_assert_not_null(strstr(t.vm->message, "test:1: oh"));
    cr_assert_not_null(strstr(t.vm->message, "test:2: in main chunk"));
    cr_assert_eq(script_test_run(&t,
                                 "local function deep(n)\nif n == 0 then error('oh') end\nreturn 1 + deep(n - 1)\nend\n"
                                 "deep(3000)"),
                 VM_ERROR);
    cr_assert_not_null(strstr(t.vm->message, "test:3: in"), "%s", t.vm->message);
    cr_assert_eq(script_test_run(&t, "error({})"), VM_ERROR);
    cr_assert_not_null(strstr(t.vm->message, "an error that is no text"));
    cr_assert_eq(script_test_run(&t, "error(('x'):rep(5000))"), VM_ERROR);
    cr_assert_eq(strlen(t.vm->message), VM_MESSAGE_BYTES - 1);
}

/* The innermost frames are shown, in the form of others. */
Test(vm, a_deep_traceback_says_where_it_was_and_stops)
{
    cr_assert_eq(script_test_run(&t, "local function f(n)\nif n == 0 then error('oh') end\nreturn 1 + f(n - 1)\nend\n"
                                     "return f(1000)"),
                 VM_ERROR);
    cr_expect_not_null(strstr(t.vm->message, "test:2: oh\nstack traceback:\n\t[C]: in function 'error'\n"
                                             "\ttest:2: in upvalue 'f'\n\ttest:3: in upvalue 'f'\n"),
                       "%s", t.vm->message);
    cr_expect_str_eq(t.vm->message + strlen(t.vm->message) - 5, "\n\t...", "%s", t.vm->message);
}

Test(vm, a_coroutine_of_the_script_yields_and_one_of_ours_does_not)
{
    script_test_expect(&t,
                       "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) "
                       "return co(1) .. ',' .. co(10)",
                       "2,20");
    script_test_expect(&t, "local co = coroutine.create(error) return select('#', coroutine.resume(co, 'x'))", "2");
    cr_assert_eq(script_test_run(&t, "coroutine.yield()"), VM_ERROR);
}

/* ---- suspending ----------------------------------------------------------------------------------------------------- */

static int finish_wait(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    int *seen = lua_touserdata(L, -1);
    *seen = (int)context + (int)lua_tointeger(L, 2);
    return 0;
}

static int wait(lua_State *L)
{
    lua_pushinteger(L, 40); /* stays on the stack while the call waits */
    return lua_yieldk(L, 0, 2, finish_wait);
}

Test(vm, a_call_that_waits_lets_others_run)
{
    int seen = 0;
    lua_State *first = vm_coroutine(t.vm);
    cr_assert_eq(vm_start(t.vm, first, wait, &seen, FIXTURE_BUDGET_US), VM_SUSPENDED);
    expect_cut("while true do end", VM_TIMEOUT);
    cr_assert_eq(vm_continue(t.vm, first, &seen, FIXTURE_BUDGET_US), VM_OK);
    cr_assert_eq(seen, 42);
    vm_release(t.vm, first);
    lua_State *again = vm_coroutine(t.vm);
    cr_assert_eq(again, first, "used again");
    vm_release(t.vm, again);
}

Test(vm, a_call_that_waits_may_be_forgotten)
{
    int seen = 0;
    for (int i = 0; i < 1000; i++) {
        lua_State *co = vm_coroutine(t.vm);
        cr_assert_not_null(co);
        cr_assert_eq(vm_start(t.vm, co, wait, &seen, FIXTURE_BUDGET_US), VM_SUSPENDED);
        vm_release(t.vm, co);
    }
    lua_gc(t.vm->state, LUA_GCCOLLECT);
    cr_assert_lt(t.vm->used_bytes, 200 * 1024);
    cr_assert_eq(seen, 0);
}

Test(vm, a_call_that_ends_in_time_is_left_alone)
{
    for (int i = 0; i < 20000; i++)
        script_test_expect(&t, "return 1", "1");
}

/* ---- handing over --------------------------------------------------------------------------------------------------- */

static void *call_elsewhere(void *arg)
{
    enum vm_result *got = arg;
    vm_attach(t.vm);
    *got = script_test_run(&t, "while true do end");
    vm_detach(t.vm);
    return NULL;
}

/* Each time the thread that calls must get the signal, though the other has made calls before. */
Test(vm, a_state_goes_from_thread_to_thread)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        enum vm_result got = VM_OK;
        expect_cut("while true do end", VM_TIMEOUT);
        vm_detach(t.vm);
        cr_assert_eq(pthread_create(&thread, NULL, call_elsewhere, &got), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(got, VM_TIMEOUT, "%s", vm_result_names[got]);
        vm_attach(t.vm);
    }
}
