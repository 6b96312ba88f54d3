/* tests/unit/lua/test_api_fetch.c - weir.fetch: what hooks may ask, how they wait, and what they are told. */
#include "lua/script_host.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "http/message.h"

#define BUDGET_US 20000

/* What the function behind weir.fetch does in these tests. */
struct fake {
    bool is_under_way; /* else it answers at once */
    int64_t burn_us;   /* of CPU time */
    struct script_fetch_answer answer;
    unsigned count;
    char asked[4096]; /* the last fetch, in words */
    struct script_call *caller;
};

struct fetch_test {
    struct arena arena;
    struct config *config;
    struct watchdog *dog;
    struct script_host *host;
    struct message request;
    struct route_request view;
    const char *script;
};

static struct fetch_test t;
static struct fake fake;

static void write_asked(const struct script_fetch *f)
{
    char *at = fake.asked, *end = fake.asked + sizeof fake.asked;
    at += snprintf(at, (size_t)(end - at), "%u %.*s %.*s host=%.*s", f->upstream_index, SLICE_ARG(f->method),
                   SLICE_ARG(f->path), SLICE_ARG(f->host));
    for (size_t i = 0; i < f->header_count; i++)
        at += snprintf(at, (size_t)(end - at), " %.*s=%.*s", SLICE_ARG(f->headers[i].name),
                       SLICE_ARG(f->headers[i].value));
    if (f->body.ptr != NULL)
        at += snprintf(at, (size_t)(end - at), " body=%.*s", SLICE_ARG(slice_first(f->body, 64)));
    snprintf(at, (size_t)(end - at), " in %lldms", (long long)f->timeout_ms);
}

static enum script_fetch_result fake_fetch(struct script_call *call, const struct script_fetch *fetch,
                                           struct script_fetch_answer *answer)
{
    int64_t end_us = watch_cpu_us() + fake.burn_us;
    while (watch_cpu_us() < end_us)
        ;
    fake.count++;
    fake.caller = call;
    write_asked(fetch);
    *answer = fake.answer;
    return fake.is_under_way ? FETCH_UNDER_WAY : FETCH_ANSWERED;
}

static bool read_script(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    (void)path;
    const struct fetch_test *test = arg;
    *out = arena_copy(arena, slice_from_cstr(test->script));
    return true;
}

static const char *get_env(void *arg, const char *name)
{
    (void)arg, (void)name;
    return NULL;
}

static void close_test(void)
{
    if (t.host != NULL)
        script_host_destroy(t.host);
    if (t.dog != NULL)
        watchdog_destroy(t.dog);
    arena_reset(&t.arena);
}

TestSuite(api_fetch, .fini = close_test);

/* A script whose file is this. */
static void open_script(const char *script)
{
    static struct route_table table;
    struct err_list errors;
    t.script = script;
    struct config_source source = { .get_env = get_env,
                                    .read_file = read_script,
                                    .compile_scripts = script_set_compile,
                                    .directory = "/d",
                                    .arg = &t };
    struct slice yaml = SLICE("listeners: { web: { bind: 127.0.0.1:8080 } }\n"
                              "limits: { script_memory: 2MiB }\n"
                              "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] }, b: { endpoints: [ 127.0.0.1:2 ] } }\n"
                              "routes:\n- { name: r, script: x.lua, to: a }\n");
    err_list_init(&errors, &t.arena);
    t.config = config_load_bytes(&t.arena, "weir.yaml", yaml, &source, &errors);
    cr_assert_not_null(t.config, "%s", errors.first != NULL ? err_format(&t.arena, errors.first).ptr : "");
    t.dog = watchdog_create();
    table.config = t.config;
    t.host = script_host_create(&table, t.dog, fake_fetch, NULL);
    script_host_attach(t.host, NULL);
    message_init(&t.request, &t.arena, 4);
}

/* The same for an on_request with this body. */
static void open_hook(const char *body)
{
    const char *script = arena_printf(&t.arena, "return { on_request = function(req) %s end }", body).ptr;
    open_script(script);
}

static void begin_call(struct script_call *call)
{
    *call = (struct script_call){
        .arena = &t.arena, .request = &t.request, .view = &t.view, .upstream_index = CONFIG_NONE
    };
}

static enum vm_result run_hook(struct script_call *call)
{
    return script_host_call(t.host, 0, SCRIPT_ON_REQUEST, BUDGET_US, call);
}

/* The hook's answer has this body. */
static void expect_answer(enum vm_result result, const struct script_call *call, const char *body)
{
    cr_assert_eq(result, VM_OK, "%s", vm_result_names[result]);
    cr_assert_not_null(call->answer);
    cr_assert(slice_equal(call->answer->body, slice_from_cstr(body)), "%.*s", SLICE_ARG(call->answer->body));
}

#define REPLY(text) "return { status = 200, body = " text " }"

/* ---- what is asked for ------------------------------------------------------------------------------------------------- */

static void expect_asked(const char *arguments, const char *asked)
{
    struct script_call call;
    open_hook(arena_printf(&t.arena, "weir.fetch(%s) return { status = 204 }", arguments).ptr);
    begin_call(&call);
    cr_assert_eq(run_hook(&call), VM_OK, "%s", arguments);
    cr_assert_str_eq(fake.asked, asked, "%s: %s", arguments, fake.asked);
    close_test();
    memset(&t, 0, sizeof t);
}

Test(api_fetch, what_is_not_said_has_a_default)
{
    fake.answer.status = 200;
    expect_asked("'b'", "1 GET / host= in 1000ms");
    expect_asked("'a', {}", "0 GET / host= in 1000ms");
    expect_asked("'a', { method = 'POST', path = '/x?y=z', body = '', timeout = 0.25 }",
                 "0 POST /x?y=z host= body= in 250ms");
    expect_asked("'a', { headers = { ['X-One'] = '1', Host = 'svc:80' }, body = 'b', timeout = '30s' }",
                 "0 GET / host=svc:80 X-One=1 body=b in 30000ms");
    cr_assert_eq(fake.count, 4);
    open_hook("");
}

static const struct {
    const char *arguments, *message;
} refusals[] = {
    { "", "string expected" },
    { "'c'", "there is no upstream 'c'" },
    { "'a', 1", "table expected" },
    { "'a', { url = '/' }", "no 'url'" },
    { "'a', { method = 'get' }", "the method of a fetch" },
    { "'a', { method = 'CONNECT' }", "the method of a fetch" },
    { "'a', { method = 'A B' }", "the method of a fetch" },
    { "'a', { method = 'A\\0' }", "the method of a fetch" },
    { "'a', { method = '' }", "the method of a fetch" },
    { "'a', { path = 'x' }", "the path of a fetch" },
    { "'a', { path = '/ HTTP/1.1' }", "the path of a fetch" },
    { "'a', { path = '/\\r\\nx: y' }", "the path of a fetch" },
    { "'a', { path = '/#x' }", "the path of a fetch" },
    { "'a', { path = '/' .. ('x'):rep(8192) }", "the path of a fetch" },
    { "'a', { headers = 'x: y' }", "table expected" },
    { "'a', { headers = { 'x' } }", "texts by name" },
    { "'a', { headers = { x = 1 } }", "texts by name" },
    { "'a', { headers = { ['x y'] = '1' } }", "is not a header name" },
    { "'a', { headers = { ['x\\0'] = '1' } }", "is not a header name" },
    { "'a', { headers = { x = 'a\\r\\nb: c' } }", "holds a control character" },
    { "'a', { headers = { ['Content-Length'] = '0' } }", "belongs to the connection" },
    { "'a', { headers = { ['transfer-encoding'] = 'chunked' } }", "belongs to the connection" },
    { "'a', { headers = { connection = 'x' } }", "belongs to the connection" },
    { "'a', { headers = { te = 'trailers' } }", "belongs to the connection" },
    { "'a', { headers = { host = 'a b' } }", "the host of a fetch" },
    { "'a', { headers = { host = 'a', Host = 'b' } }", "the host of a fetch" },
    { "'a', { headers = { x = ('v'):rep(20000) } }", "too many headers" },
    { "'a', { headers = (function() local t = {} for i = 1, 65 do t['x' .. i] = '' end return t end)() }",
      "too many headers" },
    { "'a', { timeout = 0 }", "the timeout of a fetch" },
    { "'a', { timeout = 31 }", "the timeout of a fetch" },
    { "'a', { timeout = 0/0 }", "the timeout of a fetch" },
    { "'a', { timeout = 'soon' }", "the timeout of a fetch" },
    { "'a', { timeout = true }", "the timeout of a fetch" },
    { "'a', { body = {} }", "'body' of a fetch is a text" },
};

Test(api_fetch, what_breaks_http_is_never_sent)
{
    struct script_call call;
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        open_hook(arena_printf(&t.arena, "local ok, err = pcall(weir.fetch%s%s) " REPLY("tostring(ok) .. ' ' .. err"),
                               refusals[i].arguments[0] != '\0' ? ", " : "", refusals[i].arguments)
                      .ptr);
        begin_call(&call);
        cr_assert_eq(run_hook(&call), VM_OK, "%s", refusals[i].arguments);
        const char *body = call.answer->body.ptr;
        cr_expect(strncmp(body, "false ", 6) == 0 && strstr(body, refusals[i].message) != NULL, "%s: %s",
                  refusals[i].arguments, body);
        close_test();
        memset(&t, 0, sizeof t);
    }
    cr_assert_eq(fake.count, 0);
    open_hook("");
}

/* A metamethod would run between two options, and take away what the first has lent. */
Test(api_fetch, options_ask_no_function_of_the_scripts)
{
    struct script_call call;
    fake.answer.status = 200;
    open_hook("local headers = { x = ('v'):rep(100) .. 'w' } "
              "local options = setmetatable({ headers = headers }, { __index = function() "
              "  headers.x = nil for i = 1, 2000 do local s = ('y'):rep(1000) .. i end end }) "
              "weir.fetch('a', options) " REPLY("tostring(headers.x ~= nil)"));
    begin_call(&call);
    expect_answer(run_hook(&call), &call, "true");
    cr_assert_not_null(strstr(fake.asked, "vvw"));
}

Test(api_fetch, a_body_that_is_too_long_is_a_failure_and_no_error)
{
    struct script_call call;
    open_hook("local res, err = weir.fetch('a', { body = ('x'):rep(65537) }) " REPLY("tostring(res) .. ' ' .. err"));
    begin_call(&call);
    expect_answer(run_hook(&call), &call, "nil too_large");
    cr_assert_eq(fake.count, 0);
}

Test(api_fetch, a_call_has_so_many_and_no_more)
{
    struct script_call call;
    fake.answer.status = 200;
    open_hook("for i = 1, 16 do weir.fetch('a') end " REPLY("select(2, pcall(weir.fetch, 'a'))"));
    begin_call(&call);
    cr_assert_eq(run_hook(&call), VM_OK);
    cr_assert_not_null(strstr(call.answer->body.ptr, "too many fetches in one call: 16"));
    cr_assert_eq(fake.count, 16);
}

/* ---- what is told ---------------------------------------------------------------------------------------------------------- */

#define TELL                                                                                                           \
    "local res, err = weir.fetch('a') if not res then " REPLY(                                                         \
        "tostring(err)") " end "                                                                                       \
                         "local names = {} for name, value in pairs(res.headers) do names[#names + 1] = name .. '=' "  \
                         ".. value end "                                                                               \
                         "table.sort(names) " REPLY(                                                                   \
                             "res.status .. ' ' .. table.concat(names, ' ') .. ' ' .. res.body")

static const struct message *answer_head(void)
{
    static struct message head;
    message_init(&head, &t.arena, 4);
    message_add(&head, &t.arena, FIELD_OTHER, SLICE("X-Both"), SLICE("1"));
    message_add(&head, &t.arena, FIELD_OTHER, SLICE("One"), SLICE("o"));
    message_add(&head, &t.arena, FIELD_OTHER, SLICE("x-both"), SLICE("2"));
    message_add(&head, &t.arena, FIELD_OTHER, SLICE("Gone"), SLICE("g"))->is_dropped = true;
    return &head;
}

Test(api_fetch, an_answer_at_once_needs_no_wait)
{
    struct script_call call;
    open_hook(TELL);
    begin_call(&call);
    fake.answer = (struct script_fetch_answer){ .status = 207, .head = answer_head(), .body = SLICE("hi") };
    expect_answer(run_hook(&call), &call, "207 one=o x-both=1, 2 hi");
    fake.answer = (struct script_fetch_answer){ .failure = "no_endpoint" };
    begin_call(&call);
    expect_answer(run_hook(&call), &call, "no_endpoint");
}

Test(api_fetch, a_hook_waits_while_others_run)
{
    struct script_call first, second;
    open_hook(TELL);
    fake.is_under_way = true;
    begin_call(&first);
    begin_call(&second);
    cr_assert_eq(run_hook(&first), VM_SUSPENDED);
    cr_assert_eq(run_hook(&second), VM_SUSPENDED);
    cr_assert_eq(fake.caller, &second);
    struct script_fetch_answer answer = { .status = 200, .head = answer_head(), .body = SLICE("yes") };
    expect_answer(script_host_continue(t.host, &first, &answer), &first, "200 one=o x-both=1, 2 yes");
    answer.failure = "response_timeout";
    expect_answer(script_host_continue(t.host, &second, &answer), &second, "response_timeout");
}

Test(api_fetch, the_request_is_the_hooks_own_behind_a_wait)
{
    struct script_call first, second;
    open_hook("req.ctx.name = req:header('x') weir.fetch('a') req:set_header('y', 'z') "
              "return { status = 200, body = req.ctx.name .. req:header('x') }");
    fake.is_under_way = true;
    begin_call(&first);
    message_add(&t.request, &t.arena, FIELD_OTHER, SLICE("x"), SLICE("1"));
    cr_assert_eq(run_hook(&first), VM_SUSPENDED);
    struct message other;
    message_init(&other, &t.arena, 4);
    message_add(&other, &t.arena, FIELD_OTHER, SLICE("x"), SLICE("2"));
    begin_call(&second);
    second.request = &other;
    cr_assert_eq(run_hook(&second), VM_SUSPENDED);
    struct script_fetch_answer answer = { .status = 200 };
    expect_answer(script_host_continue(t.host, &first, &answer), &first, "11");
    cr_assert_not_null(message_field_named(&t.request, SLICE("y"), NULL));
    cr_assert_null(message_field_named(&other, SLICE("y"), NULL));
    expect_answer(script_host_continue(t.host, &second, &answer), &second, "22");
    script_host_forget(t.host, &first);
    script_host_forget(t.host, &second);
}

Test(api_fetch, protected_calls_hold_across_a_wait)
{
    struct script_call call;
    open_hook("local ok, err = pcall(function() local r = weir.fetch('a') error('after ' .. r.status, 0) end) "
              "local ok2, r2 = xpcall(function() return weir.fetch('a').status end, tostring) " REPLY(
                  "tostring(ok) .. ' ' .. err .. ' ' .. tostring(ok2) .. ' ' .. r2"));
    fake.is_under_way = true;
    begin_call(&call);
    cr_assert_eq(run_hook(&call), VM_SUSPENDED);
    struct script_fetch_answer answer = { .status = 201 };
    cr_assert_eq(script_host_continue(t.host, &call, &answer), VM_SUSPENDED);
    expect_answer(script_host_continue(t.host, &call, &answer), &call, "false after 201 true 201");
}

Test(api_fetch, the_handler_of_an_error_may_ask_too)
{
    struct script_call call;
    open_hook("local ok, r = xpcall(error, function(e) return e .. weir.fetch('a').status end, 'x') " REPLY(
        "tostring(ok) .. ' ' .. r"));
    fake.is_under_way = true;
    begin_call(&call);
    cr_assert_eq(run_hook(&call), VM_SUSPENDED);
    struct script_fetch_answer answer = { .status = 201 };
    expect_answer(script_host_continue(t.host, &call, &answer), &call, "false x201");
}

/* Its second for taking turns is not the answer's, which may take thirty. */
Test(api_fetch, a_hook_in_stints_waits_as_long_as_any)
{
    struct script_call call;
    open_hook(
        "for i = 1, 200000 do end local r = weir.fetch('a') for i = 1, 200000 do end return { status = r.status }");
    fake.is_under_way = true;
    begin_call(&call);
    script_host_ran_long(t.host, &call, VM_TIMEOUT);
    enum vm_result result = script_host_call(t.host, 0, SCRIPT_ON_REQUEST, 10000000, &call);
    cr_assert_eq(result, VM_PAUSED);
    while (result == VM_PAUSED)
        result = script_host_go_on(t.host, &call);
    cr_assert_eq(result, VM_SUSPENDED);
    if (call.run.pause_ends.us != 0)
        call.run.pause_ends.us = 1; /* so long does it wait */
    struct script_fetch_answer answer = { .status = 201 };
    result = script_host_continue(t.host, &call, &answer);
    while (result == VM_PAUSED)
        result = script_host_go_on(t.host, &call);
    cr_assert_eq(result, VM_OK, "%s", vm_result_names[result]);
}

/* ---- where it cannot wait ------------------------------------------------------------------------------------------------- */

Test(api_fetch, where_a_hook_cannot_wait_nothing_is_sent)
{
    static const struct {
        const char *code, *message;
    } cases[] = {
        { "coroutine.wrap(function() weir.fetch('a') end)()", "inside a coroutine of the script's own" },
        { "table.sort({ 1, 2 }, function() weir.fetch('a') end)", "inside a function that sort" },
        { "(('x'):gsub('x', function() weir.fetch('a') end))", "inside a function that sort" },
    };
    fake.is_under_way = true;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct script_call call;
        open_hook(arena_printf(&t.arena, "local ok, err = pcall(function() local x = %s end) " REPLY("tostring(err)"),
                               cases[i].code)
                      .ptr);
        begin_call(&call);
        cr_assert_eq(run_hook(&call), VM_OK, "%s", cases[i].code);
        cr_expect(strstr(call.answer->body.ptr, cases[i].message) != NULL, "%s: %s", cases[i].code,
                  call.answer->body.ptr);
        close_test();
        memset(&t, 0, sizeof t);
    }
    cr_assert_eq(fake.count, 0);
    open_hook("");
}

Test(api_fetch, other_hooks_and_files_cannot_wait)
{
    struct script_call call;
    open_script("local ok, err = pcall(weir.fetch, 'a') return { on_request = function() " REPLY(
        "err") " end, on_response = function(req, resp) local _, e = pcall(weir.fetch, 'a') resp:set_header('e', e) "
               "end }");
    begin_call(&call);
    cr_assert_eq(run_hook(&call), VM_OK);
    cr_assert_not_null(strstr(call.answer->body.ptr, "not while the file is loaded"));
    struct message response;
    message_init(&response, &t.arena, 4);
    response.status = 200;
    call.response = &response;
    cr_assert_eq(script_host_call(t.host, 0, SCRIPT_ON_RESPONSE, BUDGET_US, &call), VM_OK);
    struct slice told = message_field_named(&response, SLICE("e"), NULL)->value;
    cr_assert_not_null(strstr(told.ptr, "works in on_request only"), "%.*s", SLICE_ARG(told));
}

/* ---- limits ----------------------------------------------------------------------------------------------------------------- */

Test(api_fetch, no_wait_gives_a_hook_more_time)
{
    struct script_call call;
    open_hook("for i = 1, 16 do pcall(weir.fetch, 'a') end " REPLY("'done'"));
    fake.is_under_way = true;
    fake.burn_us = BUDGET_US / 6;
    struct script_fetch_answer answer = { .status = 200 };
    begin_call(&call);
    enum vm_result result = run_hook(&call);
    while (result == VM_SUSPENDED)
        result = script_host_continue(t.host, &call, &answer);
    cr_assert_eq(result, VM_TIMEOUT, "%s", vm_result_names[result]);
    cr_assert_leq(fake.count, 8, "%u parts of a sixth each", fake.count);
}

Test(api_fetch, a_hook_that_waits_may_be_given_up)
{
    struct script_call call;
    open_hook("local big = ('x'):rep(50000) weir.fetch('a') return { status = 200, body = big }");
    fake.is_under_way = true;
    for (int i = 0; i < 300; i++) { /* of 15 MB, in a state of 2 */
        begin_call(&call);
        cr_assert_eq(run_hook(&call), VM_SUSPENDED, "%d", i);
        script_host_abandon(t.host, &call);
        script_host_abandon(t.host, &call);
    }
}

Test(api_fetch, nobody_else_resumes_a_hook_that_waits)
{
    struct script_call waiting, other;
    open_script("local kept return { on_request = function(req) "
                "if kept == nil then kept = coroutine.running() weir.fetch('a') " REPLY(
                    "'first'") " end "
                               "local _, a = coroutine.resume(kept, 1) local _, b = "
                               "coroutine.resume(coroutine.running()) " REPLY("a .. '; ' .. b") " end }");
    fake.is_under_way = true;
    begin_call(&waiting);
    begin_call(&other);
    cr_assert_eq(run_hook(&waiting), VM_SUSPENDED);
    expect_answer(run_hook(&other), &other,
                  "cannot resume a coroutine that a hook runs in; cannot resume a coroutine that a hook runs in");
    struct script_fetch_answer answer = { .status = 200 };
    expect_answer(script_host_continue(t.host, &waiting, &answer), &waiting, "first");
}

/* Each call keeps more. At the limit they are told that they cannot wait; when nobody waits, the state is made anew. */
Test(api_fetch, a_full_state_stays_until_nobody_waits)
{
    static struct script_call calls[200];
    unsigned waiting = 0, refused = 0;
    open_script("local kept = {} return { on_request = function(req) kept[#kept + 1] = ('x'):rep(30000) .. #kept "
                "local res, err = weir.fetch('a') " REPLY("err or ('kept ' .. #kept)") " end }");
    fake.is_under_way = true;
    for (size_t i = 0; i < ARRAY_COUNT(calls) && refused < 3; i++) {
        begin_call(&calls[waiting]);
        enum vm_result result = run_hook(&calls[waiting]);
        if (result == VM_SUSPENDED)
            waiting++;
        else if (result == VM_OK && slice_equal(calls[waiting].answer->body, SLICE("overloaded")))
            refused++;
    }
    cr_assert_eq(refused, 3, "%u wait", waiting);
    cr_assert_gt(waiting, 10);
    struct script_fetch_answer answer = { .status = 200 };
    for (unsigned i = 0; i < waiting; i++)
        cr_assert_eq(script_host_continue(t.host, &calls[i], &answer), VM_OK);
    struct script_call last;
    begin_call(&last);
    cr_assert_eq(run_hook(&last), VM_SUSPENDED);
    expect_answer(script_host_continue(t.host, &last, &answer), &last, "kept 1");
}
