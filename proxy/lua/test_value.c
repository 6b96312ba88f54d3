/* lua/test_value.c - values of Lua written for people, and compared by what is in them. */
#include "lua/test_parts.h"

#include <stdlib.h>
#include <string.h>

#define WRITTEN_MAX_BYTES 2000 /* of one value */
#define WRITTEN_DEPTH     8
#define COMPARED_DEPTH    64
#define DIFFERENCES_MAX   10

/* ---- keys in order ----------------------------------------------------------------------------------------------------- */

static int compare_slices(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Of the keys that are texts; other_count: the others. */
static size_t collect_keys(lua_State *L, int table, struct arena *arena, struct slice **out, size_t *other_count)
{
    size_t count = 0, room = 0;
    struct slice *keys = NULL;
    *other_count = 0;
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            ++*other_count;
            continue;
        }
        if (count == room) {
            struct slice *more = arena_zalloc_array(arena, room = room * 2 + 8, sizeof *more);
            if (count > 0)
                memcpy(more, keys, count * sizeof *more);
            keys = more;
        }
        keys[count++] = test_check_slice(L, -2); /* the table keeps it */
    }
    if (count > 0)
        qsort(keys, count, sizeof *keys, compare_slices);
    *out = keys;
    return count;
}

size_t test_value_keys(lua_State *L, int table, struct arena *arena, struct slice **keys)
{
    size_t other_count;
    size_t count = collect_keys(L, lua_absindex(L, table), arena, keys, &other_count);
    if (other_count > 0)
        luaL_error(L, "a table by name is wanted here, not a list");
    return count;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

static void add_text(struct slice s, struct text *out)
{
    text_add_char(out, '"');
    for (size_t i = 0; i < s.len && out->len < WRITTEN_MAX_BYTES; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            text_printf(out, "\\%c", c);
        else if (c == '\n')
            text_add_cstr(out, "\\n");
        else if (c < ' ' || c == 0x7f)
            text_printf(out, "\\x%02x", c);
        else
            text_add_char(out, (char)c);
    }
    text_add_char(out, '"');
}

static bool is_identifier(struct slice s)
{
    bool is_good = s.len > 0 && !(s.ptr[0] >= '0' && s.ptr[0] <= '9');
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        is_good &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    }
    return is_good;
}

static void add_value(lua_State *L, int index, struct text *out, int depth);

static void add_member(lua_State *L, int table, struct slice key, struct text *out, int depth)
{
    if (is_identifier(key)) {
        text_add(out, key);
    } else {
        text_add_char(out, '[');
        add_text(key, out);
        text_add_char(out, ']');
    }
    text_add_cstr(out, " = ");
    lua_pushlstring(L, key.ptr, key.len);
    lua_rawget(L, table);
    add_value(L, lua_gettop(L), out, depth);
    lua_pop(L, 1);
}

/* The part that a list has, and how long it is. */
static lua_Integer add_list(lua_State *L, int table, struct text *out, int depth)
{
    lua_Integer count = 0;
    while (lua_rawgeti(L, table, count + 1) != LUA_TNIL) {
        text_add_cstr(out, count > 0 ? ", " : " ");
        add_value(L, lua_gettop(L), out, depth);
        lua_pop(L, 1);
        count++;
    }
    lua_pop(L, 1);
    return count;
}

static void add_table(lua_State *L, int table, struct text *out, int depth)
{
    struct slice *keys;
    size_t other_count;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    size_t key_count = collect_keys(L, table, &arena, &keys, &other_count);
    text_add_char(out, '{');
    size_t list_count = (size_t)add_list(L, table, out, depth);
    const char *separator = list_count > 0 ? ", " : " ";
    for (size_t i = 0; i < key_count; i++, separator = ", ") {
        text_add_cstr(out, separator);
        add_member(L, table, keys[i], out, depth);
    }
    if (other_count > list_count)
        text_printf(out, "%s(%zu keys that are no texts)", separator, other_count - list_count);
    text_add_cstr(out, key_count + other_count > 0 ? " }" : "}");
    arena_reset(&arena);
}

static void add_value(lua_State *L, int index, struct text *out, int depth)
{
    if (out->len >= WRITTEN_MAX_BYTES || !lua_checkstack(L, 8)) {
        text_add_cstr(out, "...");
        return;
    }
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        add_text(test_check_slice(L, index), out);
        break;
    case LUA_TTABLE:
        if (depth == 0)
            text_add_cstr(out, "{ ... }");
        else
            add_table(L, index, out, depth - 1);
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            text_printf(out, "%lld", (long long)lua_tointeger(L, index));
        else
            text_printf(out, "%.14g", lua_tonumber(L, index));
        break;
    case LUA_TBOOLEAN:
        text_add_cstr(out, lua_toboolean(L, index) ? "true" : "false");
        break;
    default:
        text_add_cstr(out, luaL_typename(L, index));
    }
}

void test_value_add(lua_State *L, int index, struct text *out)
{
    struct text value = { 0 };
    add_value(L, lua_absindex(L, index), &value, WRITTEN_DEPTH);
    text_add(out, text_slice(&value));
    text_fini(&value);
}

/* ---- comparing ----------------------------------------------------------------------------------------------------------- */

struct comparison {
    struct text path;         /* of the place that is being looked at: ".headers["x-a"]" */
    struct text *differences; /* a line each */
    size_t count;
};

static void tell_difference(lua_State *L, struct comparison *c, int actual, int expected)
{
    if (c->count++ >= DIFFERENCES_MAX || c->path.len == 0)
        return; /* at the top it would say again what the whole values do */
    text_printf(c->differences, "at %.*s: ", SLICE_ARG(text_slice(&c->path)));
    test_value_add(L, actual, c->differences);
    text_add_cstr(c->differences, ", expected ");
    test_value_add(L, expected, c->differences);
    text_add_char(c->differences, '\n');
}

static void path_add(lua_State *L, struct comparison *c, int key)
{
    bool is_name = lua_type(L, key) == LUA_TSTRING && is_identifier(test_check_slice(L, key));
    text_add_cstr(&c->path, is_name ? "." : "[");
    if (is_name)
        text_add(&c->path, test_check_slice(L, key));
    else
        test_value_add(L, key, &c->path);
    text_add_cstr(&c->path, is_name ? "" : "]");
}

static void compare(lua_State *L, struct comparison *c, int actual, int expected, int depth);

/* The member whose key is at `key`, of both. */
static void compare_member(lua_State *L, struct comparison *c, int actual, int expected, int key, int depth)
{
    size_t length = c->path.len;
    path_add(L, c, key);
    lua_pushvalue(L, key);
    lua_rawget(L, actual);
    lua_pushvalue(L, key);
    lua_rawget(L, expected);
    compare(L, c, lua_gettop(L) - 1, lua_gettop(L), depth);
    lua_pop(L, 2);
    text_cut(&c->path, length);
}

static void compare_tables(lua_State *L, struct comparison *c, int actual, int expected, int depth)
{
    for (lua_pushnil(L); lua_next(L, expected) != 0;) {
        lua_pop(L, 1);
        compare_member(L, c, actual, expected, lua_gettop(L), depth);
    }
    for (lua_pushnil(L); lua_next(L, actual) != 0;) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, expected) == LUA_TNIL)
            compare_member(L, c, actual, expected, lua_gettop(L) - 1, depth);
        lua_pop(L, 1);
    }
}

static void compare(lua_State *L, struct comparison *c, int actual, int expected, int depth)
{
    bool are_tables = lua_istable(L, actual) && lua_istable(L, expected);
    if (lua_rawequal(L, actual, expected))
        return;
    if (are_tables && depth > 0 && lua_checkstack(L, 12))
        compare_tables(L, c, actual, expected, depth - 1);
    else
        tell_difference(L, c, actual, expected);
}

bool test_value_equal(lua_State *L, int actual, int expected, struct text *differences)
{
    struct comparison c = { .differences = differences };
    compare(L, &c, lua_absindex(L, actual), lua_absindex(L, expected), COMPARED_DEPTH);
    if (c.count > DIFFERENCES_MAX)
        text_printf(differences, "and %zu more\n", c.count - DIFFERENCES_MAX);
    text_fini(&c.path);
    return c.count == 0;
}
