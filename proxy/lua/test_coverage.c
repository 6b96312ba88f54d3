/* lua/test_coverage.c - which lines ran, file by file, and files of which none did. */
#include "lua/test_parts.h"

#include <errno.h>
#include <string.h>

#include "config/load.h"

struct test_coverage *test_coverage_of(struct test_report *report, struct slice path)
{
    struct test_coverage **at = &report->coverage;
    while (*at != NULL && slice_compare((*at)->path, path) < 0)
        at = &(*at)->next;
    if (*at != NULL && slice_equal((*at)->path, path))
        return *at;
    struct test_coverage *c = arena_zalloc(report->arena, sizeof *c);
    c->path = path;
    c->next = *at;
    *at = c;
    return c;
}

void test_coverage_count(const struct test_coverage *c, uint32_t *line_count, uint32_t *hit_count)
{
    *line_count = *hit_count = 0;
    for (uint32_t line = line_set_next(&c->lines, 1); line != 0; line = line_set_next(&c->lines, line + 1)) {
        ++*line_count;
        *hit_count += line_set_has(&c->hits, line);
    }
}

/* ---- files that no test has loaded ------------------------------------------------------------------------------------------- */

static int write_code(lua_State *L, const void *bytes, size_t length, void *arg)
{
    (void)L;
    text_add(arg, slice_from(bytes, length));
    return 0;
}

/* False: it is no Lua, and *problem says why. It is compiled and not run, so no limit is needed. */
static bool read_lines(struct slice text, struct line_set *out, struct arena *arena, struct slice *problem)
{
    struct text code = { 0 };
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    bool is_good = luaL_loadbufferx(L, text.ptr, text.len, "=", "t") == LUA_OK;
    if (is_good) {
        CHECK(lua_dump(L, write_code, &code, 0) == 0);
        lines_read(text_slice(&code), out);
    } else {
        *problem = arena_copy(arena, slice_from_cstr(lua_tostring(L, -1)));
    }
    lua_close(L);
    text_fini(&code);
    return is_good;
}

/* ":12: words", as Lua says it of a text without a name -> 12 and the words. */
static uint32_t take_line(struct slice *message)
{
    uint64_t line = 0;
    struct slice rest = slice_after(*message, 1);
    size_t end = slice_find(rest, ':');
    if (slice_has_prefix(*message, SLICE(":")) && slice_to_u64(slice_first(rest, end), &line))
        *message = slice_trim(slice_after(rest, end + 1));
    return (uint32_t)line;
}

static void add_failure(struct test_report *report, struct slice path, struct slice problem)
{
    struct test_file *file = arena_zalloc(report->arena, sizeof *file);
    file->path = path;
    file->last = &file->cases;
    file->problem = arena_zalloc(report->arena, sizeof *file->problem);
    file->problem->name = SLICE("the file");
    file->problem->message_line = take_line(&problem);
    file->problem->message = problem;
    *report->last = file;
    report->last = &file->next;
    report->failed_count++;
}

void test_report_add_script(struct test_report *report, const char *path)
{
    struct slice text, problem, name = arena_copy(report->arena, slice_from_cstr(path));
    for (const struct test_coverage *c = report->coverage; c != NULL; c = c->next)
        if (slice_equal(c->path, name))
            return;
    if (!config_source_system.read_file(config_source_system.arg, path, report->arena, &text))
        add_failure(report, name, slice_from_cstr(strerror(errno)));
    else if (!read_lines(text, &test_coverage_of(report, name)->lines, report->arena, &problem))
        add_failure(report, name, problem);
}
