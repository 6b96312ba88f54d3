/* lua/compile.c - a text of Lua as checked code: of a script or of a module of one. */
#include "lua/compile.h"

#include <lauxlib.h>

#include "base/text.h"
#include "lua/globals.h"
#include "lua/sandbox.h"

static int write_code(lua_State *L, const void *bytes, size_t length, void *arg)
{
    (void)L;
    text_add(arg, slice_from(bytes, length));
    return 0;
}

/* Of the function on top; nothing here raises while the text holds memory. */
static struct slice dump(lua_State *L, struct arena *arena)
{
    struct text code;
    text_init(&code);
    CHECK(lua_dump(L, write_code, &code, 0) == 0);
    struct slice kept = arena_copy(arena, text_slice(&code));
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

bool compile_text(lua_State *L, struct slice text, const char *file, const char *source, struct arena *arena,
                  struct err_list *errors, struct compiled *out)
{
    struct global_uses uses;
    if (luaL_loadbufferx(L, text.len > 0 ? text.ptr : "", text.len, source, "t") != LUA_OK)
        return lua_error(L);
    out->code = dump(L, arena);
    globals_find(out->code, arena, &uses);
    out->names = names_of_modules(&uses, source, arena);
    if (globals_check(&uses, sandbox_names, sandbox_name_count, file, text, errors) == 0)
        return true;
    *out = (struct compiled){ .code = SLICE("") };
    lua_pop(L, 1);
    return false;
}
