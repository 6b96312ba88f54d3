/* lua/pattern.h - Lua's patterns, with a matcher that can be stopped.
 *
 * The patterns of the Lua 5.4 manual, section 6.4.1, and nothing else. Lua's own matcher is C that no hook reaches, and
 * backtracks without end where a pattern is made for it ("(.-)(.-)(.-)x"), so a peer's header could hold a worker. This
 * one asks a callback now and then whether to go on. */
#ifndef LUA_PATTERN_H
#define LUA_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define PATTERN_CAPTURES_MAX 32

/* `length` of a capture that is a position, "()", and of one whose ")" is missing. */
#define PATTERN_POSITION   ((size_t)-1)
#define PATTERN_UNFINISHED ((size_t)-2)

struct pattern_capture {
    const char *begin;
    size_t length;
};

struct pattern_match {
    struct slice whole;
    size_t capture_count; /* 0: the whole stands for the only one */
    struct pattern_capture captures[PATTERN_CAPTURES_MAX];
};

enum pattern_result { PATTERN_FOUND, PATTERN_NOT_FOUND, PATTERN_INVALID };

struct pattern {
    struct slice text;           /* the pattern, without its anchor */
    bool is_anchored;            /* began with '^' */
    const char *problem;         /* after PATTERN_INVALID: what is wrong with it, a phrase */
    void (*on_steps)(void *arg); /* called every some thousand steps; may leave by longjmp */
    void *arg;
};

/* `has_anchor`: a leading '^' is one (it is not in gmatch). */
void pattern_init(struct pattern *p, struct slice text, bool has_anchor, void (*on_steps)(void *arg), void *arg);

/* The first match in `subject` that begins at `from` (0..len) or later. */
enum pattern_result pattern_find(struct pattern *p, struct slice subject, size_t from, struct pattern_match *out);

#endif
