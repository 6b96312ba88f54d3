/* lua/library_base.c - coroutines, protected calls and metatables that leave no way around the limits. */
#include "lua/library.h"

#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/vm.h"

/* Of functions that do not ask: a millisecond or two. */
#define TEXT_MAX_BYTES   (1u << 20)
#define QUOTED_MAX_BYTES (16u << 10)
#define VALUES_MAX       256
#define RESULTS_MAX      8192

#define FRAMES_MAX 200 /* below a protected call that C has called; some 50 us for all the errors it may catch */

/* ---- metatables ---------------------------------------------------------------------------------------------------- */

static void refuse_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    if (lua_rawget(L, 2) != LUA_TNIL)
        luaL_error(L, "a metatable cannot have %s here", name);
    lua_pop(L, 1);
}

int library_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    lua_settop(L, 2);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (lua_istable(L, 2)) {
        refuse_field(L, "__gc");
        refuse_field(L, "__close");
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* ---- protected calls --------------------------------------------------------------------------------------------------- */

/* As lua_pcallk without a handler, for what may be called at that depth. */
static int call_protected(lua_State *L, int argument_count, lua_KFunction finish)
{
    lua_Debug unused;
    if (!lua_isyieldable(L) && lua_getstack(L, FRAMES_MAX, &unused) != 0)
        return luaL_error(L, "no protected call more than %d calls deep here", FRAMES_MAX);
    return lua_pcallk(L, argument_count, LUA_MULTRET, 0, 0, finish);
}

/* What was there below the results, or the message. */
static int pcall_finish(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD) /* true, results */
        return lua_gettop(L);
    lua_pushboolean(L, false);
    lua_insert(L, -2);
    return 2;
}

/* (function, arguments...) */
int library_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, true);
    lua_insert(L, 1);
    int status = call_protected(L, lua_gettop(L) - 2, pcall_finish);
    return pcall_finish(L, status, 0);
}

static int handler_finish(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context; /* what a handler raises stands for what it returns */
    return lua_gettop(L);
}

static int xpcall_finish(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD) { /* handler, true, results */
        lua_pushboolean(L, true);
        lua_replace(L, 1);
        return lua_gettop(L);
    }
    lua_pushboolean(L, false); /* handler, message */
    lua_insert(L, 1);
    status = lua_pcallk(L, 1, LUA_MULTRET, 0, 0, handler_finish);
    return handler_finish(L, status, 0);
}

/* (function, handler, arguments...) */
int library_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_replace(L, 1);
    lua_replace(L, 2); /* handler, function, arguments */
    int status = call_protected(L, lua_gettop(L) - 2, xpcall_finish);
    return xpcall_finish(L, status, 0);
}

#if defined(__SANITIZE_THREAD__)
#define FRAMES_ARE_COUNTED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FRAMES_ARE_COUNTED 1
#endif
#endif

/* ThreadSanitizer keeps a stack of 65536 entries for each thread: our functions push theirs when they begin, and pop it when they
   return. Lua's errors and yields jump over them. Its longjmp would take them off, but Debian's Lua is built with _FORTIFY_SOURCE
   and calls __longjmp_chk, which it does not know: every jump left what it passed behind, until the stack's end was written over.
   In its builds, and in no other, this takes the name, and sends the jump where it is seen. */
#ifdef FRAMES_ARE_COUNTED
_Noreturn __attribute__((visibility("default"))) void __longjmp_chk(jmp_buf env, int value);

void __longjmp_chk(jmp_buf env, int value)
{
    longjmp(env, value);
}
#endif

/* ---- coroutines ---------------------------------------------------------------------------------------------------- */

static lua_State *check_coroutine(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co != NULL, 1, "coroutine");
    return co;
}

int library_coroutine_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

/* Results or a message on top of L; false: it failed. */
static bool run(lua_State *L, lua_State *co, int argument_count, int *result_count)
{
    *result_count = 1;
    if (!lua_checkstack(co, argument_count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return false;
    }
    lua_xmove(L, co, argument_count);
    int status = vm_resume_nested(L, co, argument_count, result_count);
    if (status != LUA_OK && status != LUA_YIELD) {
        *result_count = 1;
        lua_xmove(co, L, 1);
        return false;
    }
    if (!lua_checkstack(L, *result_count + 1)) {
        lua_pop(co, *result_count);
        *result_count = 1;
        lua_pushliteral(L, "too many results to resume");
        return false;
    }
    lua_xmove(co, L, *result_count);
    return true;
}

int library_coroutine_resume(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    int result_count;
    if (vm_is_call(L, 1)) { /* it may wait for an answer, and would take our arguments for it */
        lua_pushboolean(L, false);
        lua_pushliteral(L, "cannot resume a coroutine that a hook runs in");
        return 2;
    }
    bool is_good = run(L, co, lua_gettop(L) - 1, &result_count);
    lua_pushboolean(L, is_good);
    lua_insert(L, -(result_count + 1));
    return result_count + 1;
}

static int wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int result_count;
    if (run(L, co, lua_gettop(L), &result_count))
        return result_count;
    return lua_error(L);
}

int library_coroutine_wrap(lua_State *L)
{
    library_coroutine_create(L);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

/* The hook's own coroutine yields only to wait (lua_yieldk in our own functions), never to the script. */
int library_coroutine_yield(lua_State *L)
{
    if (vm_of(L)->calling == L)
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

/* ---- Lua's own, for what is not too much ------------------------------------------------------------------------------ */

static int call_own(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

int library_bounded_text(lua_State *L)
{
    size_t length;
    luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length <= TEXT_MAX_BYTES, 1, "text too long");
    return call_own(L);
}

/* %q writes a byte that is no character as a number. */
static size_t values_max_bytes(lua_State *L)
{
    size_t length;
    const char *format = luaL_checklstring(L, 1, &length);
    return memmem(format, length, "%q", 2) != NULL ? QUOTED_MAX_BYTES : TEXT_MAX_BYTES;
}

/* A number with a hundred digits takes some microseconds. */
int library_bounded_values(lua_State *L)
{
    size_t bytes = 0, max_bytes = values_max_bytes(L);
    int count = lua_gettop(L);
    if (count > VALUES_MAX)
        return luaL_error(L, "more than %d values", VALUES_MAX);
    for (int i = 1; i <= count; i++) {
        bytes += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 0;
        luaL_argcheck(L, bytes <= max_bytes, i, "text too long");
    }
    return call_own(L);
}

static lua_Integer from_end(lua_Integer at, lua_Integer length)
{
    return at >= 0 ? at : at < -length ? 0 : length + at + 1;
}

int library_bounded_range(lua_State *L)
{
    size_t length;
    luaL_checklstring(L, 1, &length);
    lua_Integer first = from_end(luaL_optinteger(L, 2, 1), (lua_Integer)length);
    lua_Integer last = from_end(luaL_optinteger(L, 3, first), (lua_Integer)length);
    first = first < 1 ? 1 : first;
    last = last > (lua_Integer)length ? (lua_Integer)length : last;
    if (last >= first && last - first >= RESULTS_MAX)
        return luaL_error(L, "more than %d results", RESULTS_MAX);
    return call_own(L);
}

/* The sizes that stand in a format of string.pack: padding is written byte by byte. */
static size_t sum_of_sizes(const char *format, size_t length)
{
    size_t sum = 0, size = 0;
    for (size_t i = 0; i < length && sum <= TEXT_MAX_BYTES; i++) {
        bool is_digit = format[i] >= '0' && format[i] <= '9';
        size_t grown = is_digit ? size * 10 + (size_t)(format[i] - '0') : 0;
        sum += grown > size ? grown - size : 0;
        size = grown;
    }
    return sum;
}

int library_bounded_format(lua_State *L)
{
    size_t length;
    const char *format = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length <= RESULTS_MAX && sum_of_sizes(format, length) <= TEXT_MAX_BYTES, 1, "format too long");
    return call_own(L);
}
