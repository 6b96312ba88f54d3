/* cli/table.h - aligned columns of text for people. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

#include "base/arena.h"

#include "cli/terminal.h"

#define TABLE_COLUMNS_MAX 12

struct table_column {
    const char *heading;
    enum { ALIGN_LEFT, ALIGN_RIGHT } align;
};

struct table_cell {
    struct slice text;
    enum paint paint;
};

/* Cells are filled row by row; the last row may be incomplete. Embedded; its strings live in the arena.

     heading     heading        columns[0], columns[1]
     cells[0]    cells[1]       a cell's column is its index modulo column_count
     cells[2]    ... */
struct table {
    struct arena *arena;
    const struct table_column *columns;
    size_t column_count;
    struct table_cell *cells; /* heap */
    size_t cell_count;
};

void table_init(struct table *t, struct arena *arena, const struct table_column *columns, size_t column_count);
void table_fini(struct table *t);
/* Fills the next cell; an empty text stands as "-", a blank one for nothing. */
void table_add(struct table *t, enum paint paint, const char *format, ...) PRINTF_LIKE(3, 4);
/* Headings and rows, two spaces apart, no spaces at line ends; widths count UTF-8 characters. */
void table_print(const struct table *t, bool coloured, struct text *out);

#endif
