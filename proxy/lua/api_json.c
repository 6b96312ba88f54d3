/* lua/api_json.c - weir.json: values of Lua as JSON, and back.
 *
 *   JSON            Lua
 *   null            weir.json.null, a value of its own: nil would leave holes in tables
 *   number          an integer when it is written as one, else a float
 *   array           a table with the keys 1 to n, marked as an array, so that an empty one stays one
 *   object          a table whose keys are texts
 *
 * Metamethods are not asked. Memory: what decoding gives counts against the state. What it takes on the way does not, but
 * is bounded by the limits of a text (jansson needs some 100 bytes for a value), as is what encoding writes; both are given
 * back before the call goes on. Time: jansson asks for each KiB of text, and gets none when the call is over; giving back what
 * it made until then is what cannot be interrupted, a millisecond at the limit of values. */
#include "lua/api.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "lua/library.h"
#include "lua/vm.h"

#define ARRAY_KIND "JSON array" /* metatable in the registry */

/* ---- encoding ----------------------------------------------------------------------------------------------------------- */

struct encoder {
    struct text out;
    unsigned depth;
    bool is_sorted;
};

static void encode_value(lua_State *L, struct encoder *e, int index);

static void check_room(lua_State *L, const struct encoder *e, size_t more)
{
    if (more > SCRIPT_JSON_MAX_BYTES || e->out.len > SCRIPT_JSON_MAX_BYTES - more)
        luaL_error(L, "the text would be longer than %d bytes", (int)SCRIPT_JSON_MAX_BYTES);
}

static void encode_text(lua_State *L, struct encoder *e, int index)
{
    size_t length;
    const char *bytes = lua_tolstring(L, index, &length);
    struct slice s = slice_from(bytes, length);
    check_room(L, e, length + 2);
    if (!text_is_utf8(s))
        luaL_error(L, "a text that is not UTF-8 has no form in JSON");
    text_add_char(&e->out, '"');
    text_add_json(&e->out, s);
    text_add_char(&e->out, '"');
}

/* The shortest of 15 and 17 digits that reads back as the same; with a point, so that it stays a float. */
static void encode_number(lua_State *L, struct encoder *e, int index)
{
    char digits[40];
    double number = lua_tonumber(L, index);
    if (lua_isinteger(L, index)) {
        text_printf(&e->out, "%lld", (long long)lua_tointeger(L, index));
        return;
    }
    if (!isfinite(number))
        luaL_error(L, "infinity and nan have no form in JSON");
    snprintf(digits, sizeof digits, "%.15g", number);
    if (strtod(digits, NULL) != number)
        snprintf(digits, sizeof digits, "%.17g", number);
    text_printf(&e->out, strpbrk(digits, ".e") != NULL ? "%s" : "%s.0", digits);
}

static bool is_marked(lua_State *L, int table)
{
    if (!lua_getmetatable(L, table))
        return false;
    luaL_getmetatable(L, ARRAY_KIND);
    bool is_same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_same;
}

/* The items of an array, or -1 for an object. Raises for what is neither. */
static lua_Integer count_items(lua_State *L, int table)
{
    lua_Integer count = 0, length = (lua_Integer)lua_rawlen(L, table);
    bool has_texts = false, has_others = false;
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1), count++) {
        vm_check(L);
        bool is_item = lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= length;
        has_texts |= lua_type(L, -2) == LUA_TSTRING;
        has_others |= !is_item && lua_type(L, -2) != LUA_TSTRING;
    }
    bool is_array = is_marked(L, table) || (count > 0 && !has_texts);
    if (has_others || (is_array && (has_texts || count != length)) || (!is_array && length > 0))
        luaL_error(L, "a table has the keys 1 to n, without gaps, or texts as keys");
    return is_array ? length : -1;
}

static void encode_array(lua_State *L, struct encoder *e, int table, lua_Integer count)
{
    text_add_char(&e->out, '[');
    for (lua_Integer i = 1; i <= count; i++) {
        if (i > 1)
            text_add_char(&e->out, ',');
        lua_rawgeti(L, table, i);
        encode_value(L, e, lua_gettop(L));
        lua_pop(L, 1);
    }
    text_add_char(&e->out, ']');
}

static void encode_member(lua_State *L, struct encoder *e, int key, int value)
{
    if (e->out.bytes[e->out.len - 1] != '{')
        text_add_char(&e->out, ',');
    encode_text(L, e, key);
    text_add_char(&e->out, ':');
    encode_value(L, e, value);
}

/* Pushes an array of the keys, in order. */
static void push_sorted_keys(lua_State *L, int table)
{
    lua_pushcfunction(L, library_table_sort);
    lua_newtable(L);
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        vm_check(L);
        lua_pushvalue(L, -2);
        lua_rawseti(L, -4, ++count);
    }
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    lua_call(L, 1, 0);
}

static void encode_object(lua_State *L, struct encoder *e, int table)
{
    text_add_char(&e->out, '{');
    if (e->is_sorted) {
        push_sorted_keys(L, table);
        int keys = lua_gettop(L);
        for (lua_Integer i = 1; lua_rawgeti(L, keys, i) != LUA_TNIL; i++, lua_settop(L, keys)) {
            lua_pushvalue(L, -1);
            lua_rawget(L, table);
            encode_member(L, e, keys + 1, keys + 2);
        }
        lua_settop(L, keys - 1);
    } else {
        for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
            encode_member(L, e, lua_gettop(L) - 1, lua_gettop(L));
    }
    text_add_char(&e->out, '}');
}

/* A table within itself ends here too. */
static void encode_table(lua_State *L, struct encoder *e, int table)
{
    if (++e->depth > JSON_MAX_DEPTH)
        luaL_error(L, "a table nested deeper than %d levels, or in itself", JSON_MAX_DEPTH);
    luaL_checkstack(L, 12, "tables nested too deep");
    lua_Integer count = count_items(L, table);
    if (count >= 0)
        encode_array(L, e, table, count);
    else
        encode_object(L, e, table);
    e->depth--;
}

static void encode_value(lua_State *L, struct encoder *e, int index)
{
    vm_check(L);
    int type = lua_type(L, index);
    switch (type) {
    case LUA_TBOOLEAN:
        text_add_cstr(&e->out, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        encode_number(L, e, index);
        break;
    case LUA_TSTRING:
        encode_text(L, e, index);
        break;
    case LUA_TTABLE:
        encode_table(L, e, index);
        break;
    default:
        if (type != LUA_TLIGHTUSERDATA || lua_touserdata(L, index) != NULL)
            luaL_error(L, "a %s has no form in JSON", luaL_typename(L, index));
        text_add_cstr(&e->out, "null");
    }
    check_room(L, e, 0);
}

/* (value) */
static int encode_body(lua_State *L)
{
    struct encoder *e = lua_touserdata(L, 2);
    encode_value(L, e, 1);
    lua_pushlstring(L, e->out.bytes, e->out.len);
    return 1;
}

/* encode(value[, { sorted = true }]) */
static int json_encode(lua_State *L)
{
    struct encoder e = { .is_sorted = false };
    luaL_checkany(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        api_check_options(L, 2, (const char *const[]){ "sorted", NULL });
        lua_getfield(L, 2, "sorted");
        e.is_sorted = lua_toboolean(L, -1);
    }
    lua_settop(L, 1);
    int status = api_call_guarded(L, encode_body, &e, 1);
    text_fini(&e.out);
    return api_end_guarded(L, status, 1);
}

/* ---- decoding ----------------------------------------------------------------------------------------------------------- */

struct decoder {
    struct json *tree;
    struct text error;
};

static void push_array(lua_State *L, const struct json *array)
{
    size_t count = json_count(array);
    lua_createtable(L, (int)count, 0);
    luaL_setmetatable(L, ARRAY_KIND);
    for (size_t i = 0; i < count; i++) {
        api_push_json(L, json_at(array, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_object(lua_State *L, const struct json *object)
{
    void *cursor = NULL;
    struct slice key;
    const struct json *member;
    lua_createtable(L, 0, (int)json_count(object));
    while ((member = json_next(object, &cursor, &key)) != NULL) {
        lua_pushlstring(L, key.ptr, key.len);
        api_push_json(L, member);
        lua_rawset(L, -3);
    }
}

static void push_number(lua_State *L, const struct json *number)
{
    int64_t integer;
    double real = 0;
    if (json_as_i64(number, &integer))
        lua_pushinteger(L, integer);
    else if (json_as_real(number, &real))
        lua_pushnumber(L, real);
}

void api_push_json(lua_State *L, const struct json *value)
{
    struct slice text = SLICE_NONE;
    bool is_true = false;
    vm_check(L);
    luaL_checkstack(L, 6, "values nested too deep");
    switch (json_kind(value)) {
    case JSON_KIND_ABSENT:
    case JSON_KIND_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    case JSON_KIND_BOOL:
        lua_pushboolean(L, json_as_bool(value, &is_true) && is_true);
        break;
    case JSON_KIND_NUMBER:
        push_number(L, value);
        break;
    case JSON_KIND_STRING:
        if (json_as_string(value, &text))
            lua_pushlstring(L, text.ptr, text.len);
        break;
    case JSON_KIND_ARRAY:
        push_array(L, value);
        break;
    case JSON_KIND_OBJECT:
        push_object(L, value);
        break;
    }
}

static bool may_go_on(void *arg)
{
    return !vm_is_over(arg);
}

/* (text) -> value, or nil and where it went wrong */
static int decode_body(lua_State *L)
{
    struct decoder *d = lua_touserdata(L, 2);
    size_t length;
    const char *bytes = lua_tolstring(L, 1, &length);
    struct json_limits limits = { SCRIPT_JSON_MAX_VALUES, may_go_on, L };
    if (length <= SCRIPT_JSON_MAX_BYTES)
        d->tree = json_parse_limited(slice_from(bytes, length), &limits, &d->error);
    else
        text_printf(&d->error, "longer than %d bytes", (int)SCRIPT_JSON_MAX_BYTES);
    vm_check(L);
    if (d->tree != NULL) {
        api_push_json(L, d->tree);
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        lua_pushlstring(L, d->error.bytes, d->error.len);
    }
    return 2;
}

/* decode(text) */
static int json_decode(lua_State *L)
{
    struct decoder d = { .tree = NULL };
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 1);
    int status = api_call_guarded(L, decode_body, &d, 2);
    json_destroy(d.tree);
    text_fini(&d.error);
    return api_end_guarded(L, status, 2);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

/* array([table]): marks it, and gives it back. */
static int json_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1) && !is_marked(L, 1))
        return luaL_error(L, "the table has a metatable already");
    lua_settop(L, 1);
    luaL_setmetatable(L, ARRAY_KIND);
    return 1;
}

void api_json_open(lua_State *L)
{
    luaL_newmetatable(L, ARRAY_KIND);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void api_json_push(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "encode", json_encode }, { "decode", json_decode }, { "array", json_array }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
}
