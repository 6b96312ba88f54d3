/* lua/bytecode.h - compiled Lua as data: the functions of a file, with their instructions, constants and lines.
 *
 * Lua says little about code that has not run. What must be known of a script before it serves (which globals it asks for,
 * which lines it has, whether it marks variables to be closed) is read from what lua_dump wrote: Lua 5.4's format, without
 * the strip. It is the process's own dump, never a file; all the same nothing is read beyond its end.
 *
 * Pure. Everything is in the arena that bytecode_read was given, but for texts, which are borrowed from the code. */
#ifndef LUA_BYTECODE_H
#define LUA_BYTECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

/* lopcodes.h: those that somebody here asks for. */
enum bytecode_op {
    OP_LOADK = 3,
    OP_GETUPVAL = 9,
    OP_SETUPVAL = 10,
    OP_GETTABUP = 11,
    OP_GETTABLE = 12,
    OP_GETFIELD = 14,
    OP_SETTABUP = 15,
    OP_SETFIELD = 18,
    OP_SELF = 20,
    OP_TBC = 55,
    OP_JMP = 56,
    OP_CALL = 68,
    OP_TAILCALL = 69,
    OP_TFORPREP = 75,
    OP_NONE = 0x7f, /* stands behind a function's last instruction */
};

/* 32 bits, from the lowest: op 7, then A 8, k 1, B 8, C 8; or A 8, Bx 17; or sJ 25, for jumps. */
struct bytecode_instruction {
    unsigned op, a, b, c, bx;
    bool k;
    int jump; /* sJ: how many instructions it skips beside its own */
};

struct bytecode_upvalue {
    bool is_local; /* a variable of the function around, in register `index`; else that one's upvalue `index` */
    uint8_t index;
};

struct bytecode_function {
    struct bytecode_function *next;         /* in order: inner ones before what is around them, the file's own last */
    const struct bytecode_function *around; /* NULL: it is the file's own */
    uint32_t first_line;                    /* 0 for the file's own */
    bool has_dots;
    size_t code_at; /* of its first instruction, in the code that was read; for bytecode_patch */
    const char *instructions;
    size_t instruction_count;
    uint32_t *lines;         /* by instruction */
    struct slice *constants; /* texts; ptr NULL: of another type */
    size_t constant_count;
    struct bytecode_upvalue *upvalues;
    size_t upvalue_count;
};

/* The first function. NULL: it is not what this process's lua_dump writes. */
struct bytecode_function *bytecode_read(struct slice code, struct arena *arena);

/* Behind the last one stands OP_NONE. */
struct bytecode_instruction bytecode_at(const struct bytecode_function *f, size_t i);

/* A text; ptr NULL: there is none, or it is something else. */
static inline struct slice bytecode_text(const struct bytecode_function *f, size_t i)
{
    return i < f->constant_count ? f->constants[i] : SLICE_NONE;
}

/* Is that upvalue the environment, _ENV? The file's own function has it as its first one, an inner one when it took it over from the
   function around it. */
bool bytecode_is_environment(const struct bytecode_function *f, size_t upvalue);

/* Puts a jump in the place of instruction i. `code` holds the same bytes as those that were read, and may be those. */
void bytecode_patch_jump(char *code, const struct bytecode_function *f, size_t i, int jump);

#endif
