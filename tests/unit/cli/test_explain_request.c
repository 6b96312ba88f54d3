/* unit/cli/test_explain_request.c - words of the command line become the request that a server would have read. */
#include "cli/explain.h"

#include "base/check.h"

#include <criterion/criterion.h>

struct fixture {
    struct arena arena;
    struct explain_values values;
    struct explain_request request;
    struct text error;
};

static enum explain_result read_url(struct fixture *f, const char *url)
{
    arena_init(&f->arena, NULL, 0);
    f->error = (struct text){ 0 };
    return explain_read(&f->values, url, &f->arena, &f->request, &f->error);
}

static void finish(struct fixture *f)
{
    text_fini(&f->error);
    arena_reset(&f->arena);
}

static void expect_slice(struct slice got, const char *wanted)
{
    cr_assert(slice_equal(got, slice_from_cstr(wanted)), "\"%.*s\" is not \"%s\"", SLICE_ARG(got), wanted);
}

static void expect_url(const char *url, const char *host, uint16_t port, const char *path, const char *query)
{
    struct fixture f = { 0 };
    cr_assert_eq(read_url(&f, url), EXPLAIN_OK, "%s: %s", url, f.error.bytes);
    expect_slice(f.request.routed.host, host);
    expect_slice(f.request.routed.path, path);
    expect_slice(f.request.routed.query, query);
    cr_assert_eq(f.request.port, port, "%s: port %u", url, f.request.port);
    finish(&f);
}

Test(explain_request, urls_are_taken_apart)
{
    expect_url("http://shop.example.com/a/b?c=d&e", "shop.example.com", 80, "/a/b", "c=d&e");
    expect_url("https://shop.example.com", "shop.example.com", 443, "/", "");
    expect_url("HTTP://Shop.Example.com.:8080?x", "shop.example.com", 8080, "/", "x");
    expect_url("http://[2001:db8::1]:81/", "[2001:db8::1]", 81, "/", "");
    expect_url("http://[2001:db8::81]/", "[2001:db8::81]", 80, "/", "");
    expect_url("http://h/a#part", "h", 80, "/a", "");
    expect_url("/only/path?q", "localhost", 0, "/only/path", "q");
    expect_url("http://h/a/./b/../%63", "h", 80, "/a/c", "");
}

Test(explain_request, a_host_header_stands_in_for_that_of_the_url)
{
    const char *headers[] = { "x-a: 1", "HOST: other.example.com" };
    struct fixture f = { .values = { .headers = { headers, ARRAY_COUNT(headers) }, .method = "POST" } };
    cr_assert_eq(read_url(&f, "http://h:8080/"), EXPLAIN_OK);
    expect_slice(f.request.routed.host, "other.example.com");
    cr_assert_eq(f.request.port, 8080);
    cr_assert_eq(f.request.message.method, METHOD_POST);
    expect_slice(message_field_named(&f.request.message, SLICE("X-A"), NULL)->value, "1");
    finish(&f);
}

Test(explain_request, circumstances_are_taken_as_given)
{
    struct fixture f = { .values = { .method = "OPTIONS", .from = "192.0.2.1", .at = "2026-12-20T01:02:03Z" } };
    struct ip_address from;
    cr_assert_eq(read_url(&f, "http://h/"), EXPLAIN_OK);
    cr_assert(ip_parse(SLICE("192.0.2.1"), &from) && ip_equal(&from, &f.request.routed.source));
    cr_assert_eq(f.request.routed.now.unix_ms, 1797728523000);
    finish(&f);
}

static void expect_failure(struct fixture *f, const char *url, enum explain_result result, const char *message)
{
    cr_assert_eq(read_url(f, url), result, "%s", url);
    cr_assert(slice_contains(text_slice(&f->error), slice_from_cstr(message)), "%s", f->error.bytes);
    finish(f);
}

Test(explain_request, wrong_words_are_told_from_wrong_requests)
{
    const char *no_colon[] = { "x-a" }, *bad_host[] = { "Host: a b" }, *two[] = { "Host: a", "Host: b" };
    struct fixture plain = { 0 }, from = { .values = { .from = "here" } }, at = { .values = { .at = "noon" } };
    struct fixture header = { .values = { .headers = { no_colon, 1 } } },
                   host = { .values = { .headers = { bad_host, 1 } } };
    struct fixture hosts = { .values = { .headers = { two, 2 } } };
    expect_failure(&plain, "ftp://h/", EXPLAIN_MISUSED, "begins with neither");
    expect_failure(&plain, "", EXPLAIN_MISUSED, "begins with neither");
    expect_failure(&from, "/", EXPLAIN_MISUSED, "\"here\" is no IP address");
    expect_failure(&at, "/", EXPLAIN_MISUSED, "\"noon\" is no time");
    expect_failure(&header, "/", EXPLAIN_MISUSED, "\"x-a\" has no colon");
    expect_failure(&host, "/", EXPLAIN_REFUSED, "400 bad_host: ");
    expect_failure(&hosts, "/", EXPLAIN_REFUSED, "400 bad_host: ");
    expect_failure(&plain, "/a b", EXPLAIN_REFUSED, "400 malformed: ");
    expect_failure(&plain, "/../a", EXPLAIN_REFUSED, "400 bad_path: ");
}
