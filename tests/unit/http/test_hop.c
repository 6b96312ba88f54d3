/* unit/http/test_hop.c - what ends at a hop, and what may not stand in trailers. */
#include "http/validate.h"

#include <criterion/criterion.h>

#include <stdio.h>

/* A message from "Name: value" lines; what is left of it, "Name|Name". */
static struct arena arena;
static struct message message;
static char left[1024];

static void message_from(const char *const *lines)
{
    arena_init(&arena, NULL, 0);
    message_init(&message, &arena, 0);
    for (; *lines != NULL; lines++) {
        struct slice line = slice_from_cstr(*lines);
        struct slice name = slice_first(line, slice_find(line, ':'));
        message_add(&message, &arena, field_id_from_name(name), name, slice_trim(slice_after(line, name.len + 1)));
    }
}

static const char *names_left(void)
{
    left[0] = '\0';
    size_t len = 0;
    for (size_t i = 0; i < message.field_count; i++) {
        const struct field *f = &message.fields[i];
        if (!f->is_dropped)
            len += (size_t)snprintf(left + len, sizeof left - len, "%s%.*s", len > 0 ? "|" : "", SLICE_ARG(f->name));
    }
    arena_reset(&arena);
    return left;
}

Test(hop, hop_by_hop_fields_end_here)
{
    static const char *const lines[] = { "Host: h",
                                         "Connection: keep-alive, X-Hop , x-other",
                                         "Keep-Alive: timeout=5",
                                         "Proxy-Connection: close",
                                         "X-Hop: 1",
                                         "x-HOP: 2",
                                         "X-Other: 1",
                                         "X-Stays: 1",
                                         "TE: trailers",
                                         "Transfer-Encoding: chunked",
                                         "Upgrade: websocket",
                                         "connection: Another",
                                         "Another: 1",
                                         "Proxy-Authenticate: Basic",
                                         "Accept: a",
                                         NULL };
    message_from(lines);
    hop_by_hop_drop(&message);
    cr_expect_str_eq(names_left(), "Host|X-Stays|Proxy-Authenticate|Accept");
}

Test(hop, connection_cannot_take_what_upstreams_rely_on)
{
    static const char *const lines[] = {
        "Connection: host, content-length, cookie, authorization, forwarded, via, x-request-id",
        "Connection: x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, traceparent, tracestate",
        "Connection: content-type, set-cookie, expect, , accept, (bad)",
        "Host: h",
        "Content-Length: 0",
        "Cookie: a=b",
        "Authorization: x",
        "Forwarded: for=a",
        "Via: a",
        "X-Request-Id: a",
        "X-Forwarded-For: a",
        "X-Forwarded-Host: a",
        "X-Forwarded-Proto: a",
        "Traceparent: a",
        "Tracestate: a",
        "Content-Type: a",
        "Set-Cookie: a",
        "Expect: a",
        "Accept: a",
        NULL
    };
    message_from(lines);
    hop_by_hop_drop(&message);
    cr_expect_str_eq(names_left(), "Host|Content-Length|Cookie|Authorization|Forwarded|Via|X-Request-Id|"
                                   "X-Forwarded-For|X-Forwarded-Host|X-Forwarded-Proto|Traceparent|Tracestate|"
                                   "Content-Type|Set-Cookie|Expect");
}

Test(hop, the_time_a_server_keeps_a_connection)
{
    static const struct {
        const char *line;
        uint64_t seconds;
    } rows[] = {
        { "X: timeout=5", UINT64_MAX },
        { "Keep-Alive: timeout=5", 5 },
        { "Keep-Alive: max=100, Timeout = 0", 0 },
        { "keep-alive: timeout=5, max=1000", 5 },
        { "Keep-Alive: 300", UINT64_MAX },
        { "Keep-Alive: timeout", UINT64_MAX },
        { "Keep-Alive: timeout=", UINT64_MAX },
        { "Keep-Alive: timeout=-1", UINT64_MAX },
        { "Keep-Alive: timeout=99999999999999999999, max=5", UINT64_MAX },
        { "Keep-Alive: timeout=18446744073709551615", UINT64_MAX },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *lines[] = { rows[i].line, NULL };
        message_from(lines);
        cr_expect_eq(hop_keep_alive_s(&message), rows[i].seconds, "%s", rows[i].line);
        arena_reset(&arena);
    }
}

Test(hop, trailers_carry_no_framing_routing_or_rights)
{
    static const char *const lines[] = { "X-Checksum: 1",
                                         "Content-Length: 5",
                                         "Transfer-Encoding: chunked",
                                         "Host: evil",
                                         "Authorization: x",
                                         "Set-Cookie: a=b",
                                         "cache-control: no-store",
                                         "Trailer: x",
                                         "grpc-status: 0",
                                         "Content-Encoding: gzip",
                                         "X-Forwarded-For: a",
                                         "Range: bytes=0-",
                                         "Server-Timing: a",
                                         "If-Match: *",
                                         "TE: trailers",
                                         NULL };
    message_from(lines);
    trailers_filter(&message);
    cr_expect_str_eq(names_left(), "X-Checksum|grpc-status|Server-Timing");
}
