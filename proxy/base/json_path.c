/* base/json_path.c - places in JSON documents: as an operator writes them, and as a walk through a document meets them. */
#include "base/json_path.h"

#include <string.h>

enum pattern_kind { PATTERN_MEMBER, PATTERN_ANY_MEMBER, PATTERN_ITEM, PATTERN_ANY_ITEM };

struct pattern_step {
    enum pattern_kind kind;
    bool is_anywhere;    /* after `..`: any number of steps may stand before it */
    struct slice member; /* MEMBER */
    size_t index;        /* ITEM */
};

struct json_path {
    size_t count;
    struct pattern_step steps[JSON_PATH_STEPS_MAX];
};

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* What a name may hold without quotes. */
static bool is_bare(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr(".[]*\"'$", c) == NULL;
}

static size_t bare_length(struct slice s)
{
    size_t len = 0;
    while (len < s.len && is_bare(s.ptr[len]))
        len++;
    return len;
}

/* Behind a dot: a name or "*". */
static const char *read_member(struct slice *rest, struct pattern_step *step)
{
    if (rest->len > 0 && rest->ptr[0] == '*') {
        step->kind = PATTERN_ANY_MEMBER;
        *rest = slice_after(*rest, 1);
        return NULL;
    }
    size_t len = bare_length(*rest);
    if (len == 0)
        return "has a dot without a name behind it";
    step->kind = PATTERN_MEMBER;
    step->member = slice_first(*rest, len);
    *rest = slice_after(*rest, len);
    return NULL;
}

/* ["name"]: no escapes, so that a name with the quote in it takes the other kind of quote. */
static bool read_quoted(struct slice inside, struct pattern_step *step)
{
    if (inside.len < 2 || (inside.ptr[0] != '"' && inside.ptr[0] != '\''))
        return false;
    struct slice name = slice_from(inside.ptr + 1, inside.len - 2);
    step->kind = PATTERN_MEMBER;
    step->member = name;
    return inside.ptr[inside.len - 1] == inside.ptr[0] && slice_find(name, inside.ptr[0]) == name.len;
}

static bool read_item(struct slice inside, struct pattern_step *step)
{
    uint64_t index;
    step->kind = PATTERN_ANY_ITEM;
    if (slice_equal(inside, SLICE("*")))
        return true;
    step->kind = PATTERN_ITEM;
    if (!slice_to_u64(inside, &index) || index > UINT32_MAX)
        return false;
    step->index = (size_t)index;
    return true;
}

/* A bracket inside a quoted name does not close. */
static size_t closing_bracket(struct slice rest)
{
    bool is_quoted = rest.len > 0 && (rest.ptr[0] == '"' || rest.ptr[0] == '\'');
    size_t at = is_quoted ? 1 + slice_find(slice_after(rest, 1), rest.ptr[0]) : 0;
    return at >= rest.len ? rest.len : at + slice_find(slice_after(rest, at), ']');
}

/* Behind an opening bracket. */
static const char *read_bracket(struct slice *rest, struct pattern_step *step)
{
    size_t end = closing_bracket(*rest);
    if (end == rest->len)
        return "has a bracket that does not end";
    struct slice inside = slice_first(*rest, end);
    *rest = slice_after(*rest, end + 1);
    if (!read_quoted(inside, step) && !read_item(inside, step))
        return "has a bracket that holds neither a number, nor *, nor a name in quotes";
    return NULL;
}

static const char *read_step(struct slice *rest, struct pattern_step *step)
{
    char first = rest->ptr[0];
    *step = (struct pattern_step){ .kind = PATTERN_MEMBER };
    *rest = slice_after(*rest, 1);
    if (first == '[')
        return read_bracket(rest, step);
    if (first != '.')
        return "has something other than .NAME or [...] behind a step";
    if (rest->len > 0 && rest->ptr[0] == '.') {
        step->is_anywhere = true;
        *rest = slice_after(*rest, 1);
    }
    return read_member(rest, step);
}

static const char *read_path(struct slice text, struct json_path *path)
{
    unsigned anywhere_count = 0;
    path->count = 0;
    if (text.len == 0 || text.ptr[0] != '$')
        return "does not begin with $";
    for (struct slice rest = slice_after(text, 1); rest.len > 0;) {
        if (path->count == JSON_PATH_STEPS_MAX)
            return "has more than 32 steps";
        struct pattern_step *step = &path->steps[path->count++];
        const char *fault = read_step(&rest, step);
        if (fault != NULL)
            return fault;
        anywhere_count += step->is_anywhere;
    }
    return anywhere_count > JSON_PATH_ANYWHERE_MAX ? "has more than two `..`" : NULL;
}

const char *json_path_fault(struct slice text)
{
    struct json_path path;
    return read_path(text, &path);
}

const struct json_path *json_path_parse(struct arena *arena, struct slice text)
{
    struct json_path *path = arena_alloc(arena, sizeof *path);
    CHECK(read_path(arena_copy(arena, text), path) == NULL);
    return path;
}

/* ---- matching -------------------------------------------------------------------------------------------------------- */

static bool step_matches(const struct pattern_step *pattern, const struct json_step *step)
{
    switch (pattern->kind) {
    case PATTERN_MEMBER:
        return step->member.ptr != NULL && slice_equal(pattern->member, step->member);
    case PATTERN_ANY_MEMBER:
        return step->member.ptr != NULL;
    case PATTERN_ITEM:
        return step->member.ptr == NULL && pattern->index == step->index;
    case PATTERN_ANY_ITEM:
        return step->member.ptr == NULL;
    }
    return false;
}

/* Patterns from `at` on against steps from `from` on. is_prefix: steps may be left over. */
static bool matches(const struct json_path *path, size_t at, const struct json_step *steps, size_t from, size_t count,
                    bool is_prefix)
{
    if (at == path->count)
        return is_prefix || from == count;
    const struct pattern_step *pattern = &path->steps[at];
    for (size_t i = from; i < count; i++) {
        if (step_matches(pattern, &steps[i]) && matches(path, at + 1, steps, i + 1, count, is_prefix))
            return true;
        if (!pattern->is_anywhere)
            return false;
    }
    return false;
}

bool json_path_is(const struct json_path *path, const struct json_step *steps, size_t count)
{
    return matches(path, 0, steps, 0, count, false);
}

bool json_path_covers(const struct json_path *path, const struct json_step *steps, size_t count)
{
    return matches(path, 0, steps, 0, count, true);
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void write_member(struct text *out, struct slice name)
{
    if (name.len > 0 && bare_length(name) == name.len) {
        text_add_char(out, '.');
        text_add(out, name);
        return;
    }
    text_add_cstr(out, "[\"");
    text_add_json(out, name);
    text_add_cstr(out, "\"]");
}

void json_steps_write(struct text *out, const struct json_step *steps, size_t count)
{
    text_add_char(out, '$');
    for (size_t i = 0; i < count; i++) {
        if (steps[i].member.ptr != NULL)
            write_member(out, steps[i].member);
        else if (steps[i].label.len > 0)
            text_printf(out, "[%.*s]", SLICE_ARG(steps[i].label));
        else
            text_printf(out, "[%zu]", steps[i].index);
    }
}

void json_steps_write_general(struct text *out, const struct json_step *steps, size_t count)
{
    text_add_char(out, '$');
    for (size_t i = 0; i < count; i++) {
        if (steps[i].member.ptr != NULL)
            write_member(out, steps[i].member);
        else
            text_add_cstr(out, "[*]");
    }
}
