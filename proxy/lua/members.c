/* lua/members.c - members that a compiled file reads of the sandbox's tables, such as weir.hash: are they there?
 *
 *   GETTABUP r1 _ENV "weir"     a table by its name ...
 *   GETFIELD r2 r1 "json"       ... whose member is read at once, by the next instruction; its result, too, is a table
 *   GETFIELD r3 r2 "decod"      ... of which one is read that is not there
 *
 * What else becomes of a table's register is not followed: the table has escaped then, as far as this file goes. */
#include "lua/members.h"

#include <string.h>

#include "base/check.h"
#include "lua/bytecode.h"
#include "lua/globals.h"

#define TABLES_MAX 32

/* ---- what there is ----------------------------------------------------------------------------------------------------- */

/* The members of the table on top, which is called `name` and may hold tables of its own: those come behind it. */
static void add_table(lua_State *L, struct slice name, struct arena *arena, struct member_tables *out)
{
    size_t room = 0;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
        room++;
    CHECK(out->count < TABLES_MAX);
    struct member_table *t = &out->items[out->count++];
    *t = (struct member_table){ name, arena_zalloc_array(arena, room + 1, sizeof *t->members), 0 };
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            continue;
        const char *member = lua_tostring(L, -2);
        t->members[t->member_count++] = member;
        if (lua_istable(L, -1) && name.len > 0)
            add_table(L, arena_printf(arena, "%.*s.%s", SLICE_ARG(name), member), arena, out);
        else if (lua_istable(L, -1))
            add_table(L, slice_from_cstr(member), arena, out);
    }
}

void member_tables_find(lua_State *L, int environment, struct arena *arena, struct member_tables *out)
{
    *out = (struct member_tables){ arena_zalloc_array(arena, TABLES_MAX, sizeof *out->items), 0 };
    lua_pushvalue(L, environment);
    add_table(L, SLICE(""), arena, out);
    lua_pop(L, 1);
}

/* ---- what is asked for --------------------------------------------------------------------------------------------------- */

/* A file that is looked at. */
struct check {
    const struct member_tables *known;
    const char *file;
    struct slice text;
    struct err_list *errors;
    bool has_escaped[TABLES_MAX]; /* by place in `known` */
    uint32_t told_line;           /* the last that was told, and of what: the same on one line is told once */
    struct slice told_name;
};

/* Of a member that is a table: "" and weir, weir and json. NULL: it is none. */
static const struct member_table *find_table(const struct check *c, const struct member_table *in, struct slice name)
{
    for (const struct member_table *t = c->known->items; t < c->known->items + c->known->count; t++) {
        size_t prefix = in->name.len > 0 ? in->name.len + 1 : 0;
        if (t->name.len == prefix + name.len && slice_has_prefix(t->name, in->name) &&
            slice_has_suffix(t->name, name) && (prefix == 0 || t->name.ptr[in->name.len] == '.'))
            return t;
    }
    return NULL;
}

static bool has_member(const struct member_table *t, struct slice name)
{
    size_t i = 0;
    while (i < t->member_count && !slice_equal(slice_from_cstr(t->members[i]), name))
        i++;
    return i < t->member_count;
}

/* Tables inside of it as well: whoever has the outer one gets at them. */
static void set_escaped(struct check *c, const struct member_table *t)
{
    for (size_t i = 0; i < c->known->count; i++) {
        struct slice name = c->known->items[i].name;
        if (slice_equal(name, t->name) ||
            (slice_has_prefix(name, t->name) && t->name.len > 0 && name.ptr[t->name.len] == '.'))
            c->has_escaped[i] = true;
    }
}

/* Is it only reached from the instruction before? (a or weir).hash is not read of weir for certain. */
static bool is_jumped_to(const struct bytecode_function *f, size_t i)
{
    for (size_t from = 0; from < f->instruction_count; from++) {
        struct bytecode_instruction in = bytecode_at(f, from);
        if (in.op == OP_JMP && (ptrdiff_t)from + 1 + in.jump == (ptrdiff_t)i)
            return true;
    }
    return false;
}

static void tell(struct check *c, const struct member_table *t, struct slice name, uint32_t line)
{
    if (line == c->told_line && slice_equal(name, c->told_name))
        return;
    c->told_line = line;
    c->told_name = name;
    uint32_t column = globals_member_column(c->text, line, t->name, name);
    struct err *e = err_add(c->errors, (struct place){ c->file, line, column }, "unknown member '%.*s.%.*s'",
                            SLICE_ARG(t->name), SLICE_ARG(name));
    const char *near = err_nearest_word(name, t->members, t->member_count);
    if (near != NULL)
        err_hint(c->errors, e, "did you mean '%.*s.%s'?", SLICE_ARG(t->name), near);
}

/* What is done with the table that instruction i has put into register r: nothing but reading a member, over it. Where it stays
   in its register it is a variable's. Not is_telling: all that is wanted is what escapes. */
static void follow(struct check *c, const struct bytecode_function *f, size_t i, unsigned r,
                   const struct member_table *t, bool is_telling)
{
    struct bytecode_instruction get = bytecode_at(f, i + 1);
    bool is_member = (get.op == OP_GETFIELD || (get.op == OP_SELF && get.k)) && get.a == r && get.b == r;
    struct slice name = is_member ? bytecode_text(f, get.c) : SLICE_NONE;
    const struct member_table *inner = name.ptr != NULL ? find_table(c, t, name) : NULL;
    if (name.ptr == NULL)
        set_escaped(c, t);
    else if (inner != NULL && get.op == OP_GETFIELD)
        follow(c, f, i + 1, r, inner, is_telling);
    else if (is_telling && !c->has_escaped[t - c->known->items] && !has_member(t, name) && !is_jumped_to(f, i + 1))
        tell(c, t, name, f->lines[i + 1]);
}

static void look_at(struct check *c, const struct bytecode_function *f, size_t i, bool is_telling)
{
    const struct member_table *environment = &c->known->items[0], *t = NULL;
    struct bytecode_instruction in = bytecode_at(f, i), next = bytecode_at(f, i + 1);
    if (in.op == OP_GETTABUP && bytecode_is_environment(f, in.b)) {
        t = find_table(c, environment, bytecode_text(f, in.c));
        if (t != NULL)
            follow(c, f, i, in.a, t, is_telling);
    } else if (in.op == OP_GETUPVAL && bytecode_is_environment(f, in.b)) { /* in a file with very many constants */
        t = find_table(c, environment, bytecode_text(f, next.bx));
        if (t != NULL)
            set_escaped(c, t);
    } else if (is_telling && in.op == OP_LOADK && bytecode_text(f, in.bx).ptr != NULL && next.op == OP_SELF &&
               next.b == in.a) { /* a method of a text: from a table that nobody gets at */
        t = find_table(c, environment, SLICE("string"));
        struct slice name = next.k ? bytecode_text(f, next.c) : SLICE_NONE;
        if (t != NULL && name.ptr != NULL && !has_member(t, name) && !is_jumped_to(f, i + 1))
            tell(c, t, name, f->lines[i + 1]);
    }
}

void members_check(const struct bytecode_function *first, const struct member_tables *known, const char *file,
                   struct slice text, struct err_list *errors)
{
    struct check c = { .known = known, .file = file, .text = text, .errors = errors };
    for (int is_telling = 0; is_telling <= 1; is_telling++)
        for (const struct bytecode_function *f = first; f != NULL; f = f->next)
            for (size_t i = 0; i < f->instruction_count; i++)
                look_at(&c, f, i, is_telling != 0);
}
