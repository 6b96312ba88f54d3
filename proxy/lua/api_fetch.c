/* lua/api_fetch.c - weir.fetch: checks what a hook asks of an upstream, waits, and makes a table of the answer.
 *
 * A request that breaks the rules of HTTP would be the proxy's own fault, so it is refused here, by the same rules as
 * headers that scripts set. */
#include "lua/api.h"

#include <string.h>

#include "base/reason.h"
#include "base/units.h"
#include "config/formats.h"
#include "http/validate.h"
#include "lua/vm.h"

/* ---- what the script asks for ------------------------------------------------------------------------------------------ */

/* Pushes an option. No metamethod is asked: a function of the script's could take away texts that are borrowed already. */
static int push_option(lua_State *L, int options, const char *name)
{
    lua_pushstring(L, name);
    return lua_rawget(L, options);
}

/* The option at this name as a text, on the stack of the call until it ends; ptr NULL: it is not given. */
static struct slice take_text(lua_State *L, int options, const char *name)
{
    size_t length;
    int type = push_option(L, options, name);
    if (type == LUA_TNIL)
        return SLICE_NONE;
    if (type != LUA_TSTRING)
        luaL_error(L, "'%s' of a fetch is a text, not a %s", name, luaL_typename(L, -1));
    const char *bytes = lua_tolstring(L, -1, &length);
    return slice_from(bytes, length);
}

static void take_method(lua_State *L, int options, struct script_fetch *out)
{
    struct slice method = take_text(L, options, "method");
    out->method = method.ptr != NULL ? method : SLICE("GET");
    if (format_method.fault(out->method) != NULL || !is_token(out->method))
        luaL_error(L, "the method of a fetch is GET, POST or the like, and never CONNECT");
}

/* RFC 9112 3.2.1: origin-form, as it stands on the request line. */
static void take_path(lua_State *L, int options, struct script_fetch *out)
{
    struct slice path = take_text(L, options, "path");
    out->path = path.ptr != NULL ? path : SLICE("/");
    bool is_good = out->path.len > 0 && out->path.ptr[0] == '/' && out->path.len <= SCRIPT_FETCH_PATH_MAX_BYTES;
    for (size_t i = 0; is_good && i < out->path.len; i++)
        is_good = out->path.ptr[i] > ' ' && out->path.ptr[i] < 0x7f && out->path.ptr[i] != '#';
    if (!is_good)
        luaL_error(L, "the path of a fetch begins with /, has no space and no #, and at most %d bytes",
                   SCRIPT_FETCH_PATH_MAX_BYTES);
}

static void take_host(lua_State *L, struct slice value, struct script_fetch *out)
{
    if (out->host.len > 0 || value.len == 0 || format_authority.fault(value) != NULL)
        luaL_error(L, "the host of a fetch is one HOST or HOST:PORT");
    out->host = value;
}

/* Name and value are the two on top, and stay the table's. */
static void take_header(lua_State *L, struct script_fetch *out, struct header_set *headers, size_t *bytes)
{
    int name = lua_gettop(L) - 1, value = name + 1;
    if (lua_type(L, name) != LUA_TSTRING || lua_type(L, value) != LUA_TSTRING)
        luaL_error(L, "headers of a fetch are texts by name");
    struct header_set header = { .name = slice_from(lua_tostring(L, name), lua_rawlen(L, name)) };
    if (slice_equal_nocase(header.name, SLICE("host"))) {
        take_host(L, slice_from(lua_tostring(L, value), lua_rawlen(L, value)), out);
        return;
    }
    api_check_header(L, name, value, &header.name, &header.value);
    *bytes += header.name.len + header.value.len;
    if (out->header_count == SCRIPT_FETCH_HEADERS_MAX || *bytes > SCRIPT_FETCH_HEADERS_MAX_BYTES)
        luaL_error(L, "a fetch has too many headers: %d, or %d bytes", SCRIPT_FETCH_HEADERS_MAX,
                   SCRIPT_FETCH_HEADERS_MAX_BYTES);
    headers[out->header_count++] = header;
}

static void take_headers(lua_State *L, int options, struct script_fetch *out, struct header_set *headers)
{
    size_t bytes = 0;
    out->headers = headers;
    int type = push_option(L, options, "headers"), table = lua_gettop(L);
    if (type == LUA_TNIL)
        return;
    luaL_checktype(L, table, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
        take_header(L, out, headers, &bytes);
}

/* Seconds, or as the configuration has them: "200ms". */
static void take_timeout(lua_State *L, int options, struct script_fetch *out)
{
    int type = push_option(L, options, "timeout");
    bool is_good = true;
    out->timeout_ms = SCRIPT_FETCH_TIMEOUT_MS;
    if (type == LUA_TNUMBER) {
        lua_Number seconds = lua_tonumber(L, -1);
        is_good = seconds > 0 && seconds <= SCRIPT_FETCH_TIMEOUT_MAX_MS / 1000;
        out->timeout_ms = is_good ? (int64_t)(seconds * 1000) : 0;
    } else if (type == LUA_TSTRING) {
        is_good = units_parse_duration(slice_from_cstr(lua_tostring(L, -1)), &out->timeout_ms);
    } else {
        is_good = type == LUA_TNIL;
    }
    if (!is_good || out->timeout_ms < 1 || out->timeout_ms > SCRIPT_FETCH_TIMEOUT_MAX_MS)
        luaL_error(L, "the timeout of a fetch is seconds or a text like '200ms', from 1ms to %ds",
                   SCRIPT_FETCH_TIMEOUT_MAX_MS / 1000);
}

static void refuse_other_keys(lua_State *L, int options)
{
    static const char *const known[] = { "method", "path", "headers", "body", "timeout" };
    for (lua_pushnil(L); lua_next(L, options) != 0; lua_pop(L, 1)) {
        bool is_known = false;
        for (size_t i = 0; i < ARRAY_COUNT(known) && lua_type(L, -2) == LUA_TSTRING; i++)
            is_known |= strcmp(lua_tostring(L, -2), known[i]) == 0;
        if (!is_known)
            luaL_error(L, "a fetch has method, path, headers, body and timeout, no '%s'", luaL_tolstring(L, -2, NULL));
    }
}

/* ---- the answer --------------------------------------------------------------------------------------------------------- */

/* headers = { lower-case name = value }; lines of one name are joined, as req.header does. */
static void push_headers(lua_State *L, const struct message *head)
{
    int count = head != NULL ? head->field_count : 0;
    lua_createtable(L, 0, count);
    for (int i = 0; i < count; i++) {
        const struct field *f = &head->fields[i];
        if (f->is_dropped)
            continue;
        luaL_Buffer lower;
        char *bytes = luaL_buffinitsize(L, &lower, f->name.len);
        for (size_t at = 0; at < f->name.len; at++)
            bytes[at] =
                (char)(f->name.ptr[at] >= 'A' && f->name.ptr[at] <= 'Z' ? f->name.ptr[at] | 0x20 : f->name.ptr[at]);
        luaL_pushresultsize(&lower, f->name.len);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TNIL) {
            lua_pop(L, 2); /* with the first line of its name */
            continue;
        }
        lua_pop(L, 1);
        api_push_header(L, head, f->name);
        lua_rawset(L, -3);
    }
}

static int push_failure(lua_State *L, const char *code)
{
    lua_pushnil(L);
    lua_pushstring(L, code);
    return 2;
}

static int push_answer(lua_State *L, const struct script_fetch_answer *answer)
{
    if (answer->failure != NULL)
        return push_failure(L, answer->failure);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, answer->status);
    lua_setfield(L, -2, "status");
    push_headers(L, answer->head);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, answer->body.len > 0 ? answer->body.ptr : "", answer->body.len);
    lua_setfield(L, -2, "body");
    return 1;
}

/* script_host_continue has put the answer on top. */
static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    return push_answer(L, lua_touserdata(L, -1));
}

/* ---- weir.fetch ----------------------------------------------------------------------------------------------------------- */

/* Where a hook cannot wait, it is told before anything is sent. */
static struct script_call *check_may_wait(lua_State *L)
{
    struct script_call *call = api_check_call(L, "fetch");
    if (!call->may_wait || api_world(L)->fetch == NULL)
        luaL_error(L, "weir.fetch works in on_request only");
    if (vm_of(L)->calling != L)
        luaL_error(L, "weir.fetch cannot wait inside a coroutine of the script's own");
    if (!lua_isyieldable(L))
        luaL_error(L, "weir.fetch cannot wait inside a function that sort or gsub calls");
    if (call->fetch_count == SCRIPT_FETCHES_MAX)
        luaL_error(L, "too many fetches in one call: %d", SCRIPT_FETCHES_MAX);
    return call;
}

int api_fetch(lua_State *L)
{
    struct header_set headers[SCRIPT_FETCH_HEADERS_MAX];
    struct script_fetch fetch = { 0 };
    struct script_fetch_answer answer = { 0 };
    struct script_call *call = check_may_wait(L);
    lua_settop(L, 2);
    luaL_checktype(L, 1, LUA_TSTRING);
    fetch.upstream_index = api_check_upstream(L, 1);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    refuse_other_keys(L, 2);
    take_method(L, 2, &fetch);
    take_path(L, 2, &fetch);
    take_headers(L, 2, &fetch, headers);
    take_timeout(L, 2, &fetch);
    fetch.body = take_text(L, 2, "body");
    if (fetch.body.len > SCRIPT_FETCH_BODY_MAX_BYTES)
        return push_failure(L, SCRIPT_FETCH_TOO_LARGE);
    if (vm_is_full(vm_of(L)))
        return push_failure(L, reason_rows[REASON_OVERLOADED].code); /* script_host.h says why */
    call->fetch_count++;
    if (api_world(L)->fetch(call, &fetch, &answer) == FETCH_UNDER_WAY)
        return lua_yieldk(L, 0, 0, go_on);
    return push_answer(L, &answer);
}
