/* lua/library_string.c - string functions that can be stopped: patterns, and whatever walks a long text. */
#include "lua/library.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/pattern.h"
#include "lua/vm.h"

#define RUN_BYTES (64u * 1024) /* between two checks */

static void on_steps(void *arg)
{
    vm_check(arg);
}

static struct slice check_text(lua_State *L, int index)
{
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);
    return slice_from(text, length);
}

/* A start as scripts write it: from 1, negative from the end; as an offset that may lie behind the end. */
static size_t start_offset(lua_State *L, int index, size_t length)
{
    lua_Integer start = luaL_optinteger(L, index, 1);
    if (start > 0)
        return (size_t)start - 1;
    if (start == 0 || start < -(lua_Integer)length)
        return 0;
    return length - (size_t)-start;
}

/* ---- captures ------------------------------------------------------------------------------------------------------ */

/* Capture i, counted from 0; the whole match is the only one where there are none. */
static void push_capture(lua_State *L, struct slice subject, const struct pattern_match *m, size_t i)
{
    if (i >= m->capture_count) {
        if (i != 0)
            luaL_error(L, "invalid capture index %%%d", (int)i + 1);
        lua_pushlstring(L, m->whole.ptr, m->whole.len);
    } else if (m->captures[i].length == PATTERN_UNFINISHED) {
        luaL_error(L, "unfinished capture");
    } else if (m->captures[i].length == PATTERN_POSITION) {
        lua_pushinteger(L, m->captures[i].begin - subject.ptr + 1);
    } else {
        lua_pushlstring(L, m->captures[i].begin, m->captures[i].length);
    }
}

static int push_captures(lua_State *L, struct slice subject, const struct pattern_match *m)
{
    luaL_checkstack(L, PATTERN_CAPTURES_MAX, "too many captures");
    for (size_t i = 0; i < m->capture_count; i++)
        push_capture(L, subject, m, i);
    return (int)m->capture_count;
}

static bool find(lua_State *L, struct pattern *p, struct slice subject, size_t from, struct pattern_match *m)
{
    enum pattern_result result = pattern_find(p, subject, from, m);
    if (result == PATTERN_INVALID)
        luaL_error(L, "%s", p->problem);
    return result == PATTERN_FOUND;
}

/* ---- find and match ------------------------------------------------------------------------------------------------ */

/* Nothing in it has a meaning beyond itself. */
static bool is_plain(struct slice pattern)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (memchr("^$*+?.([%-", pattern.ptr[i], 10) != NULL)
            return false;
    return true;
}

static int push_range(lua_State *L, struct slice subject, struct slice found)
{
    lua_pushinteger(L, found.ptr - subject.ptr + 1);
    lua_pushinteger(L, found.ptr - subject.ptr + (lua_Integer)found.len);
    return 2;
}

static int find_plain(lua_State *L, struct slice subject, struct slice wanted, size_t from)
{
    const char *at = memmem(subject.ptr + from, subject.len - from, wanted.ptr, wanted.len);
    if (at != NULL)
        return push_range(L, subject, slice_from(at, wanted.len));
    lua_pushnil(L);
    return 1;
}

int library_string_find(lua_State *L)
{
    struct slice subject = check_text(L, 1), pattern = check_text(L, 2);
    size_t from = start_offset(L, 3, subject.len);
    struct pattern p;
    struct pattern_match m;
    if (from > subject.len) {
        lua_pushnil(L);
        return 1;
    }
    if (lua_toboolean(L, 4) || is_plain(pattern))
        return find_plain(L, subject, pattern, from);
    pattern_init(&p, pattern, true, on_steps, L);
    if (find(L, &p, subject, from, &m))
        return push_range(L, subject, m.whole) + push_captures(L, subject, &m);
    lua_pushnil(L);
    return 1;
}

int library_string_match(lua_State *L)
{
    struct slice subject = check_text(L, 1), pattern = check_text(L, 2);
    size_t from = start_offset(L, 3, subject.len);
    struct pattern p;
    struct pattern_match m;
    pattern_init(&p, pattern, true, on_steps, L);
    if (from > subject.len || !find(L, &p, subject, from, &m)) {
        lua_pushnil(L);
        return 1;
    }
    if (m.capture_count > 0)
        return push_captures(L, subject, &m);
    push_capture(L, subject, &m, 0);
    return 1;
}

/* ---- gmatch: upvalues are subject, pattern, where to go on, and the end of the last match (both offsets) -------------- */

static int gmatch_next(lua_State *L)
{
    struct slice subject = check_text(L, lua_upvalueindex(1)), pattern = check_text(L, lua_upvalueindex(2));
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
    struct pattern p;
    struct pattern_match m;
    pattern_init(&p, pattern, false, on_steps, L);
    while ((size_t)from <= subject.len && find(L, &p, subject, (size_t)from, &m)) {
        lua_Integer end = m.whole.ptr - subject.ptr + (lua_Integer)m.whole.len;
        if (end != last) {
            lua_pushinteger(L, end);
            lua_copy(L, -1, lua_upvalueindex(3));
            lua_replace(L, lua_upvalueindex(4));
            if (m.capture_count > 0)
                return push_captures(L, subject, &m);
            push_capture(L, subject, &m, 0);
            return 1;
        }
        from = end + 1; /* an empty match just behind the last one is none */
    }
    return 0;
}

int library_string_gmatch(lua_State *L)
{
    struct slice subject = check_text(L, 1);
    check_text(L, 2);
    size_t from = start_offset(L, 3, subject.len);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)(from > subject.len ? subject.len + 1 : from));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* ---- gsub ---------------------------------------------------------------------------------------------------------- */

/* The replacement's text with %0..%9 and %% put in. */
static void add_text(lua_State *L, luaL_Buffer *b, struct slice subject, const struct pattern_match *m)
{
    struct slice text = check_text(L, 3);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            luaL_addchar(b, text.ptr[i]);
            continue;
        }
        char next = ++i < text.len ? text.ptr[i] : '\0';
        if (next == '%') {
            luaL_addchar(b, '%');
        } else if (next == '0') {
            luaL_addlstring(b, m->whole.ptr, m->whole.len);
        } else if (isdigit((unsigned char)next)) {
            push_capture(L, subject, m, (size_t)(next - '1'));
            luaL_tolstring(L, -1, NULL); /* a position becomes text */
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* What a function or a table says about the first capture; nil and false leave the match as it was. */
static void add_lookup(lua_State *L, luaL_Buffer *b, struct slice subject, const struct pattern_match *m)
{
    push_capture(L, subject, m, 0);
    if (lua_istable(L, 3)) {
        lua_gettable(L, 3);
    } else {
        lua_pushvalue(L, 3);
        lua_insert(L, -2);
        for (size_t i = 1; i < m->capture_count; i++)
            push_capture(L, subject, m, i);
        lua_call(L, m->capture_count > 1 ? (int)m->capture_count : 1, 1);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, m->whole.ptr, m->whole.len);
    } else if (lua_isstring(L, -1)) {
        luaL_addvalue(b);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
}

static void check_replacement(lua_State *L)
{
    int type = lua_type(L, 3);
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                     "string/function/table");
}

int library_string_gsub(lua_State *L)
{
    struct slice subject = check_text(L, 1), pattern = check_text(L, 2);
    check_replacement(L);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)subject.len + 1), count = 0;
    struct pattern p;
    struct pattern_match m;
    luaL_Buffer b;
    pattern_init(&p, pattern, true, on_steps, L);
    luaL_checkstack(L, PATTERN_CAPTURES_MAX + 8, "too many captures");
    lua_settop(L, 3);
    luaL_buffinit(L, &b);
    const char *rest = subject.ptr, *end = subject.ptr + subject.len, *last = NULL;
    size_t from = 0;
    while (count < most && from <= subject.len && find(L, &p, subject, from, &m)) {
        const char *match_end = m.whole.ptr + m.whole.len;
        from = (size_t)(match_end - subject.ptr);
        if (match_end == last) {
            from++; /* an empty match just behind the last one is none */
        } else {
            count++;
            luaL_addlstring(&b, rest, (size_t)(m.whole.ptr - rest));
            if (lua_istable(L, 3) || lua_isfunction(L, 3))
                add_lookup(L, &b, subject, &m);
            else
                add_text(L, &b, subject, &m);
            rest = last = match_end;
        }
        if (p.is_anchored)
            break;
    }
    luaL_addlstring(&b, rest, (size_t)(end - rest));
    luaL_pushresult(&b);
    lua_pushinteger(L, count);
    return 2;
}

/* ---- long texts ---------------------------------------------------------------------------------------------------- */

static int map_bytes(lua_State *L, int (*map)(int c))
{
    struct slice text = check_text(L, 1);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, text.len);
    for (size_t i = 0; i < text.len; i++) {
        if (i % RUN_BYTES == 0)
            vm_check(L);
        out[i] = (char)map((unsigned char)text.ptr[i]);
    }
    luaL_pushresultsize(&b, text.len);
    return 1;
}

int library_string_lower(lua_State *L)
{
    return map_bytes(L, tolower);
}

int library_string_upper(lua_State *L)
{
    return map_bytes(L, toupper);
}

int library_string_reverse(lua_State *L)
{
    struct slice text = check_text(L, 1);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, text.len);
    for (size_t i = 0; i < text.len; i++) {
        if (i % RUN_BYTES == 0)
            vm_check(L);
        out[i] = text.ptr[text.len - 1 - i];
    }
    luaL_pushresultsize(&b, text.len);
    return 1;
}

/* The first `unit` bytes of out, again and again up to `bytes`: the copied part doubles, so that copies are few. */
static void repeat(char *out, size_t unit, size_t bytes)
{
    for (size_t done = unit; done < bytes;) {
        size_t more = done < bytes - done ? done : bytes - done;
        memcpy(out + done, out, more);
        done += more;
    }
}

int library_string_rep(lua_State *L)
{
    struct slice text = check_text(L, 1);
    lua_Integer count = luaL_checkinteger(L, 2);
    size_t gap_length;
    const char *gap = luaL_optlstring(L, 3, "", &gap_length);
    size_t unit = text.len + gap_length, bytes;
    if (count <= 0 || unit == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (__builtin_mul_overflow(unit, (size_t)count, &bytes) || bytes > PTRDIFF_MAX)
        return luaL_error(L, "resulting string too large");
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, bytes); /* with a gap behind the last one, which is left off */
    memcpy(out, text.ptr, text.len);
    memcpy(out + text.len, gap, gap_length);
    repeat(out, unit, bytes);
    luaL_pushresultsize(&b, bytes - gap_length);
    return 1;
}
