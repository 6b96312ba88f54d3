/* tests/unit/route/test_snapshot.c - a configuration loaded and compiled as one object, or refused whole. */
#include "route/snapshot.h"

#include <criterion/criterion.h>

#include <errno.h>

#include "base/text.h"

#include "route/decide.h"

#include "route/fixture.h"

#define HEAD                                                                                                           \
    "state_dir: /s\n"                                                                                                  \
    "listeners: { web: { bind: 127.0.0.1:0 } }\n"                                                                      \
    "upstreams: { v1: { endpoints: [127.0.0.1:1] }, v2: { endpoints: [127.0.0.1:2] } }\n"                              \
    "routes:\n"

/* A source with one file whose text is the argument; NULL: it cannot be read. */
static const char *no_env(void *arg, const char *name)
{
    (void)arg, (void)name;
    return NULL;
}

static bool read_text(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    (void)path;
    if (arg == NULL) {
        errno = ENOENT;
        return false;
    }
    *out = arena_copy(arena, slice_from_cstr(arg));
    return true;
}

static size_t no_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    (void)arg, (void)pattern, (void)arena;
    *out = NULL;
    return 0;
}

/* With a file name whose memory is gone before the errors are read, as is everything else the load made. */
static struct snapshot *create(char *text, struct fixture *f)
{
    const struct config_source source = {
        .get_env = no_env, .read_file = read_text, .expand_glob = no_glob, .directory = "/d", .arg = text
    };
    char file[] = "weir.yaml";
    struct snapshot *s = snapshot_create(file, &source, 7, &f->errors);
    memset(file, 'x', sizeof file - 1);
    return s;
}

Test(snapshot, holds_a_configuration_ready_to_decide)
{
    struct fixture f;
    fixture_init(&f, 1);
    char text[] =
        HEAD "  - { name: one, match: { host: \"*.example.com\", path: { prefix: /a } }, split: { v1: 0, v2: 1 } }\n"
             "  - { name: two, match: { when: { header: x, regex: \"^1\" } }, to: v1 }\n";
    struct snapshot *s = create(text, &f);
    cr_assert_not_null(s);
    cr_assert_eq(s->generation, 7);
    cr_assert_eq(s->table->config, s->config);
    draw_init(&f.draw, &f.rng, s->table);
    struct decision d;
    route_decide(s->table, request_make(&f, "GET w.example.com /a/b", ""), NULL, &f.draw, &d);
    cr_assert_eq(d.why, WHY_SPLIT);
    cr_assert(slice_equal(s->config->upstreams[d.upstream_index].name, SLICE("v2")));
    route_decide(s->table, request_make(&f, "GET h /", "x: 12"), NULL, &f.draw, &d);
    cr_assert_eq(d.why, WHY_ONLY);
    route_decide(s->table, request_make(&f, "GET h /", "x: 21"), NULL, &f.draw, &d);
    cr_assert_eq(d.why, WHY_NO_ROUTE);
    snapshot_destroy(s);
    fixture_fini(&f);
}

/* All errors, in full, one a line, after the load's memory is gone. */
static void expect_refused(char *text, const char *wanted)
{
    struct fixture f;
    fixture_init(&f, 1);
    cr_assert_null(create(text, &f));
    struct text told;
    text_init(&told);
    for (const struct err *e = f.errors.first; e != NULL; e = e->next)
        if (e->severity == ERR_ERROR)
            text_printf(&told, "%s\n", err_format(&f.arena, e).ptr);
    cr_assert_str_eq(told.bytes, wanted);
    text_fini(&told);
    fixture_fini(&f);
}

Test(snapshot, tells_every_problem_in_the_order_of_the_file)
{
    char text[] = HEAD "  - { name: one, match: { path: { regex: \"a[\" } }, to: v3 }\n"
                       "  - { name: two, match: { when: { header: x, regex: \"(\" } }, to: v1 }\n"
                       "segments: { s: { not: { header: x, regex: \"a**b\" } } }\n";
    expect_refused(text,
                   "weir.yaml:5:42: regex \"a[\" does not compile: missing terminating ] for character class (at "
                   "character 3)\n"
                   "weir.yaml:5:56: there is no upstream 'v3' (define it under upstreams)\n"
                   "weir.yaml:6:53: regex \"(\" does not compile: missing closing parenthesis (at character 2)\n"
                   "weir.yaml:7:43: regex \"a**b\" does not compile: quantifier does not follow a repeatable item (at "
                   "character 3)\n");
}

Test(snapshot, warnings_outlive_it)
{
    struct fixture f;
    fixture_init(&f, 1);
    char text[] = HEAD "  - { name: one, to: v1 }\n";
    struct snapshot *s = create(text, &f);
    cr_assert_not_null(s);
    snapshot_destroy(s);
    cr_assert_eq(f.errors.warning_count, 1, "v2 is not used");
    cr_assert_str_eq(f.errors.first->place.file, "weir.yaml");
    fixture_fini(&f);
}

Test(snapshot, destroying_nothing_is_harmless)
{
    snapshot_destroy(NULL);
}
