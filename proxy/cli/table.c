/* cli/table.c - aligned columns of text for people. */
#include "cli/table.h"

#include "base/memory.h"

#define COLUMN_GAP 2 /* spaces between columns */

void table_init(struct table *t, struct arena *arena, const struct table_column *columns, size_t column_count)
{
    CHECK(column_count <= TABLE_COLUMNS_MAX);
    *t = (struct table){ .arena = arena, .columns = columns, .column_count = column_count };
}

void table_fini(struct table *t)
{
    memory_free(TAKE(&t->cells));
}

void table_add(struct table *t, enum paint paint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice text = arena_vprintf(t->arena, format, args);
    va_end(args);
    t->cells = memory_resize_array(t->cells, t->cell_count + 1, sizeof(*t->cells));
    t->cells[t->cell_count++] = (struct table_cell){ slice_is_empty(text) ? SLICE("-") : text, paint };
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room. Wide and combining characters are off by one: names of routes and
   upstreams are ASCII, only
   reasons and owners may have them. */
static size_t text_width(struct slice s)
{
    size_t width = 0;
    for (size_t i = 0; i < s.len; i++)
        width += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return width;
}

/* Columns are as wide as their widest cell, so everything has to be there before the first line can be written. */
static void measure(const struct table *t, size_t widths[TABLE_COLUMNS_MAX])
{
    for (size_t c = 0; c < t->column_count; c++)
        widths[c] = text_width(slice_from_cstr(t->columns[c].heading));
    for (size_t i = 0; i < t->cell_count; i++) {
        size_t width = text_width(t->cells[i].text), c = i % t->column_count;
        if (width > widths[c])
            widths[c] = width;
    }
}

static void add_spaces(struct text *out, size_t count)
{
    while (count-- > 0)
        text_add_char(out, ' ');
}

/* Empty cells at the end leave no spaces behind. */
static size_t last_filled(const struct table_cell *cells, size_t count)
{
    while (count > 0 && slice_is_empty(slice_trim(cells[count - 1].text)))
        count--;
    return count;
}

static void print_row(const struct table *t, const struct table_cell *cells, size_t count, const size_t *widths,
                      bool coloured, struct text *out)
{
    count = last_filled(cells, count);
    for (size_t c = 0; c < count; c++) {
        size_t room = widths[c] - text_width(cells[c].text);
        bool is_right = t->columns[c].align == ALIGN_RIGHT;
        if (is_right)
            add_spaces(out, room);
        terminal_add(out, coloured, cells[c].paint, cells[c].text);
        if (c + 1 < count)
            add_spaces(out, COLUMN_GAP + (is_right ? 0 : room));
    }
    text_add_char(out, '\n');
}

void table_print(const struct table *t, bool coloured, struct text *out)
{
    size_t widths[TABLE_COLUMNS_MAX];
    struct table_cell headings[TABLE_COLUMNS_MAX];
    measure(t, widths);
    for (size_t c = 0; c < t->column_count; c++)
        headings[c] = (struct table_cell){ slice_from_cstr(t->columns[c].heading), PAINT_DIM };
    print_row(t, headings, t->column_count, widths, coloured, out);
    for (size_t i = 0; i < t->cell_count; i += t->column_count) {
        size_t left = t->cell_count - i;
        print_row(t, t->cells + i, left < t->column_count ? left : t->column_count, widths, coloured, out);
    }
}
