/* lua/pattern.h - Lua's patterns, with a matcher that can be stopped.
 *
 * The patterns of the Lua 5.4 manual, section 6.4.1, and nothing else. Lua's own matcher is C that no hook reaches, and
 * backtracks without end where a pattern is made for it ("(.-)(.-)(.-)x"), so a peer's header could hold a worker. This
 * one asks a callback now and then whether to go on, and keeps what is left to try in a list instead of on the C stack, so
 * that it can be left where it is and gone on with later. */
#ifndef LUA_PATTERN_H
#define LUA_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define PATTERN_CAPTURES_MAX 32
#define PATTERN_CHOICES_MAX  200 /* as many as Lua's own matcher calls itself; more: the pattern is too complex */

/* `length` of a capture that is a position, "()", and of one whose ")" is missing. */
#define PATTERN_POSITION   ((size_t)-1)
#define PATTERN_UNFINISHED ((size_t)-2)

struct pattern_capture {
    const char *begin;
    size_t length;
};

/* lua/pattern.c's own. */
struct pattern_choice {
    int kind;
    const char *s, *p, *end; /* where in the subject; the item, and behind it */
    size_t count;
};

/* A search, under way or over. Nothing in it points to itself: what was left may be gone on with in a copy, which is
 * that many bytes (pattern_kept_bytes).
 *
 *   pattern_begin -> on_steps, arg -> pattern_start -> pattern_run -+-> FOUND, NOT_FOUND, INVALID -> pattern_start ...
 *                                                    ^              \-> LEFT
 *                                                    \------------------/
 */
struct pattern_search {
    const char *begin, *end;                 /* the subject; borrowed, as the pattern is */
    const char *pattern_begin, *pattern_end; /* without its anchor */
    const char *problem;                     /* after PATTERN_INVALID: what is wrong with it, a phrase */
    bool (*on_steps)(void *arg); /* called every some thousand steps; may leave by longjmp; true: leave it */
    void *arg;
    const char *from;  /* where the attempt begins: the match's begin */
    const char *s, *p; /* where it stands; s: the match's end */
    bool is_anchored;  /* began with '^' */
    size_t steps;      /* since on_steps was called last */
    uint32_t choice_count;
    size_t capture_count; /* 0: the whole stands for the only one */
    struct pattern_capture captures[PATTERN_CAPTURES_MAX];
    struct pattern_choice choices[PATTERN_CHOICES_MAX]; /* the newest last */
};

enum pattern_result { PATTERN_FOUND, PATTERN_NOT_FOUND, PATTERN_INVALID, PATTERN_LEFT };
/* Is a leading '^' an anchor? It is none in gmatch. */
enum pattern_anchor { PATTERN_MAY_BE_ANCHORED, PATTERN_UNANCHORED };

/* Fills in all but on_steps and arg; nothing is cleared that does not count. */
void pattern_begin(struct pattern_search *q, struct slice pattern, enum pattern_anchor anchor, struct slice subject);
/* For the first match that begins at `from` (0..length of the subject) or later. */
void pattern_start(struct pattern_search *q, size_t from);
/* FOUND: it is [q->from, q->s). */
enum pattern_result pattern_run(struct pattern_search *q);

/* What of it counts after PATTERN_LEFT. */
size_t pattern_kept_bytes(const struct pattern_search *q);

#endif
