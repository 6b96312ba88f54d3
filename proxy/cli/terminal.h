/* cli/terminal.h - colour where a person looks at a terminal, none anywhere else. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"

enum paint { PAINT_NONE, PAINT_BOLD, PAINT_DIM, PAINT_RED, PAINT_GREEN, PAINT_YELLOW, PAINT_CYAN };

/* A terminal that is not "dumb": what is written can be written over. */
bool terminal_is_live(FILE *file);
/* That, and NO_COLOR is not set (no-color.org). */
bool terminal_has_colour(FILE *file);

/* Of the state of a rollout, by its name. */
enum paint paint_of_rollout(const char *state);

/* The bytes that switch a paint on; "" for PAINT_NONE. */
const char *terminal_paint(enum paint paint);
#define TERMINAL_PLAIN "\033[0m"

/* Of a line; 80 where the terminal does not say, or says what no line would fit. */
size_t terminal_columns(FILE *file);

/* On a live terminal: lines that are too long are cut off, or go on in the next, as is usual. What is beyond the edge is written over its
   last column, one character over the other: so cut lines with terminal_add_cut, too. */
#define TERMINAL_CUTS_LINES  "\033[?7l"
#define TERMINAL_WRAPS_LINES "\033[?7h"

/* "####......", so many cells; share is 0 to 1, and what is more than 0 has a cell. */
void terminal_add_bar(struct text *out, bool coloured, enum paint paint, double share, unsigned cells);

/* Adds s, painted when `coloured`. Control characters become "?": what a server or a file says cannot steer the
   terminal. */
void terminal_add(struct text *out, bool coloured, enum paint paint, struct slice s);
/* The same in lines of at most `width` columns, broken at blanks; the first begins at column `indent`, where the cursor is, as all
   others will. A word that is too long stays whole. */
void terminal_add_wrapped(struct text *out, bool coloured, enum paint paint, size_t indent, size_t width,
                          struct slice s);
/* Lines that may be painted, each with its first `columns` columns alone; all paints stay, so that each ends. */
void terminal_add_cut(struct text *out, size_t columns, struct slice lines);

#endif
