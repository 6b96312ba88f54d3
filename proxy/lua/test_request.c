/* lua/test_request.c - requests and responses of tests: made of tables by the server's own parser, read after the hooks. */
#include "lua/test_parts.h"

#include <string.h>

#include "base/reason.h"
#include "http/codec.h"
#include "http/validate.h"

#define DEFAULT_HOST "example.com"

/* What the userdata of both kinds has: nothing of a test that has ended may be used. */
struct object {
    const struct api_kind *kind;
    uint64_t serial;
    union {
        struct test_request *request;
        struct message *response;
    };
};

static const struct api_kind request_kind, response_kind;

static const struct h1_limits limits = { .request_line_bytes = 64 * 1024,
                                         .head_bytes = 1024 * 1024,
                                         .field_count = 1000 };

/* ---- tables ---------------------------------------------------------------------------------------------------------------- */

static void refuse_unknown(lua_State *L, const char *what, const char *const *known, size_t known_count)
{
    struct slice *keys;
    size_t count = test_value_keys(L, 1, &test_run_of(L)->arena, &keys);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < known_count && !slice_equal(keys[i], slice_from_cstr(known[at])))
            at++;
        if (at == known_count)
            luaL_error(L, "%s has no '%s'", what, keys[i].ptr);
    }
}

/* A member of the table at 1 as a text that lives as long as the test. */
static struct slice take_text(lua_State *L, struct arena *arena, const char *key, const char *otherwise)
{
    int type = lua_getfield(L, 1, key);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        luaL_error(L, "%s is a text, not a %s", key, luaL_typename(L, -1));
    struct slice text = type == LUA_TNIL ? slice_from_cstr(otherwise) : arena_copy(arena, test_check_slice(L, -1));
    lua_pop(L, 1);
    return text;
}

static void add_lines(lua_State *L, struct arena *arena, struct message *m, struct slice name)
{
    bool is_list = lua_istable(L, -1);
    lua_Integer count = is_list ? (lua_Integer)lua_rawlen(L, -1) : 1;
    for (lua_Integer i = 1; i <= count; i++) {
        if (is_list)
            lua_rawgeti(L, -1, i);
        else
            lua_pushvalue(L, -1);
        if (!lua_isstring(L, -1))
            luaL_error(L, "header '%s' is a text or a list of texts", name.ptr);
        struct slice value = arena_copy(arena, test_check_slice(L, -1));
        lua_pop(L, 1);
        message_add(m, arena, field_id_from_name(name), name, value);
    }
}

void test_headers_take(lua_State *L, int table, struct arena *arena, struct message *m)
{
    struct slice *names;
    if (lua_getfield(L, table, "headers") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        size_t count = test_value_keys(L, -1, arena, &names);
        for (size_t i = 0; i < count; i++) {
            struct slice name = arena_copy(arena, names[i]);
            if (!is_token(name))
                luaL_error(L, "'%s' is no name of a header", name.ptr);
            lua_getfield(L, -1, name.ptr);
            add_lines(L, arena, m, name);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static void take_cookies(lua_State *L, struct arena *arena, struct message *m)
{
    struct slice *names, line = SLICE("");
    if (lua_getfield(L, 1, "cookies") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        size_t count = test_value_keys(L, -1, arena, &names);
        for (size_t i = 0; i < count; i++) {
            lua_getfield(L, -1, names[i].ptr);
            struct slice value = test_check_slice(L, -1);
            line = arena_printf(arena, "%.*s%s%.*s=%.*s", SLICE_ARG(line), i > 0 ? "; " : "", SLICE_ARG(names[i]),
                                SLICE_ARG(value));
            lua_pop(L, 1);
        }
        if (count > 0)
            message_add(m, arena, FIELD_COOKIE, SLICE("cookie"), line);
    }
    lua_pop(L, 1);
}

/* ---- making a request -------------------------------------------------------------------------------------------------------- */

/* The head as a client would send it. */
static struct slice write_head(struct arena *arena, struct slice method, struct slice target, struct slice host,
                               const struct message *m)
{
    struct text head = { 0 };
    text_printf(&head, "%.*s %.*s HTTP/1.1\r\nhost: %.*s\r\n", SLICE_ARG(method), SLICE_ARG(target), SLICE_ARG(host));
    for (size_t i = 0; i < m->field_count; i++)
        text_printf(&head, "%.*s: %.*s\r\n", SLICE_ARG(m->fields[i].name), SLICE_ARG(m->fields[i].value));
    text_add_cstr(&head, "\r\n");
    struct slice bytes = arena_copy(arena, text_slice(&head));
    text_fini(&head);
    return bytes;
}

static void read_head(lua_State *L, struct arena *arena, struct slice head, struct message *out)
{
    struct h1_reader reader;
    h1_reader_init_request(&reader, &limits);
    enum h1_event event = h1_read(&reader, &head, arena, out);
    if (event == H1_ERROR)
        luaL_error(L, "weir would refuse this request: %s",
                   reader.error_detail != NULL ? reader.error_detail : reason_rows[reader.reason].sentence);
    if (event != H1_HEAD)
        luaL_error(L, "the head of this request does not end");
}

/* The member `tls`: true, or what the client's certificate says. */
static void take_tls(lua_State *L, struct arena *arena, struct test_request *r)
{
    int type = lua_getfield(L, 1, "tls"), tls = lua_gettop(L);
    r->call.is_tls = lua_toboolean(L, tls) != 0;
    if (type == LUA_TTABLE) {
        if (lua_getfield(L, tls, "client_cn") != LUA_TNIL)
            r->view.client_cn = arena_copy(arena, test_check_slice(L, -1));
        if (lua_getfield(L, tls, "client_sans") != LUA_TNIL) {
            luaL_checktype(L, -1, LUA_TTABLE);
            size_t count = lua_rawlen(L, -1);
            struct slice *sans = arena_zalloc_array(arena, count + 1, sizeof *sans);
            for (size_t i = 0; i < count; i++, lua_pop(L, 1)) {
                lua_rawgeti(L, -1, (lua_Integer)i + 1);
                sans[i] = arena_copy(arena, test_check_slice(L, -1));
            }
            r->view.client_sans = sans;
            r->view.client_san_count = count;
        }
    }
    lua_settop(L, tls - 1);
}

/* As front/request.c has it: what is compared is in normal form, what ends at this hop is gone before a hook looks. */
static void normalise(lua_State *L, struct arena *arena, struct test_request *r)
{
    struct message *m = &r->message;
    r->view.message = m;
    r->view.query = m->query;
    r->view.path = m->path;
    if (!slice_equal(m->path, SLICE("*")) &&
        path_normalise(m->path, arena, &r->view.path, &r->has_encoded_slash) != PATH_OK)
        luaL_error(L, "weir would refuse this path");
    r->view.host = host_normalise(m->authority, arena_alloc(arena, m->authority.len + 1));
    hop_by_hop_drop(m);
}

static void take_request(lua_State *L, struct arena *arena, struct test_request *r)
{
    struct message fields;
    message_init(&fields, arena, 16);
    struct slice method = take_text(L, arena, "method", "GET");
    struct slice target = take_text(L, arena, "path", "/"), query = take_text(L, arena, "query", NULL);
    struct slice host = take_text(L, arena, "host", DEFAULT_HOST);
    struct slice source = take_text(L, arena, "source_ip", "127.0.0.1");
    if (query.ptr != NULL)
        target = arena_printf(arena, "%.*s?%.*s", SLICE_ARG(target), SLICE_ARG(query));
    test_headers_take(L, 1, arena, &fields);
    take_cookies(L, arena, &fields);
    r->body = take_text(L, arena, "body", NULL);
    if (r->body.ptr != NULL)
        message_set(&fields, arena, SLICE("content-length"), arena_printf(arena, "%zu", r->body.len));
    read_head(L, arena, write_head(arena, method, target, host, &fields), &r->message);
    if (!ip_parse(source, &r->view.source))
        luaL_error(L, "source_ip: '%s' is no address", source.ptr);
    take_tls(L, arena, r);
    r->call.scheme = take_text(L, arena, "scheme", r->call.is_tls ? "https" : "http");
    normalise(L, arena, r);
}

int test_library_request(lua_State *L)
{
    static const char *const known[] = { "method",    "path",    "query",   "host", "scheme",
                                         "source_ip", "headers", "cookies", "tls",  "body" };
    struct test_run *run = test_check_running(L, "t.request");
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    refuse_unknown(L, "a request", known, ARRAY_COUNT(known));
    struct test_request *r = arena_zalloc(&run->arena, sizeof *r);
    r->call = (struct script_call){ .owner = run,
                                    .arena = &run->arena,
                                    .request = &r->message,
                                    .view = &r->view,
                                    .has_encoded_slash = &r->has_encoded_slash,
                                    .upstream_index = CONFIG_NONE };
    take_request(L, &run->arena, r);
    r->view.now = run->setup.now;
    r->next = run->requests;
    run->requests = r;
    test_request_push(L, r);
    return 1;
}

/* ---- reading a request --------------------------------------------------------------------------------------------------------- */

static void push_object(lua_State *L, const struct api_kind *kind, struct object object)
{
    object.kind = kind;
    object.serial = test_run_of(L)->serial;
    *(struct object *)lua_newuserdatauv(L, sizeof object, 0) = object;
    lua_rawgetp(L, LUA_REGISTRYINDEX, kind);
    lua_setmetatable(L, -2);
}

/* Objects of other kinds are of other sizes. */
static const struct object *check_object(lua_State *L, int index, const struct api_kind *kind)
{
    const struct object *o = lua_touserdata(L, index);
    if (o == NULL || lua_rawlen(L, index) != sizeof *o || o->kind != kind)
        luaL_typeerror(L, index, kind->name);
    else if (o->serial != test_run_of(L)->serial)
        luaL_error(L, "this %s belongs to a test that has ended", kind->name);
    return o;
}

void test_request_push(lua_State *L, struct test_request *r)
{
    push_object(L, &request_kind, (struct object){ .request = r });
}

struct test_request *test_request_check(lua_State *L, int index)
{
    return check_object(L, index, &request_kind)->request;
}

struct message *test_response_check(lua_State *L, int index)
{
    return check_object(L, index, &response_kind)->response;
}

static int push(lua_State *L, struct slice s)
{
    lua_pushlstring(L, s.len > 0 ? s.ptr : "", s.len);
    return 1;
}

static int request_header(lua_State *L)
{
    const struct message *m = &test_request_check(L, 1)->message;
    api_push_header(L, m, test_check_slice(L, 2));
    return 1;
}

static int request_cookie(lua_State *L)
{
    struct slice value;
    const struct message *m = &test_request_check(L, 1)->message;
    return message_cookie(m, test_check_slice(L, 2), &value) ? push(L, value) : 0;
}

static int request_arg(lua_State *L)
{
    struct slice value;
    struct slice query = test_request_check(L, 1)->view.query;
    return query_argument(query, test_check_slice(L, 2), &value) ? push(L, value) : 0;
}

static int request_method(lua_State *L)
{
    return push(L, test_request_check(L, 1)->message.method_name);
}

static int request_path(lua_State *L)
{
    return push(L, test_request_check(L, 1)->view.path);
}

static int request_query(lua_State *L)
{
    return push(L, test_request_check(L, 1)->view.query);
}

static int request_host(lua_State *L)
{
    return push(L, test_request_check(L, 1)->view.host);
}

static int request_scheme(lua_State *L)
{
    return push(L, test_request_check(L, 1)->call.scheme);
}

static int request_source_ip(lua_State *L)
{
    char text[64];
    const struct ip_address *source = &test_request_check(L, 1)->view.source;
    return push(L, slice_from(text, ip_format(source, text)));
}

static int request_body(lua_State *L)
{
    struct slice body = test_request_check(L, 1)->body;
    return body.ptr != NULL ? push(L, body) : 0;
}

/* ---- responses --------------------------------------------------------------------------------------------------------------- */

int test_library_response(lua_State *L)
{
    static const char *const known[] = { "status", "headers" };
    struct test_run *run = test_check_running(L, "t.response");
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    refuse_unknown(L, "a response", known, ARRAY_COUNT(known));
    struct message *m = arena_zalloc(&run->arena, sizeof *m);
    message_init(m, &run->arena, 16);
    m->is_response = true;
    m->version_major = m->version_minor = 1;
    m->status = 200;
    if (lua_getfield(L, 1, "status") != LUA_TNIL) {
        lua_Integer status = luaL_checkinteger(L, -1);
        if (status < 200 || status > 599)
            return luaL_error(L, "a final status is from 200 to 599");
        m->status = (uint16_t)status;
    }
    test_headers_take(L, 1, &run->arena, m);
    push_object(L, &response_kind, (struct object){ .response = m });
    return 1;
}

static int response_status(lua_State *L)
{
    lua_pushinteger(L, test_response_check(L, 1)->status);
    return 1;
}

static int response_header(lua_State *L)
{
    const struct message *m = test_response_check(L, 1);
    api_push_header(L, m, test_check_slice(L, 2));
    return 1;
}

static const luaL_Reg request_methods[] = {
    { "header", request_header }, { "cookie", request_cookie }, { "arg", request_arg }, { NULL, NULL }
};
static const luaL_Reg request_fields[] = {
    { "method", request_method },       { "path", request_path },
    { "query", request_query },         { "host", request_host },
    { "source_ip", request_source_ip }, { "scheme", request_scheme },
    { "body", request_body },           { NULL, NULL },
};
static const luaL_Reg response_methods[] = { { "header", response_header }, { NULL, NULL } };
static const luaL_Reg response_fields[] = { { "status", response_status }, { NULL, NULL } };

static const struct api_kind request_kind = { "test request", request_methods, request_fields, NULL };
static const struct api_kind response_kind = { "test response", response_methods, response_fields, NULL };

void test_request_open(lua_State *L)
{
    api_open_kind(L, &request_kind);
    api_open_kind(L, &response_kind);
}
