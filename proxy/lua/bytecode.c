/* lua/bytecode.c - compiled Lua as data: the functions of a file, with their instructions, constants and lines.
 *
 * ldump.c and lundump.c of Lua 5.4 have the format: a header, then a function, in which its inner functions stand.
 *
 *   function: source, first line, last line, 3 bytes, instructions, constants, upvalues, functions, lines, names
 *   a number: seven bits a byte, the highest first; the last byte has 0x80
 *   a text:   1 + its length as a number, then its bytes; 0: none */
#include "lua/bytecode.h"

#include <string.h>

#include <lua.h>

#include "base/check.h"

#if LUA_VERSION_NUM != 504
#error "the format of the code is that of Lua 5.4"
#endif

#define SAMPLES_BYTES    (sizeof(lua_Integer) + sizeof(lua_Number))
#define INSTRUCTION      sizeof(uint32_t)
#define FUNCTION_LEVELS  256             /* the compiler's own limit is LUAI_MAXCCALLS, 200 */
#define LINE_IS_ABSOLUTE (-0x80)         /* a step that does not fit its byte: the line stands in the list behind */
#define JUMP_OFFSET      ((1 << 24) - 1) /* OFFSET_sJ: what sJ is stored with */

/* Tags of constants (lobject.h); nil and the booleans are their tag alone. */
enum { CONSTANT_INTEGER = 0x03, CONSTANT_SHORT = 0x04, CONSTANT_NUMBER = 0x13, CONSTANT_LONG = 0x14 };

struct reader {
    const char *begin, *at, *end;
    struct arena *arena;
    struct bytecode_function **last; /* where the next function is linked */
    bool is_bad;                     /* sticks; from then on everything is empty */
};

/* ---- pieces ------------------------------------------------------------------------------------------------------------ */

static struct slice take(struct reader *r, size_t count, size_t item_bytes)
{
    if (r->is_bad || count > (size_t)(r->end - r->at) / item_bytes) {
        r->is_bad = true;
        return SLICE("");
    }
    struct slice piece = slice_from(r->at, count * item_bytes);
    r->at += piece.len;
    return piece;
}

static uint8_t take_byte(struct reader *r)
{
    struct slice byte = take(r, 1, 1);
    return byte.len > 0 ? (uint8_t)byte.ptr[0] : 0x80; /* which ends a number */
}

static size_t take_number(struct reader *r)
{
    size_t number = 0;
    uint8_t byte;
    do {
        byte = take_byte(r);
        r->is_bad |= number > SIZE_MAX >> 7;
        number = number << 7 | (byte & 0x7f);
    } while ((byte & 0x80) == 0 && !r->is_bad);
    return r->is_bad ? 0 : number;
}

/* How many of something of which each takes a byte at least: what is made room for is never more than the code is long. */
static size_t take_count(struct reader *r)
{
    size_t count = take_number(r);
    r->is_bad |= count > (size_t)(r->end - r->at);
    return r->is_bad ? 0 : count;
}

static struct slice take_text(struct reader *r)
{
    size_t length = take_number(r);
    return length > 0 ? take(r, length - 1, 1) : SLICE_NONE;
}

static struct slice take_constant(struct reader *r)
{
    switch (take_byte(r)) {
    case CONSTANT_INTEGER:
        (void)take(r, 1, sizeof(lua_Integer));
        return SLICE_NONE;
    case CONSTANT_NUMBER:
        (void)take(r, 1, sizeof(lua_Number));
        return SLICE_NONE;
    case CONSTANT_SHORT:
    case CONSTANT_LONG:
        return take_text(r);
    default:
        return SLICE_NONE;
    }
}

/* ---- functions --------------------------------------------------------------------------------------------------------- */

static void take_constants(struct reader *r, struct bytecode_function *f)
{
    f->constant_count = take_count(r);
    f->constants = arena_zalloc_array(r->arena, f->constant_count + 1, sizeof *f->constants);
    for (size_t i = 0; i < f->constant_count; i++)
        f->constants[i] = take_constant(r);
}

/* Each: is it a variable of the function around; which; its kind. */
static void take_upvalues(struct reader *r, struct bytecode_function *f)
{
    struct slice bytes = take(r, take_number(r), 3);
    f->upvalue_count = bytes.len / 3;
    f->upvalues = arena_zalloc_array(r->arena, f->upvalue_count + 1, sizeof *f->upvalues);
    for (size_t i = 0; i < f->upvalue_count; i++)
        f->upvalues[i] = (struct bytecode_upvalue){ bytes.ptr[i * 3] != 0, (uint8_t)bytes.ptr[i * 3 + 1] };
}

/* Each instruction's line is a step from that of the one before, or stands in the second list. */
static void take_lines(struct reader *r, struct bytecode_function *f)
{
    struct slice steps = take(r, take_number(r), 1);
    size_t absolute_count = take_count(r);
    uint32_t line = f->first_line;
    r->is_bad |= steps.len != f->instruction_count;
    f->lines = arena_zalloc_array(r->arena, f->instruction_count + 1, sizeof *f->lines);
    for (size_t i = 0; i < f->instruction_count && !r->is_bad; i++) {
        int step = (signed char)steps.ptr[i];
        if (step == LINE_IS_ABSOLUTE) {
            r->is_bad |= absolute_count-- == 0;
            (void)take_number(r); /* of which instruction: this one */
            line = (uint32_t)take_number(r);
        } else {
            line += (uint32_t)step;
        }
        f->lines[i] = line;
    }
    r->is_bad |= absolute_count != 0;
}

/* Of variables, with where they begin and end, and of upvalues: nobody needs them. */
static void skip_names(struct reader *r)
{
    for (size_t count = take_count(r); count > 0; count--) {
        (void)take_text(r);
        (void)take_number(r);
        (void)take_number(r);
    }
    for (size_t count = take_count(r); count > 0; count--)
        (void)take_text(r);
}

/* Recursion is as deep as functions are nested in the file. */
static void take_function(struct reader *r, const struct bytecode_function *around, int level)
{
    struct bytecode_function *f = arena_zalloc(r->arena, sizeof *f);
    (void)take_text(r); /* its source */
    f->around = around;
    f->first_line = (uint32_t)take_number(r);
    (void)take_number(r); /* its last line */
    (void)take_byte(r);   /* parameters */
    f->has_dots = take_byte(r) != 0;
    (void)take_byte(r); /* registers */
    struct slice instructions = take(r, take_number(r), INSTRUCTION);
    f->instructions = instructions.ptr;
    f->instruction_count = instructions.len / INSTRUCTION;
    f->code_at = r->is_bad ? 0 : (size_t)(instructions.ptr - r->begin);
    take_constants(r, f);
    take_upvalues(r, f);
    r->is_bad |= level > FUNCTION_LEVELS;
    for (size_t count = take_count(r); count > 0 && !r->is_bad; count--)
        take_function(r, f, level + 1);
    take_lines(r, f);
    skip_names(r);
    *r->last = f;
    r->last = &f->next;
}

/* Signature, version, format; marks of damaged files; bytes of an instruction, an integer, a number; one of each of the last two, in
   the machine's order; how many upvalues the first function has. */
static void take_header(struct reader *r)
{
    r->is_bad |= !slice_equal(take(r, 6, 1), SLICE(LUA_SIGNATURE "\x54\0"));
    (void)take(r, 6, 1);
    r->is_bad |= !slice_equal(take(r, 3, 1), SLICE("\4\10\10"));
    (void)take(r, 1, SAMPLES_BYTES);
    (void)take_byte(r);
}

struct bytecode_function *bytecode_read(struct slice code, struct arena *arena)
{
    struct bytecode_function *first = NULL;
    struct reader r = { code.ptr, code.ptr, code.ptr + code.len, arena, &first, false };
    take_header(&r);
    take_function(&r, NULL, 1);
    return r.is_bad || r.at != r.end ? NULL : first;
}

/* ---- instructions ------------------------------------------------------------------------------------------------------ */

struct bytecode_instruction bytecode_at(const struct bytecode_function *f, size_t i)
{
    uint32_t word = OP_NONE;
    if (i < f->instruction_count)
        memcpy(&word, f->instructions + i * INSTRUCTION, sizeof word);
    return (struct bytecode_instruction){ .op = word & 0x7f,
                                          .a = word >> 7 & 0xff,
                                          .b = word >> 16 & 0xff,
                                          .c = word >> 24,
                                          .bx = word >> 15,
                                          .k = (word >> 15 & 1) != 0,
                                          .jump = (int)(word >> 7) - JUMP_OFFSET };
}

bool bytecode_is_environment(const struct bytecode_function *f, size_t upvalue)
{
    while (f->around != NULL && upvalue < f->upvalue_count && !f->upvalues[upvalue].is_local) {
        upvalue = f->upvalues[upvalue].index;
        f = f->around;
    }
    return f->around == NULL && upvalue == 0;
}

void bytecode_patch_jump(char *code, const struct bytecode_function *f, size_t i, int jump)
{
    CHECK(i < f->instruction_count && jump >= -JUMP_OFFSET && jump <= JUMP_OFFSET + 1);
    uint32_t word = (uint32_t)OP_JMP | (uint32_t)(jump + JUMP_OFFSET) << 7;
    memcpy(code + f->code_at + i * INSTRUCTION, &word, sizeof word);
}
