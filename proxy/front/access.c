/* front/access.c - the access log: one line per request or refused connection, into a buffer the worker hands on.
 *
 * A line is built field by field from a table, so that both formats show the same facts. What a peer wrote is escaped and cut:
 * no line can be forged, and none is longer than LINE_MAX_BYTES.
 */
#include "front/access.h"

#include "base/check.h"
#include "front/request.h"
#include "net/tls.h"

#include <stdio.h>

#define LINE_MAX_BYTES   4096
#define LINE_END_BYTES   2   /* closing brace and line end: always there is room for them */
#define TEXT_MAX_BYTES   512 /* of one value that a peer wrote; longer ones are cut */
#define KEY_MORE_BYTES   4
#define ESCAPE_MAX_BYTES 6
#define NUMBER_MAX_BYTES 32

/* A line under construction: [at, end) is free. Who puts something has asked has_room before, so that what does not fit is left out
   or cut between two characters, and the line stays well-formed. */
struct line {
    char *at, *end;
    bool is_json, is_first;
};

static bool has_room(const struct line *l, size_t bytes)
{
    return (size_t)(l->end - l->at) >= bytes;
}

static void put(struct line *l, const char *bytes, size_t length)
{
    CHECK(has_room(l, length));
    memcpy(l->at, bytes, length);
    l->at += length;
}

static void put_char(struct line *l, char c)
{
    put(l, &c, 1);
}

/* Quotes, backslashes and everything outside printable ASCII as JSON escapes: bytes above it are read as Latin-1. */
static void put_escaped(struct line *l, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    if (c >= 0x20 && c < 0x7f) {
        if (c == '"' || c == '\\')
            put_char(l, '\\');
        put_char(l, (char)c);
    } else {
        put(l, "\\u00", 4);
        put_char(l, digits[c >> 4]);
        put_char(l, digits[c & 15]);
    }
}

/* With its separator, quotes and colon at most KEY_MORE_BYTES longer than the key. */
static void put_key(struct line *l, const char *key)
{
    if (!l->is_first)
        put_char(l, l->is_json ? ',' : ' ');
    l->is_first = false;
    if (l->is_json)
        put_char(l, '"');
    put(l, key, strlen(key));
    put(l, l->is_json ? "\":" : "=", l->is_json ? 2 : 1);
}

static void put_text(struct line *l, const char *key, struct slice value)
{
    if (value.len == 0 || !has_room(l, strlen(key) + KEY_MORE_BYTES + 2))
        return; /* what is not known is left out */
    put_key(l, key);
    put_char(l, '"');
    for (size_t i = 0; i < value.len && i < TEXT_MAX_BYTES && has_room(l, ESCAPE_MAX_BYTES + 1); i++)
        put_escaped(l, (unsigned char)value.ptr[i]);
    put_char(l, '"');
}

static void put_number(struct line *l, const char *key, uint64_t value)
{
    char digits[NUMBER_MAX_BYTES];
    if (!has_room(l, strlen(key) + KEY_MORE_BYTES + NUMBER_MAX_BYTES))
        return;
    put_key(l, key);
    put(l, digits, (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value));
}

static void put_ms(struct line *l, const char *key, int64_t us)
{
    char digits[NUMBER_MAX_BYTES];
    if (!has_room(l, strlen(key) + KEY_MORE_BYTES + NUMBER_MAX_BYTES))
        return;
    put_key(l, key);
    put(l, digits,
        (size_t)snprintf(digits, sizeof(digits), "%lld.%03lld", (long long)(us / 1000), (long long)(us % 1000)));
}

/* "HTTP/1.1", "HTTP/2"; and the minor number that lines had before there was another major one. */
static void put_protocol(struct line *l, const struct request *r)
{
    if (r->client->protocol->stats == STATS_HTTP2) {
        put_text(l, "protocol", SLICE("HTTP/2"));
        return;
    }
    put_text(l, "protocol", r->message.version_minor == 0 ? SLICE("HTTP/1.0") : SLICE("HTTP/1.1"));
    put_number(l, "protocol_minor", r->message.version_minor);
}

static void put_place(struct line *l, const struct front_listener *listener, const struct ip_address *from)
{
    char source[46], time[25];
    wall_format(clock_wall(), time);
    put_text(l, "time", slice_from(time, 24));
    put_text(l, "listener", slice_from_cstr(listener != NULL ? listener->name : ""));
    put_text(l, "source", slice_from(source, ip_format(from, source)));
}

static void put_request(struct line *l, const struct request *r)
{
    const struct message *m = &r->message;
    put_place(l, r->client->listener, r->is_view_known ? &r->view.source : &r->client->source);
    put_text(l, "method", m->method_name);
    put_text(l, "host", m->authority);
    put_text(l, "path", m->path);
    put_text(l, "query", m->query);
    put_protocol(l, r);
    struct tls_facts tls;
    if (stream_tls_facts(&r->client->stream, &tls)) {
        put_text(l, "tls", slice_from_cstr(tls.version));
        put_text(l, "server_name", tls.server_name);
        put_text(l, "client_cn", tls.peer != NULL ? tls.peer->cn : SLICE_NONE);
    }
    struct field *agent = message_field(m, FIELD_USER_AGENT);
    put_text(l, "user_agent", agent != NULL ? agent->value : SLICE_NONE);
}

static void put_outcome(struct line *l, const struct request *r)
{
    const struct route_config *route = request_route(r);
    const struct decision *d = &r->decision;
    put_number(l, "status", r->status);
    put_text(l, "reason", slice_from_cstr(reason_rows[r->reason].code));
    put_text(l, "route", route != NULL ? route->name : SLICE_NONE);
    if (d->rule_index != CONFIG_NONE)
        put_text(l, "rule", route->rules[d->rule_index].name);
    if (d->upstream_index != CONFIG_NONE)
        put_text(l, "upstream", request_config(r)->upstreams[d->upstream_index].name);
    put_text(l, "endpoint", r->endpoint);
    put_text(l, "why", slice_from_cstr(decision_why_names[d->why]));
    put_ms(l, "duration_ms", mono_diff_us(loop_now(r->front->loop), r->begun));
    put_number(l, "received_bytes", r->received_bytes);
    put_number(l, "sent_bytes", r->sent_bytes);
    put_text(l, "request_id", r->request_id);
    put_text(l, "trace_id", r->request_id.len > 0 ? slice_from_cstr(r->trace.trace_id) : SLICE_NONE);
    put_number(l, "generation", r->binding->snapshot->generation);
}

/* A line in the configured format; line_end follows. */
static struct line line_begin(struct access_log *log, const struct config *config)
{
    if (log->capacity - log->used < LINE_MAX_BYTES)
        log->hand_on(log, log->arg);
    struct line l = { .at = log->bytes + log->used,
                      .end = log->bytes + log->used + LINE_MAX_BYTES - LINE_END_BYTES,
                      .is_json = config->log.format == LOG_FORMAT_JSON,
                      .is_first = true };
    if (l.is_json)
        put_char(&l, '{');
    return l;
}

static void line_end(struct access_log *log, struct line *l)
{
    l->end += LINE_END_BYTES;
    if (l->is_json)
        put_char(l, '}');
    put_char(l, '\n');
    log->used = (uint32_t)(l->at - log->bytes);
    log->line_count++;
}

void access_add(struct access_log *log, const struct request *r)
{
    struct line l = line_begin(log, request_config(r));
    put_outcome(&l, r); /* what matters stands in front of what a peer can make long */
    put_request(&l, r);
    line_end(log, &l);
}

void access_add_refusal(struct access_log *log, const struct front_listener *listener, const struct ip_address *source,
                        uint16_t status, enum reason reason)
{
    const struct snapshot *snapshot = listener->front->current->snapshot;
    struct line l = line_begin(log, snapshot->config);
    put_number(&l, "status", status);
    put_text(&l, "reason", slice_from_cstr(reason_rows[reason].code));
    put_number(&l, "generation", snapshot->generation);
    put_place(&l, listener, source);
    line_end(log, &l);
}

void access_flush(struct access_log *log)
{
    if (log->used > 0)
        log->hand_on(log, log->arg);
}
