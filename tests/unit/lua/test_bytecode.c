/* tests/unit/lua/test_bytecode.c - what lua_dump wrote is read as it is, and never beyond its end. */
#include "lua/bytecode.h"

#include <criterion/criterion.h>

#include <lauxlib.h>

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static struct arena arena;
static struct text code;

static void open(void)
{
    arena_init(&arena, NULL, 0);
    text_init(&code);
}

static void close(void)
{
    text_fini(&code);
    arena_reset(&arena);
}

TestSuite(bytecode, .init = open, .fini = close);

static int write_code(lua_State *L, const void *bytes, size_t length, void *arg)
{
    (void)L;
    text_add(arg, slice_from(bytes, length));
    return 0;
}

static void dump(const char *source)
{
    lua_State *L = luaL_newstate();
    text_clear(&code);
    cr_assert_eq(luaL_loadbufferx(L, source, strlen(source), "=x", "t"), LUA_OK, "%s", lua_tostring(L, -1));
    lua_dump(L, write_code, &code, 0);
    lua_close(L);
}

static struct bytecode_function *read(const char *source)
{
    dump(source);
    struct bytecode_function *first = bytecode_read(text_slice(&code), &arena);
    cr_assert_not_null(first, "%s", source);
    return first;
}

/* The first instruction of that kind; instruction_count: there is none. */
static size_t find(const struct bytecode_function *f, enum bytecode_op op)
{
    size_t i = 0;
    while (i < f->instruction_count && bytecode_at(f, i).op != op)
        i++;
    return i;
}

Test(bytecode, functions_come_from_the_inside_out)
{
    const struct bytecode_function *f =
        read("local a\nlocal function b()\n return function(...) return a end\nend\nlocal function c() end");
    const struct bytecode_function *innermost = f, *b = f->next, *c = b->next, *file = c->next;
    cr_assert_null(file->next);
    cr_expect_null(file->around);
    cr_expect_eq(innermost->around, b);
    cr_expect(b->around == file && c->around == file);
    cr_expect(file->first_line == 0 && b->first_line == 2 && innermost->first_line == 3 && c->first_line == 5);
    cr_expect(file->has_dots && innermost->has_dots && !b->has_dots);
}

Test(bytecode, upvalues_say_whose_they_are)
{
    const struct bytecode_function *innermost =
        read("local p\nlocal a\nreturn function()\n return function() return a, x end\nend");
    const struct bytecode_function *middle = innermost->next, *file = middle->next;
    cr_assert(innermost->upvalue_count == 2 && middle->upvalue_count == 2 && file->upvalue_count == 1);
    cr_expect(!innermost->upvalues[0].is_local && innermost->upvalues[0].index == 0);
    cr_expect(middle->upvalues[0].is_local && middle->upvalues[0].index == 1, "a is the second variable");
    cr_expect(!middle->upvalues[1].is_local && middle->upvalues[1].index == 0, "_ENV is an upvalue of the file's own");
}

Test(bytecode, instructions_have_their_operands_lines_and_constants)
{
    const struct bytecode_function *f = read("local a\nlocal b = x.field\nlocal c =\n'text'\n");
    size_t get = find(f, OP_GETTABUP);
    struct bytecode_instruction global = bytecode_at(f, get), field = bytecode_at(f, get + 1),
                                text = bytecode_at(f, get + 2);
    cr_expect(global.a == 1 && global.b == 0 && slice_equal(bytecode_text(f, global.c), SLICE("x")));
    cr_expect(field.op == OP_GETFIELD && field.a == 1 && field.b == 1);
    cr_expect(slice_equal(bytecode_text(f, field.c), SLICE("field")));
    cr_expect(text.op == OP_LOADK && text.a == 2 && slice_equal(bytecode_text(f, text.bx), SLICE("text")));
    cr_expect(f->lines[get] == 2 && f->lines[get + 2] == 4, "%u %u", f->lines[get], f->lines[get + 2]);
    cr_expect_eq(bytecode_at(f, f->instruction_count).op, OP_NONE);
    cr_expect_null(bytecode_text(f, f->constant_count).ptr);
}

Test(bytecode, constants_that_are_no_texts_keep_their_places)
{
    const struct bytecode_function *f =
        read("local a, b, c, d, e = 1 << 40, 0.1, 'a text longer than the forty bytes of "
             "short ones', x == true, x == nil return 'last'");
    size_t text_count = 0;
    for (size_t i = 0; i < f->constant_count; i++)
        text_count += f->constants[i].ptr != NULL;
    cr_expect_eq(text_count, 3, "%zu", text_count);
    cr_expect_eq(f->constants[f->constant_count - 1].len, 4);
}

Test(bytecode, steps_of_lines_that_fit_no_byte)
{
    struct text source = { 0 };
    text_add_cstr(&source, "local a = 1");
    for (int i = 0; i < 1000; i++)
        text_add_char(&source, '\n');
    text_add_cstr(&source, "return a");
    const struct bytecode_function *f = read(source.bytes);
    cr_expect_eq(f->lines[0], 1);
    cr_expect_eq(f->lines[f->instruction_count - 2], 1001);
    text_fini(&source);
}

Test(bytecode, jumps_are_read_and_patched_as_lua_writes_them)
{
    struct bytecode_function *f = read("while x do y() end");
    size_t back = f->instruction_count - 2; /* before the return */
    cr_assert_eq(bytecode_at(f, back).op, OP_JMP);
    cr_expect_eq(bytecode_at(f, back).jump, -(int)back, "to the one behind the arguments: %d",
                 bytecode_at(f, back).jump);
    static const int jumps[] = { 0, 1, -1, 131071, -((1 << 24) - 1), 1 << 24 };
    for (size_t i = 0; i < ARRAY_COUNT(jumps); i++) {
        bytecode_patch_jump(code.bytes, f, back, jumps[i]);
        cr_expect(bytecode_at(f, back).op == OP_JMP && bytecode_at(f, back).jump == jumps[i], "%d: %d", jumps[i],
                  bytecode_at(f, back).jump);
    }
    cr_expect_eq(bytecode_at(f, back - 1).op, OP_CALL, "what is beside it stays");
}

/* All kinds of pieces are in it. */
static const char everything[] =
    "local t <const>, u = { 1, 2.5, 'x', true }, 1 << 40\n"
    "for k, v in pairs(t) do if k then break end u = u + v end\n\n\n"
    "return function(a, ...) return function() return t, u, a, weir.json.decode 'x' end, ... end\n";

/* At the end of a block of its own, so that a sanitizer sees the first byte behind it. */
Test(bytecode, code_that_is_cut_off_is_refused_and_not_read_beyond_its_end)
{
    dump(everything);
    for (size_t length = 0; length < code.len; length++) {
        char *cut = memory_alloc(length + 1) + 1;
        memcpy(cut, code.bytes, length);
        cr_assert_null(bytecode_read(slice_from(cut, length), &arena), "%zu", length);
        memory_free(cut - 1);
    }
    text_add_char(&code, 'x');
    cr_expect_null(bytecode_read(text_slice(&code), &arena), "more than a function");
}

/* What comes of it is nonsense or nothing; that it is looked at must do no harm. */
Test(bytecode, code_with_a_wrong_byte_does_no_harm)
{
    static const char bytes[] = { 0, 1, 0x7f, (char)0x80, (char)0xff };
    dump(everything);
    for (size_t at = 0; at < code.len; at++)
        for (size_t i = 0; i < ARRAY_COUNT(bytes); i++) {
            char before = code.bytes[at];
            struct arena own;
            arena_init(&own, NULL, 0);
            code.bytes[at] = bytes[i];
            for (struct bytecode_function *f = bytecode_read(text_slice(&code), &own); f != NULL; f = f->next)
                for (size_t at_code = 0; at_code < f->instruction_count; at_code++)
                    (void)bytecode_text(f, bytecode_at(f, at_code).c);
            code.bytes[at] = before;
            arena_reset(&own);
        }
    cr_expect_not_null(bytecode_read(text_slice(&code), &arena));
}
