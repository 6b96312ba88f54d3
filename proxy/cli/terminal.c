/* cli/terminal.c - colour where a person looks at a terminal, none anywhere else. */
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An empty NO_COLOR counts as unset, as no-color.org has it. */
bool terminal_has_colour(FILE *file)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (no_colour != NULL && no_colour[0] != '\0')
        return false;
    return isatty(fileno(file)) && term != NULL && strcmp(term, "dumb") != 0;
}

const char *terminal_paint(enum paint paint)
{
    static const char *const codes[] = {
        [PAINT_NONE] = "",          [PAINT_BOLD] = "\033[1m",    [PAINT_DIM] = "\033[2m",   [PAINT_RED] = "\033[31m",
        [PAINT_GREEN] = "\033[32m", [PAINT_YELLOW] = "\033[33m", [PAINT_CYAN] = "\033[36m",
    };
    return codes[paint];
}

/* Byte by byte: below 0x80 UTF-8 has ASCII alone, so no character can be cut. Newlines become "?" as well: one text is one line, and
   cannot pretend to be two. */
void terminal_add(struct text *out, bool coloured, enum paint paint, struct slice s)
{
    bool is_painted = coloured && paint != PAINT_NONE && s.len > 0;
    if (is_painted)
        text_add_cstr(out, terminal_paint(paint));
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        text_add_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
    if (is_painted)
        text_add_cstr(out, TERMINAL_PLAIN);
}
