/* unit/cli/test_command.c - words find their command; exit statuses tell scripts what went wrong. */
#include "cli/command.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>

struct values {
    bool loud;
    const char *file;
};

static struct values seen;
static size_t seen_arguments;

static enum command_status run(struct call *call)
{
    seen = *(struct values *)call->values;
    seen_arguments = call->argument_count;
    return COMMAND_FAILED;
}

static const struct option_row group_rows[] = {
    { 'l', "loud", NULL, OPTION_FLAG, false, offsetof(struct values, loud), 0, 0, "louder" },
};
static const struct option_row leaf_rows[] = {
    { 'f', "file", "FILE", OPTION_TEXT, false, offsetof(struct values, file), 0, 0, "which" },
};
static const struct command split = { .name = "split",
                                      .synopsis = "ROUTE",
                                      .summary = "splits",
                                      .details = "A paragraph.\n",
                                      .options = leaf_rows,
                                      .option_count = 1,
                                      .arguments_min = 1,
                                      .arguments_max = 2,
                                      .run = run };
static const struct command *const ctl_children[] = { &split };
static const struct command ctl = { .name = "ctl",
                                    .synopsis = "COMMAND",
                                    .summary = "controls",
                                    .options = group_rows,
                                    .option_count = 1,
                                    .values_bytes = sizeof(struct values),
                                    .children = ctl_children,
                                    .child_count = 1 };
static const struct command *const root_children[] = { &ctl };
static const struct command root = {
    .name = "weir", .synopsis = "COMMAND", .summary = "the root", .children = root_children, .child_count = 1
};

static char words[8][16];

static enum command_status call_line(const char *line)
{
    char *argv[8];
    int argc = 0;
    struct slice rest = slice_from_cstr(line), word;
    while (slice_next_item(&rest, ' ', &word)) {
        snprintf(words[argc], sizeof(words[argc]), "%.*s", SLICE_ARG(word));
        argv[argc] = words[argc];
        argc++;
    }
    return command_main(&root, argc, argv);
}

Test(command, options_of_the_group_and_of_the_command_meet)
{
    cr_assert_eq(call_line("weir ctl -l split a --file x b"), COMMAND_FAILED);
    cr_assert(seen.loud);
    cr_assert_str_eq(seen.file, "x");
    cr_assert_eq(seen_arguments, 2);
    cr_assert_eq(call_line("weir ctl split --loud a"), COMMAND_FAILED);
    cr_assert(seen.loud);
    cr_assert_null(seen.file);
}

Test(command, help_is_printed_for_each_level, .init = cr_redirect_stdout)
{
    cr_assert_eq(call_line("weir --help"), COMMAND_OK);
    cr_assert_eq(call_line("weir help"), COMMAND_OK);
    cr_assert_eq(call_line("weir ctl split -h"), COMMAND_OK);
    cr_assert_eq(call_line("weir ctl help split"), COMMAND_OK);
    fflush(stdout);
    static const char root_help[] = "usage: weir COMMAND\n\nthe root\n\ncommands:\n"
                                    "  ctl          controls\n\noptions:\n"
                                    "  -h, --help                 prints this help\n\n"
                                    "\"weir COMMAND --help\" says more about a command.\n";
    static const char leaf_help[] = "usage: weir ctl split ROUTE\n\nsplits\n\nA paragraph.\n\noptions:\n"
                                    "  -f, --file FILE            which\n"
                                    "  -l, --loud                 louder\n"
                                    "  -h, --help                 prints this help\n";
    struct text wanted = { 0 };
    text_printf(&wanted, "%s%s%s%s", root_help, root_help, leaf_help, leaf_help);
    cr_assert_stdout_eq_str(wanted.bytes);
    text_fini(&wanted);
}

Test(command, wrong_usage_is_two_with_a_hint, .init = cr_redirect_stderr)
{
    static const char *const lines[] = { "weir",
                                         "weir ctl",
                                         "weir ctl split",
                                         "weir ctl splt",
                                         "weir ctl split a b c",
                                         "weir help ctk",
                                         "weir ctl split --fiel x" };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        cr_assert_eq(call_line(lines[i]), COMMAND_USAGE, "%s", lines[i]);
    fflush(stderr);
    fclose(stderr);
    char said[4096] = "";
    size_t length = fread(said, 1, sizeof(said) - 1, cr_get_redirected_stderr());
    struct slice all = slice_from(said, length);
    cr_assert(slice_contains(all, SLICE("weir ctl: unknown command \"splt\", "
                                        "did you mean \"split\"?\n")));
    cr_assert(slice_contains(all, SLICE("weir ctl split: unexpected argument \"c\"\n")));
    cr_assert(slice_contains(all, SLICE("weir ctl split: an argument is missing\n"
                                        "usage: weir ctl split ROUTE\n")));
    cr_assert(slice_contains(all, SLICE("did you mean \"--file\"?")));
}
