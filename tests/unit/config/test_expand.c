/* tests/unit/config/test_expand.c - ${NAME} in values. */
#include "config/expand.h"

#include <criterion/criterion.h>

#include "config/fixture.h"

static const struct entry variables[] = {
    { "HOST", "127.0.0.1" }, { "PORT", "8080" }, { "N", "3" },         { "EMPTY", "" },
    { "NESTED", "${N}" },    { "YAML", "a: b" }, { "NAME_2", "down" }, { NULL, NULL },
};

/* What the body of a fixed answer becomes. */
static void expect_body(const char *written, const char *expected)
{
    struct loaded f;
    loaded_init(&f);
    f.variables = variables;
    const char *yaml = arena_printf(&f.arena,
                                    "listeners: { web: { bind: '${HOST}:${PORT}' } }\nworkers: ${N}\nroutes:\n"
                                    "- name: r\n  respond:\n    body: %s\n",
                                    written)
                           .ptr;
    const char *problems = loaded_read(&f, yaml);
    cr_assert_str_empty(problems, "%s", problems);
    cr_expect_str_eq(f.config->routes[0].respond.body.ptr, expected);
    cr_expect_eq(f.config->listeners[0].bind.port, 8080);
    cr_expect_eq(f.config->worker_count, 3);
    loaded_fini(&f);
}

Test(expand, variables_are_substituted_in_values)
{
    expect_body("${N}", "3");
    expect_body("a${N}b${N}", "a3b3");
    expect_body("\"${HOST}:${PORT}\"", "127.0.0.1:8080");
    expect_body("x${EMPTY}y", "xy");
    expect_body("${NAME_2}", "down");
}

Test(expand, what_was_substituted_is_not_looked_at_again)
{
    expect_body("${NESTED}", "${N}");
    expect_body("${YAML}", "a: b");
}

Test(expand, other_dollars_stand_for_themselves)
{
    expect_body("$", "$");
    expect_body("$N", "$N");
    expect_body("a$", "a$");
    expect_body("^a$b", "^a$b");
    expect_body("$$", "$$");
    expect_body("$${N}", "${N}");
    expect_body("$$${N}", "$${N}");
    expect_body("x$${", "x${");
}

Test(expand, keys_are_left_alone)
{
    struct loaded f;
    loaded_init(&f);
    f.variables = variables;
    const char *problems = loaded_read(&f, "\"${N}\": 1\n");
    cr_expect(strncmp(problems, "weir.yaml:1:1: unknown key '${N}'", 33) == 0, "%s", problems);
    loaded_fini(&f);
}

Test(expand, one_unset_variable_makes_one_message)
{
    const char *problems = problems_of("limits: { body: '${NONE}', header_count: '${N' }\n" BASE_YAML
                                       "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n");
    cr_expect_str_eq(problems,
                     "weir.yaml:1:17: the environment variable NONE is not set (set it, or write $${ for a "
                     "plain ${)\n"
                     "weir.yaml:1:42: '${N' does not name a variable (write ${NAME}, or $${ for a plain ${)\n");
}
