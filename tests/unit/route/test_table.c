/* tests/unit/route/test_table.c - which route is found: file order, hosts, paths, and what it costs. */
#include "route/table.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "route/fixture.h"
#include "route/index.h"
#include "route/linear.h"

/* 63 characters, the most that a label of a host may have. */
#define LABEL "abcdefghijklmnopqrstuvwxyabcdefghijklmnopqrstuvwxyabcdefghijklm"

/* The index of the route found, or -1. */
static int find(struct fixture *f, const char *line)
{
    const struct compiled_route *r = route_table_find(f->table, request_make(f, line, ""));
    return r != NULL ? (int)r->index : -1;
}

/* One route with this host and path; whether each request meets it. */
static void expect_fits(const char *host, const char *path, const char *line, bool fits)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, host, path, "");
    fixture_build(&f);
    cr_assert_eq(find(&f, line), fits ? 0 : -1, "host %s path %s: %s", host ? host : "any", path ? path : "any", line);
    fixture_fini(&f);
}

Test(table, prefixes_end_at_segment_borders)
{
    static const struct {
        const char *path, *target;
        bool fits;
    } rows[] = {
        { "/checkout", "/checkout", true },
        { "/checkout", "/checkout/", true },
        { "/checkout", "/checkout/x/y", true },
        { "/checkout", "/checkoutx", false },
        { "/checkout", "/check", false },
        { "/checkout", "/", false },
        { "/", "/", true },
        { "/", "/anything/at/all", true },
        { "/", "*", true },
        { "/a/", "/a/", true },
        { "/a/", "/a/x", true },
        { "/a/", "/a", false },
        { "/a/", "/a//", true },
        { "/a/b", "/a/b/c", true },
        { "/a/b", "/a/bc", false },
        { "/a/b", "/a", false },
        { "/a//b", "/a//b/c", true },
        { "/a//b", "/a/b", false },
        { "/%7Euser", "/~user/x", true },
        { "/a/../b", "/b/c", true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char line[64];
        snprintf(line, sizeof line, "GET h %s", rows[i].target);
        expect_fits(NULL, rows[i].path, line, rows[i].fits);
    }
}

Test(table, exact_paths_are_exact)
{
    static const struct {
        const char *path, *target;
        bool fits;
    } rows[] = {
        { "=/a", "/a", true },   { "=/a", "/a/", false },       { "=/a", "/a/b", false },     { "=/a/", "/a/", true },
        { "=/a/", "/a", false }, { "=/", "/", true },           { "=/", "/a", false },        { "=/", "//", false },
        { "=//", "//", true },   { "=/a%2Fb", "/a%2Fb", true }, { "=/a%2Fb", "/a/b", false }, { "=/", "*", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char line[64];
        snprintf(line, sizeof line, "GET h %s", rows[i].target);
        expect_fits(NULL, rows[i].path, line, rows[i].fits);
    }
}

Test(table, regexes_search_the_path)
{
    expect_fits(NULL, "~^/v[0-9]+/", "GET h /v12/x", true);
    expect_fits(NULL, "~^/v[0-9]+/", "GET h /vx/x", false);
    expect_fits("a.b", "~.", "GET h /v12/x", false);
}

Test(table, hosts_are_exact_or_stand_for_labels_in_front)
{
    expect_fits("example.com", NULL, "GET example.com /", true);
    expect_fits("Example.COM.", NULL, "GET example.com /", true);
    expect_fits("example.com", NULL, "GET www.example.com /", false);
    expect_fits("*.example.com", NULL, "GET www.example.com /", true);
    expect_fits("*.example.com", NULL, "GET a.b.example.com /", true);
    expect_fits("*.example.com", NULL, "GET example.com /", false);
    expect_fits("*.example.com", NULL, "GET .example.com /", false);
    expect_fits("*.example.com", NULL, "GET wwwexample.com /", false);
    expect_fits("*.com", NULL, "GET a.example.com /", true);
    expect_fits("a.b c.d", NULL, "GET c.d /", true);
    expect_fits("[::1]", NULL, "GET [::1] /", true);
    expect_fits("*", NULL, "GET anything /", true);
}

Test(table, methods_are_compared_by_name)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_config *r = fixture_route(&f, NULL, NULL, "");
    r->match.methods = list_of_words(&f.arena, "GET PURGE");
    fixture_build(&f);
    cr_assert_eq(find(&f, "GET h /"), 0);
    cr_assert_eq(find(&f, "PURGE h /"), 0);
    cr_assert_eq(find(&f, "POST h /"), -1);
    cr_assert_eq(find(&f, "HEAD h /"), -1);
    cr_assert_eq(find(&f, "BREW h /"), -1, "unknown to us, but not PURGE");
    fixture_fini(&f);
}

Test(table, the_first_in_the_file_wins_however_specific_a_later_one_is)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, "*.b.c", "/x", "");
    fixture_route(&f, NULL, "/x/y", "");
    fixture_route(&f, "a.b.c", "=/x/y/z", "");
    fixture_route(&f, "a.b.c", NULL, "");
    fixture_route(&f, NULL, "/", "");
    fixture_build(&f);
    cr_assert_eq(find(&f, "GET a.b.c /x/y/z"), 0);
    cr_assert_eq(find(&f, "GET b.c /x/y/z"), 1);
    cr_assert_eq(find(&f, "GET a.b.c /q"), 3);
    cr_assert_eq(find(&f, "GET q /q"), 4);
    fixture_fini(&f);
}

Test(table, a_route_whose_when_fails_leaves_the_request_to_the_next)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, "/a", "")->match.when = condition_present(&f, SUBJECT_HEADER, "x-a", true);
    fixture_route(&f, NULL, NULL, "");
    fixture_build(&f);
    cr_assert_eq(route_table_find(f.table, request_make(&f, "GET h /a", "x-a: 1"))->index, 0);
    cr_assert_eq(route_table_find(f.table, request_make(&f, "GET h /a", ""))->index, 1);
    fixture_fini(&f);
}

/* ---- against a linear matcher ------------------------------------------------------------------------------------ */

static const char *const hosts[] = { NULL, "a.x.y",     "b.x.y",       "x.y",     "*.x.y",    "*.y",
                                     "*",  "a.x.y x.y", "*.x.y a.x.y", "*.a.x.y", "*.y *.x.y" };
static const char *const paths[] = { NULL,   "/",     "/a",      "/a/",    "/a/b", "/a/b/", "/a//", "=/", "=/a",
                                     "=/a/", "=/a/b", "=/a/b/c", "~^/a/.", "/b",   "~b$",   "=/b",  "//", "=//" };
static const char *const request_hosts[] = { "a.x.y", "b.x.y", "x.y", "q.a.x.y", "z", "y", "c.y" };
static const char *const request_paths[] = { "/",  "/a",   "/a/", "/a/b",  "/a/b/", "/a/b/c", "/ab",
                                             "/b", "/b/a", "//",  "/a//b", "*",     "/c/d/e" };

struct plain_route {
    const char *host, *path;
    bool wants_header;
};

static int find_linear(const struct plain_route *routes, int count, const char *host, const char *path, bool has_header)
{
    for (int i = 0; i < count; i++)
        if (linear_host_is(routes[i].host, host) && linear_path_is(routes[i].path, path) &&
            (!routes[i].wants_header || has_header))
            return i;
    return -1;
}

static void build_random(struct fixture *f, struct plain_route *routes, int count)
{
    for (int i = 0; i < count; i++) {
        routes[i].host = hosts[rng_below(&f->rng, ARRAY_COUNT(hosts))];
        routes[i].path = paths[rng_below(&f->rng, ARRAY_COUNT(paths))];
        routes[i].wants_header = rng_below(&f->rng, 3) != 0;
        struct route_config *r = fixture_route(f, routes[i].host, routes[i].path, "");
        if (routes[i].wants_header)
            r->match.when = condition_present(f, SUBJECT_HEADER, "x", true);
    }
    fixture_build(f);
}

static void check_request(struct fixture *f, const struct plain_route *routes, int count, const char *host,
                          const char *path, bool has_header)
{
    char line[64];
    snprintf(line, sizeof line, "GET %s %s", host, path);
    struct route_request *request = request_make(f, line, has_header ? "x: 1" : "");
    const struct compiled_route *r = route_table_find(f->table, request);
    int wanted = find_linear(routes, count, host, path, has_header);
    cr_assert_eq(r != NULL ? (int)r->index : -1, wanted, "%s header %d", line, has_header);
    for (int i = 0; i < count; i++) {
        bool fits = find_linear(&routes[i], 1, host, path, has_header) == 0;
        const char *why = route_table_explain(f->table, (uint32_t)i, request, &f->arena);
        cr_assert_eq(why == NULL, fits, "%s route %d: %s", line, i, why ? why : "explained as a match");
    }
}

Test(table, random_tables_answer_as_a_linear_search_would, .timeout = 120)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct plain_route routes[24];
        int count = 1 + (int)rng_below(&f.rng, ARRAY_COUNT(routes));
        build_random(&f, routes, count);
        for (size_t h = 0; h < ARRAY_COUNT(request_hosts); h++)
            for (size_t p = 0; p < ARRAY_COUNT(request_paths); p++)
                for (int header = 0; header < 2; header++)
                    check_request(&f, routes, count, request_hosts[h], request_paths[p], header != 0);
        fixture_fini(&f);
    }
}

/* Ten wildcards inside each other times prefixes inside prefixes: more lists than a cursor holds. */
Test(table, more_lists_than_the_cursor_holds_are_searched_one_by_one)
{
    struct fixture f;
    fixture_init(&f, 1);
    char host[64] = "*.z";
    for (int h = 0; h < 10; h++) {
        char path[64] = "";
        for (int p = 0; p < 10; p++) {
            snprintf(path + strlen(path), sizeof path - strlen(path), "/a");
            fixture_route(&f, host, path, "")->match.methods = list_of_words(&f.arena, "PUT");
        }
        memmove(host + 3, host + 1, strlen(host));
        memcpy(host, "*.a", 3);
    }
    fixture_route(&f, "other", NULL, "");
    fixture_route(&f, NULL, "/other", "");
    fixture_route(&f, NULL, "/a", "");
    fixture_build(&f);
    struct index_cursor cursor;
    index_begin(f.table->index, SLICE("a.a.a.a.a.a.a.a.a.a.z"), SLICE("/a/a/a/a/a/a/a/a/a/a"), &cursor);
    cr_assert(cursor.is_everything);
    cr_assert_eq(find(&f, "GET a.a.a.a.a.a.a.a.a.a.z /a/a/a/a/a/a/a/a/a/a"), 102);
    cr_assert_eq(find(&f, "PUT a.a.a.a.a.a.a.a.a.a.z /a/a/a/a/a/a/a/a/a/a"), 0);
    cr_assert_eq(find(&f, "PUT a.z /a"), 0);
    fixture_fini(&f);
}

/* ---- cost -------------------------------------------------------------------------------------------------------- */

static uint32_t candidate_count(const struct fixture *f, const char *host, const char *path)
{
    struct index_cursor cursor;
    index_begin(f->table->index, slice_from_cstr(host), slice_from_cstr(path), &cursor);
    uint32_t count = 0;
    while (index_next(&cursor) != CONFIG_NONE)
        count++;
    return count;
}

Test(table, ten_thousand_routes_are_as_few_to_look_at_as_ten)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (int i = 0; i < 10000; i++) {
        char host[32], path[32];
        snprintf(host, sizeof host, "%sh%d.example.com", i % 2000 < 1000 ? "" : "*.", i % 1000);
        snprintf(path, sizeof path, "%s/p%d", i % 3 == 0 ? "=" : "", i / 1000);
        fixture_route(&f, host, path, "");
    }
    fixture_route(&f, NULL, NULL, "");
    fixture_build(&f);
    cr_assert_eq(f.errors.warning_count, 0);
    for (int i = 0; i < 10000; i++) {
        char host[32], path[32], line[80];
        snprintf(host, sizeof host, "%sh%d.example.com", i % 2000 < 1000 ? "" : "a.", i % 1000);
        snprintf(path, sizeof path, "/p%d", i / 1000);
        snprintf(line, sizeof line, "GET %s %s", host, path);
        cr_assert_eq(candidate_count(&f, host, path), 2, "its own and the last one");
        cr_assert_eq(find(&f, line), i);
    }
    fixture_fini(&f);
}

Test(table, a_peer_cannot_make_the_walk_longer_than_the_patterns)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, "*.example.com", "/a", "");
    fixture_build(&f);
    char host[8001], path[8001];
    for (int i = 0; i < 8000; i += 2) {
        memcpy(host + i, "a.", 2);
        memcpy(path + i, "/a", 2);
    }
    host[8000] = path[8000] = '\0';
    memcpy(host + 8000 - 12, ".example.com", 12);
    cr_assert_eq(candidate_count(&f, host, path), 1);
    memcpy(host + 8000 - 12, ".examplE.com", 12);
    cr_assert_eq(candidate_count(&f, host, path), 0);
    fixture_fini(&f);
}

Test(table, more_than_100_routes_for_one_host_and_path_are_warned_of)
{
    for (int count = 100; count <= 101; count++) {
        struct fixture f;
        fixture_init(&f, 1);
        for (int i = 0; i < count; i++) {
            struct route_config *r = fixture_route(&f, "h", "/p", "");
            r->place = (struct place){ "f.yaml", (uint32_t)i + 1, 5 };
        }
        fixture_build(&f);
        cr_assert_eq(f.errors.warning_count, count == 101);
        cr_assert_eq(f.errors.error_count, 0);
        if (count == 101) {
            cr_assert_eq(f.errors.first->place.line, 101);
            cr_assert_str_eq(f.errors.first->message,
                             "101 routes compete for one host and path, as \"r0\" does: they are "
                             "tried one by one");
        }
        fixture_fini(&f);
    }
}

/* ---- explain and errors ------------------------------------------------------------------------------------------ */

Test(table, explains_the_first_part_that_does_not_fit)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_config *r = fixture_route(&f, "a.b *.c", "/x", "");
    r->match.methods = list_of_words(&f.arena, "GET POST");
    r->match.when = condition_present(&f, SUBJECT_HEADER, "x-a", true);
    fixture_route(&f, "a.b", "=/x", "");
    fixture_route(&f, NULL, "~^/y", "");
    fixture_build(&f);
    static const struct {
        const char *line, *headers, *why;
        uint32_t route;
    } rows[] = {
        { "GET q /x", "", "host is \"q\", not one of \"a.b\", \"*.c\"", 0 },
        { "GET a.b /y", "", "path is \"/y\", not under \"/x\"", 0 },
        { "PUT a.b /x", "", "method is \"PUT\", not one of \"GET\", \"POST\"", 0 },
        { "GET a.b /x", "", "header x-a is absent", 0 },
        { "GET a.b /x", "x-a: 1", NULL, 0 },
        { "GET q /x", "", "host is \"q\", not \"a.b\"", 1 },
        { "GET a.b /x/", "", "path is \"/x/\", not \"/x\"", 1 },
        { "GET a.b /x", "", "path is \"/x\", not matching \"^/y\"", 2 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct route_request *request = request_make(&f, rows[i].line, rows[i].headers);
        const char *why = route_table_explain(f.table, rows[i].route, request, &f.arena);
        cr_assert_eq(why == NULL, rows[i].why == NULL, "row %zu", i);
        if (why != NULL)
            cr_assert_str_eq(why, rows[i].why, "row %zu", i);
    }
    fixture_fini(&f);
}

Test(table, all_faults_are_reported_together)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, "a:80", NULL, "");
    fixture_route(&f, "a b/c *.", NULL, "");
    fixture_route(&f, NULL, "no-slash", "");
    fixture_route(&f, NULL, "/%00", "");
    fixture_route(&f, NULL, "~(", "");
    fixture_segment(&f, "unused", condition_value(&f, SUBJECT_HEADER, "a", OPERATOR_REGEX, "["));
    struct route_config *r = fixture_route(&f, NULL, NULL, "");
    r->match.when = condition_segment(&f, 0);
    fixture_rule(&f, r, "v2", condition_segment(&f, 0));
    cr_assert_null(route_table_build(&f.arena, &f.config, &f.errors));
    static const char *const messages[] = {
        "regex \"[\" does not compile: missing terminating ] for character class (at character 2)",
        "route \"r0\": \"a:80\" is not a host name (without a port)",
        "route \"r1\": \"b/c\" is not a host name (without a port)",
        "route \"r1\": \"*.\" is not a host name (without a port)",
        "\"no-slash\" is not a path that a request can have",
        "\"/%00\" is not a path that a request can have",
        "regex \"(\" does not compile: missing closing parenthesis (at character 2)",
    };
    const struct err *e = f.errors.first;
    for (size_t i = 0; i < ARRAY_COUNT(messages); i++, e = e->next) {
        cr_assert_not_null(e);
        cr_assert_str_eq(e->message, messages[i]);
    }
    cr_assert_null(e, "a faulty segment is reported once, not per use");
    fixture_fini(&f);
}

Test(table, slots_of_routes_stand_one_after_the_other)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, "a", NULL, "");
    fixture_rule(&f, fixture_route(&f, "b", NULL, "v1=90 v2=10"), "v3", NULL);
    fixture_route(&f, "c", NULL, "v1=1");
    fixture_build(&f);
    cr_assert_eq(f.table->routes[0].first_slot, 0);
    cr_assert_eq(f.table->routes[1].first_slot, 1);
    cr_assert_eq(f.table->routes[2].first_slot, 1 + 2 + 1 + 1);
    cr_assert_eq(f.table->slot_count, 7);
    fixture_fini(&f);
}

Test(table, labels_of_any_length_are_told_apart)
{
    static const size_t lengths[] = { 1, 8, 23, 24, 25, 32, 63 };
    struct fixture f;
    fixture_init(&f, 1);
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++)
        fixture_route(&f, arena_printf(&f.arena, "%.*s", (int)lengths[i], LABEL).ptr, "/x", "");
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++)
        fixture_route(&f, "h", arena_printf(&f.arena, "/%.*s", (int)lengths[i], LABEL).ptr, "");
    fixture_build(&f);
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        char line[128];
        snprintf(line, sizeof line, "GET %.*s /x", (int)lengths[i], LABEL);
        cr_assert_eq(find(&f, line), (int)i, "%s", line);
        snprintf(line, sizeof line, "GET h /%.*s", (int)lengths[i], LABEL);
        cr_assert_eq(find(&f, line), (int)(ARRAY_COUNT(lengths) + i), "%s", line);
        snprintf(line, sizeof line, "GET h /%.*sz", (int)lengths[i] - 1, LABEL);
        cr_assert_eq(find(&f, line), -1, "%s", line);
    }
    fixture_fini(&f);
}

/* What a request does not look at when a route's traits do not name it. */
Test(table, traits_name_what_a_route_has)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct slice name = SLICE("x");
    struct header_set set = { name, name };
    for (int i = 0; i < 10; i++)
        fixture_route(&f, NULL, NULL, "v1=1 v2=1");
    struct route_config *c = f.config.routes;
    c[1].match.when = condition_value(&f, SUBJECT_HEADER, "x", OPERATOR_EQUALS, "1");
    fixture_rule(&f, &c[2], "v3", NULL);
    c[3].sticky.key.kind = KEY_SOURCE_IP;
    c[4].rate_limit.count = 1;
    c[5].rewrite.host = name;
    c[6].rewrite.path_prefix = SLICE("/");
    c[7].request_headers = (struct header_edits_config){ .remove = { &name, 1 } };
    c[8].response_headers = (struct header_edits_config){ .set = &set, .set_count = 1 };
    c[9].is_variant_exposed = true;
    fixture_build(&f);
    static const uint8_t expected[] = { 0,
                                        ROUTE_HAS_CONDITION,
                                        ROUTE_HAS_RULES,
                                        ROUTE_IS_STICKY,
                                        ROUTE_HAS_RATE_LIMIT,
                                        ROUTE_REWRITES,
                                        ROUTE_REWRITES,
                                        ROUTE_EDITS_REQUESTS,
                                        ROUTE_EDITS_RESPONSES,
                                        ROUTE_EDITS_RESPONSES };
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        cr_assert_eq(f.table->routes[i].traits, expected[i], "route %zu", i);
    fixture_fini(&f);
}
