/* lua/library_string.c - string functions that can be stopped: patterns, and whatever walks a long text. */
#include "lua/library.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/pattern.h"
#include "lua/vm.h"

#define RUN_BYTES         (64u * 1024) /* between two checks */
#define PATTERN_MAX_BYTES (64u * 1024) /* a step may walk all of it */

static bool on_steps(void *arg)
{
    return vm_is_pause_due(arg);
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

static void push_whole(lua_State *L, const struct pattern_search *q)
{
    lua_pushlstring(L, q->from, (size_t)(q->s - q->from));
}

/* Capture i, counted from 0; the whole match is the only one where there are none. */
static void push_capture(lua_State *L, const struct pattern_search *q, size_t i)
{
    if (i >= q->capture_count) {
        if (i != 0)
            luaL_error(L, "invalid capture index %%%d", (int)i + 1);
        push_whole(L, q);
    } else if (q->captures[i].length == PATTERN_UNFINISHED) {
        luaL_error(L, "unfinished capture");
    } else if (q->captures[i].length == PATTERN_POSITION) {
        lua_pushinteger(L, q->captures[i].begin - q->begin + 1);
    } else {
        lua_pushlstring(L, q->captures[i].begin, q->captures[i].length);
    }
}

static int push_captures(lua_State *L, const struct pattern_search *q)
{
    luaL_checkstack(L, PATTERN_CAPTURES_MAX, "too many captures");
    for (size_t i = 0; i < q->capture_count; i++)
        push_capture(L, q, i);
    return (int)q->capture_count;
}

/* All captures, or the whole where there are none. */
static int push_match(lua_State *L, const struct pattern_search *q)
{
    if (q->capture_count > 0)
        return push_captures(L, q);
    push_whole(L, q);
    return 1;
}

/* ---- searches ------------------------------------------------------------------------------------------------------- */

static void begin(lua_State *L, struct pattern_search *q, struct slice pattern, enum pattern_anchor anchor,
                  struct slice subject)
{
    luaL_argcheck(L, pattern.len <= PATTERN_MAX_BYTES, 2, "pattern too long");
    pattern_begin(q, pattern, anchor, subject);
    q->on_steps = on_steps;
    q->arg = L;
}

static bool is_found(lua_State *L, const struct pattern_search *q, enum pattern_result result)
{
    if (result == PATTERN_INVALID)
        luaL_error(L, "%s", q->problem);
    return result == PATTERN_FOUND;
}

/* Where it cannot be left. */
static bool find(lua_State *L, struct pattern_search *q, size_t from)
{
    enum pattern_result result;
    pattern_start(q, from);
    while ((result = pattern_run(q)) == PATTERN_LEFT)
        ;
    return is_found(L, q, result);
}

/* Leaves it; what counts of it is the topmost value until `k` takes it up. */
static int leave(lua_State *L, const struct pattern_search *q, lua_KContext context, lua_KFunction k)
{
    size_t bytes = pattern_kept_bytes(q);
    memcpy(lua_newuserdatauv(L, bytes, 0), q, bytes);
    return vm_pause(L, context, k);
}

static void take_up(lua_State *L, struct pattern_search *q)
{
    memcpy(q, lua_touserdata(L, -1), lua_rawlen(L, -1));
    lua_pop(L, 1);
}

/* ---- find and match ------------------------------------------------------------------------------------------------ */

/* Nothing in it has a meaning beyond itself. */
static bool is_plain(struct slice pattern)
{
    static const bool has_meaning[UCHAR_MAX + 1] = {
        ['^'] = true, ['$'] = true, ['*'] = true, ['+'] = true, ['?'] = true,
        ['.'] = true, ['('] = true, ['['] = true, ['%'] = true, ['-'] = true
    };
    for (size_t i = 0; i < pattern.len; i++)
        if (has_meaning[(unsigned char)pattern.ptr[i]])
            return false;
    return true;
}

static int push_range(lua_State *L, struct slice subject, struct slice found)
{
    lua_pushinteger(L, found.ptr - subject.ptr + 1);
    lua_pushinteger(L, found.ptr - subject.ptr + (lua_Integer)found.len);
    return 2;
}

/* In pieces that overlap, as long as what is wanted at least, so that the whole is walked twice at most. */
static int find_plain(lua_State *L, struct slice subject, struct slice wanted, size_t from)
{
    size_t step = wanted.len > RUN_BYTES ? wanted.len : RUN_BYTES;
    for (; subject.len - from >= wanted.len; from += step) {
        size_t rest = subject.len - from, length = rest - wanted.len < step ? rest : step + wanted.len;
        vm_check(L);
        const char *at = memmem(subject.ptr + from, length, wanted.ptr, wanted.len);
        if (at != NULL)
            return push_range(L, subject, slice_from(at, wanted.len));
        if (length == rest)
            break;
    }
    lua_pushnil(L);
    return 1;
}

/* What is told of a match. */
enum telling { TELL_RANGE, TELL_MATCH };

static int search_again(lua_State *L, int status, lua_KContext telling);

static int search(lua_State *L, struct pattern_search *q, enum telling telling)
{
    enum pattern_result result = pattern_run(q);
    if (result == PATTERN_LEFT)
        return leave(L, q, (lua_KContext)telling, search_again);
    if (!is_found(L, q, result)) {
        lua_pushnil(L);
        return 1;
    }
    if (telling == TELL_MATCH)
        return push_match(L, q);
    lua_pushinteger(L, q->from - q->begin + 1);
    lua_pushinteger(L, q->s - q->begin);
    return 2 + push_captures(L, q);
}

static int search_again(lua_State *L, int status, lua_KContext telling)
{
    struct pattern_search q;
    (void)status;
    take_up(L, &q);
    return search(L, &q, (enum telling)telling);
}

int library_string_find(lua_State *L)
{
    struct slice subject = check_text(L, 1), pattern = check_text(L, 2);
    size_t from = start_offset(L, 3, subject.len);
    struct pattern_search q;
    if (from > subject.len) {
        lua_pushnil(L);
        return 1;
    }
    if (lua_toboolean(L, 4) || is_plain(pattern))
        return find_plain(L, subject, pattern, from);
    begin(L, &q, pattern, PATTERN_MAY_BE_ANCHORED, subject);
    pattern_start(&q, from);
    return search(L, &q, TELL_RANGE);
}

int library_string_match(lua_State *L)
{
    struct slice subject = check_text(L, 1), pattern = check_text(L, 2);
    size_t from = start_offset(L, 3, subject.len);
    struct pattern_search q;
    if (from > subject.len) {
        lua_pushnil(L);
        return 1;
    }
    begin(L, &q, pattern, PATTERN_MAY_BE_ANCHORED, subject);
    pattern_start(&q, from);
    return search(L, &q, TELL_MATCH);
}

/* ---- gmatch: upvalues are subject, pattern, where to go on, and the end of the last match (both offsets) -------------- */

static int gmatch_again(lua_State *L, int status, lua_KContext context);

static int gmatch_run(lua_State *L, struct pattern_search *q)
{
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4)), length = q->end - q->begin;
    for (;;) {
        enum pattern_result result = pattern_run(q);
        if (result == PATTERN_LEFT)
            return leave(L, q, 0, gmatch_again);
        if (!is_found(L, q, result))
            return 0;
        lua_Integer end = q->s - q->begin;
        if (end != last) {
            lua_pushinteger(L, end);
            lua_copy(L, -1, lua_upvalueindex(3));
            lua_replace(L, lua_upvalueindex(4));
            return push_match(L, q);
        }
        if (end == length)
            return 0;
        pattern_start(q, (size_t)end + 1); /* an empty match just behind the last one is none */
    }
}

static int gmatch_again(lua_State *L, int status, lua_KContext context)
{
    struct pattern_search q;
    (void)status, (void)context;
    take_up(L, &q);
    return gmatch_run(L, &q);
}

static int gmatch_next(lua_State *L)
{
    struct slice subject = check_text(L, lua_upvalueindex(1)), pattern = check_text(L, lua_upvalueindex(2));
    size_t from = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    struct pattern_search q;
    if (from > subject.len)
        return 0;
    begin(L, &q, pattern, PATTERN_UNANCHORED, subject);
    pattern_start(&q, from);
    return gmatch_run(L, &q);
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
static void add_text(lua_State *L, luaL_Buffer *b, const struct pattern_search *q)
{
    struct slice text = check_text(L, 3);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            luaL_addchar(b, text.ptr[i]);
            continue;
        }
        char next = ++i < text.len ? text.ptr[i] : '\0';
        vm_check_text(L, luaL_bufflen(b));
        if (next == '%') {
            luaL_addchar(b, '%');
        } else if (next == '0') {
            luaL_addlstring(b, q->from, (size_t)(q->s - q->from));
        } else if (isdigit((unsigned char)next)) {
            push_capture(L, q, (size_t)(next - '1'));
            luaL_tolstring(L, -1, NULL); /* a position becomes text */
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* What a function or a table says about the first capture; nil and false leave the match as it was. */
static void add_lookup(lua_State *L, luaL_Buffer *b, const struct pattern_search *q)
{
    push_capture(L, q, 0);
    if (lua_istable(L, 3)) {
        lua_gettable(L, 3);
    } else {
        lua_pushvalue(L, 3);
        lua_insert(L, -2);
        for (size_t i = 1; i < q->capture_count; i++)
            push_capture(L, q, i);
        lua_call(L, q->capture_count > 1 ? (int)q->capture_count : 1, 1);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, q->from, (size_t)(q->s - q->from));
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
    struct pattern_search q;
    luaL_Buffer b;
    begin(L, &q, pattern, PATTERN_MAY_BE_ANCHORED, subject);
    luaL_checkstack(L, PATTERN_CAPTURES_MAX + 8, "too many captures");
    lua_settop(L, 3);
    luaL_buffinit(L, &b);
    const char *rest = subject.ptr, *end = subject.ptr + subject.len, *last = NULL;
    size_t from = 0;
    while (count < most && from <= subject.len && find(L, &q, from)) {
        const char *match_end = q.s;
        vm_check_text(L, luaL_bufflen(&b)); /* an empty pattern has no steps */
        from = (size_t)(match_end - subject.ptr);
        if (match_end == last) {
            from++; /* an empty match just behind the last one is none */
        } else {
            count++;
            luaL_addlstring(&b, rest, (size_t)(q.from - rest));
            if (lua_istable(L, 3) || lua_isfunction(L, 3))
                add_lookup(L, &b, &q);
            else
                add_text(L, &b, &q);
            rest = last = match_end;
        }
        if (q.is_anchored)
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
    vm_check_text(L, bytes);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, bytes); /* with a gap behind the last one, which is left off */
    memcpy(out, text.ptr, text.len);
    memcpy(out + text.len, gap, gap_length);
    repeat(out, unit, bytes);
    luaL_pushresultsize(&b, bytes - gap_length);
    return 1;
}
