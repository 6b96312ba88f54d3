/* tests/unit/lua/test_api.c - the objects that hooks are called with: what they are good for, and for how long. */
#include "lua/hooks.h"

#include <criterion/criterion.h>

#define BUDGET_US 20000 /* of CPU time: enough for anything that ends, with sanitizers too */

static const struct slice request_head = { "GET /p?q=1 HTTP/1.1\r\nHost: h\r\nX-A: one\r\nX-B: b\r\nx-a: two\r\n"
                                           "Accept: x\r\nAccept: y\r\nCookie: id=u-7; c=2\r\n\r\n",
                                           0 };
static const struct slice answer_head = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-O: o\r\n\r\n", 0 };

static void begin(struct hooks_request *r)
{
    cr_assert(hooks_request_begin(r, slice_from_cstr(request_head.ptr), slice_from_cstr(answer_head.ptr)));
}

/* One hook, `on_request(req)` with that body; its answer's body. */
static void expect(const char *body, const char *wanted)
{
    struct hooks h;
    struct hooks_request r;
    char script[1024];
    snprintf(script, sizeof script,
             "return { on_request = function(req) return { status = 200, body = tostring(%s) } end }", body);
    cr_assert(hooks_open(&h, slice_from_cstr(script), SLICE_NONE));
    begin(&r);
    cr_assert_eq(hooks_on_request(&h, 0, &r, BUDGET_US), VM_OK, "%s", body);
    cr_assert(slice_equal(r.call.answer->body, slice_from_cstr(wanted)), "%s: %.*s", body,
              SLICE_ARG(r.call.answer->body));
    hooks_request_end(&r, &h);
    hooks_close(&h);
}

/* The same, called in pcall: what it raises ends with that. */
static void expect_error(const char *body, const char *wanted)
{
    char text[512];
    snprintf(text, sizeof text, "select(2, pcall(function() %s end)):match(': (.*)')", body);
    expect(text, wanted);
}

Test(api, lines_of_one_header_are_joined_whether_its_name_is_known_or_not)
{
    expect("req:header('x-A')", "one, two");
    expect("req:header('accept')", "x, y");
    expect("req:header('x-b')", "b");
    expect("req:header('x-none')", "nil");
    expect("req:header('')", "nil");
}

Test(api, a_hash_without_salt_is_one_with_an_empty_salt)
{
    expect("weir.hash('u-7') == weir.hash('u-7', '') and weir.hash('u-7') ~= weir.hash('u-7', 's')", "true");
    expect("weir.hash('u-7') == weir.hash('u-7', nil)", "true");
}

Test(api, members_are_methods_and_fields_and_nothing_else)
{
    expect("req.path .. req.query .. req.host", "/pq=1h");
    expect("type(req.header) .. type(req.ctx)", "functiontable");
    expect("tostring(req):match('^%a+')", "request");
    expect("getmetatable(req)", "false");
    expect_error("return req.nothing", "there is no 'nothing' in it");
    expect_error("return req[1]", "there is no '1' in it");
    expect_error("req.path = '/x'", "'path' cannot be set");
}

Test(api, methods_take_their_own_kind_alone)
{
    expect_error("req.header({}, 'x')", "bad argument #1 to 'header' (request expected, got table)");
    expect_error("req.header(nil, 'x')", "bad argument #1 to 'header' (request expected, got nil)");
    expect_error("req.header()", "bad argument #1 to 'header' (request expected, got no value)");
    expect_error("req.header('x', 'x')", "bad argument #1 to 'header' (request expected, got string)");
}

Test(api, a_response_is_no_request_and_both_end_with_their_call)
{
    static const char script[] = "local kept\n"
                                 "local function told(f, ...) return (select(2, pcall(f, ...))):match('[^:]*$') end\n"
                                 "return { on_request = function(req)\n"
                                 "  local was = kept and told(function() return kept.path end) or 'first'\n"
                                 "  kept = req\n"
                                 "  return { status = 200, body = was }\n"
                                 "end, on_response = function(req, resp)\n"
                                 "  resp:set_header('x-1', told(req.header, resp, 'x'))\n"
                                 "  resp:set_header('x-2', told(resp.header, req, 'x'))\n"
                                 "  resp:set_header('x-3', told(kept.header, kept, 'x'))\n"
                                 "end }";
    struct hooks h;
    cr_assert(hooks_open(&h, slice_from_cstr(script), SLICE_NONE));
    for (int i = 0; i < 2; i++) {
        struct hooks_request r;
        begin(&r);
        cr_assert_eq(hooks_on_request(&h, 0, &r, BUDGET_US), VM_OK);
        struct slice dead = SLICE(" this request belongs to a call that has ended");
        cr_assert(slice_equal(r.call.answer->body, i == 0 ? SLICE("first") : dead));
        cr_assert_eq(hooks_on_response(&h, 0, &r, BUDGET_US), VM_OK);
        struct slice told[3] = { SLICE_NONE };
        for (size_t n = 0; n < ARRAY_COUNT(told); n++) {
            char name[] = { 'x', '-', (char)('1' + n) };
            told[n] = message_field_named(&r.response, slice_from(name, sizeof name), NULL)->value;
        }
        cr_assert(slice_has_suffix(told[0], SLICE("(request expected, got response)")), "%.*s", SLICE_ARG(told[0]));
        cr_assert(slice_has_suffix(told[1], SLICE("(response expected, got request)")), "%.*s", SLICE_ARG(told[1]));
        cr_assert(slice_equal(told[2], dead) || slice_has_suffix(told[2], SLICE("has ended")), "%.*s",
                  SLICE_ARG(told[2]));
        hooks_request_end(&r, &h);
    }
    hooks_close(&h);
}
