/* cli/problems.c - prints what is wrong with a configuration: every problem, in file order. */
#include "cli/problems.h"

#include "cli/terminal.h"

#include <stdio.h>

void problems_print(struct err_list *errors)
{
    bool coloured = terminal_has_colour(stderr);
    struct text out = { 0 };
    err_list_sort(errors);
    for (const struct err *e = errors->first; e != NULL; e = e->next) {
        enum paint paint = e->severity == ERR_ERROR ? PAINT_RED : PAINT_YELLOW;
        terminal_add(&out, coloured, paint, err_format(errors->arena, e));
        text_add_char(&out, '\n');
    }
    if (out.len > 0)
        fputs(out.bytes, stderr);
    text_fini(&out);
}
