/* tests/unit/http/test_h2_head.c - blocks of fields: what RFC 9113 8.2 and 8.3 allow, as a table. */
#include "http/h2_head.h"

#include <criterion/criterion.h>

#include "base/text.h"

#include "http/table.h"

/* Fields as "name=value|name=value", verbatim; "$" at the end: END_STREAM. */
struct block_row {
    const char *name;
    struct slice fields;
    const char *expected;
};

static const struct h1_limits limits = { .request_line_bytes = 64, .head_bytes = 200, .field_count = 6 };

static void put_fields(struct text *t, const struct message *m)
{
    const char *before = " {";
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        if (f->is_dropped)
            continue;
        text_printf(t, "%s%.*s: %.*s", before, SLICE_ARG(f->name), SLICE_ARG(f->value));
        before = "|";
        cr_assert_eq(f->id, field_id_from_name(f->name));
    }
    text_add_cstr(t, before[0] == '|' ? "}" : "");
}

static void put_message(struct text *t, const struct message *m)
{
    static const char *const framings[] = { "none", "length", "chunked", "until-close" };
    if (m->is_response)
        text_printf(t, "%u", m->status);
    else
        text_printf(t, "%.*s %.*s @%.*s", SLICE_ARG(m->method_name), SLICE_ARG(m->path), SLICE_ARG(m->authority));
    if (m->query.ptr != NULL)
        text_printf(t, " ?%.*s", SLICE_ARG(m->query));
    text_printf(t, " %s", framings[m->framing]);
    if (m->has_content_length)
        text_printf(t, "=%llu", (unsigned long long)m->content_length);
    if (m->is_upgrade)
        text_printf(t, " upgrade=%.*s", SLICE_ARG(m->upgrade));
    text_add_cstr(t, m->expects_continue ? " expect" : "");
    text_add_cstr(t, m->wants_trailers ? " trailers" : "");
    put_fields(t, m);
}

/* What the request was, for responses. */
struct asked {
    enum method method;
    struct slice upgrade;
};

static void run(enum h2_block block, const struct asked *asked, struct slice fields, struct text *t)
{
    struct arena arena;
    struct message m = { .method = asked->method, .upgrade = asked->upgrade };
    struct h2_head r;
    bool is_end = slice_has_suffix(fields, SLICE("$"));
    arena_init(&arena, NULL, 0);
    h2_head_begin(&r, block, &limits, 0, &arena, &m);
    if (is_end)
        fields.len--;
    while (fields.len > 0) {
        struct slice line = slice_first(fields, slice_find(fields, '|'));
        size_t equals = slice_find(line, '=');
        fields = slice_after(fields, line.len + 1);
        /* At a guard page each: neither may be read past its end. */
        char name[256];
        memcpy(name, line.ptr, equals);
        h2_head_field(&r, slice_from(name, equals), feed_guarded(slice_after(line, equals + 1)));
    }
    if (h2_head_end(&r, is_end)) {
        put_message(t, &m);
        cr_assert_eq(m.version_major, 2);
        cr_assert_eq(m.version_minor, 1);
    } else {
        cr_assert_gt(strlen(r.error_detail), 5);
        text_printf(t, "%s%s", r.is_answerable ? "refused " : "",
                    reason_rows[h2_head_reason(&r, block == H2_BLOCK_RESPONSE)].name);
    }
    arena_reset(&arena);
}

static void check_rows(enum h2_block block, const struct asked *asked, const struct block_row *rows, size_t row_count)
{
    for (size_t i = 0; i < row_count; i++) {
        struct text t;
        text_init(&t);
        run(block, asked, rows[i].fields, &t);
        cr_expect_str_eq(t.bytes, rows[i].expected, "%s: '%s' instead of '%s'", rows[i].name, t.bytes,
                         rows[i].expected);
        text_fini(&t);
    }
}

#define CHECK_ROWS(block, asked, rows) check_rows(block, asked, rows, sizeof(rows) / sizeof((rows)[0]))
#define START                          ":method=GET|:scheme=https|:authority=h|:path=/"

static const struct asked nothing = { .method = METHOD_OTHER };

Test(h2_head, requests_that_are_accepted)
{
    static const struct block_row rows[] = {
        { "the least", BYTES(START "$"), "GET / @h none {host: h}" },
        { "no end: a body of unknown length", BYTES(START), "GET / @h chunked {host: h}" },
        { "in any order", BYTES(":path=/a|:authority=h:8080|:scheme=http|:method=PUT$"),
          "PUT /a @h:8080 none {host: h:8080}" },
        { "a query", BYTES(":method=GET|:scheme=https|:authority=h|:path=/a?b=c&d$"),
          "GET /a @h ?b=c&d none {host: h}" },
        { "an empty query", BYTES(":method=GET|:scheme=https|:authority=h|:path=/?$"), "GET / @h ? none {host: h}" },
        { "scheme in any case", BYTES(":method=GET|:scheme=HTTPS|:authority=h|:path=/$"), "GET / @h none {host: h}" },
        { "host alone", BYTES(":method=GET|:scheme=https|:path=/|host=h$"), "GET / @h none {host: h}" },
        { "host where it stands", BYTES(":method=GET|:scheme=https|:path=/|a=b|host=h$"),
          "GET / @h none {a: b|host: h}" },
        { "host equal to the authority", BYTES(START "|a=b|host=H$"), "GET / @h none {host: h|a: b}" },
        { "OPTIONS of everything", BYTES(":method=OPTIONS|:scheme=https|:authority=h|:path=*$"),
          "OPTIONS * @h none {host: h}" },
        { "a method of its own", BYTES(":method=Get|:scheme=https|:authority=h|:path=/$"), "Get / @h none {host: h}" },
        { "a length", BYTES(START "|content-length=5"), "GET / @h length=5 {host: h|content-length: 5}" },
        { "length 0 and the end", BYTES(START "|content-length=0$"), "GET / @h none=0 {host: h|content-length: 0}" },
        { "length 0, the end comes later", BYTES(START "|content-length=0"),
          "GET / @h none=0 {host: h|content-length: 0}" },
        { "an empty value", BYTES(START "|a=$"), "GET / @h none {host: h|a: }" },
        { "bytes from 0x80 and tabs inside", BYTES(START "|a=b\t\xff$"), "GET / @h none {host: h|a: b\t\xff}" },
        { "every byte of a token", BYTES(START "|!#$%&'*+-.^_`~09az=1$"),
          "GET / @h none {host: h|!#$%&'*+-.^_`~09az: 1}" },
        { "crumbs", BYTES(START "|cookie=a=1|x=y|cookie=b=2|cookie=c=3$"),
          "GET / @h none {host: h|cookie: a=1; b=2; c=3|x: y}" },
        { "empty crumbs", BYTES(START "|cookie=|cookie=a|cookie=|cookie=b|cookie=$"),
          "GET / @h none {host: h|cookie: a; b}" },
        { "nothing but empty crumbs", BYTES(START "|cookie=|cookie=$"), "GET / @h none {host: h|cookie: }" },
        { "one cookie", BYTES(START "|cookie=a=1; b=2$"), "GET / @h none {host: h|cookie: a=1; b=2}" },
        { "trailers wanted", BYTES(START "|te=trailers$"), "GET / @h none trailers {host: h|te: trailers}" },
        { "continue expected", BYTES(START "|expect=100-Continue"),
          "GET / @h chunked expect {host: h|expect: 100-Continue}" },
        { "continue expected for nothing", BYTES(START "|expect=100-continue$"), "GET / @h none {host: h}" },
        { "a WebSocket", BYTES(":method=CONNECT|:protocol=websocket|:scheme=https|:path=/ws|:authority=h"),
          "GET /ws @h none upgrade=websocket {host: h}" },
        { "the longest line",
          BYTES(
              ":method=GET|:scheme=http|:authority=h|:path=/3456789012345678901234567890123456789012345678901234567$"),
          "GET /3456789012345678901234567890123456789012345678901234567 @h none {host: h}" },
        { "as many fields as may be", BYTES(START "|a=1|b=2|c=3|d=4|e=5$"),
          "GET / @h none {host: h|a: 1|b: 2|c: 3|d: 4|e: 5}" },
        { "lines of one name stay apart", BYTES(START "|a=1|a=2$"), "GET / @h none {host: h|a: 1|a: 2}" },
    };
    CHECK_ROWS(H2_BLOCK_REQUEST, &nothing, rows);
}

static const struct block_row malformed[] = {
    { "nothing", BYTES("$"), "MALFORMED" },
    { "no method", BYTES(":scheme=https|:authority=h|:path=/$"), "MALFORMED" },
    { "an empty method", BYTES(":method=|:scheme=https|:authority=h|:path=/$"), "MALFORMED" },
    { "a method that is no token", BYTES(":method=GE T|:scheme=https|:authority=h|:path=/$"), "MALFORMED" },
    { "a method with a line end", BYTES(":method=GET / HTTP/1.1\r\n|:scheme=https|:authority=h|:path=/$"),
      "MALFORMED" },
    { "a long method", BYTES(":method=GETGETGETGETGETGETGETGETGETGETGET|:scheme=http|:authority=h|:path=/$"),
      "MALFORMED" },
    { "no scheme", BYTES(":method=GET|:authority=h|:path=/$"), "MALFORMED" },
    { "another scheme", BYTES(":method=GET|:scheme=ftp|:authority=h|:path=/$"), "MALFORMED" },
    { "an empty scheme", BYTES(":method=GET|:scheme=|:authority=h|:path=/$"), "MALFORMED" },
    { "no path", BYTES(":method=GET|:scheme=https|:authority=h$"), "MALFORMED" },
    { "an empty path", BYTES(":method=GET|:scheme=https|:authority=h|:path=$"), "MALFORMED" },
    { "a path without slash", BYTES(":method=GET|:scheme=https|:authority=h|:path=a$"), "MALFORMED" },
    { "an absolute path", BYTES(":method=GET|:scheme=https|:authority=h|:path=http://x/$"), "MALFORMED" },
    { "a path with a blank", BYTES(":method=GET|:scheme=https|:authority=h|:path=/a HTTP/1.1$"), "MALFORMED" },
    { "a path with a line end", BYTES(":method=GET|:scheme=https|:authority=h|:path=/a\r\nx:$"), "MALFORMED" },
    { "a path with a fragment", BYTES(":method=GET|:scheme=https|:authority=h|:path=/a#b$"), "MALFORMED" },
    { "a path with NUL", BYTES(":method=GET|:scheme=https|:authority=h|:path=/a\0b$"), "MALFORMED" },
    { "a path beyond ASCII", BYTES(":method=GET|:scheme=https|:authority=h|:path=/\xc3\xa4$"), "MALFORMED" },
    { "* of GET", BYTES(":method=GET|:scheme=https|:authority=h|:path=*$"), "MALFORMED" },
    { "no authority", BYTES(":method=GET|:scheme=https|:path=/$"), "BAD_HOST" },
    { "an empty authority", BYTES(":method=GET|:scheme=https|:authority=|:path=/$"), "BAD_HOST" },
    { "a user in the authority", BYTES(":method=GET|:scheme=https|:authority=u@h|:path=/$"), "BAD_HOST" },
    { "a path in the authority", BYTES(":method=GET|:scheme=https|:authority=h/x|:path=/$"), "BAD_HOST" },
    { "a line end in the authority", BYTES(":method=GET|:scheme=https|:authority=h\r\nx: y|:path=/$"), "BAD_HOST" },
    { "host differs", BYTES(START "|host=i$"), "BAD_HOST" },
    { "host differs by its port", BYTES(START "|host=h:443$"), "BAD_HOST" },
    { "host twice", BYTES(START "|host=h|host=h$"), "BAD_HOST" },
    { "host twice, no authority", BYTES(":method=GET|:scheme=https|:path=/|host=h|host=h$"), "BAD_HOST" },
    { "an invalid host", BYTES(":method=GET|:scheme=https|:path=/|host=a b$"), "BAD_HOST" },
    { "method twice", BYTES(":method=GET|" START "$"), "MALFORMED" },
    { "path twice", BYTES(START "|:path=/$"), "MALFORMED" },
    { "authority twice", BYTES(START "|:authority=h$"), "MALFORMED" },
    { "an empty one twice", BYTES(":path=|" START "$"), "MALFORMED" },
    { "a pseudo-field behind a field", BYTES(":method=GET|:scheme=https|:authority=h|a=b|:path=/$"), "MALFORMED" },
    { "an unknown pseudo-field", BYTES(START "|:x=y$"), "MALFORMED" },
    { "a nameless pseudo-field", BYTES(START "|:=y$"), "MALFORMED" },
    { "a status", BYTES(START "|:status=200$"), "MALFORMED" },
    { "a pseudo-field in upper case", BYTES(":METHOD=GET|:scheme=https|:authority=h|:path=/$"), "MALFORMED" },
    { "a name in upper case", BYTES(START "|Accept=x$"), "MALFORMED" },
    { "no name", BYTES(START "|=x$"), "MALFORMED" },
    { "a name with a blank", BYTES(START "|a =x$"), "MALFORMED" },
    { "a name with a colon", BYTES(START "|a:b=x$"), "MALFORMED" },
    { "a name with a line end", BYTES(START "|a\r\nb=x$"), "MALFORMED" },
    { "a name with NUL", BYTES(START "|a\0=x$"), "MALFORMED" },
    { "a name beyond ASCII", BYTES(START "|\xe4=x$"), "MALFORMED" },
    { "a value with CR", BYTES(START "|a=b\rc$"), "MALFORMED" },
    { "a value with LF", BYTES(START "|a=b\nc$"), "MALFORMED" },
    { "a value with NUL", BYTES(START "|a=b\0c$"), "MALFORMED" },
    { "a value with DEL", BYTES(START "|a=b\x7f$"), "MALFORMED" },
    { "a value that begins with a blank", BYTES(START "|a= b$"), "MALFORMED" },
    { "a value that ends with a tab", BYTES(START "|a=b\t$"), "MALFORMED" },
    { "a value of one blank", BYTES(START "|a= $"), "MALFORMED" },
    { "connection", BYTES(START "|connection=close$"), "MALFORMED" },
    { "keep-alive", BYTES(START "|keep-alive=1$"), "MALFORMED" },
    { "proxy-connection", BYTES(START "|proxy-connection=x$"), "MALFORMED" },
    { "transfer-encoding", BYTES(START "|transfer-encoding=chunked"), "MALFORMED" },
    { "upgrade", BYTES(START "|upgrade=websocket$"), "MALFORMED" },
    { "te gzip", BYTES(START "|te=gzip$"), "MALFORMED" },
    { "te with more", BYTES(START "|te=trailers, gzip$"), "MALFORMED" },
    { "a length that is none", BYTES(START "|content-length=5x"), "MALFORMED" },
    { "a length with a sign", BYTES(START "|content-length=+5"), "MALFORMED" },
    { "a negative length", BYTES(START "|content-length=-5"), "MALFORMED" },
    { "an empty length", BYTES(START "|content-length="), "MALFORMED" },
    { "a list of lengths", BYTES(START "|content-length=5,5"), "MALFORMED" },
    { "a length that overflows", BYTES(START "|content-length=18446744073709551616"), "MALFORMED" },
    { "a length beyond int64", BYTES(START "|content-length=9223372036854775808"), "MALFORMED" },
    { "two lengths", BYTES(START "|content-length=5|content-length=5"), "MALFORMED" },
    { "a length and the end", BYTES(START "|content-length=5$"), "MALFORMED" },
    { "protocol without CONNECT", BYTES(START "|:protocol=websocket"), "MALFORMED" },
    { "extended CONNECT that ends", BYTES(":method=CONNECT|:protocol=websocket|:scheme=https|:path=/|:authority=h$"),
      "MALFORMED" },
    { "extended CONNECT with a length",
      BYTES(":method=CONNECT|:protocol=websocket|:scheme=https|:path=/|:authority=h|content-length=0"), "MALFORMED" },
    { "extended CONNECT without path", BYTES(":method=CONNECT|:protocol=websocket|:scheme=https|:authority=h"),
      "MALFORMED" },
    { "extended CONNECT without authority", BYTES(":method=CONNECT|:protocol=websocket|:scheme=https|:path=/|host=h"),
      "BAD_HOST" },
    { "a protocol that is no token", BYTES(":method=CONNECT|:protocol=web socket|:scheme=https|:path=/|:authority=h"),
      "MALFORMED" },
};

Test(h2_head, requests_that_are_malformed)
{
    CHECK_ROWS(H2_BLOCK_REQUEST, &nothing, malformed);
}

Test(h2_head, requests_that_are_answered_with_an_error)
{
    static const struct block_row rows[] = {
        { "CONNECT", BYTES(":method=CONNECT|:authority=h:443"), "refused METHOD_REFUSED" },
        { "CONNECT with all the rest", BYTES(":method=CONNECT|:scheme=https|:path=/|:authority=h"),
          "refused METHOD_REFUSED" },
        { "CONNECT to HTTP/2", BYTES(":method=CONNECT|:protocol=h2c|:scheme=https|:path=/|:authority=h"),
          "refused METHOD_REFUSED" },
        { "a long line",
          BYTES(
              ":method=GET|:scheme=http|:authority=h|:path=/34567890123456789012345678901234567890123456789012345678$"),
          "refused TARGET_TOO_LONG" },
        { "too many fields", BYTES(START "|a=1|b=2|c=3|d=4|e=5|f=6$"), "refused HEADERS_TOO_LARGE" },
        { "a long field",
          BYTES(START "|a=12345678901234567890123456789012345678901234567890123456789012345678901234567890"
                      "12345678901234567890123456789012345678901234567890123456789012345678901234567890"
                      "12345678901234567890123456789$"),
          "refused HEADERS_TOO_LARGE" },
        { "a long authority",
          BYTES(":method=GET|:scheme=https|:path=/"
                "|:authority=1234567890123456789012345678901234567890123456789012345678901234567890$"),
          "refused TARGET_TOO_LONG" },
        { "another expectation", BYTES(START "|expect=magic"), "refused EXPECTATION" },
    };
    CHECK_ROWS(H2_BLOCK_REQUEST, &nothing, rows);
}

Test(h2_head, responses)
{
    static const struct asked get = { .method = METHOD_GET };
    static const struct block_row rows[] = {
        { "no end: a body of unknown length", BYTES(":status=200|a=b"), "200 chunked {a: b}" },
        { "the end: HTTP/1.1 would wait for a body without a length", BYTES(":status=200$"), "200 none=0" },
        { "a length", BYTES(":status=200|content-length=5"), "200 length=5 {content-length: 5}" },
        { "length 0", BYTES(":status=200|content-length=0$"), "200 none=0 {content-length: 0}" },
        { "cookies stay apart", BYTES(":status=200|set-cookie=a|set-cookie=b$"),
          "200 none=0 {set-cookie: a|set-cookie: b}" },
        { "early hints", BYTES(":status=103|link=x"), "103 none {link: x}" },
        { "no content", BYTES(":status=204|content-length=0$"), "204 none {content-length: 0}" },
        { "not modified keeps its length", BYTES(":status=304|content-length=9$"), "304 none=9 {content-length: 9}" },
        { "a host is a field like others", BYTES(":status=200|host=a b$"), "200 none=0 {host: a b}" },
        { "te is a field like others", BYTES(":status=200|te=x$"), "200 none=0 {te: x}" },
        { "no status", BYTES("a=b$"), "UPSTREAM_INVALID" },
        { "a status of two digits", BYTES(":status=20$"), "UPSTREAM_INVALID" },
        { "a status of four digits", BYTES(":status=0200$"), "UPSTREAM_INVALID" },
        { "a status that is no number", BYTES(":status=2x0$"), "UPSTREAM_INVALID" },
        { "a status below 100", BYTES(":status=099$"), "UPSTREAM_INVALID" },
        { "a status beyond 599", BYTES(":status=600$"), "UPSTREAM_INVALID" },
        { "101", BYTES(":status=101"), "UPSTREAM_INVALID" },
        { "status twice", BYTES(":status=200|:status=200$"), "UPSTREAM_INVALID" },
        { "a method", BYTES(":status=200|:method=GET$"), "UPSTREAM_INVALID" },
        { "status behind a field", BYTES("a=b|:status=200$"), "UPSTREAM_INVALID" },
        { "a name in upper case", BYTES(":status=200|Server=x$"), "UPSTREAM_INVALID" },
        { "connection", BYTES(":status=200|connection=close$"), "UPSTREAM_INVALID" },
        { "transfer-encoding", BYTES(":status=200|transfer-encoding=chunked"), "UPSTREAM_INVALID" },
        { "two lengths", BYTES(":status=200|content-length=5|content-length=6"), "UPSTREAM_INVALID" },
        { "a length and the end", BYTES(":status=200|content-length=5$"), "UPSTREAM_INVALID" },
        { "an interim answer that ends", BYTES(":status=103$"), "UPSTREAM_INVALID" },
        { "an interim answer with a length", BYTES(":status=103|content-length=5"), "UPSTREAM_INVALID" },
        { "too many fields", BYTES(":status=200|a=1|b=2|c=3|d=4|e=5|f=6|g=7$"), "UPSTREAM_HEADERS" },
    };
    CHECK_ROWS(H2_BLOCK_RESPONSE, &get, rows);
}

Test(h2_head, answers_to_head_have_no_body_whatever_their_length)
{
    static const struct asked head = { .method = METHOD_HEAD };
    static const struct block_row rows[] = {
        { "a length", BYTES(":status=200|content-length=5$"), "200 none=5 {content-length: 5}" },
        { "no end yet", BYTES(":status=200|content-length=5"), "200 none=5 {content-length: 5}" },
        { "no length", BYTES(":status=404$"), "404 none" },
    };
    CHECK_ROWS(H2_BLOCK_RESPONSE, &head, rows);
}

Test(h2_head, answers_to_extended_connect)
{
    static const struct asked connect = { .method = METHOD_GET, .upgrade = { "websocket", 9 } };
    static const struct block_row rows[] = {
        { "it is open", BYTES(":status=200"), "101 none upgrade=websocket" },
        { "any 2xx", BYTES(":status=202|content-length=7"), "101 none upgrade=websocket {content-length: 7}" },
        { "it ended at once", BYTES(":status=200$"), "200 none=0" },
        { "refused", BYTES(":status=403|content-length=2"), "403 length=2 {content-length: 2}" },
        { "an interim answer", BYTES(":status=103"), "103 none" },
    };
    CHECK_ROWS(H2_BLOCK_RESPONSE, &connect, rows);
}

Test(h2_head, trailers)
{
    static const struct block_row rows[] = {
        { "two", BYTES("a=b|grpc-status=0$"), " @ none {a: b|grpc-status: 0}" },
        { "none", BYTES("$"), " @ none" },
        { "a length means nothing", BYTES("content-length=x$"), " @ none {content-length: x}" },
        { "no end", BYTES("a=b"), "MALFORMED" },
        { "a pseudo-field", BYTES(":path=/$"), "MALFORMED" },
        { "a status", BYTES(":status=200$"), "MALFORMED" },
        { "a name in upper case", BYTES("A=b$"), "MALFORMED" },
        { "a control", BYTES("a=b\nc$"), "MALFORMED" },
        { "connection", BYTES("connection=x$"), "MALFORMED" },
        { "too many", BYTES("a=1|b=2|c=3|d=4|e=5|f=6|g=7$"), "HEADERS_TOO_LARGE" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text t;
        text_init(&t);
        run(H2_BLOCK_TRAILERS, &nothing, rows[i].fields, &t);
        const char *got = t.bytes[0] == ' ' && t.bytes[1] == ' ' ? t.bytes + 1 : t.bytes;
        cr_expect_str_eq(got, rows[i].expected, "%s: '%s'", rows[i].name, got);
        text_fini(&t);
    }
}

Test(h2_head, what_earlier_blocks_took_counts)
{
    struct arena arena;
    struct message m = { .method = METHOD_GET };
    struct h2_head r;
    arena_init(&arena, NULL, 0);
    h2_head_begin(&r, H2_BLOCK_RESPONSE, &limits, 0, &arena, &m);
    size_t interim_count = 0;
    for (uint32_t spent = 0; h2_head_field(&r, SLICE(":status"), SLICE("100")); interim_count++) {
        cr_assert(h2_head_end(&r, false));
        spent = r.bytes;
        h2_head_begin(&r, H2_BLOCK_RESPONSE, &limits, spent, &arena, &m);
    }
    cr_assert_eq(h2_head_reason(&r, true), REASON_UPSTREAM_HEADERS, "interim answers without end are bounded");
    cr_assert_eq(interim_count, limits.head_bytes / 14);
    arena_reset(&arena);
}

Test(h2_head, a_head_takes_no_more_memory_than_its_limits)
{
    static const struct h1_limits wide = { .request_line_bytes = 16384, .head_bytes = 32768, .field_count = 128 };
    struct arena arena;
    struct message m;
    struct h2_head r;
    char value[200];
    memset(value, 'v', sizeof value);
    arena_init(&arena, NULL, 256 * 1024);
    h2_head_begin(&r, H2_BLOCK_REQUEST, &wide, 0, &arena, &m);
    size_t count = 0;
    while (count < 100000 && h2_head_field(&r, SLICE("cookie"), slice_from(value, sizeof value)))
        count++;
    cr_assert_eq(count, 128);
    for (size_t i = 0; i < 100000; i++)
        h2_head_field(&r, SLICE("cookie"), slice_from(value, sizeof value));
    cr_assert(!h2_head_end(&r, true));
    cr_assert(!arena.has_overflowed, "the request's limit is never reached by its head");
    cr_assert_lt(arena.used_bytes, 100 * 1024);
    arena_reset(&arena);
}
