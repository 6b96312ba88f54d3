/* base/err.h - operator errors: where, what, and what to do; all of a load together.
 *
 * An operator gets everything that is wrong in one go, each with the place to look at and, where there is one, the way
 * out. So what reads a configuration adds errors and goes on; only who asked for the load looks at error_count.
 *
 * Wording: one factual line in lower case, no full stop; what the operator wrote is quoted in '...'. "could not" may
 * work later, "cannot" never will. The hint says what to write or do. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/check.h"

/* A position in a file the operator wrote. line 0: the file as a whole. */
struct place {
    const char *file;
    uint32_t line, column; /* from 1 */
};

/* A warning never makes a load fail. */
enum err_severity { ERR_ERROR, ERR_WARNING };

struct err {
    struct err *next;
    enum err_severity severity;
    struct place place;
    const char *message; /* one factual line, lower-case, no full stop */
    const char *hint;    /* what to do, or NULL */
};

/* Errors of one load in the order found; err_list_sort orders by file and line. */
struct err_list {
    struct arena *arena;       /* lives as long as the list; owns every string, the places' file names too */
    struct err *first, **last; /* last: where the next one is hung */
    size_t error_count, warning_count;
    const char *last_file; /* of the newest error; in the arena */
};

void err_list_init(struct err_list *list, struct arena *arena);
/* Adds one; the message is formatted into the list's arena. Returns it so that a hint can follow. */
struct err *err_add(struct err_list *list, struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
struct err *err_add_warning(struct err_list *list, struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
/* Replaces a hint that was there. */
void err_hint(struct err_list *list, struct err *e, const char *format, ...) PRINTF_LIKE(3, 4);
/* By file name, line and column; those of one place stay in the order they were found. */
void err_list_sort(struct err_list *list);
/* "FILE:LINE:COL: message (hint)", with "warning: " before a warning's message; in the arena. */
struct slice err_format(struct arena *arena, const struct err *e);

/* The known word nearest to `word` (edit distance at most 2 and less than half its length), or NULL: for "did you
   mean". */
const char *err_nearest_word(struct slice word, const char *const *known, size_t known_count);

#endif
