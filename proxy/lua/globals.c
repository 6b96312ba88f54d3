/* lua/globals.c - what a compiled file asks of its environment, told by looking at its code.
 *
 * In Lua 5.4 a global x is the field x of an upvalue, _ENV. The file's own function has it as its first one; an inner function
 * has it when it took it over from the function around it. */
#include "lua/globals.h"

#include <ctype.h>
#include <string.h>

#include "lua/bytecode.h"

struct finder {
    struct arena *arena;
    struct global_uses *out;
    size_t capacity; /* of out->items */
};

/* ---- the code ------------------------------------------------------------------------------------------------------------ */

static void add_use(struct finder *finder, enum global_use_kind kind, struct slice name, uint32_t line)
{
    struct global_uses *out = finder->out;
    if (out->count == finder->capacity) {
        struct global_use *old = out->items;
        finder->capacity = finder->capacity * 2 + 16;
        out->items = arena_zalloc_array(finder->arena, finder->capacity, sizeof *out->items);
        if (out->count > 0)
            memcpy(out->items, old, out->count * sizeof *old);
    }
    out->items[out->count++] = (struct global_use){ kind, line, name };
}

/* require("name"): the function, the text behind it, and a call with that one argument. */
static void look_for_require(struct finder *finder, const struct bytecode_function *f, size_t i, uint32_t line)
{
    struct bytecode_instruction function = bytecode_at(f, i), text = bytecode_at(f, i + 1),
                                call = bytecode_at(f, i + 2);
    if (!slice_equal(bytecode_text(f, function.c), SLICE("require")) || text.op != OP_LOADK || text.a != function.a + 1)
        return;
    if ((call.op == OP_CALL || call.op == OP_TAILCALL) && call.a == function.a && call.b == 2) {
        struct slice name = bytecode_text(f, text.bx);
        if (name.ptr != NULL)
            add_use(finder, GLOBAL_REQUIRE, name, line);
    }
}

/* The environment in a register: with more than 256 constants a global is read by three instructions. Else somebody has it. */
static void look_at_environment(struct finder *finder, const struct bytecode_function *f, size_t i, uint32_t line)
{
    struct bytecode_instruction env = bytecode_at(f, i), key = bytecode_at(f, i + 1), get = bytecode_at(f, i + 2);
    struct slice name = bytecode_text(f, key.bx);
    if (key.op == OP_LOADK && get.op == OP_GETTABLE && get.b == env.a && get.c == key.a && name.ptr != NULL)
        add_use(finder, GLOBAL_READ, name, line);
    else
        finder->out->has_escaped = true;
}

static void look_at(struct finder *finder, const struct bytecode_function *f, size_t i, uint32_t line)
{
    struct bytecode_instruction in = bytecode_at(f, i);
    unsigned upvalue = in.op == OP_SETTABUP ? in.a : in.b;
    if (!bytecode_is_environment(f, upvalue))
        return;
    switch (in.op) {
    case OP_GETTABUP:
        add_use(finder, GLOBAL_READ, bytecode_text(f, in.c), line);
        look_for_require(finder, f, i, line);
        break;
    case OP_SETTABUP:
        add_use(finder, GLOBAL_WRITE, bytecode_text(f, in.b), line);
        break;
    case OP_GETUPVAL:
        look_at_environment(finder, f, i, line);
        break;
    case OP_SETUPVAL:
        finder->out->has_escaped = true;
        break;
    default:
        break;
    }
}

void globals_find(const struct bytecode_function *first, struct arena *arena, struct global_uses *out)
{
    struct finder finder = { arena, out, 0 };
    *out = (struct global_uses){ .items = NULL };
    for (const struct bytecode_function *f = first; f != NULL; f = f->next)
        for (size_t i = 0; i < f->instruction_count; i++)
            look_at(&finder, f, i, f->lines[i]);
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

/* From 1. */
static struct slice line_of(struct slice text, uint32_t line)
{
    for (uint32_t i = 1; i < line && text.len > 0; i++)
        text = slice_after(text, slice_find(text, '\n') < text.len ? slice_find(text, '\n') + 1 : text.len);
    return slice_first(text, slice_find(text, '\n'));
}

uint32_t globals_member_column(struct slice text, uint32_t line, struct slice table, struct slice name)
{
    struct slice rest = line_of(text, line), last = table;
    size_t dot = slice_find(last, '.');
    last = dot < last.len ? slice_after(last, dot + 1) : last;
    for (size_t i = 0; i + name.len <= rest.len; i++) {
        struct slice before = slice_trim(slice_first(rest, i));
        char after = i + name.len < rest.len ? rest.ptr[i + name.len] : ' ';
        if (!slice_has_prefix(slice_after(rest, i), name) || is_word(after) || before.len == 0)
            continue;
        if (before.ptr[before.len - 1] == ':' ||
            (before.ptr[before.len - 1] == '.' &&
             slice_has_suffix(slice_trim(slice_first(before, before.len - 1)), last)))
            return (uint32_t)i + 1;
    }
    return 0;
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
        tell(use, (struct place){ file, use->line, column_of(line_of(text, use->line), use->name) },
             err_nearest_word(use->name, known, known_count), errors);
        told_count++;
    }
    return told_count;
}
