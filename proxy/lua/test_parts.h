/* lua/test_parts.h - a run of a file of tests as the files of the runner see it. For lua/test_*.c only.
 *
 * The state of the tests has a struct test_run behind vm->owner; its first member is the world, so that functions of the
 * table `weir` work there as well. */
#ifndef LUA_TEST_PARTS_H
#define LUA_TEST_PARTS_H

#include "base/text.h"
#include "lua/api.h"
#include "lua/module.h"
#include "lua/test_run.h"
#include "lua/watchdog.h"

struct snapshot;
struct script_host;

#define TEST_FUNCTION_NONE LUA_NOREF

/* A segment of t.segment: what weir.segment says of it. */
struct test_segment {
    struct slice name;
    bool is_in;   /* when there is no function */
    int function; /* in the registry of the tests' state, called with the request; or TEST_FUNCTION_NONE */
};

/* What answers weir.fetch to an upstream. */
struct test_fetch {
    struct slice upstream;
    int function; /* in the registry of the tests' state */
};

/* What stands around the hooks: of the file while it is loaded, of a test (a copy of the file's) while that runs. Lists are never
   changed in place, so copying the struct is enough. */
struct test_setup {
    const struct slice *upstreams;
    size_t upstream_count;
    const struct test_segment *segments;
    size_t segment_count;
    const struct test_fetch *fetches;
    size_t fetch_count;
    struct wall_time now;
};

/* A line of weir.log. In the arena of the test. */
struct test_log {
    struct test_log *next;
    enum log_level level;
    struct slice text;
};

/* A file whose lines are told apart by what Lua calls it. In the arena of the test. */
struct test_file_lines {
    struct test_file_lines *next;
    const char *source;
    struct test_coverage *coverage;
};

/* What t.hook gave out; lives as long as the run. */
struct test_hook {
    struct test_hook *next;
    struct slice name, path; /* path: absolute */
    int64_t budget_ms;
    struct snapshot *snapshot; /* of the test that runs; NULL: it has not called it */
    struct script_host *host;
    struct test_file_lines *files; /* its own, and the modules beside it; of the test that runs */
};

/* A request of t.request with all that its hooks need. In the arena of its test; the userdata has its serial. */
struct test_request {
    struct test_request *next; /* of the test */
    struct script_call call;
    struct message message;
    struct route_request view;
    struct slice body; /* ptr NULL: none */
    bool has_encoded_slash;
    bool is_copy;           /* that on_shadow has let go: to be looked at */
    struct test_hook *hook; /* whose ctx it has; NULL: none has been called with it */
};

struct test_run {
    struct script_world world;
    const struct test_options *options;
    struct test_report *report;
    struct test_file *file;
    struct watchdog *dog;
    struct vm *vm;
    const char *directory, *shown_directory; /* of the file: absolute, and as it was given; both end in "/" or are "" */
    const char *source;                      /* what Lua calls the file: "=x_test.lua" */
    struct script_fakes fakes;

    struct module_set modules; /* what the file requires and reads; never of a hook */

    struct test_hook *hooks;
    struct test_setup file_setup, setup;

    /* Of the test that runs. */
    struct arena arena;
    uint64_t serial; /* of the test; 0 while the file is loaded */
    struct test_request *requests;
    struct test_log *logs, **last_log;
    int fetches;                  /* in the registry: a list of what hooks fetched; LUA_NOREF: nothing yet */
    lua_State *caller;            /* the coroutine that called a hook: what the hook asks for runs there */
    struct test_request *current; /* what the hook was called with */
    struct test_hook *active;     /* that is loaded or called; NULL: none */
    bool has_callback_failed; /* a function of the test raised inside a hook's call; the error is on top of caller */
    bool has_failed;          /* an assertion has, whoever caught its error */
    struct text failure;      /* its words */
    uint32_t failure_line;
};

struct test_run *test_run_of(lua_State *L);
/* Raises when no test runs; `what` is the function's name. */
struct test_run *test_check_running(lua_State *L, const char *what);
/* The line of the file of tests that is being executed, as deep as can be; 0: none. */
uint32_t test_line(lua_State *L, const struct test_run *run);
struct slice test_check_slice(lua_State *L, int index);
/* Where what a test says is kept: as long as the test, or the run when no test runs. */
struct arena *test_setup_arena(struct test_run *run);

/* ---- values (test_value.c) ------------------------------------------------------------------------------------------- */

/* Adds the value as Lua would write it, tables with their keys in order; what is long or deep is cut. */
void test_value_add(lua_State *L, int index, struct text *out);
/* By value, tables by what is in them (metatables aside). Adds a line for each place that differs, some at most. */
bool test_value_equal(lua_State *L, int actual, int expected, struct text *differences);
/* The keys of the table that are texts, in order; others raise. In the arena of the test. */
size_t test_value_keys(lua_State *L, int table, struct arena *arena, struct slice **keys);

/* ---- the table `t` ----------------------------------------------------------------------------------------------------- */

extern const luaL_Reg test_assertions[], test_surroundings[];

/* Pushes `t`. */
void test_library_push(lua_State *L);
int test_library_hook(lua_State *L);
int test_library_request(lua_State *L);
int test_library_response(lua_State *L);
void test_library_push_clock(lua_State *L);
/* Registers the kinds of objects. */
void test_request_open(lua_State *L);

struct test_request *test_request_check(lua_State *L, int index);
/* Pushes an object for it. */
void test_request_push(lua_State *L, struct test_request *r);
struct message *test_response_check(lua_State *L, int index);
/* The member `headers` of the table there: { name = value, name = { value, value } }, in the order of the names. */
void test_headers_take(lua_State *L, int table, struct arena *arena, struct message *m);

/* ---- weir.fetch (test_fetch.c) --------------------------------------------------------------------------------------------- */

int test_library_fetch(lua_State *L);
int test_library_fetches(lua_State *L);
enum script_fetch_result test_fetch_begin(struct script_call *call, const struct script_fetch *fetch,
                                          struct script_fetch_answer *answer);

/* ---- coverage (test_coverage.c) -------------------------------------------------------------------------------------------- */

/* Of the file with that path, as it is shown; made when there is none. */
struct test_coverage *test_coverage_of(struct test_report *report, struct slice path);

/* ---- hooks (test_hook.c) ------------------------------------------------------------------------------------------------- */

/* The test has ended: requests, hosts and configurations go. */
void test_hooks_close(struct test_run *run);
void test_fakes_init(struct test_run *run);

#endif
