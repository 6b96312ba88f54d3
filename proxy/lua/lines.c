/* lua/lines.c - which lines of a script can be executed, read from its compiled code.
 *
 * The form of the code is that of Lua 5.4 (ldump.c of its sources): a header, then a function, in which its inner
 * functions stand.
 *
 *   function: source, first line, last line, 3 bytes, instructions, constants, upvalues, functions, lines, names
 *   a number: seven bits a byte, the highest first; the last byte has 0x80
 *   a text:   1 + its length as a number, then its bytes; 0: none */
#include "lua/lines.h"

#include <lua.h>

#include "base/check.h"
#include "base/memory.h"

#define HEADER_BYTES    (4 + 1 + 1 + 6 + 3 + sizeof(lua_Integer) + sizeof(lua_Number) + 1)
#define IN_FULL         (-0x80) /* a step of lines that does not fit a byte: the line stands in the list behind */
#define INSTRUCTION     4       /* bytes */
#define FUNCTION_LEVELS 200     /* LUAI_MAXCCALLS: as deep as the compiler goes itself */

/* Tags of constants (lobject.h). */
enum { CONSTANT_INTEGER = 0x03, CONSTANT_SHORT = 0x04, CONSTANT_NUMBER = 0x13, CONSTANT_LONG = 0x14 };

struct reader {
    struct slice rest;
    struct line_set *out;
};

/* ---- sets ---------------------------------------------------------------------------------------------------------- */

void line_set_fini(struct line_set *s)
{
    memory_free(s->bits);
    *s = (struct line_set){ 0 };
}

void line_set_add(struct line_set *s, uint32_t line)
{
    if (line >= LINES_MAX)
        return;
    if (line >= s->end) {
        uint32_t end = (line / 64 + 1) * 64;
        s->bits = memory_resize_array(s->bits, end / 64, sizeof(*s->bits));
        memset(s->bits + s->end / 64, 0, (end - s->end) / 8);
        s->end = end;
    }
    s->bits[line / 64] |= (uint64_t)1 << (line % 64);
}

uint32_t line_set_next(const struct line_set *s, uint32_t from)
{
    while (from < s->end && !line_set_has(s, from))
        from++;
    return from < s->end ? from : 0;
}

/* ---- pieces of the code ---------------------------------------------------------------------------------------------- */

static struct slice take(struct reader *r, size_t length)
{
    CHECK(length <= r->rest.len);
    struct slice piece = slice_first(r->rest, length);
    r->rest = slice_after(r->rest, length);
    return piece;
}

static uint8_t take_byte(struct reader *r)
{
    return (uint8_t)take(r, 1).ptr[0];
}

static size_t take_number(struct reader *r)
{
    size_t number = 0;
    uint8_t byte;
    do {
        byte = take_byte(r);
        CHECK(number <= SIZE_MAX >> 7);
        number = number << 7 | (byte & 0x7f);
    } while ((byte & 0x80) == 0);
    return number;
}

static void skip_text(struct reader *r)
{
    size_t length = take_number(r);
    if (length > 0)
        take(r, length - 1);
}

static void skip_constants(struct reader *r)
{
    for (size_t count = take_number(r); count > 0; count--)
        switch (take_byte(r)) {
        case CONSTANT_INTEGER:
            take(r, sizeof(lua_Integer));
            break;
        case CONSTANT_NUMBER:
            take(r, sizeof(lua_Number));
            break;
        case CONSTANT_SHORT:
        case CONSTANT_LONG:
            skip_text(r);
            break;
        default: /* nil, true and false are their tag alone */
            break;
        }
}

static void skip_names(struct reader *r)
{
    for (size_t count = take_number(r); count > 0; count--) { /* local variables */
        skip_text(r);
        take_number(r);
        take_number(r);
    }
    for (size_t count = take_number(r); count > 0; count--) /* upvalues */
        skip_text(r);
}

/* ---- functions --------------------------------------------------------------------------------------------------------- */

/* Each instruction's line is a step from that of the one before. The last one is the return that nobody wrote; the first
   one of a function with `...`, the main one among them, sets its arguments up, and no line begins there. */
static void read_lines(struct reader *r, size_t line, bool has_dots)
{
    struct slice steps = take(r, take_number(r));
    size_t in_full_count = take_number(r);
    for (size_t i = 0; i < steps.len; i++) {
        int step = (signed char)steps.ptr[i];
        if (step == IN_FULL) {
            CHECK(in_full_count-- > 0);
            take_number(r); /* which instruction */
            line = take_number(r);
        } else {
            line = (size_t)((ptrdiff_t)line + step);
        }
        if (i + 1 < steps.len && !(has_dots && i == 0))
            line_set_add(r->out, line < LINES_MAX ? (uint32_t)line : LINES_MAX);
    }
    CHECK(in_full_count == 0);
}

static void read_function(struct reader *r, int level)
{
    CHECK(level <= FUNCTION_LEVELS);
    skip_text(r);
    size_t first_line = take_number(r);
    take_number(r);
    take_byte(r);
    bool has_dots = take_byte(r) != 0;
    take_byte(r);
    take(r, take_number(r) * INSTRUCTION);
    skip_constants(r);
    take(r, take_number(r) * 3); /* upvalues */
    for (size_t count = take_number(r); count > 0; count--)
        read_function(r, level + 1);
    read_lines(r, first_line, has_dots);
    skip_names(r);
}

void lines_read(struct slice code, struct line_set *out)
{
    struct reader r = { code, out };
    CHECK(slice_has_prefix(code, SLICE(LUA_SIGNATURE "\x54"))); /* 5.4 */
    take(&r, HEADER_BYTES);
    read_function(&r, 1);
    CHECK(r.rest.len == 0);
}
