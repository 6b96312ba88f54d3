/* unit/cli/test_options.c - words of a command line end up in the right members, or in a helpful sentence. */
#include "cli/options.h"

#include "base/check.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct values {
    const char *config;
    struct option_list headers;
    uint32_t workers;
    int64_t duration_ms;
    bool json, quiet;
    const char *admin; /* of the outer scope */
};

static const struct option_row inner_rows[] = {
    { 'c', "config", "FILE", OPTION_TEXT, true, offsetof(struct values, config), 0, 0, "the file" },
    { 'H', NULL, "NAME: VALUE", OPTION_LIST, false, offsetof(struct values, headers), 0, 0, "one" },
    { 'w', "workers", "N", OPTION_NUMBER, false, offsetof(struct values, workers), 1, 64, "many" },
    { 0, "for", "TIME", OPTION_DURATION, false, offsetof(struct values, duration_ms), 0, 0, "long" },
    { 'j', "json", NULL, OPTION_FLAG, false, offsetof(struct values, json), 0, 0, "raw" },
    { 'q', "quiet", NULL, OPTION_FLAG, false, offsetof(struct values, quiet), 0, 0, "less" },
};
static const struct option_row outer_rows[] = {
    { 0, "admin", "WHERE", OPTION_TEXT, false, offsetof(struct values, admin), 0, 0, "an address" },
};
static const struct option_scope outer = { outer_rows, ARRAY_COUNT(outer_rows), NULL };
static const struct option_scope inner = { inner_rows, ARRAY_COUNT(inner_rows), &outer };

struct fixture {
    struct values values;
    char words[12][40];
    char *argv[12];
    const char *arguments[12];
    struct options_reader reader;
};

/* The words of one line, separated by single spaces; "~" stands for a space inside a word. */
static enum options_result read_words(struct fixture *f, const char *line, bool stops_at_word)
{
    int argc = 0;
    memset(f, 0, sizeof(*f));
    struct slice rest = slice_from_cstr(line), word;
    while (slice_next_item(&rest, ' ', &word)) {
        snprintf(f->words[argc], sizeof(f->words[argc]), "%.*s", SLICE_ARG(word));
        for (char *c = f->words[argc]; *c != '\0'; c++)
            *c = *c == '~' ? ' ' : *c;
        f->argv[argc] = f->words[argc];
        argc++;
    }
    f->reader = (struct options_reader){ .scope = &inner,
                                         .values = &f->values,
                                         .stops_at_word = stops_at_word,
                                         .argc = argc,
                                         .argv = f->argv,
                                         .arguments = f->arguments };
    return options_read(&f->reader);
}

static enum options_result read_line(struct fixture *f, const char *line)
{
    return read_words(f, line, false);
}

static void finish(struct fixture *f)
{
    text_fini(&f->reader.error);
    options_free_values(&inner, &f->values);
}

static void expect_wrong(const char *line, const char *message)
{
    struct fixture f;
    enum options_result result = read_line(&f, line);
    if (result == OPTIONS_OK)
        result = options_check_required(&f.reader);
    cr_assert_eq(result, OPTIONS_WRONG, "accepted: %s", line);
    cr_assert_str_eq(f.reader.error.bytes, message);
    finish(&f);
}

Test(options, every_way_to_write_a_value_is_read)
{
    static const char *const lines[] = { "-c a.yaml",       "-ca.yaml",   "--config a.yaml",
                                         "--config=a.yaml", "-jc a.yaml", "-qjca.yaml" };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        struct fixture f;
        cr_assert_eq(read_line(&f, lines[i]), OPTIONS_OK, "refused: %s", lines[i]);
        cr_assert_str_eq(f.values.config, "a.yaml");
        finish(&f);
    }
}

Test(options, kinds_are_stored_in_their_types)
{
    struct fixture f;
    cr_assert_eq(read_line(&f, "--workers=8 --for 10s -j --config="), OPTIONS_OK);
    cr_assert_eq(f.values.workers, 8);
    cr_assert_eq(f.values.duration_ms, 10000);
    cr_assert(f.values.json);
    cr_assert_not(f.values.quiet);
    cr_assert_str_eq(f.values.config, "");
    finish(&f);
}

Test(options, lists_grow_and_arguments_keep_their_order)
{
    struct fixture f;
    cr_assert_eq(read_line(&f, "one -H a:~b two -Hc:d -- -H --config"), OPTIONS_OK);
    cr_assert_eq(f.values.headers.count, 2);
    cr_assert_str_eq(f.values.headers.items[0], "a: b");
    cr_assert_str_eq(f.values.headers.items[1], "c:d");
    cr_assert_eq(f.reader.argument_count, 4);
    cr_assert_str_eq(f.arguments[1], "two");
    cr_assert_str_eq(f.arguments[3], "--config");
    finish(&f);
}

Test(options, a_single_dash_is_an_argument)
{
    struct fixture f;
    cr_assert_eq(read_line(&f, "-"), OPTIONS_OK);
    cr_assert_eq(f.reader.argument_count, 1);
    finish(&f);
}

Test(options, the_scope_around_is_searched_too)
{
    struct fixture f;
    cr_assert_eq(read_line(&f, "--admin unix:/x"), OPTIONS_OK);
    cr_assert_str_eq(f.values.admin, "unix:/x");
    finish(&f);
}

Test(options, a_group_stops_at_the_first_word)
{
    struct fixture f;
    cr_assert_eq(read_words(&f, "-j split --bad", true), OPTIONS_OK);
    cr_assert_eq(f.reader.at, 1);
    cr_assert_eq(f.reader.argument_count, 0);
    finish(&f);
}

Test(options, help_wins_over_what_follows)
{
    struct fixture f;
    cr_assert_eq(read_line(&f, "-h --nonsense"), OPTIONS_HELP);
    finish(&f);
    cr_assert_eq(read_line(&f, "-jh"), OPTIONS_HELP);
    finish(&f);
    cr_assert_eq(read_line(&f, "--config --help"), OPTIONS_OK); /* it is the value */
    finish(&f);
}

Test(options, mistakes_are_named_with_a_hint)
{
    expect_wrong("--wrokers 2", "unknown option \"--wrokers\", did you mean \"--workers\"?");
    expect_wrong("--admni x", "unknown option \"--admni\", did you mean \"--admin\"?");
    expect_wrong("--colour", "unknown option \"--colour\"");
    expect_wrong("-x", "unknown option \"-x\"");
    expect_wrong("-jx", "unknown option \"-x\"");
    expect_wrong("--config", "--config wants a value: FILE");
    expect_wrong("-H", "-H wants a value: NAME: VALUE");
    expect_wrong("--json=yes", "--json takes no value");
    expect_wrong("--workers 0", "--workers: \"0\" is not a number from 1 to 64");
    expect_wrong("--workers two", "--workers: \"two\" is not a number from 1 to 64");
    expect_wrong("--for 10", "--for: \"10\" is not a duration such as 250ms, 10s or 5m");
    expect_wrong("-j", "--config FILE is missing");
}

Test(options, the_description_is_aligned)
{
    struct text out = { 0 };
    options_describe(&inner, &out);
    struct slice said = text_slice(&out);
    cr_assert(slice_contains(said, SLICE("  -c, --config FILE          the file\n")));
    cr_assert(slice_contains(said, SLICE("  -H NAME: VALUE             one\n")));
    cr_assert(slice_contains(said, SLICE("      --admin WHERE          an address\n")));
    cr_assert(slice_contains(said, SLICE("  -h, --help                 prints this help\n")));
    text_fini(&out);
}
