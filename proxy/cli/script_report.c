/* cli/script_report.c - what tests of hooks came to, for people and for programs. */
#include "cli/script_test.h"

#include "base/check.h"
#include "json/json.h"

#include "cli/terminal.h"

/* Where the report stands while it is written. */
struct printing {
    const struct test_report *report;
    struct text *out;
    bool coloured;
};

/* ---- figures ----------------------------------------------------------------------------------------------------------- */

uint32_t script_report_coverage_bp(const struct test_coverage *c)
{
    uint32_t line_count, hit_count;
    test_coverage_count(c, &line_count, &hit_count);
    return line_count == 0 ? 10000 : (uint32_t)((uint64_t)hit_count * 10000 / line_count);
}

static uint32_t low_count(const struct test_report *report, uint32_t min_coverage_bp)
{
    uint32_t count = 0;
    for (const struct test_coverage *c = report->coverage; c != NULL; c = c->next)
        count += script_report_coverage_bp(c) < min_coverage_bp;
    return count;
}

bool script_report_is_good(const struct test_report *report, uint32_t min_coverage_bp)
{
    return report->failed_count == 0 && report->passed_count > 0 && low_count(report, min_coverage_bp) == 0;
}

/* The first line from `from` on that did not run; 0: there is none. */
static uint32_t next_missing(const struct test_coverage *c, uint32_t from)
{
    uint32_t line = line_set_next(&c->lines, from);
    while (line != 0 && line_set_has(&c->hits, line))
        line = line_set_next(&c->lines, line + 1);
    return line;
}

/* The last of the lines that did not run and have only such and lines that cannot run between them. */
static uint32_t last_missing(const struct test_coverage *c, uint32_t first)
{
    uint32_t last = first, next;
    while ((next = line_set_next(&c->lines, last + 1)) != 0 && !line_set_has(&c->hits, next))
        last = next;
    return last;
}

/* ---- for people -------------------------------------------------------------------------------------------------------- */

static void add(struct printing *p, enum paint paint, const char *text)
{
    terminal_add(p->out, p->coloured, paint, slice_from_cstr(text));
}

/* FILE:LINE: and the words; what stands on further lines is indented below. */
static void print_failure(struct printing *p, const struct test_file *file, const struct test_case *c)
{
    struct slice rest = c->message, line;
    size_t end = slice_find(rest, '\n');
    line = slice_first(rest, end);
    text_add_cstr(p->out, "    ");
    terminal_add(p->out, p->coloured, PAINT_NONE, file->path);
    if (c->message_line > 0)
        text_printf(p->out, ":%u", c->message_line);
    text_add_cstr(p->out, ": ");
    terminal_add(p->out, p->coloured, PAINT_RED, line);
    text_add_char(p->out, '\n');
    for (rest = slice_after(rest, end + 1); rest.len > 0; rest = slice_after(rest, end + 1)) {
        end = slice_find(rest, '\n');
        text_add_cstr(p->out, "      ");
        terminal_add(p->out, p->coloured, PAINT_NONE, slice_trim(slice_first(rest, end)));
        text_add_char(p->out, '\n');
    }
}

static void print_case(struct printing *p, const struct test_file *file, const struct test_case *c)
{
    text_add_cstr(p->out, "  ");
    add(p, c->is_good ? PAINT_GREEN : PAINT_RED, c->is_good ? "ok     " : "FAILED ");
    terminal_add(p->out, p->coloured, PAINT_NONE, c->name);
    text_add_char(p->out, '\n');
    if (!c->is_good)
        print_failure(p, file, c);
}

static void print_file(struct printing *p, const struct test_file *file)
{
    terminal_add(p->out, p->coloured, PAINT_BOLD, file->path);
    text_add_char(p->out, '\n');
    if (file->problem != NULL)
        print_case(p, file, file->problem);
    for (const struct test_case *c = file->cases; c != NULL; c = c->next)
        print_case(p, file, c);
}

static void print_missing(struct printing *p, const struct test_coverage *c)
{
    const char *separator = "  missing ";
    for (uint32_t line = next_missing(c, 1), last; line != 0; line = next_missing(c, last + 1)) {
        last = last_missing(c, line);
        text_printf(p->out, "%s%u", separator, line);
        if (last > line)
            text_printf(p->out, "-%u", last);
        separator = ", ";
    }
}

static void print_coverage(struct printing *p, uint32_t min_coverage_bp)
{
    size_t width = 0;
    for (const struct test_coverage *c = p->report->coverage; c != NULL; c = c->next)
        width = c->path.len > width ? c->path.len : width;
    if (p->report->coverage != NULL) {
        text_add_char(p->out, '\n');
        add(p, PAINT_BOLD, "lines that ran");
        text_add_char(p->out, '\n');
    }
    for (const struct test_coverage *c = p->report->coverage; c != NULL; c = c->next) {
        uint32_t line_count, hit_count, bp = script_report_coverage_bp(c);
        test_coverage_count(c, &line_count, &hit_count);
        struct text figures = { 0 };
        text_printf(&figures, "%*s%4u/%u lines  %3u %%", (int)(width - c->path.len), "", hit_count, line_count,
                    bp / 100);
        text_add_cstr(p->out, "  ");
        terminal_add(p->out, p->coloured, PAINT_NONE, c->path);
        terminal_add(p->out, p->coloured,
                     bp < min_coverage_bp ? PAINT_RED
                     : bp < 10000         ? PAINT_YELLOW
                                          : PAINT_GREEN,
                     text_slice(&figures));
        print_missing(p, c);
        text_add_char(p->out, '\n');
        text_fini(&figures);
    }
}

static void print_summary(struct printing *p, uint32_t min_coverage_bp)
{
    const struct test_report *report = p->report;
    struct text line = { 0 };
    uint32_t low = low_count(report, min_coverage_bp);
    text_printf(&line, "%zu passed, %zu failed", report->passed_count, report->failed_count);
    if (low > 0)
        text_printf(&line, ", %u file%s with less than %u.%02u %% of its lines run", low, low == 1 ? "" : "s",
                    min_coverage_bp / 100, min_coverage_bp % 100);
    bool is_good = script_report_is_good(report, min_coverage_bp);
    text_add_char(p->out, '\n');
    terminal_add(p->out, p->coloured, is_good ? PAINT_GREEN : PAINT_RED, text_slice(&line));
    text_add_char(p->out, '\n');
    text_fini(&line);
}

void script_report_print(const struct test_report *report, uint32_t min_coverage_bp, bool coloured, struct text *out)
{
    struct printing p = { .report = report, .out = out, .coloured = coloured };
    for (const struct test_file *file = report->files; file != NULL; file = file->next)
        print_file(&p, file);
    print_coverage(&p, min_coverage_bp);
    print_summary(&p, min_coverage_bp);
}

/* ---- for programs ------------------------------------------------------------------------------------------------------ */

static void put_case(struct json *tests, const struct test_file *file, const struct test_case *c)
{
    struct json *test = json_push_object(tests);
    json_put_string(test, "name", c->name);
    if (c->line > 0)
        json_put_u64(test, "line", c->line);
    json_put_cstr(test, "result", c->is_good ? "passed" : "failed");
    if (c->is_good)
        return;
    struct json *failure = json_put_object(test, "failure");
    json_put_string(failure, "file", file->path);
    if (c->message_line > 0)
        json_put_u64(failure, "line", c->message_line);
    json_put_string(failure, "message", c->message);
}

static void put_file(struct json *files, const struct test_file *file)
{
    struct json *object = json_push_object(files);
    json_put_string(object, "file", file->path);
    struct json *tests = json_put_array(object, "tests");
    if (file->problem != NULL)
        put_case(tests, file, file->problem);
    for (const struct test_case *c = file->cases; c != NULL; c = c->next)
        put_case(tests, file, c);
}

static void put_coverage(struct json *list, const struct test_coverage *c)
{
    struct json *object = json_push_object(list);
    uint32_t line_count, hit_count;
    test_coverage_count(c, &line_count, &hit_count);
    json_put_string(object, "file", c->path);
    json_put_u64(object, "lines", line_count);
    json_put_u64(object, "run", hit_count);
    json_put_real(object, "percent", script_report_coverage_bp(c) / 100.0);
    struct json *missing = json_put_array(object, "missing");
    for (uint32_t line = next_missing(c, 1); line != 0; line = next_missing(c, line + 1))
        json_push_i64(missing, line);
}

void script_report_json(const struct test_report *report, uint32_t min_coverage_bp, struct text *out)
{
    struct json *root = json_create_object();
    json_put_bool(root, "good", script_report_is_good(report, min_coverage_bp));
    json_put_u64(root, "passed", report->passed_count);
    json_put_u64(root, "failed", report->failed_count);
    struct json *files = json_put_array(root, "files");
    for (const struct test_file *file = report->files; file != NULL; file = file->next)
        put_file(files, file);
    struct json *coverage = json_put_array(root, "coverage");
    for (const struct test_coverage *c = report->coverage; c != NULL; c = c->next)
        put_coverage(coverage, c);
    json_write_pretty(root, out);
    json_destroy(root);
}
