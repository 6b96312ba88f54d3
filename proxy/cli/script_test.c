/* cli/script_test.c - `weir script test`: finds the files of tests, runs them, and says what came of it. */
#include "cli/script_test.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/units.h"

#include "cli/command.h"
#include "cli/terminal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DEFAULT_TIMEOUT_MS 10000
#define BUDGET_MAX_MS      1000 /* what a route's budget may be */
#define FOLDER_LEVELS      32
#define TEST_SUFFIX        "_test.lua"

/* Files of tests in the order they run: by PATH, inside a folder by name. */
struct test_paths {
    struct call *call;
    struct option_list tests;   /* heap; the texts are in the call's arena */
    struct option_list scripts; /* the other files of Lua in folders */
};

/* ---- finding ----------------------------------------------------------------------------------------------------------- */

static void add_path(struct option_list *list, struct arena *arena, struct slice path)
{
    list->items = memory_resize_array(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = arena_copy(arena, path).ptr;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool walk(struct test_paths *found, const char *folder, int levels);

/* Hidden ones are left alone, links to folders are followed no deeper than anything else. */
static bool look_at_entry(struct test_paths *found, const char *folder, const char *name, int levels)
{
    const char *slash = slice_has_suffix(slice_from_cstr(folder), SLICE("/")) ? "" : "/";
    struct slice path = arena_printf(&found->call->arena, "%s%s%s", folder, slash, name);
    if (name[0] == '.')
        return true;
    if (is_folder(path.ptr))
        return levels == 0 || walk(found, path.ptr, levels - 1);
    if (slice_has_suffix(path, SLICE(".lua")))
        add_path(slice_has_suffix(path, SLICE(TEST_SUFFIX)) ? &found->tests : &found->scripts, &found->call->arena,
                 path);
    return true;
}

static bool walk(struct test_paths *found, const char *folder, int levels)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0) {
        command_failed(found->call, "%s: %s", folder, strerror(errno));
        return false;
    }
    bool is_good = true;
    for (int i = 0; i < count; i++) {
        is_good = is_good && look_at_entry(found, folder, entries[i]->d_name, levels);
        free(entries[i]);
    }
    free(entries);
    return is_good;
}

/* A hook's file stands for the tests beside it. */
static bool find(struct test_paths *found, const char *path)
{
    struct slice name = slice_from_cstr(path);
    struct stat info;
    if (is_folder(path))
        return walk(found, path, FOLDER_LEVELS);
    if (!slice_has_suffix(name, SLICE(TEST_SUFFIX)) && slice_has_suffix(name, SLICE(".lua")))
        name = arena_printf(&found->call->arena, "%.*s" TEST_SUFFIX, (int)(name.len - strlen(".lua")), path);
    if (stat(arena_copy(&found->call->arena, name).ptr, &info) != 0) {
        command_failed(found->call, "%.*s: %s", SLICE_ARG(name), strerror(errno));
        return false;
    }
    add_path(&found->tests, &found->call->arena, name);
    return true;
}

/* ---- the command ------------------------------------------------------------------------------------------------------- */

/* "80%", "92.5%" -> basis points. */
static bool parse_share(const char *text, uint32_t *out_bp)
{
    struct slice rest = slice_from_cstr(text);
    uint64_t whole, part = 0;
    if (!slice_has_suffix(rest, SLICE("%")))
        return false;
    rest.len--;
    size_t point = slice_find(rest, '.');
    struct slice fraction = slice_after(rest, point + 1);
    if (!slice_to_u64(slice_first(rest, point), &whole) || whole > 100 || fraction.len > 2 ||
        (point < rest.len && !slice_to_u64(fraction, &part)))
        return false;
    *out_bp = (uint32_t)(whole * 100 + (fraction.len == 1 ? part * 10 : part));
    return *out_bp <= 10000;
}

static enum command_status run_files(struct call *call, const struct test_paths *found, uint32_t min_coverage_bp)
{
    const struct script_test_values *values = call->values;
    struct test_options options = { .filter = values->filter,
                                    .timeout_ms = values->timeout_ms > 0 ? values->timeout_ms : DEFAULT_TIMEOUT_MS,
                                    .budget_ms = values->budget_ms };
    struct test_report report;
    struct text out = { 0 };
    test_report_init(&report, &call->arena);
    for (size_t i = 0; i < found->tests.count; i++)
        test_run(&report, found->tests.items[i], &options);
    for (size_t i = 0; i < found->scripts.count && values->filter == NULL; i++)
        test_report_add_script(&report, found->scripts.items[i]);
    if (values->is_json)
        script_report_json(&report, min_coverage_bp, &out);
    else
        script_report_print(&report, min_coverage_bp, terminal_has_colour(stdout), &out);
    fputs(out.bytes, stdout);
    bool is_good = script_report_is_good(&report, min_coverage_bp);
    if (report.passed_count + report.failed_count == 0)
        command_failed(call, values->filter != NULL ? "no test has that in its name" : "there is no test");
    text_fini(&out);
    test_report_fini(&report);
    return is_good ? COMMAND_OK : COMMAND_FAILED;
}

static enum command_status run(struct call *call)
{
    const struct script_test_values *values = call->values;
    struct test_paths found = { .call = call };
    uint32_t min_coverage_bp = 0;
    if (values->min_coverage != NULL && !parse_share(values->min_coverage, &min_coverage_bp))
        return command_misused(call, "--min-coverage: \"%s\" is no share such as 80%%", values->min_coverage);
    if (values->budget_ms > BUDGET_MAX_MS)
        return command_misused(call, "--budget: at most 1s, as in a route");
    log_set_level(LOG_ERROR); /* what a hook's failure logs in a server, the report tells */
    bool is_good = true;
    for (size_t i = 0; i < call->argument_count && is_good; i++)
        is_good = find(&found, call->arguments[i]);
    enum command_status status = is_good ? run_files(call, &found, min_coverage_bp) : COMMAND_FAILED;
    memory_free(found.tests.items);
    memory_free(found.scripts.items);
    return status;
}

static const struct option_row options[] = {
    { .name = "filter",
      .value_name = "TEXT",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct script_test_values, filter),
      .doc = "runs the tests that have it in their name" },
    { .name = "min-coverage",
      .value_name = "SHARE",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct script_test_values, min_coverage),
      .doc = "fails when less of any file's lines ran: 80%" },
    { .name = "budget",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct script_test_values, budget_ms),
      .doc = "CPU time of a hook's call (default 2ms, as a route's)" },
    { .name = "timeout",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct script_test_values, timeout_ms),
      .doc = "CPU time of a test with its hooks (default 10s)" },
    { .name = "json",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct script_test_values, is_json),
      .doc = "prints the report as JSON" },
};

static const struct command command_script_test = {
    .name = "test",
    .synopsis = "PATH... [OPTION]...",
    .summary = "runs the tests beside Lua hooks, without a server",
    .details = "PATH is a file NAME_test.lua, a hook NAME.lua that has one beside it, or a folder, which is walked.\n"
               "Hooks run in the sandbox and within the limits of production, with a clock, segments and upstreams\n"
               "that the test sets. Which lines of them ran is printed.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct script_test_values),
    .arguments_min = 1,
    .arguments_max = SIZE_MAX,
    .run = run,
};

static const struct command *const children[] = { &command_script_test };

const struct command command_script = {
    .name = "script",
    .synopsis = "COMMAND [OPTION]...",
    .summary = "works on Lua hooks without a server",
    .children = children,
    .child_count = ARRAY_COUNT(children),
};
