/* route/regex.h - PCRE2 behind two functions: bytes, not characters; a bounded search that allocates nothing.
 *
 * Two of the things a pattern can do to a proxy are shut out: it cannot take for ever (steps, depth and heap of a
 * search are limited, and a search past them has not matched), and it cannot fail on bytes that are no UTF-8, since it
 * is never told that they are characters. */
#ifndef ROUTE_REGEX_H
#define ROUTE_REGEX_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

/* Immutable; any number of threads may match with one. */
struct regex;

/* Freed with the arena. A pattern that does not compile is an error at `place`; NULL then. */
const struct regex *regex_compile(struct arena *arena, struct slice pattern, struct place place,
                                  struct err_list *errors);

/* Only adds the error, if there is one: for a load that goes on to find the others (config_source.check_pattern). */
void regex_check(struct slice pattern, struct place place, struct err_list *errors);

/* Whether the pattern is found anywhere in the subject (^ and $ anchor). A search that would go past the limits has not
   found it. */
bool regex_matches(const struct regex *regex, struct slice subject);

#endif
