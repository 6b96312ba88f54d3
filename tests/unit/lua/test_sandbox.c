/* tests/unit/lua/test_sandbox.c - what a script can reach is what is listed, and no more. */
#include "lua/sandbox.h"

#include <criterion/criterion.h>

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

TestSuite(sandbox, .init = open, .fini = close);

/* Walks tables, metatables, and whatever a method of a text is; each value once, by the name it was met under. */
static const char walk[] =
    "local seen, names = {}, {} "
    "local function visit(name, value) "
    "  local kind = type(value) "
    "  if kind == 'table' then "
    "    if seen[value] then return end "
    "    seen[value] = true "
    "    for k, v in next, value do visit(name .. '.' .. tostring(k), v) visit(name .. '(key)', k) end "
    "    visit(name .. '(meta)', getmetatable(value)) "
    "  elseif kind == 'function' or kind == 'userdata' or kind == 'thread' then "
    "    names[#names + 1] = name "
    "  elseif kind == 'string' then "
    "    visit('text(meta)', getmetatable(value)) "
    "  end "
    "end ";

static void expect_reachable(const char *root, const char *expression, size_t count)
{
    char code[2048];
    snprintf(code, sizeof(code), "%s visit('%s', %s) return #names", walk, root, expression);
    char wanted[16];
    snprintf(wanted, sizeof(wanted), "%zu", count);
    script_test_expect(&t, code, wanted);
}

/* The list itself, once more and by hand: a name that is added to library.def is added here by somebody who thought
   about what it opens. */
static const char *const values[] = {
    "weir.json.null", /* a light userdata */
};

static const char *const functions[] = {
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "require",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "xpcall",
    "coroutine.create",
    "coroutine.isyieldable",
    "coroutine.resume",
    "coroutine.running",
    "coroutine.status",
    "coroutine.wrap",
    "coroutine.yield",
    "math.abs",
    "math.acos",
    "math.asin",
    "math.atan",
    "math.ceil",
    "math.cos",
    "math.deg",
    "math.exp",
    "math.floor",
    "math.fmod",
    "math.log",
    "math.max",
    "math.min",
    "math.modf",
    "math.rad",
    "math.random",
    "math.sin",
    "math.sqrt",
    "math.tan",
    "math.tointeger",
    "math.type",
    "math.ult",
    "string.byte",
    "string.char",
    "string.find",
    "string.format",
    "string.gmatch",
    "string.gsub",
    "string.len",
    "string.lower",
    "string.match",
    "string.pack",
    "string.packsize",
    "string.rep",
    "string.reverse",
    "string.sub",
    "string.unpack",
    "string.upper",
    "table.concat",
    "table.insert",
    "table.move",
    "table.pack",
    "table.remove",
    "table.sort",
    "table.unpack",
    "utf8.char",
    "utf8.codepoint",
    "utf8.codes",
    "utf8.len",
    "utf8.offset",
    "weir.fetch",
    "weir.file",
    "weir.hash",
    "weir.json.array",
    "weir.json.decode",
    "weir.json.encode",
    "weir.jwt.verify",
    "weir.log",
    "weir.now",
    "weir.segment",
    "weir.shared.add",
    "weir.shared.delete",
    "weir.shared.get",
    "weir.shared.incr",
    "weir.shared.set",
    "weir.upstreams",
};

Test(sandbox, nothing_is_reachable_that_is_not_listed)
{
    char code[256];
    expect_reachable("_ENV", "_ENV", ARRAY_COUNT(functions) + ARRAY_COUNT(values));
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        snprintf(code, sizeof(code), "return type(%s)", values[i]);
        script_test_expect(&t, code, "userdata");
    }
    for (size_t i = 0; i < ARRAY_COUNT(functions); i++) {
        snprintf(code, sizeof(code), "return type(%s)", functions[i]);
        script_test_expect(&t, code, "function");
    }
}

Test(sandbox, the_ways_out_are_shut)
{
    static const char *const ways[] = {
        "return io",
        "return os",
        "return package",
        "return debug",
        "return load('return 1')",
        "return loadstring",
        "return dofile('/etc/passwd')",
        "return loadfile",
        "return require('os')",
        "return collectgarbage('stop')",
        "return print",
        "return _G",
        "return string.dump(function() end)",
        "return coroutine.close",
        "return math.randomseed",
        "return getmetatable('').__index.rep",
        "getmetatable('').__index = nil",
        "setmetatable({}, { __gc = function() end })",
        "setmetatable({}, { __close = function() end })",
        "local x <close> = {}",
        "x = 1",
        "setmetatable(_ENV, nil)",
        "getmetatable(_ENV).__index = nil",
    };
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++)
        if (script_test_run(&t, ways[i]) == VM_OK)
            cr_assert_str_eq(t.result, "nil", "%s: %s", ways[i], t.result);
}

Test(sandbox, bytecode_is_refused)
{
    cr_assert_eq(script_test_run(&t, "\x1bLua"), VM_ERROR);
}

Test(sandbox, what_one_script_changes_others_do_not_see)
{
    script_test_expect(&t, "string.rep = nil table.concat = 1 rawset(_ENV, 'mine', 1) return mine", "1");
    script_test_expect(&t, "return ('x'):rep(2) .. string.rep('y', 2) .. table.concat({ 'z' })", "xxyyz");
    cr_assert_eq(script_test_run(&t, "return mine"), VM_ERROR);
}
