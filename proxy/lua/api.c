/* lua/api.c - the table `weir`, and how objects for hooks are made and looked into. */
#include "lua/api.h"

#include <lauxlib.h>
#include <string.h>

#include "base/hash.h"
#include "config/formats.h"
#include "lua/module.h"
#include "lua/sandbox.h"
#include "lua/vm.h"

#define LOG_INTERVAL_MS 100                 /* lines of one worker's scripts, at most one per */
#define HASH_ONE_BITS   53                  /* of a double's fraction */
#define HASH_UNSALTED   0x1e924b9d737700d7u /* of "" under the keys 0, 0 */

/* Their addresses are keys of the registry: tables of indexes by name. */
static const char upstreams_key, segments_key;

struct script_world *api_world(lua_State *L)
{
    return vm_of(L)->owner;
}

struct wall_time api_now(lua_State *L)
{
    const struct script_fakes *fakes = api_world(L)->fakes;
    return fakes != NULL ? fakes->now(fakes->arg) : clock_wall();
}

struct mono_time api_mono(lua_State *L)
{
    return api_world(L)->fakes != NULL ? (struct mono_time){ api_now(L).unix_ms * 1000 } : clock_mono();
}

static struct slice check_slice(lua_State *L, int index)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, index, &length);
    return slice_from(bytes, length);
}

struct script_call *api_check_call(lua_State *L, const char *what)
{
    struct script_call *call = api_world(L)->call;
    if (call == NULL)
        luaL_error(L, "weir.%s works in hooks only, not while the file is loaded", what);
    return call;
}

/* ---- weir --------------------------------------------------------------------------------------------------------------- */

/* hash(key[, salt]): SipHash-2-4 under fixed keys, so the same in every worker, process and host; its upper 53 bits. */
static int weir_hash(lua_State *L)
{
    struct slice key = check_slice(L, 1);
    uint64_t salted = HASH_UNSALTED;
    if (!lua_isnoneornil(L, 2)) {
        struct slice salt = check_slice(L, 2);
        salted = hash_siphash((struct hash_key){ 0, 0 }, salt.ptr, salt.len);
    }
    uint64_t hash = hash_siphash((struct hash_key){ salted, 0 }, key.ptr, key.len);
    lua_pushnumber(L, (double)(hash >> (64 - HASH_ONE_BITS)) / (double)((uint64_t)1 << HASH_ONE_BITS));
    return 1;
}

static int weir_segment(lua_State *L)
{
    struct script_call *call = api_check_call(L, "segment");
    const char *name = luaL_checkstring(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &segments_key);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) != LUA_TNUMBER)
        return luaL_error(L, "there is no segment '%s'", name);
    size_t index = (size_t)lua_tointeger(L, -1);
    const struct script_world *world = api_world(L);
    lua_pushboolean(L, world->fakes != NULL ? world->fakes->segment(world->fakes->arg, index)
                                            : condition_matches(world->segments[index], call->view));
    return 1;
}

static int weir_upstreams(lua_State *L)
{
    const struct config *config = api_world(L)->config;
    lua_createtable(L, (int)config->upstream_count, 0);
    for (size_t i = 0; i < config->upstream_count; i++) {
        lua_pushlstring(L, config->upstreams[i].name.ptr, config->upstreams[i].name.len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int weir_now(lua_State *L)
{
    lua_pushnumber(L, (double)api_now(L).unix_ms / 1000);
    return 1;
}

static int weir_log(lua_State *L)
{
    static const char *const names[] = { "debug", "info", "warn", "error", NULL };
    static const enum log_level levels[] = { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
    api_check_call(L, "log");
    enum log_level level = levels[luaL_checkoption(L, 1, NULL, names)];
    struct slice text = check_slice(L, 2);
    struct script_world *world = api_world(L);
    if (world->fakes != NULL)
        world->fakes->log(world->fakes->arg, level, text);
    else
        log_line_limited(&world->log_limit, LOG_INTERVAL_MS, level, "script: %s: %.*s", world->script, SLICE_ARG(text));
    return 0;
}

void api_push(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "hash", weir_hash }, { "segment", weir_segment }, { "upstreams", weir_upstreams }, { "now", weir_now },
        { "log", weir_log },   { "fetch", api_fetch },      { "file", module_file_text },    { NULL, NULL }
    };
    luaL_newlib(L, functions);
    api_json_push(L);
    lua_setfield(L, -2, "json");
    api_jwt_push(L);
    lua_setfield(L, -2, "jwt");
    api_shared_push(L);
    lua_setfield(L, -2, "shared");
}

/* ---- what a state needs ---------------------------------------------------------------------------------------------------- */

static void push_name(lua_State *L, struct slice name, size_t index)
{
    lua_pushlstring(L, name.ptr, name.len);
    lua_pushinteger(L, (lua_Integer)index);
    lua_rawset(L, -3);
}

int api_open(lua_State *L)
{
    const struct config *config = api_world(L)->config;
    sandbox_open(L);
    lua_createtable(L, 0, (int)config->upstream_count);
    for (size_t i = 0; i < config->upstream_count; i++)
        push_name(L, config->upstreams[i].name, i);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &upstreams_key);
    lua_createtable(L, 0, (int)config->segment_count);
    for (size_t i = 0; i < config->segment_count; i++)
        push_name(L, config->segments[i].name, i);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &segments_key);
    api_request_open(L);
    api_response_open(L);
    api_json_open(L);
    api_jwt_open(L);
    return 0;
}

uint32_t api_check_upstream(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &upstreams_key);
    lua_pushvalue(L, index);
    if (lua_rawget(L, -2) != LUA_TNUMBER)
        luaL_error(L, "there is no upstream '%s'", lua_tostring(L, index));
    return (uint32_t)lua_tointeger(L, -1);
}

/* ---- for functions that hold what is not Lua's ---------------------------------------------------------------------------- */

int api_call_guarded(lua_State *L, lua_CFunction body, void *arg, int result_count)
{
    lua_pushcfunction(L, body);
    lua_insert(L, 1);
    lua_pushlightuserdata(L, arg);
    return lua_pcall(L, lua_gettop(L) - 1, result_count, 0);
}

/* The line is added here: below the guard nobody could tell it. Out of memory has a message of Lua's own, by which it is
   known further up. */
int api_end_guarded(lua_State *L, int status, int result_count)
{
    if (status == LUA_OK)
        return result_count;
    if (status != LUA_ERRMEM) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

void api_check_options(lua_State *L, int table, const char *const *names)
{
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        size_t i = 0;
        while (names[i] != NULL && strcmp(names[i], key) != 0)
            i++;
        if (names[i] == NULL)
            luaL_error(L, "there is no option '%s'", luaL_tolstring(L, -2, NULL));
    }
}

/* ---- objects --------------------------------------------------------------------------------------------------------------- */

/* No pointer: the call an object is good for is the one with its serial. Scripts have no other userdata than these, so
   one that is as long begins like it. */
struct object {
    const struct api_kind *kind;
    uint64_t serial;
};

void api_push_object(lua_State *L, const struct api_kind *kind)
{
    struct object *o = lua_newuserdatauv(L, sizeof(*o), 0);
    *o = (struct object){ kind, api_world(L)->serial };
    lua_rawgetp(L, LUA_REGISTRYINDEX, kind);
    lua_setmetatable(L, -2);
}

struct script_call *api_check_object(lua_State *L, int index, const struct api_kind *kind)
{
    const struct object *o = lua_touserdata(L, index);
    const struct script_world *world = api_world(L);
    if (o == NULL || lua_rawlen(L, index) != sizeof(*o) || o->kind != kind)
        luaL_typeerror(L, index, kind->name);
    else if (world->call == NULL || o->serial != world->serial)
        luaL_error(L, "this %s belongs to a call that has ended", kind->name);
    return world->call;
}

static int refuse_new(lua_State *L)
{
    return luaL_error(L, "'%s' cannot be set", luaL_tolstring(L, 2, NULL));
}

/* __index: object and name are the arguments, as only the interpreter calls it; upvalue: the members. A method is its
   function, a field its place in kind->fields. */
static int index_object(lua_State *L)
{
    lua_pushvalue(L, 2);
    int type = lua_rawget(L, lua_upvalueindex(1));
    if (type == LUA_TFUNCTION)
        return 1;
    if (type == LUA_TNIL)
        return luaL_error(L, "there is no '%s' in it", luaL_tolstring(L, 2, NULL));
    const struct object *o = lua_touserdata(L, 1);
    lua_Integer field = lua_tointeger(L, -1);
    lua_settop(L, 1);
    return o->kind->fields[field].func(L);
}

/* The table of methods and fields that index_object looks into. */
static void push_members(lua_State *L, const struct api_kind *kind)
{
    lua_newtable(L);
    luaL_setfuncs(L, kind->methods, 0);
    for (lua_Integer i = 0; kind->fields[i].name != NULL; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, kind->fields[i].name);
    }
}

void api_open_kind(lua_State *L, const struct api_kind *kind)
{
    lua_newtable(L);
    lua_pushstring(L, kind->name);
    lua_setfield(L, -2, "__name");
    push_members(L, kind);
    lua_pushcclosure(L, index_object, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, kind->set != NULL ? kind->set : refuse_new);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, kind);
}

/* ---- headers --------------------------------------------------------------------------------------------------------------- */

void api_push_header(lua_State *L, const struct message *m, struct slice name)
{
    const struct field *first = message_field_named(m, name, NULL);
    const struct field *next = first != NULL ? message_field_named(m, name, first) : NULL;
    luaL_Buffer joined;
    if (next == NULL) {
        if (first != NULL)
            lua_pushlstring(L, first->value.ptr, first->value.len);
        else
            lua_pushnil(L);
        return;
    }
    luaL_buffinit(L, &joined);
    luaL_addlstring(&joined, first->value.ptr, first->value.len);
    for (; next != NULL; next = message_field_named(m, name, next)) {
        luaL_addstring(&joined, ", ");
        luaL_addlstring(&joined, next->value.ptr, next->value.len);
    }
    luaL_pushresult(&joined);
}

static void refuse_if(lua_State *L, const char *fault, struct slice text)
{
    if (fault == NULL)
        return;
    lua_pushlstring(L, text.ptr, text.len < 64 ? text.len : 64);
    luaL_error(L, "'%s' %s", lua_tostring(L, -1), fault);
}

void api_check_header(lua_State *L, int name_index, int value_index, struct slice *name, struct slice *value)
{
    *name = check_slice(L, name_index);
    refuse_if(L, format_editable_header.fault(*name), *name);
    *value = SLICE_NONE;
    if (value_index == 0)
        return;
    *value = check_slice(L, value_index);
    refuse_if(L, format_header_value.fault(*value), *name);
}

void api_charge(lua_State *L, struct script_call *call, size_t bytes)
{
    if (call->edit_count >= SCRIPT_EDITS_MAX || bytes > SCRIPT_EDIT_MAX_BYTES - call->edited_bytes)
        luaL_error(L, "too many edits for one request: %d, or %d bytes", SCRIPT_EDITS_MAX, (int)SCRIPT_EDIT_MAX_BYTES);
    call->edit_count++;
    call->edited_bytes += (uint32_t)bytes;
}

void api_set_header(lua_State *L, struct script_call *call, struct message *m)
{
    struct slice name, value;
    luaL_checkany(L, 3);
    bool is_removed = lua_isnil(L, 3);
    api_check_header(L, 2, is_removed ? 0 : 3, &name, &value);
    if (is_removed) {
        message_drop_named(m, name);
        return;
    }
    api_charge(L, call, name.len + value.len);
    message_set(m, call->arena, arena_copy(call->arena, name), arena_copy(call->arena, value));
}

void api_add_header(lua_State *L, struct script_call *call, struct message *m)
{
    struct slice name, value;
    api_check_header(L, 2, 3, &name, &value);
    api_charge(L, call, name.len + value.len);
    name = arena_copy(call->arena, name);
    message_add(m, call->arena, field_id_from_name(name), name, arena_copy(call->arena, value));
}
