/* lua/compile.c - a text of Lua as checked code: of a script or of a module of one. */
#include "lua/compile.h"

#include <string.h>

#include <lauxlib.h>

#include "base/text.h"
#include "lua/bytecode.h"
#include "lua/chunk.h"
#include "lua/globals.h"
#include "lua/members.h"
#include "lua/sandbox.h"

/* ---- to-be-closed variables -------------------------------------------------------------------------------------------- */

/* What is marked to be closed has its __close called in each frame that an error unwinds: behind a call that was cut off, too,
   and as often as there are frames. So `local x <close>` is refused, whatever its value may be. The fourth value of a
   `for ... in` would be marked without anybody asking for it: the loop's TFORPREP marks it and goes on at its TFORCALL, Bx
   instructions further. A plain jump does the latter alone. */
static void take_closing_out(char *code, const struct bytecode_function *first, const char *file,
                             struct err_list *errors)
{
    for (const struct bytecode_function *f = first; f != NULL; f = f->next)
        for (size_t i = 0; i < f->instruction_count; i++) {
            struct bytecode_instruction in = bytecode_at(f, i);
            if (in.op == OP_TBC)
                err_hint(errors,
                         err_add(errors, (struct place){ .file = file, .line = f->lines[i] },
                                 "there are no to-be-closed variables in scripts"),
                         "write `local` without <close>");
            else if (in.op == OP_TFORPREP)
                bytecode_patch_jump(code, f, i, (int)in.bx);
        }
}

/* ---- the code ---------------------------------------------------------------------------------------------------------- */

static int write_code(lua_State *L, const void *bytes, size_t length, void *arg)
{
    (void)L;
    text_add(arg, slice_from(bytes, length));
    return 0;
}

/* Of the function on top; nothing here raises while the text holds memory. */
static char *dump(lua_State *L, struct arena *arena, size_t *length)
{
    struct text code;
    text_init(&code);
    CHECK(lua_dump(L, write_code, &code, 0) == 0);
    char *kept = arena_alloc(arena, code.len);
    memcpy(kept, code.bytes, code.len);
    *length = code.len;
    text_fini(&code);
    return kept;
}

static struct module_names names_of_modules(const struct global_uses *uses, const char *source, struct arena *arena)
{
    struct module_name *items = arena_zalloc_array(arena, uses->count + 1, sizeof *items);
    size_t count = 0;
    for (size_t i = 0; i < uses->count; i++)
        if (uses->items[i].kind == GLOBAL_REQUIRE)
            items[count++] = (struct module_name){ uses->items[i].name, source, uses->items[i].line };
    return (struct module_names){ items, count };
}

struct compile_job {
    struct slice text;
    const char *file, *source;
    struct arena *arena;
    struct err_list *errors;
    int environment; /* on the stack: a new one, to look names up in */
};

/* Of the function on top. Nothing here raises: what it reads stands in an arena that Lua knows nothing of. */
static void make_code(lua_State *L, const struct compile_job *job, struct compiled *out)
{
    struct arena scratch;
    struct global_uses uses;
    struct member_tables tables;
    size_t length;
    char *code = dump(L, job->arena, &length);
    arena_init(&scratch, NULL, 0);
    const struct bytecode_function *first = bytecode_read(slice_from(code, length), &scratch);
    CHECK(first != NULL);
    globals_find(first, &scratch, &uses);
    globals_check(&uses, sandbox_names, sandbox_name_count, job->file, job->text, job->errors);
    if (!uses.has_escaped) {
        member_tables_find(L, job->environment, &scratch, &tables);
        members_check(first, &tables, job->file, job->text, job->errors);
    }
    take_closing_out(code, first, job->file, job->errors);
    *out = (struct compiled){ slice_from(code, length), names_of_modules(&uses, job->source, job->arena) };
    arena_reset(&scratch);
}

bool compile_text(lua_State *L, struct slice text, const char *file, const char *source, struct arena *arena,
                  struct err_list *errors, struct compiled *out)
{
    size_t error_count = errors->error_count;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    chunk_push_environment(L);
    struct compile_job job = { text, file, source, arena, errors, lua_gettop(L) };
    if (luaL_loadbufferx(L, text.len > 0 ? text.ptr : "", text.len, source, "t") != LUA_OK)
        return lua_error(L);
    make_code(L, &job, out);
    lua_pop(L, 2);
    if (errors->error_count > error_count) {
        *out = (struct compiled){ .code = SLICE("") };
        return false;
    }
    compile_load(L, out->code, source);
    return true;
}

void compile_load(lua_State *L, struct slice code, const char *source)
{
    if (luaL_loadbufferx(L, code.ptr, code.len, source, "b") != LUA_OK)
        lua_error(L);
}
