/* tests/unit/route/test_table_large.c - 10,000 routes on 1,000 hosts decide as a walk over the file would, and cost little. */
#include "route/table.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "route/fixture.h"
#include "route/index.h"
#include "route/linear.h"

enum { HOST_COUNT = 1000, ROUTE_COUNT = 10000, CONDITION_COUNT = 20, REQUEST_COUNT = 1500, UPSTREAM_COUNT = 7 };

/* Each host has 10 routes, and some fit every host: nothing that a request can ask for has more candidates. */
enum { CANDIDATES_MAX = 3 * ROUTE_COUNT / HOST_COUNT, EVERY_HOST_EACH = 1000 };

/* ---- conditions -------------------------------------------------------------------------------------------------- */

/* A request carries the header x-cN, for each N of CONDITION_COUNT, with one of these values, or not at all. */
static const char *const header_values[] = { NULL, "yes", "yes-and-no", "17" };

struct visit {
    char line[128];
    const char *host, *path, *method; /* what line consists of */
    uint8_t values[CONDITION_COUNT];  /* in header_values */
};

static const char *value_of(const struct visit *v, int number)
{
    return header_values[v->values[number % CONDITION_COUNT]];
}

static bool is_value(const struct visit *v, int number, const char *wanted)
{
    return value_of(v, number) != NULL && strcmp(value_of(v, number), wanted) == 0;
}

/* Condition N asks for x-cN, and with two parts for that of the next number too, in the way of N modulo 7. */
static bool condition_is_true(int number, const struct visit *v)
{
    const char *value = value_of(v, number);
    switch (number % 7) {
    case 0:
        return value != NULL;
    case 1:
        return is_value(v, number, "yes");
    case 2:
        return value != NULL && strncmp(value, "yes", 3) == 0;
    case 3:
        return is_value(v, number, "17");
    case 4:
        return is_value(v, number, "yes") && value_of(v, number + 1) != NULL;
    case 5:
        return is_value(v, number, "17") || is_value(v, number + 1, "yes-and-no");
    default:
        return value == NULL;
    }
}

static struct condition_config *condition_of(struct fixture *f, int number)
{
    char name[16], next[16];
    snprintf(name, sizeof name, "x-c%d", number);
    snprintf(next, sizeof next, "x-c%d", (number + 1) % CONDITION_COUNT);
    switch (number % 7) {
    case 0:
        return condition_flag(f, name);
    case 1:
        return condition_value(f, SUBJECT_HEADER, name, OPERATOR_EQUALS, "yes");
    case 2:
        return condition_value(f, SUBJECT_HEADER, name, OPERATOR_PREFIX, "yes");
    case 3:
        return condition_range(f, name, 10, 20);
    case 4:
        return CONDITION_GROUP(f, CONDITION_ALL, condition_in(f, SUBJECT_HEADER, name, "yes maybe"),
                               condition_flag(f, next));
    case 5:
        return CONDITION_GROUP(f, CONDITION_ANY, condition_value(f, SUBJECT_HEADER, name, OPERATOR_EQUALS, "17"),
                               condition_value(f, SUBJECT_HEADER, next, OPERATOR_SUFFIX, "-and-no"));
    default:
        return condition_present(f, SUBJECT_HEADER, name, false);
    }
}

/* ---- the routes -------------------------------------------------------------------------------------------------- */

static const char *const route_paths[] = { NULL,
                                           "/",
                                           "/a",
                                           "/a/",
                                           "/a/b",
                                           "/a/b/",
                                           "=/",
                                           "=/a",
                                           "=/a/",
                                           "=/a/b",
                                           "~^/a/[0-9]+$",
                                           "~b$",
                                           "/b",
                                           "/b/c/d",
                                           "=/b/c/",
                                           "/b/c//",
                                           "/a-long-segment-that-stands-apart" };
static const char *const request_paths[] = {
    "/",     "/a",     "/a/",  "/a/b", "/a/b/", "/a/b/c", "/a/12", "/ab",      "/b",
    "/b/c/", "/b/c//", "/b/c", "//",   "*",     "/c/b",   "/a/1x", "/b/c/d/e", "/a-long-segment-that-stands-apart/x"
};
static const char *const methods[] = { "GET", "PUT", "BREW" };

/* A route as the naive walk knows it. -1: none. */
struct plain_route {
    char host[96]; /* "": any */
    const char *path, *method;
    int when, rule_when, upstream, rule_upstream;
};

static struct plain_route routes[ROUTE_COUNT]; /* too large for a stack */

static void choose_host(struct plain_route *r, int i)
{
    static const char *const prefixes[] = { "", "*.", "*.b.", "" };
    int host = i % HOST_COUNT, kind = (i / HOST_COUNT + host) % 4;
    r->host[0] = '\0';
    if (i % EVERY_HOST_EACH == EVERY_HOST_EACH - 1)
        return;
    snprintf(r->host, sizeof r->host, "%sh%d.example.com", prefixes[kind], host);
    size_t len = strlen(r->host);
    if (kind == 3)
        snprintf(r->host + len, sizeof r->host - len, " *.h%d.example.com", host);
}

static void build(struct fixture *f)
{
    for (int i = 0; i < ROUTE_COUNT; i++) {
        struct plain_route *r = &routes[i];
        char split[16], rule_upstream[16];
        choose_host(r, i);
        r->path = route_paths[rng_below(&f->rng, ARRAY_COUNT(route_paths))];
        r->method = rng_below(&f->rng, 4) == 0 ? methods[rng_below(&f->rng, ARRAY_COUNT(methods))] : NULL;
        r->when = rng_below(&f->rng, 3) == 0 ? (int)rng_below(&f->rng, CONDITION_COUNT) : -1;
        r->rule_when = rng_below(&f->rng, 3) == 0 ? (int)rng_below(&f->rng, CONDITION_COUNT) : -1;
        r->upstream = (int)rng_below(&f->rng, UPSTREAM_COUNT);
        r->rule_upstream = (int)rng_below(&f->rng, UPSTREAM_COUNT);
        snprintf(split, sizeof split, "u%d=1", r->upstream);
        snprintf(rule_upstream, sizeof rule_upstream, "u%d", r->rule_upstream);
        struct route_config *c = fixture_route(f, r->host[0] != '\0' ? r->host : NULL, r->path, split);
        if (r->method != NULL)
            c->match.methods = list_of_words(&f->arena, r->method);
        if (r->when >= 0)
            c->match.when = condition_of(f, r->when);
        if (r->rule_when >= 0)
            fixture_rule(f, c, rule_upstream, condition_of(f, r->rule_when));
    }
    fixture_build(f);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static struct route_request *visit_make(struct fixture *f, struct visit *v)
{
    static const char *const prefixes[] = { "", "", "a.", "a.b.", "b.", "x" };
    char headers[CONDITION_COUNT * 24] = "";
    char host[64];
    snprintf(host, sizeof host, "%sh%u.example.com", prefixes[rng_below(&f->rng, ARRAY_COUNT(prefixes))],
             (unsigned)rng_below(&f->rng, HOST_COUNT + 3));
    v->host = arena_printf(&f->arena, "%s", host).ptr;
    v->path = request_paths[rng_below(&f->rng, ARRAY_COUNT(request_paths))];
    v->method = methods[rng_below(&f->rng, ARRAY_COUNT(methods))];
    for (int i = 0; i < CONDITION_COUNT; i++) {
        v->values[i] = (uint8_t)rng_below(&f->rng, ARRAY_COUNT(header_values));
        size_t len = strlen(headers);
        if (value_of(v, i) != NULL)
            snprintf(headers + len, sizeof headers - len, "%sx-c%d: %s", len > 0 ? "\n" : "", i, value_of(v, i));
    }
    snprintf(v->line, sizeof v->line, "%s %s %s", v->method, v->host, v->path);
    return request_make(f, v->line, headers);
}

static bool place_fits(const struct plain_route *r, const struct visit *v, bool is_regex_asked)
{
    return linear_host_is(r->host[0] != '\0' ? r->host : NULL, v->host) &&
           ((!is_regex_asked && r->path != NULL && r->path[0] == '~') || linear_path_is(r->path, v->path));
}

static bool route_fits(const struct plain_route *r, const struct visit *v)
{
    return place_fits(r, v, true) && (r->method == NULL || strcmp(r->method, v->method) == 0) &&
           (r->when < 0 || condition_is_true(r->when, v));
}

static void expect_decision(struct fixture *f, const struct visit *v, const struct route_request *request)
{
    struct decision d = fixture_decide(f, request, NULL);
    int i = 0;
    while (i < ROUTE_COUNT && !route_fits(&routes[i], v))
        i++;
    if (i == ROUTE_COUNT) {
        cr_assert_null(d.route, "%s", v->line);
        return;
    }
    bool is_rule = routes[i].rule_when >= 0 && condition_is_true(routes[i].rule_when, v);
    char wanted[16];
    snprintf(wanted, sizeof wanted, "u%d", is_rule ? routes[i].rule_upstream : routes[i].upstream);
    cr_assert_not_null(d.route, "%s: not route %d", v->line, i);
    cr_assert_eq((int)d.route->index, i, "%s: route %u, not %d", v->line, d.route->index, i);
    cr_assert_eq(d.why, is_rule ? WHY_RULE : WHY_ONLY, "%s", v->line);
    cr_assert_str_eq(fixture_upstream_name(f, d.upstream_index), wanted, "%s", v->line);
}

/* The index yields exactly the routes whose host and path fit, regexes unasked: none is looked at for nothing. */
static int expect_candidates(const struct fixture *f, const struct visit *v)
{
    struct index_cursor cursor;
    int count = 0;
    index_begin(f->table->index, slice_from_cstr(v->host), slice_from_cstr(v->path), &cursor);
    cr_assert_not(cursor.is_everything, "%s", v->line);
    for (int i = 0; i < ROUTE_COUNT; i++) {
        if (!place_fits(&routes[i], v, false))
            continue;
        cr_assert_eq(index_next(&cursor), (uint32_t)i, "%s: candidate %d", v->line, count);
        count++;
    }
    cr_assert_eq(index_next(&cursor), CONFIG_NONE, "%s: more than %d", v->line, count);
    cr_assert_leq(count, CANDIDATES_MAX, "%s", v->line);
    return count;
}

Test(table_large, ten_thousand_routes_decide_as_a_walk_over_the_file_would, .timeout = 120)
{
    struct fixture f;
    int candidate_count = 0;
    fixture_init(&f, 20);
    build(&f);
    for (int i = 0; i < REQUEST_COUNT; i++) {
        struct visit v;
        const struct route_request *request = visit_make(&f, &v);
        expect_decision(&f, &v, request);
        candidate_count += expect_candidates(&f, &v);
    }
    cr_assert_gt(candidate_count, REQUEST_COUNT, "the requests are of a kind that routes ask for");
    fixture_fini(&f);
}
