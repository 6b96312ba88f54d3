/* tests/unit/lua/test_script_host.c - hooks as a worker calls them: what they see of a request, what they may do, and what
 * becomes of their state. */
#include "lua/script_host.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/validate.h"
#include "lua/shared_map.h"
#include "route/snapshot.h"

/* Of CPU time; sanitizers are slow. */
#define BUDGET_US 500000

struct host_test {
    const char *script, *module; /* the text of x.lua, and of m.lua beside it */
    struct arena arena;          /* of a request */
    struct err_list errors;
    struct snapshot *snapshot;
    struct watchdog *dog;
    struct shared_map *shared;
    struct script_host *host;
    struct message request, response;
    struct route_request view;
    struct script_call call;
    bool has_encoded_slash;
};

static struct host_test t;

static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    static const char yaml[] = "listeners: { web: { bind: 127.0.0.1:8080 } }\nlimits: { script_memory: 1MiB }\n"
                               "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] }, b: { endpoints: [ 127.0.0.1:2 ] } }\n"
                               "segments: { staff: { header: x-staff, equals: \"1\" } }\n"
                               "routes: [ { name: r, script: x.lua, to: a } ]\n";
    const struct host_test *h = arg;
    const char *text = strcmp(path, "/d/x.lua") == 0    ? h->script
                       : strcmp(path, "/d/m.lua") == 0  ? h->module
                       : strcmp(path, "weir.yaml") == 0 ? yaml
                                                        : NULL;
    errno = ENOENT;
    if (text != NULL)
        *out = arena_copy(arena, slice_from_cstr(text));
    return text != NULL;
}

static const char *get_env(void *arg, const char *name)
{
    (void)arg, (void)name;
    return NULL;
}

static void add_header(struct message *m, const char *name, const char *value)
{
    struct slice n = slice_from_cstr(name);
    message_add(m, &t.arena, field_id_from_name(n), n, slice_from_cstr(value));
}

/* GET http://shop.example.com/a%20b/c?q=1&r=two+2 */
static void make_request(void)
{
    arena_init(&t.arena, NULL, 0);
    message_init(&t.request, &t.arena, 8);
    t.request.method = METHOD_GET;
    t.request.method_name = SLICE("GET");
    t.request.path = SLICE("/a%20b/x/../c");
    t.view = (struct route_request){ .message = &t.request,
                                     .host = SLICE("shop.example.com"),
                                     .path = SLICE("/a%20b/c"),
                                     .query = SLICE("q=1&r=two+2"),
                                     .now = { 1 } };
    add_header(&t.request, "X-One", "1");
    add_header(&t.request, "Accept", "a");
    add_header(&t.request, "Accept", "b");
    add_header(&t.request, "Cookie", "u=7; v=8");
    message_init(&t.response, &t.arena, 8);
    t.response.is_response = true;
    t.response.status = 200;
    add_header(&t.response, "X-Origin", "one");
    t.call = (struct script_call){ .arena = &t.arena,
                                   .request = &t.request,
                                   .view = &t.view,
                                   .scheme = SLICE("http"),
                                   .has_encoded_slash = &t.has_encoded_slash,
                                   .upstream_index = CONFIG_NONE };
}

static void open_with(const char *script, const char *module)
{
    static struct arena problems;
    t = (struct host_test){ .script = script, .module = module };
    struct config_source source = {
        .get_env = get_env, .read_file = read_file, .compile_scripts = script_set_compile, .directory = "/d", .arg = &t
    };
    arena_init(&problems, NULL, 0);
    err_list_init(&t.errors, &problems);
    t.snapshot = snapshot_create("weir.yaml", &source, 1, &t.errors);
    cr_assert_not_null(t.snapshot, "%s", t.errors.first != NULL ? t.errors.first->message : "");
    arena_reset(&problems);
    t.dog = watchdog_create();
    t.shared = shared_map_create(1u << 20);
    t.host = script_host_create(t.snapshot->table, t.dog, NULL, t.shared);
    script_host_attach(t.host, NULL);
    make_request();
}

static void close(void)
{
    if (t.host == NULL)
        return;
    script_host_forget(t.host, &t.call);
    arena_reset(&t.arena);
    script_host_detach(t.host);
    script_host_destroy(t.host);
    shared_map_destroy(t.shared);
    watchdog_destroy(t.dog);
    snapshot_destroy(t.snapshot);
}

TestSuite(script_host, .fini = close);

static enum vm_result call_request(void)
{
    return script_host_call(t.host, 0, SCRIPT_ON_REQUEST, BUDGET_US, &t.call);
}

static enum vm_result call_response(void)
{
    t.call.response = &t.response;
    enum vm_result result = script_host_call(t.host, 0, SCRIPT_ON_RESPONSE, BUDGET_US, &t.call);
    t.call.response = NULL;
    return result;
}

/* Runs the body as on_request; it answers with a body, which must be that. */
static void expect_body(const char *body, const char *wanted)
{
    char script[1024];
    snprintf(script, sizeof script, "return { on_request = function(req) return { status = 200, body = %s } end }",
             body);
    open_with(script, NULL);
    cr_assert_eq(call_request(), VM_OK, "%s", body);
    cr_assert(slice_equal(t.call.answer->body, slice_from_cstr(wanted)), "%s: %.*s", body,
              SLICE_ARG(t.call.answer->body));
    close();
    t.host = NULL;
}

/* The hook's code raises, and nothing but edits is left in the call. */
static void expect_error(const char *code)
{
    char script[1024];
    snprintf(script, sizeof script, "return { on_request = function(req) %s end }", code);
    open_with(script, NULL);
    cr_assert_eq(call_request(), VM_ERROR, "%s", code);
    cr_assert_eq(t.call.upstream_index, CONFIG_NONE);
    cr_assert_null(t.call.answer);
    close();
    t.host = NULL;
}

/* ---- req ------------------------------------------------------------------------------------------------------------------- */

Test(script_host, a_request_is_seen_as_it_is)
{
    expect_body("table.concat({ req.method, req.path, req.query, req.host, req.scheme }, ' ')",
                "GET /a%20b/c q=1&r=two+2 shop.example.com http");
    expect_body("tostring(req:header('x-one')) .. tostring(req:header('ACCEPT')) .. tostring(req:header('none'))",
                "1a, bnil");
    expect_body("tostring(req:cookie('v')) .. tostring(req:cookie('w'))", "8nil");
    expect_body("tostring(req:arg('r')) .. tostring(req:arg('s'))", "two+2nil");
    expect_body("tostring(req.tls)", "nil");
    expect_body("type(req) .. tostring(getmetatable(req))", "userdatafalse");
    expect_body("tostring(weir.segment('staff'))", "false");
}

Test(script_host, what_a_request_has_not_raises)
{
    expect_error("return req.nothing");
    expect_error("req.path = '/x'");
    expect_error("req.anything = 1");
    expect_error("req.header('x')");
    expect_error("local h = req.header h({}, 'x')");
    expect_error("req:header()");
    expect_error("req:set_header('x')");
    expect_error("req:set_header('host', 'x')");
    expect_error("req:set_header('x', 'a\\r\\nb')");
    expect_error("req:set_header('bad name', 'x')");
    expect_error("req:set_path('x')");
    expect_error("req:set_path('/x?y')");
    expect_error("req:set_path('/%00')");
    expect_error("weir.segment('none')");
}

Test(script_host, edits_are_made_to_the_message)
{
    open_with(
        "return { on_request = function(req) req:set_header('x-one', 'two') req:set_header('accept', nil) "
        "req:set_path('/n%2Fm/../new') assert(req.path == '/new', req.path) assert(req:header('x-one') == 'two') end }",
        NULL);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert(slice_equal(message_field_named(&t.request, SLICE("x-one"), NULL)->value, SLICE("two")));
    cr_assert_null(message_field_named(&t.request, SLICE("accept"), NULL));
    cr_assert(slice_equal(t.request.path, SLICE("/n%2Fm/../new")), "forwarded as it was written");
    cr_assert(slice_equal(t.view.path, SLICE("/new")));
}

/* ---- what on_request returns ----------------------------------------------------------------------------------------------- */

Test(script_host, a_word_an_answer_or_nothing)
{
    open_with("local what = { 'b', nil, { status = 204 }, { status = 418, headers = { ['x-y'] = 'z' }, body = 'tea' } "
              "} local n = 0 "
              "return { on_request = function() n = n + 1 return what[n] end }",
              NULL);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(t.call.upstream_index, 1);
    t.call.upstream_index = CONFIG_NONE;
    cr_assert_eq(call_request(), VM_OK);
    cr_assert(t.call.upstream_index == CONFIG_NONE && t.call.answer == NULL);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(t.call.answer->status, 204);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert(t.call.answer->status == 418 && t.call.answer->headers.set_count == 1);
    cr_assert(slice_equal(t.call.answer->headers.set[0].name, SLICE("x-y")));
}

Test(script_host, other_results_raise)
{
    expect_error("return 'none'");
    expect_error("return 7");
    expect_error("return true");
    expect_error("return req");
    expect_error("return {}");
    expect_error("return { status = 99 }");
    expect_error("return { status = '200 OK' }");
    expect_error("return { status = 200, boddy = 'x' }");
    expect_error("return { status = 204, body = 'x' }");
    expect_error("return { status = 200, body = ('x'):rep(64 * 1024 + 1) }");
    expect_error("return { status = 200, headers = { 'x' } }");
    expect_error("return { status = 200, headers = { ['content-length'] = '1' } }");
    expect_error("return { status = 200, headers = 'x' }");
}

/* ---- resp, and what goes from hook to hook -------------------------------------------------------------------------------- */

Test(script_host, a_response_is_seen_and_edited)
{
    open_with("return { on_response = function(req, resp) assert(resp.status == 200) assert(resp:header('x-origin') == "
              "'one') "
              "resp.status = 503 resp:set_header('X-Origin', nil) resp:set_header('x-new', req.method) end }",
              NULL);
    cr_assert_eq(call_response(), VM_OK);
    cr_assert_eq(t.response.status, 503);
    cr_assert_null(message_field_named(&t.response, SLICE("x-origin"), NULL));
    cr_assert(slice_equal(message_field_named(&t.response, SLICE("x-new"), NULL)->value, SLICE("GET")));
}

Test(script_host, what_a_response_has_not_raises)
{
    static const char *const codes[] = { "resp.status = 99",  "resp.status = 600",        "resp.status = 'x'",
                                         "resp.status = 204", "resp.state = 1",           "return resp.body",
                                         "resp.status = 1.5", "req:set_header('x', '1')", "req:set_path('/x')",
                                         "req.status = 1" };
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        char script[256];
        snprintf(script, sizeof script, "return { on_response = function(req, resp) %s end }", codes[i]);
        open_with(script, NULL);
        cr_assert_eq(call_response(), VM_ERROR, "%s", codes[i]);
        cr_assert_eq(t.response.status, 200, "%s", codes[i]);
        close();
        t.host = NULL;
    }
}

Test(script_host, ctx_is_the_requests_own)
{
    open_with("return { on_request = function(req) req.ctx.n = (req.ctx.n or 0) + 1 end, "
              "on_response = function(req, resp) resp:set_header('x-n', tostring(req.ctx.n)) end }",
              NULL);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(call_request(), VM_OK);
    struct script_call other = t.call;
    other.ctx_epoch = 0;
    cr_assert_eq(script_host_call(t.host, 0, SCRIPT_ON_REQUEST, BUDGET_US, &other), VM_OK);
    script_host_forget(t.host, &other);
    cr_assert_eq(call_response(), VM_OK);
    cr_assert(slice_equal(message_field_named(&t.response, SLICE("x-n"), NULL)->value, SLICE("2")));
}

Test(script_host, an_object_dies_with_its_call)
{
    open_with(
        "local kept, kept_resp return { on_request = function(req) "
        "  if req:arg('q') ~= '1' then return end "
        "  if kept then assert(not pcall(function() return kept.path end)) assert(not pcall(kept.header, kept, 'x')) "
        "    assert(not pcall(kept.set_header, kept, 'x', 'y')) assert(kept ~= req) return 'b' end "
        "  kept = req end, "
        "on_response = function(req, resp) if kept_resp then "
        "    assert(not pcall(function() return kept_resp.status end)) "
        "    assert(not pcall(function() kept_resp.status = 500 end)) resp.status = 201 end kept_resp = resp end }",
        NULL);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(t.call.upstream_index, 1, "none of it worked");
    cr_assert_eq(call_response(), VM_OK);
    cr_assert_eq(call_response(), VM_OK);
    cr_assert_eq(t.response.status, 201);
}

/* ---- the state --------------------------------------------------------------------------------------------------------------- */

/* A script that keeps too much loses it: a new state, in which a ctx of the old one is none. */
Test(script_host, a_state_that_is_full_is_made_anew)
{
    open_with("local kept, calls = {}, 0 return { on_request = function(req) calls = calls + 1 req.ctx.calls = calls "
              "kept[#kept + 1] = ('x'):rep(100000) .. calls end, "
              "on_response = function(req, resp) resp:set_header('x-calls', tostring(calls) .. "
              "tostring(req.ctx.calls)) end }",
              NULL);
    struct script_call first = t.call;
    cr_assert_eq(script_host_call(t.host, 0, SCRIPT_ON_REQUEST, BUDGET_US, &first), VM_OK);
    uint64_t epoch = first.ctx_epoch;
    for (int i = 0; i < 100 && t.call.ctx_epoch <= epoch; i++) {
        script_host_forget(t.host, &t.call);
        (void)call_request();
    }
    cr_assert_gt(t.call.ctx_epoch, epoch);
    cr_assert_eq(first.ctx_epoch, epoch);
    first.response = &t.response;
    cr_assert_eq(script_host_call(t.host, 0, SCRIPT_ON_RESPONSE, BUDGET_US, &first), VM_OK);
    cr_assert(slice_has_suffix(message_field_named(&t.response, SLICE("x-calls"), NULL)->value, SLICE("nil")));
    cr_assert_eq(first.ctx_epoch, t.call.ctx_epoch);
    script_host_forget(t.host, &first);
    cr_assert_eq(first.ctx_epoch, 0);
    first.ctx_epoch = epoch;
    script_host_forget(t.host, &first); /* of a state that is gone: nothing to do */
    cr_assert_eq(call_request(), VM_OK);
}

Test(script_host, a_call_that_is_cut_off_leaves_the_state_fit)
{
    open_with("return { on_request = function(req) local n = weir.shared.incr('n') if n == 1 then while true do "
              "pcall(error) end end "
              "if n == 2 then local t = {} while true do t[#t + 1] = {} end end return 'b' end }",
              NULL);
    cr_assert_eq(call_request(), VM_TIMEOUT);
    cr_assert_eq(script_host_call(t.host, 0, SCRIPT_ON_REQUEST, 10 * BUDGET_US, &t.call), VM_MEMORY);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(t.call.upstream_index, 1);
}

/* It was left in the middle, and would go on there. */
Test(script_host, a_coroutine_in_which_a_call_was_cut_off_is_dead)
{
    open_with(
        "local calls, co = 0, nil return { on_request = function(req) calls = calls + 1 "
        "if calls == 1 then co = coroutine.create(function() pcall(function() while true do end end) return 1 end) "
        "coroutine.resume(co) end "
        "local ok, e = coroutine.resume(co) "
        "return { status = 200, body = coroutine.status(co) .. ' ' .. tostring(ok) .. ' ' .. e } end }",
        NULL);
    cr_assert_eq(call_request(), VM_TIMEOUT);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert(slice_equal(t.call.answer->body, SLICE("dead false cannot resume dead coroutine")), "%.*s",
              SLICE_ARG(t.call.answer->body));
}

/* What a call that was cut off leaves behind is garbage, and no reason to throw away what others keep. */
Test(script_host, a_call_that_takes_too_much_memory_costs_nobody_else_their_state)
{
    open_with("local calls = 0 return { on_request = function(req) calls = calls + 1 "
              "if calls == 1 then local t = {} while true do t[#t + 1] = {} end end return 'b' end, "
              "on_response = function(req, resp) resp:set_header('x-calls', tostring(calls)) end }",
              NULL);
    cr_assert_eq(script_host_call(t.host, 0, SCRIPT_ON_REQUEST, 10 * BUDGET_US, &t.call), VM_MEMORY);
    for (int i = 2; i <= 100; i++)
        cr_assert_eq(call_request(), VM_OK, "call %d", i);
    cr_assert_eq(call_response(), VM_OK);
    cr_assert(slice_equal(message_field_named(&t.response, SLICE("x-calls"), NULL)->value, SLICE("100")));
}

/* ---- what a worker's state has of the rest of the API ------------------------------------------------------------------------- */

Test(script_host, modules_and_files_are_there_without_a_disk)
{
    open_with("local text = weir.file('m.lua') return { on_request = function(req) "
              "  local m = require('m') assert(m.text == text and #text > 0) "
              "  assert(require('weir.semver').at_least('2.0', '1.9')) "
              "  local name = 'm' assert(require(name) == m) "
              "  name = 'x' local ok, why = pcall(require, name) assert(not ok and why:find('was not loaded with the "
              "file'), why) "
              "  ok, why = pcall(weir.file, 'm.lua') assert(not ok and why:find('while the file is loaded only'), why) "
              "  return 'b' end }",
              "return { text = weir.file('m.lua') }");
    t.script = t.module = NULL; /* nothing is read any more */
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(t.call.upstream_index, 1);
}

Test(script_host, what_is_shared_outlives_a_state)
{
    open_with("return { on_request = function(req) if weir.shared.incr('n') == 3 then return 'b' end end }", NULL);
    struct script_host *other = script_host_create(t.snapshot->table, t.dog, NULL, t.shared);
    script_host_attach(other, NULL);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(script_host_call(other, 0, SCRIPT_ON_REQUEST, BUDGET_US, &t.call), VM_OK);
    script_host_detach(other);
    script_host_destroy(other);
    cr_assert_eq(t.call.upstream_index, CONFIG_NONE);
    cr_assert_eq(call_request(), VM_OK);
    cr_assert_eq(t.call.upstream_index, 1);
}
