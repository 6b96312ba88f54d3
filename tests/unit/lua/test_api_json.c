/* tests/unit/lua/test_api_json.c - values to JSON and back, and what is refused. */
#include "lua/api.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

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

TestSuite(api_json, .init = open, .fini = close);

static void expect_encoded(const char *value, const char *json)
{
    char code[512];
    snprintf(code, sizeof code, "return weir.json.encode(%s, { sorted = true })", value);
    script_test_expect(&t, code, json);
}

static void expect_error(const char *code, const char *part)
{
    cr_assert_eq(script_test_run(&t, code), VM_ERROR, "%s: %s", code, t.result);
    cr_assert_not_null(strstr(t.vm->message, part), "%s: %s", code, t.vm->message);
}

/* nil and a message, no error. */
static void expect_refused(const char *text, const char *part)
{
    char code[512];
    snprintf(code, sizeof code, "local v, e = weir.json.decode(%s) return tostring(v) .. ': ' .. tostring(e)", text);
    cr_assert_eq(script_test_run(&t, code), VM_OK, "%s: %s", text, t.vm->message);
    cr_assert_eq(strncmp(t.result, "nil: ", 5), 0, "%s: %s", text, t.result);
    cr_assert_not_null(strstr(t.result, part), "%s: %s", text, t.result);
}

Test(api_json, values_have_their_forms)
{
    expect_encoded("true", "true");
    expect_encoded("weir.json.null", "null");
    expect_encoded("'a\\n\"\\xc3\\xa4'", "\"a\\n\\\"\xc3\xa4\"");
    expect_encoded("{}", "{}");
    expect_encoded("weir.json.array()", "[]");
    expect_encoded("weir.json.array({})", "[]");
    expect_encoded("{ 1, 'x', { y = false } }", "[1,\"x\",{\"y\":false}]");
    expect_encoded("{ b = 1, a = { c = weir.json.null }, C = {} }", "{\"C\":{},\"a\":{\"c\":null},\"b\":1}");
}

Test(api_json, numbers_stay_what_they_are)
{
    expect_encoded("9007199254740993", "9007199254740993");
    expect_encoded("math.mininteger", "-9223372036854775808");
    expect_encoded("1.0", "1.0");
    expect_encoded("0.1", "0.1");
    expect_encoded("1 / 3", "0.33333333333333331");
    expect_encoded("1e300", "1e+300");
    script_test_expect(&t, "return math.type(weir.json.decode('7'))", "integer");
    script_test_expect(&t, "return math.type(weir.json.decode('7.0'))", "float");
    script_test_expect(&t, "local d = weir.json.decode return d(weir.json.encode(1 / 3)) == 1 / 3", "true");
}

Test(api_json, what_is_decoded_is_encoded_as_it_was)
{
    static const char *const texts[] = {
        "[]",   "{}",    "[[],{}]", "{\"a\":[null,true,1,2.5,\"x\"],\"b\":{\"c\":[[[]]]}}",
        "\"\"", "false", "null",    "[null]",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        char code[256];
        snprintf(code, sizeof code, "return weir.json.encode(weir.json.decode('%s'), { sorted = true })", texts[i]);
        script_test_expect(&t, code, texts[i]);
    }
    script_test_expect(&t, "return weir.json.decode('null') == weir.json.null", "true");
    script_test_expect(&t, "return weir.json.decode('{\"a\":{\"b\":[10,20]}}').a.b[2]", "20");
    script_test_expect(&t, "return weir.json.decode(' \"\\\\u00e4\" ')", "\xc3\xa4");
    script_test_expect(&t, "return select('#', weir.json.decode('1'))", "2");
}

Test(api_json, a_value_without_a_form_raises_at_its_line)
{
    expect_error("\nreturn weir.json.encode(function() end)", "test:2: a function has no form in JSON");
    expect_error("return weir.json.encode({ a = { coroutine.create(print) } })", "unknown global");
    expect_error("return weir.json.encode({ a = { coroutine.create(weir.now) } })", "a thread has no form in JSON");
    expect_error("return weir.json.encode(nil)", "a nil has no form in JSON");
    expect_error("return weir.json.encode()", "value expected");
    expect_error("return weir.json.encode(1 / 0)", "infinity and nan");
    expect_error("return weir.json.encode(0 / 0)", "infinity and nan");
    expect_error("return weir.json.encode('\\xff')", "not UTF-8");
    expect_error("return weir.json.encode({ ['\\xc3'] = 1 })", "not UTF-8");
    expect_error("return weir.json.encode({ 1, nil, 3 })", "without gaps");
    expect_error("return weir.json.encode({ 1, a = 2 })", "without gaps");
    expect_error("return weir.json.encode({ [0] = 2 })", "without gaps");
    expect_error("return weir.json.encode({ [1.5] = 2 })", "without gaps");
    expect_error("return weir.json.encode({ [true] = 2 })", "without gaps");
    expect_error("return weir.json.encode(weir.json.array({ a = 1 }))", "without gaps");
    expect_error("local x = {} x.x = x return weir.json.encode(x)", "or in itself");
    expect_error("return weir.json.encode(1, { sort = true })", "there is no option 'sort'");
    expect_error("return weir.json.array(setmetatable({}, {}))", "has a metatable already");
    expect_error("return weir.json.decode(5)", "string expected");
}

Test(api_json, a_broken_text_is_told_with_its_place)
{
    expect_refused("'{\"a\":\\n 1,}'", "line 2");
    expect_refused("''", "line 1");
    expect_refused("'[1] x'", "end of file expected");
    expect_refused("'{\"a\":1,\"a\":2}'", "duplicate");
    expect_refused("'\"\\xff\"'", "line 1");
    expect_refused("('['):rep(65) .. (']'):rep(65)", "deeper than 64");
    expect_refused("'[' .. ('1,'):rep(32767) .. '1]'", "more than 32768 values");
    expect_refused("'\"' .. ('x'):rep(256 * 1024) .. '\"'", "longer than 262144 bytes");
}

/* Rather nothing than another number: two ids of 64 bits and more would be the same float. */
Test(api_json, a_number_that_would_not_be_kept_is_refused)
{
    static const char kept[] =
        "local t = weir.json.decode('[9223372036854775807,-9223372036854775808,1e308,1E2,-0.0,1e-400]') "
        "for i, v in ipairs(t) do t[i] = tostring(v) end return table.concat(t, ' ')";
    script_test_expect(&t, kept, "9223372036854775807 -9223372036854775808 1e+308 100.0 -0.0 0.0");
    expect_refused("'[9223372036854775808]'", "line 1, column 20: too big integer");
    expect_refused("'{\"id\":\\n18446744073709551615}'", "line 2, column 20: too big integer");
    expect_refused("'[-9223372036854775809]'", "too big negative integer");
    expect_refused("'[' .. ('9'):rep(100000) .. ']'", "too big integer");
    expect_refused("'[1e400]'", "line 1, column 6: real number overflow");
    expect_refused("'[-1e99999999999999999999]'", "real number overflow");
}

Test(api_json, depth_and_length_have_limits)
{
    t.budget_us = 5000000;
    script_test_expect(&t, "return #weir.json.encode(weir.json.decode(('['):rep(64) .. (']'):rep(64)))", "128");
    expect_error("local x = 1 for i = 1, 65 do x = { x } end return weir.json.encode(x)", "deeper than 64");
    script_test_expect(&t, "return #weir.json.encode(('x'):rep(256 * 1024 - 2))", "262144");
    expect_error("return weir.json.encode(('x'):rep(256 * 1024 - 1))", "longer than 262144 bytes");
    expect_error("return weir.json.encode(('\\1'):rep(100000))", "longer than 262144 bytes");
}

/* The tree of the library is given back whatever happens: the leak sanitizer looks at this. */
Test(api_json, long_work_is_cut_off)
{
    cr_assert_eq(script_test_run(&t, "local text = '[' .. ('1,'):rep(32000) .. '1]' while true do "
                                     "pcall(weir.json.decode, text) end"),
                 VM_TIMEOUT);
    cr_assert_eq(script_test_run(&t, "local big = {} for i = 1, 30000 do big[i] = i end while true do "
                                     "pcall(weir.json.encode, big) end"),
                 VM_TIMEOUT);
    cr_assert_eq(script_test_run(&t, "local keep = {} for i = 1, 100 do keep[i] = weir.json.decode('[' .. "
                                     "('\"xxxxxx\",'):rep(8000) .. '{}]') end"),
                 VM_TIMEOUT);
    script_test_expect(&t, "return 1", "1");
}

Test(api_json, what_is_decoded_counts_as_memory)
{
    t.budget_us = 5000000;
    cr_assert_eq(script_test_run(&t, "local keep = {} for i = 1, 1000 do keep[i] = weir.json.decode('[' .. "
                                     "('[],'):rep(4000) .. '[]]') end"),
                 VM_MEMORY);
    script_test_expect(&t, "return weir.json.encode({})", "{}");
}
