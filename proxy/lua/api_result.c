/* lua/api_result.c - what hooks return: on_request nothing, the name of an upstream, or an answer; on_shadow a word. */
#include "lua/api.h"

#include <string.h>

static uint16_t take_status(lua_State *L, int table)
{
    int is_integer;
    if (lua_getfield(L, table, "status") == LUA_TNIL)
        luaL_error(L, "an answer needs a status");
    lua_Integer status = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || status < 200 || status > 599)
        luaL_error(L, "the status of an answer is a number from 200 to 599");
    lua_pop(L, 1);
    return (uint16_t)status;
}

static void take_headers(lua_State *L, int table, struct script_call *call, struct header_edits_config *out)
{
    int type = lua_getfield(L, table, "headers"), headers = lua_gettop(L);
    if (type == LUA_TNIL)
        return;
    luaL_checktype(L, headers, LUA_TTABLE);
    out->set = arena_zalloc_array(call->arena, SCRIPT_ANSWER_MAX_HEADERS, sizeof *out->set);
    for (lua_pushnil(L); lua_next(L, headers) != 0; lua_pop(L, 1)) {
        struct slice name, value;
        if (lua_type(L, -2) != LUA_TSTRING || out->set_count == SCRIPT_ANSWER_MAX_HEADERS)
            luaL_error(L, "headers of an answer are at most %d, by name", SCRIPT_ANSWER_MAX_HEADERS);
        api_check_header(L, lua_gettop(L) - 1, lua_gettop(L), &name, &value);
        api_charge(L, call, name.len + value.len);
        out->set[out->set_count++] =
            (struct header_set){ arena_copy(call->arena, name), arena_copy(call->arena, value) };
    }
}

static struct slice take_body(lua_State *L, int table, struct script_call *call, uint16_t status)
{
    size_t length;
    if (lua_getfield(L, table, "body") == LUA_TNIL)
        return SLICE_NONE;
    const char *bytes = luaL_checklstring(L, -1, &length);
    if (length > SCRIPT_BODY_MAX_BYTES)
        luaL_error(L, "the body of an answer is longer than %d bytes", (int)SCRIPT_BODY_MAX_BYTES);
    if (length > 0 && (status == 204 || status == 205 || status == 304))
        luaL_error(L, "an answer with status %d has no body", status);
    return arena_copy(call->arena, slice_from(bytes, length));
}

static void refuse_other_keys(lua_State *L, int table)
{
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(key, "status") != 0 && strcmp(key, "headers") != 0 && strcmp(key, "body") != 0)
            luaL_error(L, "an answer has status, headers and body, no '%s'", luaL_tolstring(L, -2, NULL));
    }
}

/* Whole, or not at all: an error leaves call->answer as it was. */
static void take_answer(lua_State *L, struct script_call *call)
{
    int table = lua_gettop(L);
    struct script_answer *answer = arena_zalloc(call->arena, sizeof *answer);
    refuse_other_keys(L, table);
    answer->status = take_status(L, table);
    take_headers(L, table, call, &answer->headers);
    answer->body = take_body(L, table, call, answer->status);
    call->answer = answer;
}

void api_take_result(lua_State *L, struct script_call *call)
{
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        break;
    case LUA_TSTRING:
        call->upstream_index = api_check_upstream(L, -1);
        break;
    case LUA_TTABLE:
        take_answer(L, call);
        break;
    default:
        luaL_error(L, "on_request returns an upstream's name, an answer or nil, not a %s", luaL_typename(L, -1));
    }
}

/* Anything but a clear word is an error, and an error keeps the copy back: `return "no"` was not meant to send it. */
void api_take_word(lua_State *L, struct script_call *call)
{
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
        luaL_error(L, "on_shadow returns false to keep the copy back, true or nil to let it go, not a %s",
                   luaL_typename(L, -1));
    call->copy->is_vetoed = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
}
