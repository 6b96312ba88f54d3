/* tests/unit/lua/test_script_set.c - the scripts of a configuration: each read once, and what is wrong with them. */
#include "lua/script_set.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Files made up by a test, by the ends of their names. */
struct made_up {
    const char *names[5], *texts[5];
    unsigned read_count;
};

static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    struct made_up *files = arg;
    for (size_t i = 0; i < ARRAY_COUNT(files->names); i++)
        if (files->names[i] != NULL && slice_has_suffix(slice_from_cstr(path), slice_from_cstr(files->names[i]))) {
            *out = arena_copy(arena, slice_from_cstr(files->texts[i]));
            files->read_count++;
            return true;
        }
    errno = ENOENT;
    return false;
}

static const char *get_env(void *arg, const char *name)
{
    (void)arg, (void)name;
    return NULL;
}

struct load_test {
    struct arena arena;
    struct err_list errors;
    struct config *config; /* NULL: it has errors */
    char problems[2048];
};

static void load(struct load_test *t, struct made_up *files, const char *routes)
{
    struct config_source source = { .get_env = get_env,
                                    .read_file = read_file,
                                    .compile_scripts = script_set_compile,
                                    .directory = "/d",
                                    .arg = files };
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "listeners: { web: { bind: 127.0.0.1:8080 } }\n"
             "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] }, b: { endpoints: [ 127.0.0.1:2 ] } }\nroutes:\n%s",
             routes);
    arena_init(&t->arena, NULL, 0);
    err_list_init(&t->errors, &t->arena);
    t->config = config_load_bytes(&t->arena, "weir.yaml", slice_from_cstr(yaml), &source, &t->errors);
    t->problems[0] = '\0';
    for (const struct err *e = t->errors.first; e != NULL; e = e->next)
        if (e->severity == ERR_ERROR)
            snprintf(t->problems + strlen(t->problems), sizeof t->problems - strlen(t->problems), "%s\n",
                     err_format(&t->arena, e).ptr);
}

static void done(struct load_test *t)
{
    arena_reset(&t->arena);
}

#define ONE_ROUTE "- { name: r, script: x.lua, to: a }\n"

static void expect_problem(const char *script, const char *wanted)
{
    struct made_up files = { { "x.lua" }, { script }, 0 };
    struct load_test t;
    load(&t, &files, ONE_ROUTE);
    cr_expect_null(t.config, "%s", script);
    cr_expect_str_eq(t.problems, wanted, "%s: %s", script, t.problems);
    done(&t);
}

Test(script_set, routes_of_one_file_share_it)
{
    struct made_up files = { { "x.lua", "y.lua" },
                             { "return { on_request = function() end }", "return { on_response = function() end }" },
                             0 };
    struct load_test t;
    load(&t, &files,
         "- { name: r, match: { path: { exact: /r } }, script: x.lua, to: a }\n"
         "- { name: s, match: { path: { exact: /s } }, to: a }\n"
         "- { name: t, match: { path: { exact: /t } }, script: { file: y.lua, budget: 7ms, on_error: fail }, to: b }\n"
         "- { name: u, script: x.lua, to: a }\n");
    cr_assert_not_null(t.config, "%s", t.problems);
    const struct script_set *set = t.config->scripts;
    cr_assert_eq(set->count, 2);
    cr_assert_eq(files.read_count, 2);
    cr_assert(slice_equal(set->scripts[0].path, SLICE("/d/x.lua")));
    cr_assert_eq(set->of_route[0], 0);
    cr_assert_eq(set->of_route[1], CONFIG_NONE);
    cr_assert_eq(set->of_route[2], 1);
    cr_assert_eq(set->of_route[3], 0);
    cr_assert(set->scripts[0].has_hook[SCRIPT_ON_REQUEST] && !set->scripts[0].has_hook[SCRIPT_ON_RESPONSE]);
    cr_assert(!set->scripts[1].has_hook[SCRIPT_ON_REQUEST] && set->scripts[1].has_hook[SCRIPT_ON_RESPONSE]);
    cr_assert_eq(t.config->routes[0].script.budget_ms, 2);
    cr_assert_eq(t.config->routes[2].script.budget_ms, 7);
    cr_assert_eq(t.config->routes[2].script.on_error, SCRIPT_FAIL);
    done(&t);
}

Test(script_set, whom_a_script_asks_is_told_as_far_as_its_text_does)
{
    static const char *const rows[][2] = {
        { "return { on_request = function() end }", "" },
        { "return { on_request = function() return weir.fetch('b', {}).body end }", "b" },
        { "return { on_request = function() weir.fetch( \"b\" ) weir.fetch('a') weir.fetch 'b' weir.fetch('b') end }",
          "b, a, whom it finds out itself" },
        { "local f = weir.fetch return { on_request = function() f('a') end }", "whom it finds out itself" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct made_up files = { { "x.lua" }, { rows[i][0] }, 0 };
        struct load_test t;
        load(&t, &files, ONE_ROUTE);
        cr_assert_not_null(t.config, "%s", t.problems);
        struct slice asks = t.config->scripts->scripts[0].asks;
        cr_expect(slice_equal(asks, slice_from_cstr(rows[i][1])), "%s: %.*s", rows[i][0], SLICE_ARG(asks));
        done(&t);
    }
}

Test(script_set, a_file_cannot_ask)
{
    expect_problem("weir.fetch('a') return { on_request = function() end }",
                   "/d/x.lua:1: weir.fetch works in hooks only, not while the file is loaded\n");
}

Test(script_set, there_is_none_without_a_script)
{
    struct made_up files = { { NULL }, { NULL }, 0 };
    struct load_test t;
    load(&t, &files, "- { name: r, to: a }\n- { name: s, to: b }\n");
    cr_assert_not_null(t.config);
    cr_assert_null(t.config->scripts);
    done(&t);
}

Test(script_set, a_changed_script_is_another_configuration)
{
    struct made_up first = { { "x.lua" }, { "return { on_request = function() end }" }, 0 };
    struct made_up second = { { "x.lua" }, { "return { on_request = function() end } " }, 0 };
    struct load_test a, b, c;
    load(&a, &first, ONE_ROUTE);
    load(&b, &second, ONE_ROUTE);
    load(&c, &first, ONE_ROUTE);
    cr_assert_not(slice_equal(a.config->digest, b.config->digest));
    cr_assert(slice_equal(a.config->digest, c.config->digest));
    done(&a);
    done(&b);
    done(&c);
}

Test(script_set, problems_are_told_at_their_line)
{
    expect_problem("return {\n\n]", "/d/x.lua:3: unexpected symbol near ']'\n");
    expect_problem("\nerror('no')", "/d/x.lua:2: no\n");
    expect_problem("error('no', 0)", "/d/x.lua:1: no\n");
    expect_problem("\nlocal function f() error({}) end\nf()", "/d/x.lua:2: an error that is no text\n");
    expect_problem("\n\nwhile true do end", "/d/x.lua:3: the call used up its time\n");
    expect_problem("", "/d/x.lua:1: the script returns nil, not a table of hooks\n");
    expect_problem("local M = {}\nfunction M.on_request()\nend",
                   "/d/x.lua:3: the script returns nil, not a table of hooks\n");
    expect_problem("return function() end", "/d/x.lua:1: the script returns function, not a table of hooks\n");
    expect_problem("local M = {}\n\nreturn M\n",
                   "/d/x.lua:3: the script has no hook (write: return { on_request = function(req) ... end })\n");
    expect_problem("return {\n on_respond = function() end }",
                   "/d/x.lua:2: there is no hook 'on_respond' (did you mean 'on_response'?)\n");
    expect_problem("return {\n on_requets = function() end }",
                   "/d/x.lua:2: there is no hook 'on_requets' (did you mean 'on_request'?)\n");
    expect_problem("local x = weri.now()\nreturn { on_request = function(r)\n y = pint(x, y)\n z() end, os }",
                   "/d/x.lua:1:11: unknown global 'weri' (did you mean 'weir'?)\n"
                   "/d/x.lua:3:2: cannot make a global 'y' (write `local`)\n"
                   "/d/x.lua:3:6: unknown global 'pint'\n"
                   "/d/x.lua:4:2: unknown global 'z'\n"
                   "/d/x.lua:4:11: unknown global 'os'\n");
    expect_problem("rawset(_ENV, 'x', 1)\nreturn { on_request = function() end, y }",
                   "/d/x.lua:2: unknown global 'y'\n"); /* the guard's word, at run time */
    expect_problem("return {\n whatever = function() end }", "/d/x.lua:2: there is no hook 'whatever'\n");
    expect_problem("return { function() end }", "/d/x.lua:1: there is no hook '1'\n");
    expect_problem("\nreturn { on_request = true }", "/d/x.lua:2: 'on_request' is not a function\n");
    expect_problem("\x1bLua", "/d/x.lua:1: attempt to load a binary chunk (mode is 't')\n");
}

Test(script_set, every_file_is_tried_and_all_problems_told)
{
    struct made_up files = { { "x.lua", "y.lua" }, { "return 1", "return 2" }, 0 };
    struct load_test t;
    load(&t, &files,
         "- { name: r, match: { path: { exact: /r } }, script: x.lua, to: a }\n- { name: s, script: y.lua, to: b }\n"
         "- { name: t, script: z.lua, to: b }\n");
    cr_assert_str_eq(t.problems,
                     "/d/x.lua:1: the script returns number, not a table of hooks\n"
                     "/d/y.lua:1: the script returns number, not a table of hooks\n"
                     "weir.yaml:6:22: could not read '/d/z.lua': No such file or directory\n",
                     "%s", t.problems);
    done(&t);
}
