/* lua/api_response.c - `resp`: the upstream's answer as on_response sees it, and what it may change of it. */
#include "lua/api.h"

#include <string.h>

static const struct api_kind response_kind;

static struct message *check_response(lua_State *L)
{
    return api_check_object(L, 1, &response_kind)->response;
}

static int field_status(lua_State *L)
{
    lua_pushinteger(L, check_response(L)->status);
    return 1;
}

static bool has_no_body(lua_Integer status)
{
    return status == 204 || status == 205 || status == 304;
}

/* resp.status = N. Whether a body follows hangs on the status (RFC 9112 6.3), and the upstream has decided that. */
static int set_status(lua_State *L)
{
    struct message *m = check_response(L);
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "status") != 0)
        return luaL_error(L, "'%s' cannot be set", name);
    lua_Integer status = luaL_checkinteger(L, 3);
    if (status < 200 || status > 599)
        return luaL_error(L, "a status is from 200 to 599");
    if (status != m->status && (has_no_body(status) || has_no_body(m->status)))
        return luaL_error(L, "204, 205 and 304 have no body: an answer cannot become, or cease to be, one of them");
    m->status = (uint16_t)status;
    m->reason_phrase = SLICE_NONE;
    return 0;
}

static int method_header(lua_State *L)
{
    size_t length;
    const struct message *m = check_response(L);
    const char *name = luaL_checklstring(L, 2, &length);
    api_push_header(L, m, slice_from(name, length));
    return 1;
}

static int method_set_header(lua_State *L)
{
    struct script_call *call = api_check_object(L, 1, &response_kind);
    api_set_header(L, call, call->response);
    return 0;
}

static int method_add_header(lua_State *L)
{
    struct script_call *call = api_check_object(L, 1, &response_kind);
    api_add_header(L, call, call->response);
    return 0;
}

static const luaL_Reg methods[] = { { "header", method_header },
                                    { "set_header", method_set_header },
                                    { "add_header", method_add_header },
                                    { NULL, NULL } };
static const luaL_Reg fields[] = { { "status", field_status }, { NULL, NULL } };
static const struct api_kind response_kind = { "response", methods, fields, set_status };

void api_response_open(lua_State *L)
{
    api_open_kind(L, &response_kind);
}

void api_push_response(lua_State *L)
{
    api_push_object(L, &response_kind);
}
