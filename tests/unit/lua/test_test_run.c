/* tests/unit/lua/test_test_run.c - the runner of tests of hooks: what passes, what fails, with which words, at which line. */
#include "lua/test_run.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* A folder with x.lua, x_test.lua and what a test adds in it, and the report of a run. */
struct house {
    char folder[64];
    struct arena arena;
    struct test_report report;
    struct test_options options;
    char lines[4096]; /* of each test: "NAME: ok" or "NAME: LINE: MESSAGE" */
};

static void write_file(const struct house *h, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", h->folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static void open_house(struct house *h)
{
    *h = (struct house){ .folder = "/tmp/weir-test-run-XXXXXX", .options = { .timeout_ms = 5000, .budget_ms = 200 } };
    cr_assert_not_null(mkdtemp(h->folder));
    arena_init(&h->arena, NULL, 0);
    test_report_init(&h->report, &h->arena);
}

static void close_house(struct house *h)
{
    char path[128];
    test_report_fini(&h->report);
    arena_reset(&h->arena);
    static const char *const names[] = { "x.lua", "x_test.lua", "y.lua" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", h->folder, names[i]);
        unlink(path);
    }
    rmdir(h->folder);
}

static void add_case(struct house *h, const struct test_case *c)
{
    struct slice first = slice_first(c->message, slice_find(c->message, '\n'));
    size_t at = strlen(h->lines);
    if (c->is_good)
        snprintf(h->lines + at, sizeof h->lines - at, "%.*s: ok\n", SLICE_ARG(c->name));
    else
        snprintf(h->lines + at, sizeof h->lines - at, "%.*s: %u: %.*s\n", SLICE_ARG(c->name), c->message_line,
                 SLICE_ARG(first));
}

static void run_house(struct house *h, const char *hook, const char *tests)
{
    char path[128];
    write_file(h, "x.lua", hook);
    write_file(h, "x_test.lua", tests);
    snprintf(path, sizeof path, "%s/x_test.lua", h->folder);
    test_run(&h->report, path, &h->options);
    if (h->report.files->problem != NULL)
        add_case(h, h->report.files->problem);
    for (const struct test_case *c = h->report.files->cases; c != NULL; c = c->next)
        add_case(h, c);
}

static void expect_run(const char *hook, const char *tests, const char *wanted)
{
    struct house h;
    open_house(&h);
    run_house(&h, hook, tests);
    cr_expect_str_eq(h.lines, wanted, "%s\n%s", tests, h.lines);
    close_house(&h);
}

#define EMPTY_HOOK "return { on_request = function(req) end }"
/* One test whose body is given, from line 1 on. */
#define ONE(body) "t.test('one', function() " body " end)"

static void expect_one(const char *tests, const char *wanted)
{
    expect_run(EMPTY_HOOK, tests, wanted);
}

/* ---- assertions ---------------------------------------------------------------------------------------------------------- */

Test(test_run, assertions_that_hold)
{
    expect_one(ONE("t.equal({ 1, { a = 'x' } }, { 1, { a = 'x' } }) t.equal(1, 1.0) t.not_equal({ 1 }, { 2 }) t.ok(0)"
                   " t.truthy('') t.matches('abc', '^a.c$') t.near(0.1 + 0.2, 0.3, 1e-9)"
                   " t.errors(function() error('boom') end, 'b..m')"),
               "one: ok\n");
}

Test(test_run, assertions_that_do_not_hold_tell_their_line)
{
    expect_one(ONE("\nt.equal(1, 2)"), "one: 2: not equal\n");
    expect_one(ONE("\n\nt.equal(1, 2, 'why')"), "one: 3: not equal: why\n");
    expect_one(ONE("t.not_equal({}, {})"), "one: 1: equal, and should not be\n");
    expect_one(ONE("t.ok(nil)"), "one: 1: neither true nor a value\n");
    expect_one(ONE("t.matches('abc', 'd')"), "one: 1: does not match\n");
    expect_one(ONE("t.matches(nil, 'd')"), "one: 1: does not match\n");
    expect_one(ONE("t.near(1, 2, 0.5)"), "one: 1: not near enough\n");
    expect_one(ONE("t.errors(function() end, 'x')"), "one: 1: no error was raised\n");
    expect_one(ONE("t.errors(function() error('a') end, 'b')"), "one: 1: another error was raised\n");
    expect_one(ONE("t.fail('on purpose')"), "one: 1: failed: on purpose\n");
    expect_one("local function check(x)\n t.ok(x)\nend\n" ONE("check(false)"), "one: 2: neither true nor a value\n");
}

Test(test_run, values_are_shown_with_every_place_that_differs)
{
    struct house h;
    open_house(&h);
    run_house(&h, EMPTY_HOOK,
              ONE("t.equal({ status = 200, headers = { ['x-a'] = 'b\\n' }, list = { 1, 2 }, more = 1 },"
                  "        { status = 503, headers = { ['x-a'] = 'c' }, list = { 1, 3 } })"));
    const char *words = h.report.files->cases->message.ptr;
    cr_expect_not_null(
        strstr(words, "\nexpected  { headers = { [\"x-a\"] = \"c\" }, list = { 1, 3 }, status = 503 }\n"));
    cr_expect_not_null(
        strstr(words, "\nactual    { headers = { [\"x-a\"] = \"b\\n\" }, list = { 1, 2 }, more = 1, status = 200 }\n"));
    cr_expect_not_null(strstr(words, "\nat .headers[\"x-a\"]: \"b\\n\", expected \"c\""));
    cr_expect_not_null(strstr(words, "\nat .list[2]: 2, expected 3"));
    cr_expect_not_null(strstr(words, "\nat .status: 200, expected 503"));
    cr_expect_not_null(strstr(words, "\nat .more: 1, expected nil"));
    close_house(&h);
}

Test(test_run, what_holds_itself_is_no_endless_walk)
{
    expect_one(ONE("local a, b = {}, {} a.a, b.a = a, b t.equal(a, b)"), "one: 1: not equal\n");
}

Test(test_run, a_failure_that_a_pcall_caught_is_one_all_the_same)
{
    expect_one(ONE("pcall(t.ok, false)"), "one: 1: neither true nor a value\n");
    expect_one(ONE("t.errors(function()\n t.ok(false) end, 'assertion')"), "one: 2: neither true nor a value\n");
}

/* ---- tests --------------------------------------------------------------------------------------------------------------- */

Test(test_run, all_tests_run_whatever_fails)
{
    struct house h;
    open_house(&h);
    run_house(&h, EMPTY_HOOK,
              "t.test('a', function() error('boom') end)\nt.test('b', function() t.ok(1) end)\n"
              "t.test('c', function() nowhere() end)\n");
    cr_expect_str_eq(h.lines, "a: 1: boom\nb: ok\nc: 3: unknown global 'nowhere'\n", "%s", h.lines);
    cr_expect_eq(h.report.passed_count, 1);
    cr_expect_eq(h.report.failed_count, 2);
    cr_expect_eq(h.report.files->cases->next->line, 2);
    close_house(&h);
}

Test(test_run, a_filter_chooses_tests_by_name)
{
    struct house h;
    open_house(&h);
    h.options.filter = "two";
    run_house(&h, EMPTY_HOOK, "t.test('one', function() t.ok(false) end) t.test('one two', function() end)");
    cr_expect_str_eq(h.lines, "one two: ok\n");
    close_house(&h);
}

Test(test_run, a_file_that_cannot_be_loaded_is_one_failure)
{
    expect_one("t.test('a', function() end)\nlocal x = = 1", "the file: 2: unexpected symbol near '='\n");
    expect_one("t.test('a', function() end)\nnowhere()", "the file: 2: unknown global 'nowhere'\n");
    expect_one("t.ok(false)", "the file: 1: neither true nor a value\n");
    expect_one("while true do\nend", "the file: 1: the call used up its time\n");
}

Test(test_run, tests_and_hooks_that_do_not_end_are_cut_off)
{
    struct house h;
    open_house(&h);
    h.options.timeout_ms = 500;
    h.options.budget_ms = 20;
    run_house(&h, "return { on_request = function(req)\n while true do end end }",
              "local hook = t.hook()\n"
              "t.test('test', function() while true do pcall(function() while true do end end) end end)\n"
              "t.test('hook', function() hook.on_request(t.request{}) end)\n"
              "t.test('both', function() t.errors(function() hook.on_request(t.request{}) end, 'over its budget of "
              "20ms') end)\n"
              "t.test('well', function() t.ok(true) end)\n");
    cr_expect_str_eq(h.lines,
                     "test: 2: the call used up its time\n"
                     "hook: 3: on_request: over its budget of 20ms: x.lua:2: the call used up its time\n"
                     "both: ok\nwell: ok\n",
                     "%s", h.lines);
    close_house(&h);
}

Test(test_run, tests_are_in_the_sandbox_too)
{
    expect_one(ONE("t.errors(function() return io end, 'unknown global') t.errors(function() return os end, 'unknown')"
                   " t.errors(function() return load end, 'unknown') t.errors(function() x = 1 end, 'write `local`')"),
               "one: ok\n");
}

Test(test_run, tests_require_modules_and_read_files_as_hooks_do)
{
    struct house h;
    open_house(&h);
    write_file(&h, "y.lua", "return { double = function(x) return 2 * x end }");
    run_house(&h, EMPTY_HOOK,
              "local y, semver, own = require('y'), require('weir.semver'), weir.file('x.lua')\n"
              "t.test('one', function() t.equal(y.double(2), 4) t.ok(semver.at_least('2.1', '2.0')) t.matches(own, "
              "'on_request') end)");
    cr_expect_str_eq(h.lines, "one: ok\n", "%s", h.lines);
    close_house(&h);
    open_house(&h);
    run_house(&h, EMPTY_HOOK, "\nlocal z = require('z')");
    cr_expect_not_null(strstr(h.lines, "the file: 2: there is no module 'z': could not read "), "%s", h.lines);
    close_house(&h);
    open_house(&h);
    write_file(&h, "y.lua", "return nowhere");
    run_house(&h, EMPTY_HOOK, "require('y')");
    cr_expect_not_null(strstr(h.lines, "y.lua:1:8: "), "%s", h.lines);
    cr_expect_not_null(strstr(h.lines, "nowhere"), "%s", h.lines);
    close_house(&h);
}

Test(test_run, a_test_that_takes_all_memory_fails_alone)
{
    struct house h;
    open_house(&h);
    run_house(&h, EMPTY_HOOK,
              "t.test('hog', function() local a = {} for i = 1, 1e9 do a[i] = ('x'):rep(1000) .. i end end)\n"
              "t.test('well', function() t.ok(true) end)");
    cr_expect_not_null(strstr(h.lines, "hog: 1: the call used up its memory"), "%s", h.lines);
    cr_expect_not_null(strstr(h.lines, "well: ok"), "%s", h.lines);
    close_house(&h);
}

/* ---- hooks --------------------------------------------------------------------------------------------------------------- */

#define HOOKS                                                                                                          \
    "local M = {}\nlocal count = 0\n"                                                                                  \
    "function M.on_request(req)\n  local what = req:header('x-do')\n  count = count + 1\n"                             \
    "  if what == 'target' then return 'b' end\n"                                                                      \
    "  if what == 'answer' then return { status = 503, headers = { ['x-a'] = '1' }, body = 'no' } end\n"               \
    "  if what == 'bare' then return { status = 204 } end\n"                                                           \
    "  if what == 'count' then return { status = 200, body = tostring(count) } end\n"                                  \
    "  if what == 'edit' then req:set_header('x-b', '2') req:set_path('/new') req.ctx.arm = 'b' end\n"                 \
    "  if what == 'staff' then return weir.segment('staff') and 'b' or 'a' end\n"                                      \
    "  if what == 'raise' then error('boom') end\n"                                                                    \
    "  if what == 'log' then weir.log('warn', 'said') end\n"                                                           \
    "  if what == 'now' then return { status = 200, body = string.format('%.1f', weir.now()) } end\n"                  \
    "  if what == 'hash' then return { status = 200, body = string.format('%.9f', weir.hash('user', 'salt')) } end\n"  \
    "  if what == 'see' then return { status = 200, body = table.concat({ req.method, req.path, req.query, "           \
    "req.host,\n"                                                                                                      \
    "    req.scheme, req.source_ip, tostring(req:cookie('c')), tostring(req:header('x-l')), tostring(req:arg('q')),\n" \
    "    tostring(req:header('te')), req.tls and req.tls.client_cn or '-', req.tls and req.tls.client_sans[2] or '-' " \
    "}, '|') } end\n"                                                                                                  \
    "end\n"                                                                                                            \
    "function M.on_response(req, resp)\n  resp.status = 404\n  resp:set_header('x-arm', req.ctx.arm)\nend\nreturn M\n"

#define WITH_HOOKS(body)                                                                                               \
    "t.upstreams { 'a', 'b' } t.segment('staff', true) local hook = t.hook('x.lua')\n"                                 \
    "local function call(what) return hook.on_request(t.request { headers = { ['x-do'] = what } }) end\n"              \
    "t.test('one', function() " body " end)"

static void expect_hooks(const char *tests, const char *wanted)
{
    expect_run(HOOKS, tests, wanted);
}

Test(test_run, results_are_what_weir_understood)
{
    expect_hooks(WITH_HOOKS("t.equal(call('target'), { upstream = 'b' }) t.equal(call('none'), nil) "
                            "t.equal(call('bare'), { status = 204 })"
                            " t.equal(call('answer'), { status = 503, headers = { ['x-a'] = '1' }, body = 'no' })"),
                 "one: ok\n");
}

Test(test_run, names_that_were_not_declared_are_errors_as_in_production)
{
    expect_hooks("local hook = t.hook()\nt.test('one', function()\n"
                 "hook.on_request(t.request { headers = { ['x-do'] = 'target' } }) end)\nt.test('two', function()\n"
                 "hook.on_request(t.request { headers = { ['x-do'] = 'staff' } }) end)",
                 "one: 3: on_request: error: there is no upstream 'b'\n"
                 "two: 5: on_request: error: x.lua:11: there is no segment 'staff'\n");
}

Test(test_run, segments_are_words_or_functions_of_the_request)
{
    expect_hooks(
        WITH_HOOKS("t.equal(call('staff').upstream, 'b') t.segment('staff', false) t.equal(call('staff').upstream, 'a')"
                   " t.segment('staff', function(req) return req:header('x-do') == 'staff' end)"
                   " t.equal(call('staff').upstream, 'b')"),
        "one: ok\n");
    expect_hooks(WITH_HOOKS("t.segment('staff', function(req)\n error('mine') end) call('staff')"), "one: 4: mine\n");
    expect_hooks(WITH_HOOKS("t.segment('staff', function(req)\n return 1 end) call('staff')"),
                 "one: 0: bad argument #-1 to '?' (boolean expected, got number)\n");
    expect_hooks(WITH_HOOKS("call('none') t.upstreams { 'c' }"),
                 "one: 3: a hook has been called: say which upstreams and segments there are before\n");
}

Test(test_run, edits_stay_on_the_request_and_the_response)
{
    expect_hooks(
        WITH_HOOKS("local req = t.request { path = '/old?q=1', headers = { ['x-do'] = 'edit' } }"
                   " t.equal(hook.on_request(req), nil) t.equal(req:header('x-b'), '2') t.equal(req.path, '/new')"
                   " t.equal(req.query, 'q=1') local resp = t.response { headers = { ['x-c'] = 'd' } }"
                   " hook.on_response(req, resp) t.equal(resp.status, 404) t.equal(resp:header('x-arm'), 'b')"
                   " t.equal(resp:header('x-c'), 'd')"),
        "one: ok\n");
}

Test(test_run, requests_are_what_the_server_would_make_of_them)
{
    expect_hooks(
        WITH_HOOKS(
            "local req = t.request { method = 'PUT', path = '/a/../b?q=1', host = 'Shop.Example:80', source_ip = '::1',"
            " cookies = { c = '1', d = '2' }, headers = { ['x-do'] = 'see', ['x-l'] = { '1', '2' }, te = 'trailers' },"
            " tls = { client_cn = 'me', client_sans = { 'a', 'b' } } }"
            " t.equal(hook.on_request(req).body, 'PUT|/b|q=1|shop.example|https|::1|1|1, 2|1|nil|me|b')"),
        "one: ok\n");
    expect_hooks(WITH_HOOKS("t.request { headers = { ['x-a'] = 'b\\r\\nc: d\\r\\n\\r\\n' } }\n"
                            "t.equal(t.request { headers = { ['x-a'] = 'b\\r\\nc: d' } }:header('c'), nil)"),
                 "one: 4: not equal\n");
    expect_hooks(WITH_HOOKS("t.request { paht = '/' }"), "one: 3: a request has no 'paht'\n");
    expect_hooks(WITH_HOOKS("t.request { path = '/%00' }"), "one: 3: weir would refuse this path\n");
    expect_hooks(WITH_HOOKS("t.request { host = 'a b' }"),
                 "one: 3: weir would refuse this request: Host is not a valid host\n");
}

Test(test_run, the_clock_stands_until_the_test_moves_it)
{
    expect_hooks(
        WITH_HOOKS(
            "t.equal(call('now').body, '1767225600.0') t.clock.advance(1.5) t.equal(call('now').body, '1767225601.5')"
            " t.clock.set('2026-05-01T00:00:00Z') t.equal(weir.now(), 1777593600)"
            " t.clock.set(5) t.equal(call('now').body, '5.0')"),
        "one: ok\n");
    expect_hooks(WITH_HOOKS("t.clock.set('today')"),
                 "one: 3: bad argument #1 to 'set' (no time: seconds since 1970, or 2026-12-20T09:30:00Z)\n");
}

Test(test_run, log_lines_are_kept_and_hashes_are_those_of_the_server)
{
    expect_hooks(WITH_HOOKS("call('log') t.equal(t.logs(), { { level = 'warn', text = 'said' } })"
                            " t.equal(call('hash').body, '0.792929605') t.equal(string.format('%.9f', "
                            "weir.hash('user', 'salt')), '0.792929605')"),
                 "one: ok\n");
}

Test(test_run, hooks_that_raise_are_errors_with_their_line)
{
    expect_hooks(WITH_HOOKS("t.errors(function() call('raise') end, 'x.lua:12: boom') call('raise')"),
                 "one: 2: on_request: error: x.lua:12: boom\n");
}

Test(test_run, each_test_has_hooks_requests_and_surroundings_of_its_own)
{
    expect_hooks(
        "t.upstreams { 'a' } local hook, kept = t.hook(), nil\n"
        "local function count() return hook.on_request(t.request { headers = { ['x-do'] = 'count' } }).body end\n"
        "t.test('one', function() t.clock.set(1) kept = t.request{} t.equal(count(), '1') t.equal(count(), '2') end)\n"
        "t.test('two', function() t.upstreams { 'b' } t.equal(count(), '1') t.ok(weir.now() > 1) t.equal(t.logs(), {}) "
        "end)\n"
        "t.test('three', function() return kept.path end)\n"
        "t.test('four', function() hook.on_request(t.request { headers = { ['x-do'] = 'target' } }) end)\n",
        "one: ok\ntwo: ok\nthree: 5: this test request belongs to a test that has ended\n"
        "four: 6: on_request: error: there is no upstream 'b'\n");
}

Test(test_run, a_hook_that_does_not_load_tells_its_problems)
{
    expect_run("local M = {}\nfunction M.on_reqest(req) end\nreturn M",
               "local hook = t.hook()\nt.test('one', function() hook.on_request(t.request{}) end)",
               "one: 2: x.lua:2: there is no hook 'on_reqest' (did you mean 'on_request'?)\n");
    expect_run(
        "return { on_request = function() end }",
        "local hook = t.hook('y.lua')\nt.test('one', function() t.errors(function() hook.on_request(t.request{}) end,"
        " 'could not read .*y.lua') end)\n"
        "t.test('two', function() t.hook().on_response(t.request{}, t.response{}) end)",
        "one: ok\ntwo: 3: x.lua has no on_response\n");
}

/* ---- what hooks ask for ------------------------------------------------------------------------------------------------- */

/* on_request answers with what the fetch came to; "a" and "b" can be asked. */
#define FETCHER                                                                                                        \
    "return { on_request = function(req)\n"                                                                            \
    "  local answer, code = weir.fetch(req:arg('from') or 'a', { path = '/x?y', timeout = '50ms', body = "             \
    "req:arg('body') })\n"                                                                                             \
    "  if not answer then return { status = 502, body = code } end\n"                                                  \
    "  return { status = answer.status, body = answer.body .. '|' .. tostring(answer.headers['x-h']) }\nend }"
#define WITH_FETCHER(body)                                                                                             \
    "t.upstreams { 'a', 'b' } local hook = t.hook()\n"                                                                 \
    "local function call(path) return hook.on_request(t.request { path = path }) end\n"                                \
    "t.test('one', function() " body " end)"

Test(test_run, fetches_are_answered_by_the_test)
{
    expect_run(FETCHER,
               WITH_FETCHER("t.fetch('a', function(request) return { status = 201, headers = { ['X-H'] = { '1', '2' } "
                            "}, body = request.path } end)"
                            " t.equal(call('/'), { status = 201, body = '/x?y|1, 2' })"
                            " t.fetch('b', function() return nil, 'response_timeout' end)"
                            " t.equal(call('/?from=b'), { status = 502, body = 'response_timeout' })"
                            " t.fetch('b', function() return {} end) t.equal(call('/?from=b&body=text'), { status = "
                            "200, body = '|nil' })"
                            " t.equal(#t.fetches(), 3) t.equal(t.fetches()[3], { upstream = 'b', method = 'GET', path "
                            "= '/x?y', timeout = 0.05,"
                            " headers = {}, body = 'text' })"),
               "one: ok\n");
}

Test(test_run, a_fetch_that_the_test_cannot_answer_fails_it)
{
    expect_run(FETCHER, WITH_FETCHER("call('/')"),
               "one: 0: a hook fetches from 'a', and the test has no t.fetch for it\n");
    expect_run(FETCHER, WITH_FETCHER("t.fetch('a', function()\n error('mine') end) call('/')"), "one: 4: mine\n");
    expect_run(FETCHER, WITH_FETCHER("t.fetch('a', function() return nil, 'bad luck' end) call('/')"),
               "one: 0: a fetch that fails returns nil and a code, such as \"response_timeout\" or \"no_endpoint\"\n");
    expect_run(FETCHER, WITH_FETCHER("t.fetch('a', function() t.ok(false) end) call('/')"),
               "one: 3: neither true nor a value\n");
    expect_run(FETCHER, WITH_FETCHER("t.errors(function() call('/?from=c') end, \"no upstream 'c'\")"), "one: ok\n");
}

Test(test_run, shared_values_live_on_the_clock_of_the_test_and_no_longer_than_it)
{
    expect_run("return { on_request = function(req)\n return { status = 200, body = tostring(weir.shared.incr('k', 1, "
               "10)) } end }",
               "local hook = t.hook()\nlocal function count() return hook.on_request(t.request{}).body end\n"
               "t.test('one', function() t.equal(count(), '1') t.clock.advance(9) t.equal(count(), '2')"
               " t.clock.advance(2) t.equal(count(), '1') end)\n"
               "t.test('two', function() t.equal(count(), '1') end)",
               "one: ok\ntwo: ok\n");
}

Test(test_run, tokens_expire_on_the_clock_of_the_test)
{
    /* HS256 with the key "secret key of the test", exp 1767225700: a hundred seconds after the clock begins. */
    expect_run(
        "return { on_request = function(req)\n local claims, word = weir.jwt.verify(req:header('x-t'),"
        " { alg = 'HS256', key = 'secret key of the test' }) return { status = 200, body = word or claims.sub } end }",
        "local hook = t.hook()\nlocal function verify() return hook.on_request(t.request { headers = { ['x-t'] = "
        "'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1IiwiZXhwIjoxNzY3MjI1NzAwfQ.1HTqYlCFkJVun5R5Gj0phed-aV8NhmnRVQr1U9kj9kA'"
        " } }).body end\nt.test('one', function() t.equal(verify(), 'u') t.clock.advance(101) t.equal(verify(), "
        "'expired') end)",
        "one: ok\n");
}

#define COPIER                                                                                                         \
    "return { on_request = function(req) req.ctx.said = 'a' end,\n on_shadow = function(req)\n"                        \
    "  if req:header('x-veto') then return false end\n  if req:header('x-raise') then error('boom') end\n"             \
    "  req:set_header('x-secret', nil) req:set_header('x-told', req.shadow .. tostring(req.ctx.said)) "                \
    "req:set_path('/new')\n"                                                                                           \
    "  local body = req:body()\n  if body then req:set_body((body:gsub('%d', '*'))) end\nend }"
#define WITH_COPIER(body) "local hook = t.hook()\nt.test('one', function() " body " end)"

Test(test_run, copies_have_edits_of_their_own)
{
    expect_run(COPIER,
               WITH_COPIER("local req = t.request { path = '/old', body = 'card 4111', headers = { ['x-secret'] = '1' "
                           "} } hook.on_request(req)"
                           " local copy = hook.on_shadow(req, { to = 'dark' }) t.equal(copy.body, 'card ****') "
                           "t.equal(copy.path, '/new')"
                           " t.equal(copy:header('x-secret'), nil) t.equal(copy:header('x-told'), 'darka')"
                           " t.equal({ req.body, req.path, req:header('x-secret'), req:header('x-told') }, { 'card "
                           "4111', '/old', '1' })"
                           " t.equal(hook.on_shadow(t.request{}).body, nil) t.equal(hook.on_shadow(t.request { body = "
                           "'' }).body, '')"),
               "one: ok\n");
    expect_run(COPIER,
               WITH_COPIER(
                   "t.equal(hook.on_shadow(t.request { headers = { ['x-veto'] = '1' } }), nil)"
                   " t.errors(function() hook.on_shadow(t.request { headers = { ['x-raise'] = '1' } }) end, "
                   "'on_shadow: error: .*boom')"
                   " t.errors(function() hook.on_shadow(t.request { body = 'long' }, { max_body = 3 }) end, 'max_body')"
                   " t.errors(function() hook.on_request(hook.on_shadow(t.request{})) end, 'no further hook')"),
               "one: ok\n");
}

/* ---- coverage ------------------------------------------------------------------------------------------------------------ */

Test(test_run, lines_of_hooks_are_counted_over_all_tests)
{
    struct house h;
    uint32_t line_count, hit_count;
    open_house(&h);
    run_house(&h,
              "local M = {}\n\nfunction M.on_request(req)\n  if req.path == '/a' then\n    return 'a'\n  end\n"
              "  if req.path == '/b' then\n    return 'b'\n  end\n  if req.path == '/c' then\n    local c = 'c'\n    "
              "return c\n  end\nend\nreturn M\n",
              "t.upstreams { 'a', 'b', 'c' } local hook = t.hook()\n"
              "t.test('a', function() hook.on_request(t.request { path = '/a' }) end)\n"
              "t.test('b', function() hook.on_request(t.request { path = '/b' }) end)\n");
    const struct test_coverage *c = h.report.coverage;
    cr_assert_not_null(c);
    test_coverage_count(c, &line_count, &hit_count);
    cr_expect_eq(line_count, 11);
    cr_expect_eq(hit_count, 8);
    for (uint32_t line = 10; line <= 12; line++)
        cr_expect(line_set_has(&c->lines, line) && !line_set_has(&c->hits, line));
    cr_expect_null(c->next);
    close_house(&h);
}

Test(test_run, modules_beside_a_hook_are_counted_too)
{
    struct house h;
    uint32_t line_count, hit_count;
    open_house(&h);
    write_file(&h, "y.lua",
               "local M = {}\nfunction M.one()\n  return 'a'\nend\nfunction M.two()\n  return 'b'\nend\nreturn M\n");
    run_house(
        &h, "local y = require('y')\nreturn { on_request = function(req) return y.one() end }\n",
        "t.upstreams { 'a' } t.test('one', function() t.equal(t.hook().on_request(t.request{}).upstream, 'a') end)");
    cr_expect_str_eq(h.lines, "one: ok\n", "%s", h.lines);
    const struct test_coverage *c = h.report.coverage->next;
    cr_assert_not_null(c);
    cr_expect(slice_has_suffix(c->path, SLICE("/y.lua")));
    test_coverage_count(c, &line_count, &hit_count);
    cr_expect_eq(line_count, 8);
    cr_expect_eq(hit_count, 7);
    cr_expect(line_set_has(&c->lines, 6) && !line_set_has(&c->hits, 6));
    close_house(&h);
}

Test(test_run, counting_lines_leaves_the_limits_in_force)
{
    struct house h;
    open_house(&h);
    h.options.budget_ms = 20;
    run_house(
        &h,
        "return { on_request = function(req)\n local co = coroutine.wrap(function()\n  while true do\n   "
        "pcall(error)\n  end\n end)\n co()\nend }",
        "t.test('one', function() t.errors(function() t.hook().on_request(t.request{}) end, 'over its budget') end)");
    cr_expect_str_eq(h.lines, "one: ok\n", "%s", h.lines);
    cr_expect(line_set_has(&h.report.coverage->hits, 4), "lines inside coroutines");
    close_house(&h);
}
