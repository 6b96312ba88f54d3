/* lua/pattern.c - Lua's patterns, with a matcher that can be stopped. */
#include "lua/pattern.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

#define DEPTH_MAX       200  /* of items that wait for what follows them; as in Lua */
#define STEPS_PER_CHECK 4096 /* some microseconds */

/* One attempt at one place. Backtracking undoes captures by itself: who opened one forgets it when what follows fails. */
struct attempt {
    struct pattern *pattern;
    const char *begin, *end; /* of the subject */
    const char *pattern_end;
    uint32_t steps, depth;
    size_t count;
    struct pattern_capture captures[PATTERN_CAPTURES_MAX];
};

static const char *match_here(struct attempt *a, const char *s, const char *p);

static const char *invalid(struct attempt *a, const char *problem)
{
    if (a->pattern->problem == NULL)
        a->pattern->problem = problem;
    return NULL;
}

static bool is_invalid(const struct attempt *a)
{
    return a->pattern->problem != NULL;
}

static void step(struct attempt *a)
{
    if (++a->steps % STEPS_PER_CHECK == 0)
        a->pattern->on_steps(a->pattern->arg);
}

/* ---- classes ------------------------------------------------------------------------------------------------------- */

/* %a, %D ... ; any other character after % stands for itself. */
static bool is_in_class(unsigned char c, unsigned char class)
{
    int is_in;
    switch (tolower(class)) {
    case 'a':
        is_in = isalpha(c);
        break;
    case 'c':
        is_in = iscntrl(c);
        break;
    case 'd':
        is_in = isdigit(c);
        break;
    case 'g':
        is_in = isgraph(c);
        break;
    case 'l':
        is_in = islower(c);
        break;
    case 'p':
        is_in = ispunct(c);
        break;
    case 's':
        is_in = isspace(c);
        break;
    case 'u':
        is_in = isupper(c);
        break;
    case 'w':
        is_in = isalnum(c);
        break;
    case 'x':
        is_in = isxdigit(c);
        break;
    default:
        return class == c;
    }
    return (is_in != 0) == (islower(class) != 0);
}

/* Behind the set whose '[' is in front of p; NULL: it does not end. A ']' that comes first belongs to it. */
static const char *set_end(struct attempt *a, const char *p)
{
    if (p < a->pattern_end && *p == '^')
        p++;
    for (bool is_first = true; p < a->pattern_end && (is_first || *p != ']'); is_first = false) {
        if (*p++ == '%' && p++ >= a->pattern_end)
            return invalid(a, "malformed pattern (missing ']')");
    }
    return p < a->pattern_end ? p + 1 : invalid(a, "malformed pattern (missing ']')");
}

/* Behind the single-character item at p: a character, a class, a set. */
static const char *item_end(struct attempt *a, const char *p)
{
    if (*p == '[')
        return set_end(a, p + 1);
    if (*p != '%')
        return p + 1;
    return p + 1 < a->pattern_end ? p + 2 : invalid(a, "malformed pattern (ends with '%')");
}

/* [p, end) is a set, brackets included. */
static bool is_in_set(unsigned char c, const char *p, const char *end)
{
    bool is_negated = p[1] == '^';
    p += is_negated ? 2 : 1;
    end--;
    while (p < end) {
        if (*p == '%') {
            if (is_in_class(c, (unsigned char)p[1]))
                return !is_negated;
            p += 2;
        } else if (p + 2 < end && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return !is_negated;
            p += 3;
        } else if ((unsigned char)*p++ == c) {
            return !is_negated;
        }
    }
    return is_negated;
}

static bool is_one(const struct attempt *a, const char *s, const char *p, const char *end)
{
    if (s >= a->end)
        return false;
    unsigned char c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return is_in_class(c, (unsigned char)p[1]);
    case '[':
        return is_in_set(c, p, end);
    default:
        return (unsigned char)*p == c;
    }
}

/* ---- items --------------------------------------------------------------------------------------------------------- */

/* As many as there are, then fewer and fewer, until the rest fits. `least`: 0 for '*', 1 for '+'. */
static const char *match_most(struct attempt *a, const char *s, const char *p, const char *end, ptrdiff_t least)
{
    ptrdiff_t count = 0;
    while (is_one(a, s + count, p, end)) {
        step(a);
        count++;
    }
    for (; count >= least && !is_invalid(a); count--) {
        const char *found = match_here(a, s + count, end + 1);
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* '-': none, then more and more. */
static const char *match_fewest(struct attempt *a, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        step(a);
        const char *found = match_here(a, s, end + 1);
        if (found != NULL || is_invalid(a) || !is_one(a, s, p, end))
            return found;
    }
}

static const char *open_capture(struct attempt *a, const char *s, const char *p, size_t length)
{
    if (a->count == PATTERN_CAPTURES_MAX)
        return invalid(a, "too many captures");
    a->captures[a->count++] = (struct pattern_capture){ s, length };
    const char *found = match_here(a, s, p);
    if (found == NULL)
        a->count--;
    return found;
}

/* The innermost that is open. */
static const char *close_capture(struct attempt *a, const char *s, const char *p)
{
    size_t i = a->count;
    while (i > 0 && a->captures[i - 1].length != PATTERN_UNFINISHED)
        i--;
    if (i == 0)
        return invalid(a, "invalid pattern capture");
    struct pattern_capture *c = &a->captures[i - 1];
    c->length = (size_t)(s - c->begin);
    const char *found = match_here(a, s, p);
    if (found == NULL)
        c->length = PATTERN_UNFINISHED;
    return found;
}

/* Behind the balanced run that begins at s; p: the two characters. */
static const char *match_balanced(struct attempt *a, const char *s, const char *p)
{
    if (a->pattern_end - p < 2)
        return invalid(a, "malformed pattern (missing arguments to '%b')");
    if (s >= a->end || *s != p[0])
        return NULL;
    size_t open = 1;
    while (++s < a->end) {
        step(a);
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* Behind the text that an earlier capture took, when it stands at s again. */
static const char *match_again(struct attempt *a, const char *s, char digit)
{
    static const char *const problems[] = {
        "invalid capture index %0", "invalid capture index %1", "invalid capture index %2", "invalid capture index %3",
        "invalid capture index %4", "invalid capture index %5", "invalid capture index %6", "invalid capture index %7",
        "invalid capture index %8", "invalid capture index %9",
    };
    size_t i = (size_t)(digit - '1');
    if (digit == '0' || i >= a->count || a->captures[i].length == PATTERN_UNFINISHED)
        return invalid(a, problems[digit - '0']);
    size_t length = a->captures[i].length; /* a position's is larger than any text */
    if ((size_t)(a->end - s) < length || memcmp(a->captures[i].begin, s, length) != 0)
        return NULL;
    return s + length;
}

/* %f[set]: between a character outside the set and one inside it; both ends of the subject count as '\0'. */
static const char *match_frontier(struct attempt *a, const char *s, const char *p)
{
    if (p >= a->pattern_end || *p != '[')
        return invalid(a, "missing '[' after '%f' in pattern");
    const char *end = set_end(a, p + 1);
    if (end == NULL)
        return NULL;
    unsigned char before = s == a->begin ? '\0' : (unsigned char)s[-1];
    unsigned char after = s == a->end ? '\0' : (unsigned char)*s;
    return !is_in_set(before, p, end) && is_in_set(after, p, end) ? match_here(a, s, end) : NULL;
}

/* An item with one of * + - ? behind it, at `end`. */
static const char *match_repeated(struct attempt *a, const char *s, const char *p, const char *end)
{
    const char *found;
    switch (*end) {
    case '*':
        return match_most(a, s, p, end, 0);
    case '+':
        return match_most(a, s, p, end, 1);
    case '-':
        return match_fewest(a, s, p, end);
    default:
        found = is_one(a, s, p, end) ? match_here(a, s + 1, end + 1) : NULL;
        return found != NULL || is_invalid(a) ? found : match_here(a, s, end + 1);
    }
}

/* The part of a pattern at p that is no plain item; *is_plain: it is one. */
static const char *match_special(struct attempt *a, const char *s, const char *p, bool *is_plain)
{
    char next = p + 1 < a->pattern_end ? p[1] : '\0';
    *is_plain = false;
    if (*p == '(')
        return next == ')' ? open_capture(a, s, p + 2, PATTERN_POSITION)
                           : open_capture(a, s, p + 1, PATTERN_UNFINISHED);
    if (*p == ')')
        return close_capture(a, s, p + 1);
    if (*p == '$' && p + 1 == a->pattern_end)
        return s == a->end ? s : NULL;
    if (*p == '%' && next == 'b') {
        s = match_balanced(a, s, p + 2);
        return s != NULL ? match_here(a, s, p + 4) : NULL;
    }
    if (*p == '%' && next == 'f')
        return match_frontier(a, s, p + 2);
    if (*p == '%' && isdigit((unsigned char)next)) {
        s = match_again(a, s, next);
        return s != NULL ? match_here(a, s, p + 2) : NULL;
    }
    *is_plain = true;
    return NULL;
}

/* Plain items one after the other; whatever may have to be tried again calls match_here for what follows it. */
static const char *match_items(struct attempt *a, const char *s, const char *p)
{
    while (p < a->pattern_end) {
        bool is_plain;
        const char *found = match_special(a, s, p, &is_plain);
        if (!is_plain)
            return found;
        const char *end = item_end(a, p);
        if (end == NULL)
            return NULL;
        if (end < a->pattern_end && strchr("*+-?", *end) != NULL && *end != '\0')
            return match_repeated(a, s, p, end);
        if (!is_one(a, s, p, end))
            return NULL;
        step(a);
        s++;
        p = end;
    }
    return s;
}

/* Where the match of the rest of the pattern ends, or NULL. */
static const char *match_here(struct attempt *a, const char *s, const char *p)
{
    step(a);
    if (++a->depth > DEPTH_MAX)
        return invalid(a, "pattern too complex");
    const char *found = match_items(a, s, p);
    a->depth--;
    return found;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

void pattern_init(struct pattern *p, struct slice text, bool has_anchor, void (*on_steps)(void *arg), void *arg)
{
    bool is_anchored = has_anchor && text.len > 0 && text.ptr[0] == '^';
    *p = (struct pattern){
        .text = is_anchored ? slice_after(text, 1) : text, .is_anchored = is_anchored, .on_steps = on_steps, .arg = arg
    };
}

static void store(const struct attempt *a, const char *begin, const char *end, struct pattern_match *out)
{
    out->whole = slice_from(begin, (size_t)(end - begin));
    out->capture_count = a->count;
    memcpy(out->captures, a->captures, a->count * sizeof(a->captures[0]));
}

enum pattern_result pattern_find(struct pattern *p, struct slice subject, size_t from, struct pattern_match *out)
{
    CHECK(from <= subject.len);
    struct attempt a = {
        .pattern = p, .begin = subject.ptr, .end = subject.ptr + subject.len, .pattern_end = p->text.ptr + p->text.len
    };
    for (const char *s = a.begin + from;; s++) {
        a.depth = 0;
        a.count = 0;
        const char *end = match_here(&a, s, p->text.ptr);
        if (is_invalid(&a))
            return PATTERN_INVALID;
        if (end != NULL) {
            store(&a, s, end, out);
            return PATTERN_FOUND;
        }
        if (s == a.end || p->is_anchored)
            return PATTERN_NOT_FOUND;
    }
}
