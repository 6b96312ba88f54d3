/* lua/api_request.c - `req`: the request as its hooks see it, and what they may change of it. */
#include "lua/api.h"

#include "http/validate.h"

static const struct api_kind request_kind;

static struct script_call *check_request(lua_State *L)
{
    return api_check_object(L, 1, &request_kind);
}

struct script_call *api_check_request(lua_State *L)
{
    return check_request(L);
}

/* For what changes the request: in on_response it has gone on. */
static struct script_call *check_open_request(lua_State *L)
{
    struct script_call *call = check_request(L);
    if (call->response != NULL)
        luaL_error(L, "the request has gone on and cannot be changed");
    return call;
}

static int push(lua_State *L, struct slice s)
{
    lua_pushlstring(L, s.len > 0 ? s.ptr : "", s.len);
    return 1;
}

static struct slice check_name(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    return slice_from(bytes, length);
}

/* ---- fields --------------------------------------------------------------------------------------------------------------- */

static int field_method(lua_State *L)
{
    return push(L, check_request(L)->request->method_name);
}

static int field_path(lua_State *L)
{
    return push(L, check_request(L)->view->path);
}

static int field_query(lua_State *L)
{
    return push(L, check_request(L)->view->query);
}

static int field_host(lua_State *L)
{
    return push(L, check_request(L)->view->host);
}

static int field_scheme(lua_State *L)
{
    return push(L, check_request(L)->scheme);
}

static int field_source_ip(lua_State *L)
{
    char text[64];
    const struct ip_address *source = &check_request(L)->view->source;
    return push(L, slice_from(text, ip_format(source, text)));
}

/* nil without TLS; else what the client's verified certificate says, which may be nothing. */
static int field_tls(lua_State *L)
{
    struct script_call *call = check_request(L);
    const struct route_request *view = call->view;
    if (!call->is_tls) {
        lua_pushnil(L);
        return 1;
    }
    lua_newtable(L);
    if (view->client_cn.len > 0) {
        push(L, view->client_cn);
        lua_setfield(L, -2, "client_cn");
    }
    lua_createtable(L, (int)view->client_san_count, 0);
    for (size_t i = 0; i < view->client_san_count; i++) {
        push(L, view->client_sans[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "client_sans");
    return 1;
}

/* The upstream that a copy goes to; nil: it is no copy. */
static int field_shadow(lua_State *L)
{
    const struct script_copy *copy = check_request(L)->copy;
    if (copy == NULL)
        lua_pushnil(L);
    else
        push(L, copy->upstream);
    return 1;
}

/* Made when it is asked for, kept in the registry until the request ends. */
static int field_ctx(lua_State *L)
{
    struct script_call *call = check_request(L);
    uint64_t epoch = api_world(L)->epoch;
    if (call->ctx_epoch == epoch) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->ctx);
        return 1;
    }
    lua_newtable(L);
    lua_pushvalue(L, -1);
    call->ctx = luaL_ref(L, LUA_REGISTRYINDEX);
    call->ctx_epoch = epoch;
    return 1;
}

/* ---- methods -------------------------------------------------------------------------------------------------------------- */

static int method_header(lua_State *L)
{
    const struct message *m = check_request(L)->request; /* first: the message of an error names the first wrong one */
    api_push_header(L, m, check_name(L));
    return 1;
}

/* A value that is not there is nil, not nothing: tostring(req:cookie("x")) works. */
static int push_if(lua_State *L, bool is_there, struct slice value)
{
    if (is_there)
        return push(L, value);
    lua_pushnil(L);
    return 1;
}

static int method_cookie(lua_State *L)
{
    struct slice value = SLICE_NONE;
    const struct message *m = check_request(L)->request;
    bool is_there = message_cookie(m, check_name(L), &value);
    return push_if(L, is_there, value);
}

static int method_arg(lua_State *L)
{
    struct slice value = SLICE_NONE;
    struct slice query = check_request(L)->view->query;
    bool is_there = query_argument(query, check_name(L), &value);
    return push_if(L, is_there, value);
}

static int method_set_header(lua_State *L)
{
    struct script_call *call = check_open_request(L);
    api_set_header(L, call, call->request);
    return 0;
}

static int method_add_header(lua_State *L)
{
    struct script_call *call = check_open_request(L);
    api_add_header(L, call, call->request);
    return 0;
}

/* What may stand in a request's target: a path, or a query when '?' is allowed in it. */
static bool is_target_text(struct slice s, bool is_query)
{
    bool is_good = true;
    for (size_t i = 0; i < s.len; i++)
        is_good &= s.ptr[i] > ' ' && s.ptr[i] < 0x7f && s.ptr[i] != '#' && (is_query || s.ptr[i] != '?');
    return is_good;
}

static bool is_path_text(struct slice s)
{
    return s.len > 0 && s.ptr[0] == '/' && is_target_text(s, false);
}

/* Later steps see it as if it had come in: in normal form, but forwarded as the script wrote it. */
static int method_set_path(lua_State *L)
{
    struct script_call *call = check_open_request(L);
    struct slice text = check_name(L), normal;
    bool has_encoded_slash = false;
    luaL_argcheck(L, is_path_text(text), 2, "a path begins with / and has no space, ? or #");
    luaL_argcheck(L, slice_equal(call->request->path, SLICE("*")) == false, 2, "this request has no path");
    api_charge(L, call, text.len);
    struct slice path = arena_copy(call->arena, text);
    luaL_argcheck(L, path_normalise(path, call->arena, &normal, &has_encoded_slash) == PATH_OK, 2, "invalid path");
    call->request->path = path;
    call->view->path = normal;
    *call->has_encoded_slash = has_encoded_slash;
    return 0;
}

/* nil: without a query. */
static int method_set_query(lua_State *L)
{
    struct script_call *call = check_open_request(L);
    bool is_removed = lua_isnil(L, 2);
    struct slice query = is_removed ? SLICE_NONE : check_name(L);
    luaL_argcheck(L, is_target_text(query, true), 2, "a query has no space and no #");
    luaL_argcheck(L, slice_equal(call->request->path, SLICE("*")) == false, 2, "this request has no path");
    api_charge(L, call, query.len);
    call->request->query = call->view->query = is_removed ? SLICE_NONE : arena_copy(call->arena, query);
    return 0;
}

static const luaL_Reg methods[] = {
    { "header", method_header },
    { "cookie", method_cookie },
    { "arg", method_arg },
    { "set_header", method_set_header },
    { "add_header", method_add_header },
    { "set_path", method_set_path },
    { "set_query", method_set_query },
    { "body", api_body_get },
    { "set_body", api_body_set },
    { NULL, NULL },
};

static const luaL_Reg fields[] = {
    { "method", field_method }, { "path", field_path },
    { "query", field_query },   { "host", field_host },
    { "scheme", field_scheme }, { "source_ip", field_source_ip },
    { "tls", field_tls },       { "ctx", field_ctx },
    { "shadow", field_shadow }, { NULL, NULL },
};

static const struct api_kind request_kind = { "request", methods, fields, NULL };

void api_request_open(lua_State *L)
{
    api_open_kind(L, &request_kind);
}

void api_push_request(lua_State *L)
{
    api_push_object(L, &request_kind);
}
