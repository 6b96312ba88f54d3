/* lua/test_run.h - runs the tests beside Lua hooks, without a server: `weir script test`.
 *
 * A file of tests and the hooks it tests live in states of their own:
 *
 *   tests   one state a file (lua/vm.h), with the table `t` (lua/test_library.c) beside `weir`
 *   hooks   for each test new ones: a configuration with the upstreams and segments that the test names, loaded as any
 *           other, and a script host as a worker has it: same sandbox, same API, same budget, same memory
 *
 *   hook.on_request(req) --t--> script_call, message --script_host_call--> hook
 *        result as tables <--------------------------- upstream or answer
 *
 * What a hook asks of the world outside goes back into the state of the tests: struct script_fakes. So a test's own
 * loops and its hooks' are cut off apart, and module variables of a hook do not go from one test to the next.
 *
 * Owner: the command. Thread: one; beside it the watchdog's. */
#ifndef LUA_TEST_RUN_H
#define LUA_TEST_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "lua/lines.h"

struct test_options {
    const char *filter; /* runs tests whose names have it in them; NULL: all */
    int64_t timeout_ms; /* CPU time of a test, its hooks included, and of loading a file of tests */
    int64_t budget_ms;  /* of each call of a hook that the test gives none; 0: a route's default */
};

/* One t.test(name, function), or what went wrong with the file itself. In the report's arena. */
struct test_case {
    struct test_case *next;
    struct slice name;
    uint32_t line; /* of t.test */
    bool is_good;
    struct slice message;  /* why it failed: a line, and more of them behind line ends */
    uint32_t message_line; /* where in the file of tests; 0: nowhere */
    int function;          /* the runner's own */
};

struct test_file {
    struct test_file *next;
    struct slice path; /* as it was given */
    struct test_case *cases, **last;
    struct test_case *problem; /* it could not be loaded: no test of it ran; NULL: it was */
};

/* Which lines of a file of hooks ran, whichever tests ran it. */
struct test_coverage {
    struct test_coverage *next;
    struct slice path; /* beside the file of tests, as that was given */
    struct line_set lines, hits;
};

struct test_report {
    struct arena *arena;
    struct test_file *files, **last;
    struct test_coverage *coverage; /* by path */
    size_t passed_count, failed_count;
};

void test_report_init(struct test_report *report, struct arena *arena);
void test_report_fini(struct test_report *report);

/* Runs a file of tests; what came of it is the newest in report->files. */
void test_run(struct test_report *report, const char *path, const struct test_options *options);

/* A file of Lua that no test may have run: then none of its lines did. One that is no Lua is a failure. After the tests. */
void test_report_add_script(struct test_report *report, const char *path);

/* Executable lines and those among them that ran. */
void test_coverage_count(const struct test_coverage *c, uint32_t *line_count, uint32_t *hit_count);

#endif
