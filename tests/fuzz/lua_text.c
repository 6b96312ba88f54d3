/* fuzz/lua_text.c - Lua scripts made of arbitrary bytes: each byte chooses a piece of grammar. */
#include "lua_text.h"

#include "base/check.h"

#define DEPTH_MAX      6
#define TEXT_MAX_BYTES 6000
#define LOCAL_COUNT    4 /* a, b, c, d: there from the beginning */

/* A piece of text in which `e` stands for an expression, `b` for a block of statements, `f` for a function, `v` for a variable,
   each behind a `$`. */
typedef const char *piece;

/* The first of each list ends the text: it has no `$`. */
static const piece atoms[] = {
    "nil",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2^53",
    "1e308",
    "0/0",
    "math.maxinteger",
    "math.mininteger",
    "''",
    "'a'",
    "'b'",
    "'v9'",
    "'x-a'",
    "'cookie'",
    "'id'",
    "'/p/%2e%2e/q'",
    "'/\\0'",
    "'/a b'",
    "'*'",
    "'x\\r\\ny: z'",
    "'a\\0b'",
    "'\\255\\128'",
    "'content-length'",
    "'Transfer-Encoding'",
    "'Host'",
    "'staff'",
    "'warn'",
    "200",
    "204",
    "304",
    "599",
    "100",
    "'200'",
    "'%a+'",
    "'(a*)*(a*)*(a*)*b'",
    "'%b()'",
    "'%f[%w]'",
    "'[^'",
    "'%'",
    "'()()()()'",
    "'%99.99f'",
    "'%q'",
    "'!1<!16i16s4z'",
    "('a'):rep(100)",
    "('(a'):rep(40)",
    "('ab'):rep(40000)",
    "('x'):rep(1e9)",
    "req",
    "req.path",
    "req.query",
    "req.ctx",
    "req.tls",
    "req.method .. req.host .. req.scheme .. req.source_ip",
    "resp",
    "kept",
    "kept[1]",
    "weir",
    "string",
    "_ENV",
    "...",
    "coroutine.running()",
    "os",
};

static const piece expressions[] = {
    "nil",
    "$v",
    "($e .. $e)",
    "($e + $e)",
    "($e % $e)",
    "($e // $e)",
    "($e << $e)",
    "($e == $e)",
    "($e < $e)",
    "($e and $e or $e)",
    "(not $e)",
    "#$e",
    "- $e",
    "~$e",
    "($e)[$e]",
    "{ $e, $e, n = $e }",
    "{ [$e] = $e }",
    "{ status = $e, headers = { [$e] = $e, x = $e }, body = $e }",
    "{ status = 200, body = $e }",
    "{ status = 200, headers = { [$e] = 'v' } }",
    "$f",
    "($f)($e)",
    "select('#', pcall($f, $e))",
    "select(2, pcall($f))",
    "select(2, xpcall($f, $f))",
    "req:header($e)",
    "req:cookie($e)",
    "req:arg($e)",
    "req[$e]",
    "req.header($e, $e)",
    "resp:header($e)",
    "resp.header($e, $e)",
    "coroutine.wrap($f)($e)",
    "coroutine.create($f)",
    "coroutine.resume($e, $e)",
    "coroutine.yield($e)",
    "setmetatable({}, { __index = $f, __newindex = $f, __call = $f, __len = $f, __concat = $f })",
    "setmetatable({}, { __tostring = $f, __eq = $f, __lt = $f, __le = $f, __unm = $f, __pairs = $f })",
    "setmetatable({}, { __index = $e })",
    "setmetatable($e, { [$e] = $f })",
    "string.gsub($e, $e, $f)",
    "table.sort({ 3, 1, 2, 5, 4 }, $f)",
    "string.rep($e, 1e5, $e)",
    "tostring($e)",
};

static const piece statements[] = {
    "",
    "$v = $e",
    "$v = $e",
    "local $v = $e",
    "req:set_header($e, $e)",
    "req:set_header('x-a', tostring($e))",
    "req:set_path($e)",
    "resp:set_header($e, $e)",
    "resp.status = $e",
    "req.path = $e",
    "req.ctx.k = $e",
    "req.ctx[$e] = $e",
    "kept[#kept + 1] = $e",
    "kept[1] = $e",
    "weir.log('info', $e)",
    "if $e then $b else $b end",
    "while $e do $b end",
    "while true do pcall($f) end",
    "while true do $b end",
    "repeat $b until $e",
    "for i = 1, $e do $b end",
    "for i = 1, 200 do $b end",
    "for k, w in pairs($e) do $b end",
    "for w in ($e):gmatch($e) do $b end",
    "pcall($f)",
    "error($e)",
    "do return $e end",
    "do return 'b' end",
    "local function r(...) $b return r(...) end r()",
    "local function r(...) $b return 1 + r(...) end r()",
    "for i = 1, 3 do coroutine.wrap(function(...) $b end)() end",
    "string[$e] = $e",
    "table.concat({ $e, $e }, $e)",
    "for k, w in $e, $e, $e, $e do $b end",
    "for i in next, { 1 }, nil, d do $b end",
    "do local m = {} d = setmetatable({}, m) m.__close = $f end",
};

static const piece functions[] = {
    "function(...) end",
    "function(...) $b end",
    "function(x, ...) return $e end",
    "function(x, ...) error($e) end",
    "coroutine.yield",
    "tostring",
    "error",
    "pcall",
    "req.set_header",
    "weir.hash",
};

/* Everything in the environment, and what weir has; a member that is not there is an error at run time, which is fine, too. */
static const char *const callables[] = {
    "type", "weir.hash", "weir.segment", "weir.upstreams", "weir.now", "weir.log",
#define STOCK(library, name)             #library "." #name,
#define BOUNDED(library, name, function) #library "." #name,
#define OURS(library, name, function)    #library "." #name,
#include "lua/library.def"
#undef STOCK
#undef BOUNDED
#undef OURS
};

unsigned choose(struct choices *c, unsigned count)
{
    if (c->left.len == 0)
        return 0;
    unsigned byte = (unsigned char)c->left.ptr[0];
    c->left = slice_after(c->left, 1);
    return byte % count;
}

static void put_block(struct choices *c, struct text *out, unsigned depth);
static void put_expression(struct choices *c, struct text *out, unsigned depth);

static void put_piece(struct choices *c, struct text *out, piece p, unsigned depth);

static bool is_enough(const struct text *out, unsigned depth)
{
    return depth >= DEPTH_MAX || text_slice(out).len > TEXT_MAX_BYTES;
}

static void put_variable(struct choices *c, struct text *out)
{
    char name = (char)('a' + choose(c, LOCAL_COUNT));
    text_add(out, slice_from(&name, 1));
}

static void put_function(struct choices *c, struct text *out, unsigned depth)
{
    put_piece(c, out, is_enough(out, depth) ? functions[0] : functions[choose(c, ARRAY_COUNT(functions))], depth + 1);
}

static void put_piece(struct choices *c, struct text *out, piece p, unsigned depth)
{
    for (; *p != '\0'; p++) {
        if (*p != '$') {
            text_add(out, slice_from(p, 1));
            continue;
        }
        p++;
        if (*p == 'e')
            put_expression(c, out, depth);
        else if (*p == 'b')
            put_block(c, out, depth);
        else if (*p == 'f')
            put_function(c, out, depth);
        else
            put_variable(c, out);
    }
}

/* "_G.type" is how library.def has the environment itself. */
static void put_call(struct choices *c, struct text *out, unsigned depth)
{
    const char *name = callables[choose(c, ARRAY_COUNT(callables))];
    struct slice s = slice_from_cstr(name);
    text_add(out, slice_has_prefix(s, SLICE("_G.")) ? slice_after(s, 3) : s);
    text_add_cstr(out, "(");
    for (unsigned i = 0, count = choose(c, 4); i < count; i++) {
        text_add_cstr(out, i > 0 ? ", " : "");
        put_expression(c, out, depth + 1);
    }
    text_add_cstr(out, ")");
}

static void put_expression(struct choices *c, struct text *out, unsigned depth)
{
    unsigned kind = is_enough(out, depth) ? 0 : choose(c, 4);
    if (kind == 1)
        put_call(c, out, depth);
    else if (kind == 2)
        put_piece(c, out, expressions[choose(c, ARRAY_COUNT(expressions))], depth + 1);
    else
        text_add_cstr(out, atoms[choose(c, ARRAY_COUNT(atoms))]);
}

/* Most statements raise: every other one is protected, so that those behind it have their turn. */
static void put_block(struct choices *c, struct text *out, unsigned depth)
{
    unsigned count = is_enough(out, depth) ? 0 : choose(c, depth == 0 ? 12 : 4);
    for (unsigned i = 0; i < count; i++) {
        bool is_protected = choose(c, 2) == 1;
        text_add_cstr(out, is_protected ? "pcall(function(...) " : "");
        put_piece(c, out, statements[choose(c, ARRAY_COUNT(statements))], depth + 1);
        text_add_cstr(out, is_protected ? " end)\n" : "\n");
    }
}

void lua_text_script(struct choices *c, struct text *out)
{
    text_add_cstr(out, "local kept, a, b, c, d = {}\nlocal M = {}\nfunction M.on_request(req, ...)\nlocal resp\n");
    put_block(c, out, 0);
    text_add_cstr(out, "return ");
    put_expression(c, out, 0);
    text_add_cstr(out, "\nend\nfunction M.on_response(req, resp, ...)\n");
    put_block(c, out, 0);
    text_add_cstr(out, "end\nreturn M\n");
}
