/* lua/globals.c - what a compiled file asks of its environment, told by looking at its code.
 *
 * In Lua 5.4 a global x is the field x of an upvalue, _ENV. The file's own function has it as its first one; an inner function
 * has it when it took it over from the function around it. Format: lundump.c and lopcodes.h of Lua 5.4. */
#include "lua/globals.h"

#include <ctype.h>
#include <string.h>

#include <lua.h>

#include "base/check.h"

#if LUA_VERSION_NUM != 504
#error "the format of the code is that of Lua 5.4"
#endif

#define LINE_IS_ABSOLUTE (-0x80) /* in lineinfo: look it up */

/* iABC: opcode 7 bits, A 8, k 1, B 8, C 8. iABx: opcode 7, A 8, Bx 17. */
enum opcode {
    OP_LOADK = 3,
    OP_GETUPVAL = 9,
    OP_SETUPVAL = 10,
    OP_GETTABUP = 11,
    OP_GETTABLE = 12,
    OP_SETTABUP = 15,
    OP_CALL = 68,
    OP_TAILCALL = 69,
};

struct instruction {
    unsigned op, a, b, c, bx;
};

struct reader {
    const unsigned char *at, *end;
    struct arena *arena;
    struct global_uses *out;
    size_t capacity; /* of out->items */
};

/* One function, while it is read. */
struct function {
    uint32_t line; /* where it begins */
    const unsigned char *code;
    size_t instruction_count;
    struct slice *constants; /* texts; ptr NULL: of another type */
    size_t constant_count;
    bool *is_env; /* by upvalue */
    size_t upvalue_count;
};

/* ---- the format -------------------------------------------------------------------------------------------------------- */

static const unsigned char *take(struct reader *r, size_t bytes)
{
    const unsigned char *at = r->at;
    CHECK(bytes <= (size_t)(r->end - r->at));
    r->at += bytes;
    return at;
}

/* Seven bits a byte, the highest first; the last byte is marked. */
static size_t take_size(struct reader *r)
{
    size_t size = 0;
    unsigned char byte;
    do {
        byte = *take(r, 1);
        size = size << 7 | (byte & 0x7f);
    } while ((byte & 0x80) == 0);
    return size;
}

static struct slice take_text(struct reader *r)
{
    size_t size = take_size(r); /* one more than the length; 0: there is none */
    if (size == 0)
        return SLICE_NONE;
    return slice_from((const char *)take(r, size - 1), size - 1);
}

static struct slice take_constant(struct reader *r)
{
    switch (*take(r, 1)) {
    case LUA_TNUMBER:
    case LUA_TNUMBER | 1 << 4:
        take(r, 8);
        return SLICE_NONE;
    case LUA_TSTRING:
    case LUA_TSTRING | 1 << 4:
        return take_text(r);
    default: /* nil, false, true */
        return SLICE_NONE;
    }
}

static void take_constants(struct reader *r, struct function *f)
{
    f->constant_count = take_size(r);
    f->constants = arena_zalloc_array(r->arena, f->constant_count + 1, sizeof *f->constants);
    for (size_t i = 0; i < f->constant_count; i++)
        f->constants[i] = take_constant(r);
}

/* Each: is it a variable of the function around, or one of its upvalues; which; its kind. */
static void take_upvalues(struct reader *r, struct function *f, const struct function *around)
{
    f->upvalue_count = take_size(r);
    f->is_env = arena_zalloc_array(r->arena, f->upvalue_count + 1, sizeof *f->is_env);
    for (size_t i = 0; i < f->upvalue_count; i++) {
        const unsigned char *upvalue = take(r, 3);
        bool is_variable = upvalue[0] != 0;
        f->is_env[i] =
            around == NULL ? i == 0 : !is_variable && upvalue[1] < around->upvalue_count && around->is_env[upvalue[1]];
    }
}

/* ---- the code ------------------------------------------------------------------------------------------------------------ */

/* Behind the last one stands one that is nothing. */
static struct instruction instruction_at(const struct function *f, size_t i)
{
    uint32_t word = 0x7f;
    if (i < f->instruction_count)
        memcpy(&word, f->code + i * sizeof word, sizeof word);
    return (struct instruction){ word & 0x7f, word >> 7 & 0xff, word >> 16 & 0xff, word >> 24, word >> 15 };
}

static struct slice constant_at(const struct function *f, size_t i)
{
    return i < f->constant_count ? f->constants[i] : SLICE_NONE;
}

static void add_use(struct reader *r, enum global_use_kind kind, struct slice name, uint32_t line)
{
    struct global_uses *out = r->out;
    if (out->count == r->capacity) {
        struct global_use *old = out->items;
        r->capacity = r->capacity * 2 + 16;
        out->items = arena_zalloc_array(r->arena, r->capacity, sizeof *out->items);
        if (out->count > 0)
            memcpy(out->items, old, out->count * sizeof *old);
    }
    out->items[out->count++] = (struct global_use){ kind, line, name };
}

/* require("name"): the function, the text behind it, and a call with that one argument. */
static void look_for_require(struct reader *r, const struct function *f, size_t i, uint32_t line)
{
    struct instruction function = instruction_at(f, i), text = instruction_at(f, i + 1),
                       call = instruction_at(f, i + 2);
    if (!slice_equal(constant_at(f, function.c), SLICE("require")) || text.op != OP_LOADK || text.a != function.a + 1)
        return;
    if ((call.op == OP_CALL || call.op == OP_TAILCALL) && call.a == function.a && call.b == 2) {
        struct slice name = constant_at(f, text.bx);
        if (name.ptr != NULL)
            add_use(r, GLOBAL_REQUIRE, name, line);
    }
}

/* The environment in a register: with more than 256 constants a global is read by three instructions. Else somebody has it. */
static void look_at_environment(struct reader *r, const struct function *f, size_t i, uint32_t line)
{
    struct instruction env = instruction_at(f, i), key = instruction_at(f, i + 1), get = instruction_at(f, i + 2);
    struct slice name = constant_at(f, key.bx);
    if (key.op == OP_LOADK && get.op == OP_GETTABLE && get.b == env.a && get.c == key.a && name.ptr != NULL)
        add_use(r, GLOBAL_READ, name, line);
    else
        r->out->has_escaped = true;
}

static void look_at(struct reader *r, const struct function *f, size_t i, uint32_t line)
{
    struct instruction in = instruction_at(f, i);
    unsigned upvalue = in.op == OP_SETTABUP ? in.a : in.b;
    if (upvalue >= f->upvalue_count || !f->is_env[upvalue])
        return;
    switch (in.op) {
    case OP_GETTABUP:
        add_use(r, GLOBAL_READ, constant_at(f, in.c), line);
        look_for_require(r, f, i, line);
        break;
    case OP_SETTABUP:
        add_use(r, GLOBAL_WRITE, constant_at(f, in.b), line);
        break;
    case OP_GETUPVAL:
        look_at_environment(r, f, i, line);
        break;
    case OP_SETUPVAL:
        r->out->has_escaped = true;
        break;
    default:
        break;
    }
}

/* Lines: a difference for each instruction, or a mark that the next pair of the second list has it. Then the names of
   variables, which nobody needs here. */
static void take_lines(struct reader *r, const struct function *f)
{
    size_t line_count = take_size(r);
    const signed char *differences = (const signed char *)take(r, line_count);
    uint32_t line = f->line;
    size_t absolute_count = take_size(r);
    for (size_t i = 0; i < line_count; i++) {
        if (differences[i] == LINE_IS_ABSOLUTE && absolute_count > 0) {
            absolute_count--;
            (void)take_size(r); /* of which instruction: this one */
            line = (uint32_t)take_size(r);
        } else {
            line += (uint32_t)differences[i];
        }
        look_at(r, f, i, line);
    }
    CHECK(absolute_count == 0);
    for (size_t count = take_size(r); count > 0; count--) {
        (void)take_text(r);
        (void)take_size(r);
        (void)take_size(r);
    }
    for (size_t count = take_size(r); count > 0; count--)
        (void)take_text(r);
}

/* Recursion is as deep as functions are nested in the file: Lua's compiler allows 200. */
static void take_function(struct reader *r, const struct function *around)
{
    struct function f;
    (void)take_text(r); /* its source */
    f.line = (uint32_t)take_size(r);
    (void)take_size(r); /* its last line */
    take(r, 3);         /* parameters, varargs, registers */
    f.instruction_count = take_size(r);
    f.code = take(r, f.instruction_count * sizeof(uint32_t));
    take_constants(r, &f);
    take_upvalues(r, &f, around);
    for (size_t count = take_size(r); count > 0; count--)
        take_function(r, &f);
    take_lines(r, &f);
}

void globals_find(struct slice code, struct arena *arena, struct global_uses *out)
{
    struct reader r = { (const unsigned char *)code.ptr, (const unsigned char *)code.ptr + code.len, arena, out, 0 };
    *out = (struct global_uses){ .items = NULL };
    CHECK(memcmp(take(&r, 6), "\x1bLua\x54", 6) == 0);
    take(&r, 6);                                    /* marks of damaged files */
    CHECK(memcmp(take(&r, 3), "\4\10\10", 3) == 0); /* bytes of an instruction, an integer, a number */
    take(&r, 16);                                   /* one of each, in the machine's order */
    take(&r, 1);                                    /* upvalues of the first function */
    take_function(&r, NULL);
    CHECK(r.at == r.end);
}

/* ---- the check ----------------------------------------------------------------------------------------------------------- */

static bool is_known(const char *const *known, size_t known_count, struct slice name)
{
    size_t i = 0;
    while (i < known_count && !slice_equal(slice_from_cstr(known[i]), name))
        i++;
    return i < known_count;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* From 1; 0: the name does not stand there by itself. */
static uint32_t column_of(struct slice line, struct slice name)
{
    for (size_t i = 0; i + name.len <= line.len; i++) {
        char before = i > 0 ? line.ptr[i - 1] : ' ', after = i + name.len < line.len ? line.ptr[i + name.len] : ' ';
        if (slice_equal(slice_from(line.ptr + i, name.len), name) && !is_word(before) && before != '.' &&
            before != ':' && !is_word(after))
            return (uint32_t)i + 1;
    }
    return 0;
}

static struct place place_of(const char *file, struct slice text, const struct global_use *use)
{
    for (uint32_t i = 1; i < use->line && text.len > 0; i++)
        text = slice_after(text, slice_find(text, '\n') < text.len ? slice_find(text, '\n') + 1 : text.len);
    struct slice line = slice_first(text, slice_find(text, '\n'));
    return (struct place){ file, use->line, column_of(line, use->name) };
}

/* The same of an earlier use. What the file itself writes is told there, not where it is read. */
static bool is_told(const struct global_uses *uses, const struct global_use *use)
{
    for (const struct global_use *u = uses->items; u < uses->items + uses->count; u++) {
        bool is_same = slice_equal(u->name, use->name);
        if (is_same && use->kind == GLOBAL_READ && u->kind == GLOBAL_WRITE)
            return true;
        if (is_same && u < use && u->kind == use->kind && u->line == use->line)
            return true;
    }
    return false;
}

static void tell(const struct global_use *use, struct place place, const char *near, struct err_list *errors)
{
    bool is_write = use->kind == GLOBAL_WRITE;
    struct err *e =
        err_add(errors, place, "%s global '%.*s'", is_write ? "cannot make a" : "unknown", SLICE_ARG(use->name));
    if (is_write)
        err_hint(errors, e, "write `local`");
    else if (near != NULL)
        err_hint(errors, e, "did you mean '%s'?", near);
}

size_t globals_check(const struct global_uses *uses, const char *const *known, size_t known_count, const char *file,
                     struct slice text, struct err_list *errors)
{
    size_t told_count = 0;
    for (size_t i = 0; !uses->has_escaped && i < uses->count; i++) {
        const struct global_use *use = &uses->items[i];
        if (use->kind == GLOBAL_REQUIRE || is_known(known, known_count, use->name) || is_told(uses, use))
            continue;
        tell(use, place_of(file, text, use), err_nearest_word(use->name, known, known_count), errors);
        told_count++;
    }
    return told_count;
}
