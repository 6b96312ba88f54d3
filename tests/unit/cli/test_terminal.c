/* unit/cli/test_terminal.c - lines are cut at the terminal's edge: characters count, paints do not, and each paint ends. */
#include "cli/terminal.h"

#include <criterion/criterion.h>

static void expect_cut(size_t columns, const char *lines, const char *wanted)
{
    struct text out = { 0 };
    terminal_add_cut(&out, columns, slice_from_cstr(lines));
    cr_assert_str_eq(out.bytes, wanted);
    text_fini(&out);
}

Test(terminal, each_line_keeps_its_first_columns)
{
    expect_cut(5, "evidence\nall\n1 of 100\n", "evide\nall\n1 of \n");
    expect_cut(5, "exact\n", "exact\n");
    expect_cut(5, "no newline", "no ne");
}

Test(terminal, characters_are_cut_whole)
{
    expect_cut(3, "caf\xc3\xa9", "caf");
    expect_cut(4, "caf\xc3\xa9s", "caf\xc3\xa9");
}

Test(terminal, paints_have_no_columns_and_end_beyond_the_edge)
{
    expect_cut(4, "\033[31mrolled_back\033[0m 0 %\n", "\033[31mroll\033[0m\n");
    expect_cut(2, "abcd\033[1mef\033[0m\n", "ab\033[1m\033[0m\n");
}

Test(terminal, an_escape_without_an_end_is_text)
{
    expect_cut(3, "\033[31", "\033[3");
}
