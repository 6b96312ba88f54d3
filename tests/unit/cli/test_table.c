/* unit/cli/test_table.c - columns line up whatever is in them, and nothing in a cell steers the terminal. */
#include "cli/table.h"

#include "base/check.h"

#include <criterion/criterion.h>

static const struct table_column columns[] = { { "route", ALIGN_LEFT },
                                               { "share", ALIGN_RIGHT },
                                               { "owner", ALIGN_LEFT } };

/* Two rows with a wide character in the first, an empty cell in the second. */
static void fill(struct table *t, struct arena *arena)
{
    arena_init(arena, NULL, 0);
    table_init(t, arena, columns, ARRAY_COUNT(columns));
    table_add(t, PAINT_NONE, "caf\xc3\xa9");
    table_add(t, PAINT_GREEN, "%d%%", 100);
    table_add(t, PAINT_NONE, "team-a");
    table_add(t, PAINT_NONE, "checkout");
    table_add(t, PAINT_NONE, "5%%");
    table_add(t, PAINT_NONE, "%s", "");
}

static void expect_printed(bool coloured, const char *wanted)
{
    struct arena arena;
    struct table t;
    struct text out = { 0 };
    fill(&t, &arena);
    table_print(&t, coloured, &out);
    cr_assert_str_eq(out.bytes, wanted);
    text_fini(&out);
    table_fini(&t);
    arena_reset(&arena);
}

Test(table, columns_align_by_characters)
{
    expect_printed(false, "route     share  owner\n"
                          "caf\xc3\xa9       100%  team-a\n"
                          "checkout     5%  -\n");
}

Test(table, colour_changes_no_widths)
{
    expect_printed(true, "\033[2mroute\033[0m     \033[2mshare\033[0m  \033[2mowner\033[0m\n"
                         "caf\xc3\xa9       \033[32m100%\033[0m  team-a\n"
                         "checkout     5%  -\n");
}

Test(table, control_characters_are_defused)
{
    struct text out = { 0 };
    terminal_add(&out, false, PAINT_NONE, SLICE("a\033[2Jb\nc\x7f"));
    terminal_add(&out, false, PAINT_NONE,
                 SLICE("|\xc2\x9b"
                       "2J\xc2\x80\xc2\x9f|\xc2\xa0\xc3\x9b\xc2"));
    cr_assert_str_eq(out.bytes, "a?[2Jb?c?|?2J??|\xc2\xa0\xc3\x9b\xc2");
    text_fini(&out);
}

static void expect_wrapped(const char *words, const char *wanted)
{
    struct text out = { 0 };
    terminal_add_wrapped(&out, false, PAINT_NONE, 4, 14, slice_from_cstr(words));
    cr_expect_str_eq(out.bytes, wanted);
    text_fini(&out);
}

Test(table, long_words_go_on_below_themselves)
{
    expect_wrapped("short", "short");
    expect_wrapped("ten bytes!", "ten bytes!");
    expect_wrapped("eleven then", "eleven\n    then");
    expect_wrapped("one two three four five", "one two\n    three four\n    five");
    expect_wrapped("aaaaaaaaaaaaaaa b", "aaaaaaaaaaaaaaa\n    b");
    expect_wrapped("a bbbbbbbbbbbbbbb", "a\n    bbbbbbbbbbbbbbb");
}

static void expect_bar(double share, const char *wanted)
{
    struct text out = { 0 };
    terminal_add_bar(&out, false, PAINT_NONE, share, 4);
    cr_expect_str_eq(out.bytes, wanted);
    text_fini(&out);
}

Test(table, a_bar_shows_that_there_is_something)
{
    expect_bar(0, "....");
    expect_bar(0.01, "#...");
    expect_bar(0.5, "##..");
    expect_bar(0.99, "###.");
    expect_bar(1, "####");
    expect_bar(7, "####");
}
