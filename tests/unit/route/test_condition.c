/* tests/unit/route/test_condition.c - each subject with each operator: what matches, and why not. */
#include "route/condition.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <stdio.h>

#include "route/fixture.h"
#include "route/sticky.h"

/* `why` NULL: it matches; else the explanation. */
static void expect(struct fixture *f, struct condition_config *c, const struct route_request *r, const char *why,
                   const char *name)
{
    struct condition_program *program = condition_compile(&f->arena, &f->config, c, &f->errors);
    cr_assert_not_null(program, "%s: %s", name, f->errors.first ? f->errors.first->message : "");
    cr_assert_eq(condition_matches(program, r), why == NULL, "%s", name);
    struct slice text = condition_explain(&f->arena, &f->config, c, program, r);
    cr_assert_str_eq(text.ptr, why != NULL ? why : "it matches", "%s", name);
}

/* ---- subjects by operators --------------------------------------------------------------------------------------- */

struct row {
    enum condition_subject subject;
    const char *name;
    enum condition_operator op;
    const char *value;
    const char *why; /* NULL: it matches */
};

#define REQUEST_LINE "PATCH Shop.example.com /a/b?size=12&empty=&flag"
#define REQUEST_HEADERS                                                                                                \
    "X-Staff: yes\nx-staff: 1\nUser-Agent: curl/8.1\nX-Empty:\nX-Number: 9.5\n"                                        \
    "Cookie: theme=dark; weir_id=abc"

static const struct row rows[] = {
    { SUBJECT_HEADER, "x-staff", OPERATOR_EQUALS, "yes", NULL },
    { SUBJECT_HEADER, "X-STAFF", OPERATOR_EQUALS, "1", NULL },
    { SUBJECT_HEADER, "x-staff", OPERATOR_EQUALS, "YES", "header x-staff is \"yes\" and \"1\", not \"YES\"" },
    { SUBJECT_HEADER, "x-none", OPERATOR_EQUALS, "1", "header x-none is absent" },
    { SUBJECT_HEADER, "user-agent", OPERATOR_PREFIX, "curl/", NULL },
    { SUBJECT_HEADER, "user-agent", OPERATOR_PREFIX, "wget/",
      "header user-agent is \"curl/8.1\", which does not begin with \"wget/\"" },
    { SUBJECT_HEADER, "user-agent", OPERATOR_SUFFIX, ".1", NULL },
    { SUBJECT_HEADER, "user-agent", OPERATOR_SUFFIX, ".2",
      "header user-agent is \"curl/8.1\", which does not end in \".2\"" },
    { SUBJECT_HEADER, "user-agent", OPERATOR_CONTAINS, "rl/8", NULL },
    { SUBJECT_HEADER, "user-agent", OPERATOR_CONTAINS, "Curl",
      "header user-agent is \"curl/8.1\", which does not contain \"Curl\"" },
    { SUBJECT_HEADER, "user-agent", OPERATOR_REGEX, "/[0-9]+\\.", NULL },
    { SUBJECT_HEADER, "user-agent", OPERATOR_REGEX, "^[0-9]",
      "header user-agent is \"curl/8.1\", which does not match \"^[0-9]\"" },
    { SUBJECT_HEADER, "x-empty", OPERATOR_EQUALS, "", NULL },
    { SUBJECT_HEADER, "x-empty", OPERATOR_EQUALS, "1", "header x-empty is \"\", not \"1\"" },
    { SUBJECT_COOKIE, "theme", OPERATOR_EQUALS, "dark", NULL },
    { SUBJECT_COOKIE, "theme", OPERATOR_EQUALS, "light", "cookie theme is \"dark\", not \"light\"" },
    { SUBJECT_COOKIE, "Theme", OPERATOR_EQUALS, "dark", "cookie Theme is absent" },
    { SUBJECT_COOKIE, "weir_id", OPERATOR_PREFIX, "ab", NULL },
    { SUBJECT_COOKIE, "weir_id", OPERATOR_SUFFIX, "bc", NULL },
    { SUBJECT_COOKIE, "weir_id", OPERATOR_CONTAINS, "b", NULL },
    { SUBJECT_COOKIE, "weir_id", OPERATOR_REGEX, "^[a-c]{3}$", NULL },
    { SUBJECT_QUERY, "size", OPERATOR_EQUALS, "12", NULL },
    { SUBJECT_QUERY, "size", OPERATOR_EQUALS, "1", "query argument size is \"12\", not \"1\"" },
    { SUBJECT_QUERY, "colour", OPERATOR_EQUALS, "1", "query argument colour is absent" },
    { SUBJECT_QUERY, "size", OPERATOR_PREFIX, "1", NULL },
    { SUBJECT_QUERY, "size", OPERATOR_SUFFIX, "2", NULL },
    { SUBJECT_QUERY, "size", OPERATOR_CONTAINS, "3", "query argument size is \"12\", which does not contain \"3\"" },
    { SUBJECT_QUERY, "size", OPERATOR_REGEX, "^1", NULL },
    { SUBJECT_QUERY, "empty", OPERATOR_EQUALS, "", NULL },
    { SUBJECT_PATH, NULL, OPERATOR_EQUALS, "/a/b", NULL },
    { SUBJECT_PATH, NULL, OPERATOR_EQUALS, "/x/../a/%62", NULL },
    { SUBJECT_PATH, NULL, OPERATOR_EQUALS, "/a", "path is \"/a/b\", not \"/a\"" },
    { SUBJECT_PATH, NULL, OPERATOR_PREFIX, "/a", NULL },
    { SUBJECT_PATH, NULL, OPERATOR_PREFIX, "/", NULL },
    { SUBJECT_PATH, NULL, OPERATOR_PREFIX, "/a/b/c", "path is \"/a/b\", not under \"/a/b/c\"" },
    { SUBJECT_PATH, NULL, OPERATOR_SUFFIX, "b", NULL },
    { SUBJECT_PATH, NULL, OPERATOR_CONTAINS, "a/", NULL },
    { SUBJECT_PATH, NULL, OPERATOR_REGEX, "^/a/.$", NULL },
    { SUBJECT_HOST, NULL, OPERATOR_EQUALS, "Shop.Example.com.", NULL },
    { SUBJECT_HOST, NULL, OPERATOR_EQUALS, "example.com", "host is \"shop.example.com\", not \"example.com\"" },
    { SUBJECT_HOST, NULL, OPERATOR_PREFIX, "SHOP.", NULL },
    { SUBJECT_HOST, NULL, OPERATOR_SUFFIX, ".Example.COM", NULL },
    { SUBJECT_HOST, NULL, OPERATOR_CONTAINS, "Example", NULL },
    { SUBJECT_HOST, NULL, OPERATOR_REGEX, "^shop", NULL },
    { SUBJECT_METHOD, NULL, OPERATOR_EQUALS, "PATCH", NULL },
    { SUBJECT_METHOD, NULL, OPERATOR_EQUALS, "patch", "method is \"PATCH\", not \"patch\"" },
    { SUBJECT_METHOD, NULL, OPERATOR_PREFIX, "P", NULL },
    { SUBJECT_METHOD, NULL, OPERATOR_SUFFIX, "H", NULL },
    { SUBJECT_METHOD, NULL, OPERATOR_CONTAINS, "TC", NULL },
    { SUBJECT_METHOD, NULL, OPERATOR_REGEX, "^(PUT|PATCH)$", NULL },
};

static struct route_request *common_request(struct fixture *f)
{
    struct route_request *r = request_make(f, REQUEST_LINE, REQUEST_HEADERS);
    r->host = SLICE("shop.example.com");
    return r;
}

Test(condition, compares_values_and_says_why_not)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_request *r = common_request(&f);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char name[32];
        snprintf(name, sizeof name, "row %zu", i);
        expect(&f, condition_value(&f, rows[i].subject, rows[i].name, rows[i].op, rows[i].value), r, rows[i].why, name);
    }
    fixture_fini(&f);
}

Test(condition, in_holds_for_one_of_the_values)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_request *r = common_request(&f);
    expect(&f, condition_in(&f, SUBJECT_HEADER, "x-staff", "0 1"), r, NULL, "header");
    expect(&f, condition_in(&f, SUBJECT_HEADER, "x-staff", "0 2"), r,
           "header x-staff is \"yes\" and \"1\", not one of \"0\", \"2\"", "header");
    expect(&f, condition_in(&f, SUBJECT_COOKIE, "theme", "light dark"), r, NULL, "cookie");
    expect(&f, condition_in(&f, SUBJECT_QUERY, "size", "12"), r, NULL, "query");
    expect(&f, condition_in(&f, SUBJECT_PATH, NULL, "/x /a/./b"), r, NULL, "path");
    expect(&f, condition_in(&f, SUBJECT_HOST, NULL, "a.b SHOP.example.com"), r, NULL, "host");
    expect(&f, condition_in(&f, SUBJECT_METHOD, NULL, "GET PATCH"), r, NULL, "method");
    expect(&f, condition_in(&f, SUBJECT_METHOD, NULL, "GET"), r, "method is \"PATCH\", not one of \"GET\"", "method");
    fixture_fini(&f);
}

Test(condition, long_lists_are_hashed_and_answer_the_same)
{
    struct fixture f;
    fixture_init(&f, 1);
    char values[600] = "";
    for (int i = 0; i < 100; i++)
        snprintf(values + strlen(values), sizeof values - strlen(values), "%d ", i * 3);
    struct condition_config *c = condition_in(&f, SUBJECT_QUERY, "n", values);
    cr_assert_eq(c->values.count, 100);
    for (int i = 0; i < 300; i++) {
        char line[32];
        snprintf(line, sizeof line, "GET h /?n=%d", i);
        cr_assert_eq(condition_holds(&f, c, request_make(&f, line, "")), i % 3 == 0, "%d", i);
    }
    fixture_fini(&f);
}

Test(condition, present_holds_for_empty_values_and_can_be_asked_the_other_way)
{
    static const struct {
        enum condition_subject subject;
        const char *name;
        bool is_there;
    } subjects[] = {
        { SUBJECT_HEADER, "x-empty", true }, { SUBJECT_HEADER, "X-Staff", true }, { SUBJECT_HEADER, "x-none", false },
        { SUBJECT_COOKIE, "theme", true },   { SUBJECT_COOKIE, "none", false },   { SUBJECT_QUERY, "empty", true },
        { SUBJECT_QUERY, "flag", true },     { SUBJECT_QUERY, "none", false },    { SUBJECT_HEADER, "cookie", true },
        { SUBJECT_HEADER, "host", false },
    };
    struct fixture f;
    fixture_init(&f, 1);
    struct route_request *r = common_request(&f);
    for (size_t i = 0; i < ARRAY_COUNT(subjects); i++)
        for (int is_wanted = 0; is_wanted < 2; is_wanted++)
            cr_assert_eq(
                condition_holds(&f, condition_present(&f, subjects[i].subject, subjects[i].name, is_wanted != 0), r),
                subjects[i].is_there == is_wanted, "%s", subjects[i].name);
    expect(&f, condition_present(&f, SUBJECT_HEADER, "x-none", true), r, "header x-none is absent", "absent");
    expect(&f, condition_present(&f, SUBJECT_HEADER, "x-empty", false), r, "header x-empty is present", "present");
    fixture_fini(&f);
}

Test(condition, range_takes_decimals_and_nothing_else)
{
    static const struct {
        const char *value;
        bool fits; /* in 9.5 <= number < 20 */
    } numbers[] = {
        { "9.5", true },
        { "9.499", false },
        { "20", false },
        { "19.999999", true },
        { "12", true },
        { "-12", false },
        { "+12", false },
        { "0x0c", false },
        { "1e1", false },
        { "inf", false },
        { "nan", false },
        { "", false },
        { "-", false },
        { ".", false },
        { "12.", false },
        { ".12", false },
        { "1 2", false },
        { "12,5", false },
        { "012", true },
        { "12.5.1", false },
        { "10.0000000000000000000000000000000000000000000000000000000000000", false },
    };
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *c = condition_range(&f, "n", 9.5, 20);
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        char header[100];
        snprintf(header, sizeof header, "n: %s", numbers[i].value);
        cr_assert_eq(condition_holds(&f, c, request_make(&f, "GET h /", header)), numbers[i].fits, "%s",
                     numbers[i].value);
    }
    cr_assert(condition_holds(&f, condition_range(&f, "n", -1, 0), request_make(&f, "GET h /", "n: -0.25")));
    expect(&f, c, request_make(&f, "GET h /", "n: 8"), "header n is \"8\", not a number from 9.5 to below 20", "range");
    fixture_fini(&f);
}

/* ---- subjects without operator ----------------------------------------------------------------------------------- */

Test(condition, source_is_in_one_of_the_networks)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *c = condition_source(&f, "10.8.0.0/16 2001:db8::/32 192.0.2.7");
    static const struct {
        const char *address;
        bool fits;
    } sources[] = { { "10.8.255.1", true },   { "10.9.0.1", false }, { "2001:db8::5", true },
                    { "2001:db9::5", false }, { "192.0.2.7", true }, { "192.0.2.8", false } };
    struct route_request *r = request_make(&f, "GET h /", "");
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        cr_assert(ip_parse(slice_from_cstr(sources[i].address), &r->source));
        cr_assert_eq(condition_holds(&f, c, r), sources[i].fits, "%s", sources[i].address);
    }
    expect(&f, c, r, "source is 192.0.2.8, not in 10.8.0.0/16, 2001:db8::/32, 192.0.2.7/32", "source");
    fixture_fini(&f);
}

Test(condition, between_begins_with_its_first_instant_and_ends_before_its_last)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *c = condition_between(&f, "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z");
    struct route_request *r = request_make(&f, "GET h /", "");
    const int64_t from = c->from.unix_ms, until = c->until.unix_ms;
    const struct {
        int64_t now;
        bool fits;
    } times[] = { { from - 1, false }, { from, true }, { until - 1, true }, { until, false } };
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        r->now.unix_ms = times[i].now;
        cr_assert_eq(condition_holds(&f, c, r), times[i].fits, "%zu", i);
    }
    expect(&f, c, r,
           "time is 2027-01-02T00:00:00.000Z, not from 2027-01-01T00:00:00.000Z until "
           "2027-01-02T00:00:00.000Z",
           "between");
    fixture_fini(&f);
}

/* How many of 4,000 users the condition takes; bit i of mask tells of user i (of 64). */
static int sampled_count(struct fixture *f, struct condition_config *c, uint64_t *mask)
{
    struct condition_program *program = condition_compile(&f->arena, &f->config, c, &f->errors);
    int count = 0;
    *mask = 0;
    for (int i = 0; i < 4000; i++) {
        char header[40];
        snprintf(header, sizeof header, "cookie: id=u%d", i);
        bool is_in = condition_matches(program, request_make(f, "GET h /", header));
        count += is_in;
        *mask |= i < 64 && is_in ? UINT64_C(1) << i : 0;
    }
    return count;
}

Test(condition, sample_takes_its_share_of_the_keys_and_a_greater_share_takes_them_too)
{
    struct fixture f;
    fixture_init(&f, 1);
    uint64_t quarter, half;
    int quarter_count = sampled_count(&f, condition_sample(&f, 250000, KEY_COOKIE, "id"), &quarter);
    int half_count = sampled_count(&f, condition_sample(&f, 500000, KEY_COOKIE, "id"), &half);
    cr_assert(quarter_count > 880 && quarter_count < 1120, "%d", quarter_count);
    cr_assert(half_count > 1860 && half_count < 2140, "%d", half_count);
    cr_assert_eq(quarter & ~half, 0);
    fixture_fini(&f);
}

Test(condition, samples_of_different_segments_are_independent)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_segment(&f, "one", condition_sample(&f, 500000, KEY_COOKIE, "id"));
    fixture_segment(&f, "two", condition_sample(&f, 500000, KEY_COOKIE, "id"));
    uint64_t mask;
    struct condition_config *both =
        CONDITION_GROUP(&f, CONDITION_ALL, condition_segment(&f, 0), condition_segment(&f, 1));
    int count = sampled_count(&f, both, &mask);
    cr_assert(count > 880 && count < 1120, "%d", count);
    struct condition_config *twice =
        CONDITION_GROUP(&f, CONDITION_ALL, condition_segment(&f, 0), condition_segment(&f, 0));
    count = sampled_count(&f, twice, &mask);
    cr_assert(count > 1860 && count < 2140, "the same segment is the same people: %d", count);
    fixture_fini(&f);
}

Test(condition, a_request_without_the_key_is_in_no_sample)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_request *r = request_make(&f, "GET h /?k=&long=1", "cookie: a=1");
    expect(&f, condition_sample(&f, 1000000, KEY_COOKIE, "id"), r, "cookie id is absent", "cookie");
    expect(&f, condition_sample(&f, 1000000, KEY_QUERY, "k"), r, "query argument k is absent", "an empty key is none");
    expect(&f, condition_sample(&f, 1000000, KEY_COOKIE, "a"), r, NULL, "100 %");
    expect(&f, condition_sample(&f, 0, KEY_COOKIE, "a"), r, "cookie a is \"1\", not in the sample of 0%", "0 %");
    expect(&f, condition_sample(&f, 1000000, KEY_SOURCE_IP, ""), r, NULL, "source");
    fixture_fini(&f);
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

Test(condition, explains_the_part_that_failed)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_segment(&f, "staff",
                    CONDITION_GROUP(&f, CONDITION_ANY,
                                    condition_value(&f, SUBJECT_HEADER, "x-staff", OPERATOR_EQUALS, "1"),
                                    condition_source(&f, "10.8.0.0/16")));
    struct route_request *r = request_make(&f, "GET h /", "x-staff: 0\na: 1");
    cr_assert(ip_parse(SLICE("192.0.2.1"), &r->source));
    struct condition_config *staff = condition_segment(&f, 0), *a = condition_flag(&f, "a");
    expect(&f, CONDITION_GROUP(&f, CONDITION_ALL, a, staff), r,
           "segment staff: none of (header x-staff is \"0\", not \"1\"; "
           "source is 192.0.2.1, not in 10.8.0.0/16)",
           "all");
    expect(&f, CONDITION_GROUP(&f, CONDITION_NOT, a), r, "header a is present, which is excluded", "not");
    expect(&f, CONDITION_GROUP(&f, CONDITION_NOT, condition_value(&f, SUBJECT_PATH, NULL, OPERATOR_PREFIX, "/")), r,
           "path is \"/\", which is excluded", "not path");
    fixture_segment(&f, "everyone", CONDITION_GROUP(&f, CONDITION_ALL, a));
    expect(&f, CONDITION_GROUP(&f, CONDITION_NOT, condition_segment(&f, 1)), r,
           "segment everyone matches, which is excluded", "not segment");
    expect(&f, CONDITION_GROUP(&f, CONDITION_NOT, CONDITION_GROUP(&f, CONDITION_ANY, a)), r,
           "what it excludes does match", "not any");
    fixture_fini(&f);
}

/* A sample of half the users, and of half of those by another key. */
static struct condition_config *quarter_of_users(struct fixture *f)
{
    return CONDITION_GROUP(f, CONDITION_ALL, condition_sample(f, 500000, KEY_COOKIE, "id"),
                           condition_sample(f, 500000, KEY_COOKIE, "team"));
}

/* What quarter_of_users in this segment ("": in none) has to say about user i, by the draw itself; NULL: it matches. */
static const char *quarter_complaint(struct fixture *f, const char *segment, int i)
{
    uint64_t salt = sticky_salt(slice_from_cstr(segment));
    static const char *const keys[] = { "id", "team" };
    for (size_t k = 0; k < ARRAY_COUNT(keys); k++) {
        struct slice value = arena_printf(&f->arena, "%s%d", keys[k], i);
        if (!sticky_is_within(salt, value, 500000))
            return arena_printf(&f->arena, "cookie %s is \"%s\", not in the sample of 50%%", keys[k], value.ptr).ptr;
    }
    return NULL;
}

static const struct route_request *request_of_user(struct fixture *f, int i)
{
    return request_make(f, "GET h /", arena_printf(&f->arena, "cookie: id=id%d; team=team%d", i, i).ptr);
}

/* In an `all`, that of a segment, that of a segment in a segment, and behind a segment again outside of it. */
Test(condition, explains_samples_as_the_segment_they_stand_in_draws_them)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_segment(&f, "inner", quarter_of_users(&f));
    struct condition_config *use_inner = condition_segment(&f, 0);
    fixture_segment(
        &f, "outer",
        CONDITION_GROUP(&f, CONDITION_ANY, CONDITION_GROUP(&f, CONDITION_ALL, use_inner), quarter_of_users(&f)));
    struct condition_config *c = CONDITION_GROUP(
        &f, CONDITION_ANY, CONDITION_GROUP(&f, CONDITION_ALL, condition_segment(&f, 1)), quarter_of_users(&f));
    int match_count = 0;
    for (int i = 0; i < 2000; i++) {
        const char *inner = quarter_complaint(&f, "inner", i), *outer = quarter_complaint(&f, "outer", i);
        const char *outside = quarter_complaint(&f, "", i), *why = NULL;
        if (inner != NULL && outer != NULL && outside != NULL)
            why = arena_printf(&f.arena, "none of (segment outer: none of (segment inner: %s; %s); %s)", inner, outer,
                               outside)
                      .ptr;
        match_count += why == NULL;
        expect(&f, c, request_of_user(&f, i), why, "user");
    }
    cr_assert(match_count > 1000 && match_count < 1310, "1 - (3/4)^3 of them: %d", match_count);
    fixture_fini(&f);
}

Test(condition, explanations_cut_long_values)
{
    struct fixture f;
    fixture_init(&f, 1);
    char header[300] = "x: ";
    memset(header + 3, 'v', 200);
    struct route_request *r = request_make(&f, "GET h /", header);
    struct condition_config *c = condition_value(&f, SUBJECT_HEADER, "x", OPERATOR_EQUALS, "1");
    struct condition_program *p = condition_compile(&f.arena, &f.config, c, &f.errors);
    struct slice text = condition_explain(&f.arena, &f.config, c, p, r);
    cr_assert_lt(text.len, 120, "%s", text.ptr);
    cr_assert(slice_contains(text, SLICE("vvv...\"")));
    fixture_fini(&f);
}

/* ---- limits and threads ---------------------------------------------------------------------------------------- */

/* The first alternative fails in a million ways before the second would match: a search that goes past its limits
   has found nothing, and has not held up the worker. */
Test(condition, an_explosive_regex_is_cut_off)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *c = condition_value(&f, SUBJECT_HEADER, "a", OPERATOR_REGEX, "^(?:(a|aa)*[bc]|a*)$");
    cr_assert(condition_holds(&f, c, request_make(&f, "GET h /", "a: aaaaa")));
    cr_assert_not(condition_holds(&f, c, request_make(&f, "GET h /", "a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
    fixture_fini(&f);
}

struct shared_run {
    const struct condition_program *program;
    const struct route_request *yes, *no;
    int wrong_count;
};

static void *run_often(void *arg)
{
    struct shared_run *s = arg;
    for (int i = 0; i < 20000; i++)
        s->wrong_count += !condition_matches(s->program, s->yes) || condition_matches(s->program, s->no);
    return NULL;
}

Test(condition, threads_share_a_program)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *c = condition_value(&f, SUBJECT_HEADER, "a", OPERATOR_REGEX, "^([a-z]+)-(\\d+)$");
    const struct condition_program *p = condition_compile(&f.arena, &f.config, c, &f.errors);
    const struct route_request *yes = request_make(&f, "GET h /", "a: abc-123");
    const struct route_request *no = request_make(&f, "GET h /", "a: abc-x");
    pthread_t threads[4];
    struct shared_run runs[4];
    for (int i = 0; i < 4; i++) {
        runs[i] = (struct shared_run){ p, yes, no, 0 };
        cr_assert_eq(pthread_create(&threads[i], NULL, run_often, &runs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(runs[i].wrong_count, 0);
    }
    fixture_fini(&f);
}
