/* cli/terminal.c - colour where a person looks at a terminal, none anywhere else. */
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_USUAL 80
#define COLUMNS_MIN   20 /* below, the size is not believed */

bool terminal_is_live(FILE *file)
{
    const char *term = getenv("TERM");
    return isatty(fileno(file)) && term != NULL && strcmp(term, "dumb") != 0;
}

/* An empty NO_COLOR counts as unset, as no-color.org has it. */
bool terminal_has_colour(FILE *file)
{
    const char *no_colour = getenv("NO_COLOR");
    return (no_colour == NULL || no_colour[0] == '\0') && terminal_is_live(file);
}

size_t terminal_columns(FILE *file)
{
    struct winsize size;
    bool is_known = ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col >= COLUMNS_MIN;
    return is_known ? size.ws_col : COLUMNS_USUAL;
}

const char *terminal_paint(enum paint paint)
{
    static const char *const codes[] = {
        [PAINT_NONE] = "",          [PAINT_BOLD] = "\033[1m",    [PAINT_DIM] = "\033[2m",   [PAINT_RED] = "\033[31m",
        [PAINT_GREEN] = "\033[32m", [PAINT_YELLOW] = "\033[33m", [PAINT_CYAN] = "\033[36m",
    };
    return codes[paint];
}

/* Bytes at the front that would steer a terminal, 0: none: C0, DEL, and C1 as UTF-8 writes it (U+009B is another way to
   say ESC [). */
static size_t control_length(struct slice s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    if (c < 0x20 || c == 0x7f)
        return 1;
    return c == 0xc2 && s.len > 1 && (unsigned char)s.ptr[1] < 0xa0 ? 2 : 0;
}

/* Byte by byte but for those: below 0x80 UTF-8 has ASCII alone, so no character can be cut. Newlines become "?" as well: one text is
   one line, and cannot pretend to be two. */
void terminal_add(struct text *out, bool coloured, enum paint paint, struct slice s)
{
    bool is_painted = coloured && paint != PAINT_NONE && s.len > 0;
    if (is_painted)
        text_add_cstr(out, terminal_paint(paint));
    while (s.len > 0) {
        size_t length = control_length(s);
        text_add_char(out, length > 0 ? '?' : s.ptr[0]);
        s = slice_after(s, length > 0 ? length : 1);
    }
    if (is_painted)
        text_add_cstr(out, TERMINAL_PLAIN);
}

void terminal_add_bar(struct text *out, bool coloured, enum paint paint, double share, unsigned cells)
{
    struct text bar = { 0 };
    double filled = share > 1 ? cells : share > 0 ? share * cells : 0;
    unsigned count = share > 0 && filled < 1 ? 1 : (unsigned)filled;
    for (unsigned i = 0; i < count; i++)
        text_add_char(&bar, '#');
    terminal_add(out, coloured, paint, text_slice(&bar));
    text_clear(&bar);
    for (unsigned i = count; i < cells; i++)
        text_add_char(&bar, '.');
    terminal_add(out, coloured, PAINT_DIM, text_slice(&bar));
    text_fini(&bar);
}

/* The longest beginning that fits and ends before a blank; UTF-8 counts by its bytes, which breaks a little early. */
static size_t line_length(struct slice s, size_t room)
{
    if (s.len <= room)
        return s.len;
    for (size_t i = room; i > 0; i--)
        if (s.ptr[i] == ' ')
            return i;
    const char *blank = memchr(s.ptr, ' ', s.len);
    return blank != NULL ? (size_t)(blank - s.ptr) : s.len;
}

void terminal_add_wrapped(struct text *out, bool coloured, enum paint paint, size_t indent, size_t width,
                          struct slice s)
{
    for (;;) {
        size_t length = line_length(s, width - indent);
        terminal_add(out, coloured, paint, slice_first(s, length));
        if (length == s.len)
            return;
        s = slice_after(s, length + 1);
        text_printf(out, "\n%*s", (int)indent, "");
    }
}

enum paint paint_of_rollout(const char *state)
{
    if (strcmp(state, "succeeded") == 0)
        return PAINT_GREEN;
    if (strcmp(state, "rolled_back") == 0 || strcmp(state, "rolling_back") == 0 || strcmp(state, "failed") == 0)
        return PAINT_RED;
    return strcmp(state, "pending") == 0 ? PAINT_DIM : PAINT_YELLOW;
}

/* Of "ESC [ ... m" at the front; 0: there is none. terminal_paint and TERMINAL_PLAIN write nothing else. */
static size_t paint_length(struct slice s)
{
    if (s.len < 2 || s.ptr[0] != '\033' || s.ptr[1] != '[')
        return 0;
    const char *end = memchr(s.ptr, 'm', s.len);
    return end != NULL ? (size_t)(end - s.ptr) + 1 : 0;
}

/* A column is a character: what UTF-8 goes on with begins none. */
void terminal_add_cut(struct text *out, size_t columns, struct slice lines)
{
    size_t column = 0;
    while (lines.len > 0) {
        size_t length = paint_length(lines);
        bool is_character = length == 0 && lines.ptr[0] != '\n' && ((unsigned char)lines.ptr[0] & 0xc0) != 0x80;
        column = lines.ptr[0] == '\n' ? 0 : column + is_character;
        if (length > 0 || column <= columns)
            text_add(out, slice_first(lines, length > 0 ? length : 1));
        lines = slice_after(lines, length > 0 ? length : 1);
    }
}
