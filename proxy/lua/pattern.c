/* lua/pattern.c - Lua's patterns, with a matcher that can be stopped. */
#include "lua/pattern.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

#define STEPS_PER_LOOK 4096 /* some microseconds */
#define BYTES_PER_STEP 4    /* of a set, which is walked for each character */

/* What is left to try when something that follows fails, or to undo. */
enum choice_kind { CHOICE_FEWER, CHOICE_MORE, CHOICE_NONE, CHOICE_OPENED, CHOICE_CLOSED };

enum move { MOVE_ON, MOVE_FAILED, MOVE_INVALID };

static enum move invalid(struct pattern_search *q, const char *problem)
{
    if (q->problem == NULL)
        q->problem = problem;
    return MOVE_INVALID;
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

/* A set may be as long as a text: what is walked there counts, too. */
static void count_bytes(struct pattern_search *q, ptrdiff_t length)
{
    q->steps += (size_t)length / BYTES_PER_STEP;
}

/* Behind the set whose '[' is in front of p; NULL: it does not end. A ']' that comes first belongs to it. */
static const char *set_end(struct pattern_search *q, const char *p)
{
    const char *end = q->pattern_end;
    if (p < end && *p == '^')
        p++;
    for (bool is_first = true; p < end && (is_first || *p != ']'); is_first = false)
        p += *p == '%' ? 2 : 1;
    count_bytes(q, p - q->p);
    if (p < end)
        return p + 1;
    invalid(q, "malformed pattern (missing ']')");
    return NULL;
}

/* Behind the single-character item at p: a character, a class, a set; NULL: it is none. */
static const char *item_end(struct pattern_search *q, const char *p)
{
    if (*p == '[')
        return set_end(q, p + 1);
    if (*p != '%')
        return p + 1;
    if (p + 1 < q->pattern_end)
        return p + 2;
    invalid(q, "malformed pattern (ends with '%')");
    return NULL;
}

/* [p, end) is a set, brackets included. */
static bool is_in_set(struct pattern_search *q, unsigned char c, const char *p, const char *end)
{
    bool is_negated = p[1] == '^';
    count_bytes(q, end - p);
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

static bool is_one(struct pattern_search *q, const char *s, const char *p, const char *end)
{
    if (s >= q->end)
        return false;
    unsigned char c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return is_in_class(c, (unsigned char)p[1]);
    case '[':
        return is_in_set(q, c, p, end);
    default:
        return (unsigned char)*p == c;
    }
}

/* ---- items: each moves the search behind itself -------------------------------------------------------------------- */

static enum move move_to(struct pattern_search *q, const char *s, const char *p)
{
    q->s = s;
    q->p = p;
    return MOVE_ON;
}

static bool push(struct pattern_search *q, struct pattern_choice choice)
{
    if (q->choice_count == PATTERN_CHOICES_MAX) {
        invalid(q, "pattern too complex");
        return false;
    }
    q->choices[q->choice_count++] = choice;
    return true;
}

/* Another step; true: it is time to look whether the call is over. */
static bool is_look_due(struct pattern_search *q)
{
    if (++q->steps < STEPS_PER_LOOK)
        return false;
    q->steps = 0;
    return true;
}

/* A loop that cannot be left comes by: it may still be cut off. */
static void count_step(struct pattern_search *q)
{
    if (is_look_due(q))
        q->on_steps(q->arg);
}

/* As many as there are, then fewer and fewer, until the rest fits. `least`: 0 for '*', 1 for '+'. */
static enum move match_most(struct pattern_search *q, const char *end, ptrdiff_t least)
{
    const char *s = q->s, *p = q->p;
    ptrdiff_t count = 0;
    while (is_one(q, s + count, p, end)) {
        count_step(q);
        count++;
    }
    if (count < least)
        return MOVE_FAILED;
    if (count > least && !push(q, (struct pattern_choice){ CHOICE_FEWER, s + least, p, end, (size_t)(count - least) }))
        return MOVE_INVALID;
    return move_to(q, s + count, end + 1);
}

/* An item with one of * + - ? behind it, at `end`. */
static enum move match_repeated(struct pattern_search *q, const char *end)
{
    const char *s = q->s, *p = q->p;
    switch (*end) {
    case '*':
        return match_most(q, end, 0);
    case '+':
        return match_most(q, end, 1);
    case '-':
        if (!push(q, (struct pattern_choice){ CHOICE_MORE, s, p, end, 0 }))
            return MOVE_INVALID;
        return move_to(q, s, end + 1);
    default:
        if (!is_one(q, s, p, end))
            return move_to(q, s, end + 1);
        if (!push(q, (struct pattern_choice){ CHOICE_NONE, s, p, end, 0 }))
            return MOVE_INVALID;
        return move_to(q, s + 1, end + 1);
    }
}

static enum move open_capture(struct pattern_search *q, const char *p, size_t length)
{
    if (q->capture_count == PATTERN_CAPTURES_MAX)
        return invalid(q, "too many captures");
    if (!push(q, (struct pattern_choice){ .kind = CHOICE_OPENED }))
        return MOVE_INVALID;
    q->captures[q->capture_count++] = (struct pattern_capture){ q->s, length };
    return move_to(q, q->s, p);
}

/* The innermost that is open. */
static enum move close_capture(struct pattern_search *q, const char *p)
{
    size_t i = q->capture_count;
    while (i > 0 && q->captures[i - 1].length != PATTERN_UNFINISHED)
        i--;
    if (i == 0)
        return invalid(q, "invalid pattern capture");
    struct pattern_capture *c = &q->captures[i - 1];
    c->length = (size_t)(q->s - c->begin);
    if (!push(q, (struct pattern_choice){ .kind = CHOICE_CLOSED, .count = i - 1 }))
        return MOVE_INVALID;
    return move_to(q, q->s, p);
}

/* A balanced run that begins here; p: the two characters. */
static enum move match_balanced(struct pattern_search *q, const char *p)
{
    const char *s = q->s;
    if (q->pattern_end - p < 2)
        return invalid(q, "malformed pattern (missing arguments to '%b')");
    if (s >= q->end || *s != p[0])
        return MOVE_FAILED;
    size_t open = 1;
    while (++s < q->end) {
        count_step(q);
        if (*s == p[1]) {
            if (--open == 0)
                return move_to(q, s + 1, p + 2);
        } else if (*s == p[0]) {
            open++;
        }
    }
    return MOVE_FAILED;
}

/* The text that an earlier capture took, once more. */
static enum move match_again(struct pattern_search *q, char digit)
{
    static const char *const problems[] = {
        "invalid capture index %0", "invalid capture index %1", "invalid capture index %2", "invalid capture index %3",
        "invalid capture index %4", "invalid capture index %5", "invalid capture index %6", "invalid capture index %7",
        "invalid capture index %8", "invalid capture index %9",
    };
    size_t i = (size_t)(digit - '1');
    if (digit == '0' || i >= q->capture_count || q->captures[i].length == PATTERN_UNFINISHED)
        return invalid(q, problems[digit - '0']);
    size_t length = q->captures[i].length; /* a position's is larger than any text */
    if ((size_t)(q->end - q->s) < length)
        return MOVE_FAILED;
    count_bytes(q, (ptrdiff_t)length / BYTES_PER_STEP); /* they are compared many at a time */
    if (memcmp(q->captures[i].begin, q->s, length) != 0)
        return MOVE_FAILED;
    return move_to(q, q->s + length, q->p + 2);
}

/* %f[set]: between a character outside the set and one inside it; both ends of the subject count as '\0'. */
static enum move match_frontier(struct pattern_search *q, const char *p)
{
    const char *s = q->s;
    if (p >= q->pattern_end || *p != '[')
        return invalid(q, "missing '[' after '%f' in pattern");
    const char *end = set_end(q, p + 1);
    if (end == NULL)
        return MOVE_INVALID;
    unsigned char before = s == q->begin ? '\0' : (unsigned char)s[-1];
    unsigned char after = s == q->end ? '\0' : (unsigned char)*s;
    return !is_in_set(q, before, p, end) && is_in_set(q, after, p, end) ? move_to(q, s, end) : MOVE_FAILED;
}

static enum move match_plain(struct pattern_search *q)
{
    const char *p = q->p, *end = item_end(q, p);
    if (end == NULL)
        return MOVE_INVALID;
    if (end < q->pattern_end && strchr("*+-?", *end) != NULL && *end != '\0')
        return match_repeated(q, end);
    return is_one(q, q->s, p, end) ? move_to(q, q->s + 1, end) : MOVE_FAILED;
}

static enum move match_item(struct pattern_search *q)
{
    const char *p = q->p;
    char next = p + 1 < q->pattern_end ? p[1] : '\0';
    if (*p == '(')
        return next == ')' ? open_capture(q, p + 2, PATTERN_POSITION) : open_capture(q, p + 1, PATTERN_UNFINISHED);
    if (*p == ')')
        return close_capture(q, p + 1);
    if (*p == '$' && p + 1 == q->pattern_end)
        return q->s == q->end ? move_to(q, q->s, p + 1) : MOVE_FAILED;
    if (*p == '%' && next == 'b')
        return match_balanced(q, p + 2);
    if (*p == '%' && next == 'f')
        return match_frontier(q, p + 2);
    if (*p == '%' && isdigit((unsigned char)next))
        return match_again(q, next);
    return match_plain(q);
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

/* From the newest choice that has something left to try. */
static enum move backtrack(struct pattern_search *q)
{
    while (q->choice_count > 0) {
        struct pattern_choice *c = &q->choices[q->choice_count - 1];
        switch (c->kind) {
        case CHOICE_FEWER:
            if (--c->count == 0)
                q->choice_count--;
            return move_to(q, c->s + c->count, c->end + 1);
        case CHOICE_MORE:
            if (!is_one(q, c->s, c->p, c->end))
                break;
            c->s++;
            return move_to(q, c->s, c->end + 1);
        case CHOICE_NONE:
            q->choice_count--;
            return move_to(q, c->s, c->end + 1);
        case CHOICE_OPENED:
            q->capture_count--;
            break;
        case CHOICE_CLOSED:
            q->captures[c->count].length = PATTERN_UNFINISHED;
            break;
        }
        q->choice_count--;
    }
    return MOVE_FAILED;
}

static void attempt(struct pattern_search *q, const char *from)
{
    q->from = from;
    q->choice_count = 0;
    q->capture_count = 0;
    move_to(q, from, q->pattern_begin);
}

void pattern_begin(struct pattern_search *q, struct slice pattern, enum pattern_anchor anchor, struct slice subject)
{
    q->is_anchored = anchor == PATTERN_MAY_BE_ANCHORED && pattern.len > 0 && pattern.ptr[0] == '^';
    q->pattern_begin = pattern.ptr + (q->is_anchored ? 1 : 0);
    q->pattern_end = pattern.ptr + pattern.len;
    q->begin = subject.ptr;
    q->end = subject.ptr + subject.len;
    q->problem = NULL;
    q->steps = 0;
}

void pattern_start(struct pattern_search *q, size_t from)
{
    CHECK(from <= (size_t)(q->end - q->begin));
    attempt(q, q->begin + from);
}

/* Until the attempt has come to the pattern's end, or to its own; *is_left: it may be gone on with. */
static enum move run_attempt(struct pattern_search *q, bool *is_left)
{
    enum move move = MOVE_ON;
    while (move == MOVE_ON && q->p < q->pattern_end && !*is_left) {
        move = match_item(q);
        if (move == MOVE_FAILED)
            move = backtrack(q);
        if (is_look_due(q))
            *is_left = q->on_steps(q->arg) && move == MOVE_ON;
    }
    return move;
}

enum pattern_result pattern_run(struct pattern_search *q)
{
    for (;;) {
        bool is_left = false;
        enum move move = run_attempt(q, &is_left);
        if (is_left)
            return PATTERN_LEFT;
        if (move == MOVE_INVALID)
            return PATTERN_INVALID;
        if (move == MOVE_ON)
            return PATTERN_FOUND;
        if (q->from == q->end || q->is_anchored)
            return PATTERN_NOT_FOUND;
        attempt(q, q->from + 1);
    }
}

size_t pattern_kept_bytes(const struct pattern_search *q)
{
    return offsetof(struct pattern_search, choices) + q->choice_count * sizeof(q->choices[0]);
}
