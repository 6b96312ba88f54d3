/* front/forward.c - sends a request on: prepares its head, runs the exchange, hands what comes back to respond.
 *
 * What is added and replaced on the way out: Host, X-Forwarded-*, Forwarded, X-Request-Id, traceparent,
 * Max-Forwards, Via (RFC 9110 7.6), then the route's edits, which have the last word. */
#include "front/forward.h"

#include "base/check.h"
#include "base/hex.h"
#include "front/respond.h"
#include "front/script.h"
#include "http/validate.h"
#include "net/tls.h"
#include "route/edits.h"
#include "shadow/capture.h"

#define WEBSOCKET_KEY_BYTES 24 /* base64 of 16 bytes */

/* ---- who asks -------------------------------------------------------------------------------------------------------- */

/* Takes the last entry off a comma-separated list. */
static struct slice take_last_item(struct slice *list)
{
    size_t at = list->len;
    while (at > 0 && list->ptr[at - 1] != ',')
        at--;
    struct slice item = slice_trim(slice_after(*list, at));
    *list = slice_first(*list, at > 0 ? at - 1 : 0);
    return item;
}

/* An entry of X-Forwarded-For: an address, maybe with a port or in brackets, as some proxies write it. */
static bool parse_entry(struct slice entry, struct ip_address *out)
{
    size_t bracket = slice_find(entry, ']'), colon = slice_find(entry, ':');
    struct slice address = entry, port = SLICE_NONE;
    uint64_t number;
    if (entry.len > 0 && entry.ptr[0] == '[') {
        address = slice_after(slice_first(entry, bracket), 1);
        if (bracket == entry.len)
            return false;
        port = slice_after(entry, bracket + 1);
    } else if (colon < entry.len && slice_find(slice_after(entry, colon + 1), ':') == entry.len - colon - 1) {
        address = slice_first(entry, colon); /* one colon: not IPv6 */
        port = slice_after(entry, colon);
    }
    bool is_port_good = port.len == 0 || (port.ptr[0] == ':' && slice_to_u64(slice_after(port, 1), &number));
    return is_port_good && ip_parse(address, out);
}

/* Goes through the X-Forwarded-For lines from the right, past trusted proxies; *source is the last address believed. An entry that is no
   address ends the search: what stands left of it was not written by anybody we trust. */
static void follow_forwarded_for(const struct message *m, const struct listener_config *l, struct ip_address *source)
{
    for (uint16_t i = m->field_count; i > 0; i--) {
        const struct field *f = &m->fields[i - 1];
        struct slice rest = f->value;
        while (f->id == FIELD_X_FORWARDED_FOR && !f->is_dropped && rest.len > 0) {
            struct ip_address entry;
            if (!parse_entry(take_last_item(&rest), &entry))
                return;
            *source = entry;
            if (!ip_is_in(&entry, l->trusted_proxies, l->trusted_proxy_count))
                return;
        }
    }
}

struct ip_address forward_source(const struct request *r, bool *is_trusted)
{
    struct ip_address source = r->client->source;
    const struct listener_config *l = binding_listener(r->binding, slice_from_cstr(r->client->listener->name));
    *is_trusted = l != NULL && ip_is_in(&source, l->trusted_proxies, l->trusted_proxy_count);
    if (*is_trusted)
        follow_forwarded_for(&r->message, l, &source);
    return source;
}

/* ---- the head as it leaves --------------------------------------------------------------------------------------------- */

static void add_field(struct request *r, enum field_id id, struct slice value)
{
    message_add(&r->message, &r->arena, id, field_names[id], value);
}

/* `first` and the lines of its name behind it, then `last`, as one list (RFC 9110 5.3). */
static struct slice join_lines(struct request *r, const struct field *first, struct slice last)
{
    static const struct slice comma = SLICE(", ");
    size_t length = last.len;
    for (const struct field *f = first; f != NULL; f = message_next_field(&r->message, f))
        length += f->value.len + comma.len;
    char *text = arena_alloc(&r->arena, length), *at = text;
    for (const struct field *f = first; f != NULL; f = message_next_field(&r->message, f)) {
        at = mempcpy(at, f->value.ptr, f->value.len);
        at = mempcpy(at, comma.ptr, comma.len);
    }
    memcpy(at, last.ptr, last.len);
    return slice_from(text, length);
}

/* X-Forwarded-For: what a trusted peer said, and the peer. All lines become one. */
static void forward_addresses(struct request *r)
{
    struct message *m = &r->message;
    char *text = arena_alloc(&r->arena, 48);
    struct slice peer = slice_from(text, ip_format(&r->client->source, text));
    const struct field *said = r->is_source_trusted ? message_field(m, FIELD_X_FORWARDED_FOR) : NULL;
    struct slice value = said != NULL ? join_lines(r, said, peer) : peer;
    message_drop(m, FIELD_X_FORWARDED_FOR);
    add_field(r, FIELD_X_FORWARDED_FOR, value);
}

/* Claims about the client count only from a trusted peer; else they are replaced. */
static void forward_claims(struct request *r)
{
    struct message *m = &r->message;
    if (!r->is_source_trusted) {
        message_drop(m, FIELD_X_FORWARDED_PROTO);
        message_drop(m, FIELD_X_FORWARDED_HOST);
        message_drop(m, FIELD_FORWARDED);
    }
    if (message_field(m, FIELD_X_FORWARDED_PROTO) == NULL)
        add_field(r, FIELD_X_FORWARDED_PROTO, r->client->listener->scheme);
    if (message_field(m, FIELD_X_FORWARDED_HOST) == NULL && m->authority.len > 0)
        add_field(r, FIELD_X_FORWARDED_HOST, m->authority);
}

/* Carried on when it looks like an id; what could break a log or a header is replaced. */
static void forward_request_id(struct request *r)
{
    struct field *f = message_field(&r->message, FIELD_X_REQUEST_ID);
    bool is_one = f != NULL && message_next_field(&r->message, f) == NULL;
    if (is_one && f->value.len <= 128 && is_token(f->value)) {
        r->request_id = f->value;
        return;
    }
    char *id = arena_alloc(&r->arena, 32);
    hex_put_u64(rng_next(&r->front->loop->rng), id);
    hex_put_u64(rng_next(&r->front->loop->rng), id + HEX_U64_DIGITS);
    r->request_id = slice_from(id, 32);
    message_drop(&r->message, FIELD_X_REQUEST_ID);
    add_field(r, FIELD_X_REQUEST_ID, r->request_id);
}

static void forward_trace(struct request *r)
{
    uint64_t random[3];
    for (size_t i = 0; i < ARRAY_COUNT(random); i++)
        random[i] = rng_next(&r->front->loop->rng);
    trace_carry(&r->message, &r->arena, random, &r->trace);
}

/* RFC 9110 7.6.2, for TRACE and OPTIONS; zero never gets here. */
static void forward_max_forwards(struct request *r)
{
    struct message *m = &r->message;
    struct field *f = message_field(m, FIELD_MAX_FORWARDS);
    uint64_t hops;
    if (f == NULL || (m->method != METHOD_TRACE && m->method != METHOD_OPTIONS) || !slice_to_u64(f->value, &hops))
        return;
    f->value = arena_printf(&r->arena, "%llu", (unsigned long long)hops - 1);
}

/* An HTTP/1.0 request may come without any host; HTTP/1.1 needs one: the first address of where it goes. */
struct slice forward_host_of(const struct upstream_config *u)
{
    bool has_address = u->endpoint_count > 0 && u->endpoints[0].address.kind != ADDRESS_UNIX;
    return has_address ? u->endpoints[0].address_text : SLICE("localhost");
}

static void forward_host(struct request *r)
{
    struct slice host = route_has(r->decision.route, ROUTE_REWRITES) ? request_route(r)->rewrite.host : SLICE_NONE;
    struct field *f = message_field(&r->message, FIELD_HOST);
    if (host.len == 0)
        host = r->message.authority.len > 0
                   ? r->message.authority
                   : forward_host_of(&request_config(r)->upstreams[r->decision.upstream_index]);
    if (f != NULL)
        f->value = host;
    else
        add_field(r, FIELD_HOST, host);
}

/* RFC 8441 5.1 leaves the key out; the handshake of HTTP/1.1 needs one (RFC 6455 4.1). */
static void forward_websocket_key(struct request *r)
{
    struct message *m = &r->message;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (r->client->protocol->stats != STATS_HTTP2 || !m->is_upgrade ||
        !slice_equal_nocase(m->upgrade, SLICE("websocket")))
        return;
    char *key = arena_alloc(&r->arena, WEBSOCKET_KEY_BYTES);
    for (size_t i = 0; i < WEBSOCKET_KEY_BYTES - 3; i++)
        key[i] = digits[rng_next(&r->front->loop->rng) % 64];
    memcpy(key + WEBSOCKET_KEY_BYTES - 3, "A==", 3); /* 16 bytes: the last digit stands for two bits */
    message_set(m, &r->arena, SLICE("Sec-WebSocket-Key"), slice_from(key, WEBSOCKET_KEY_BYTES));
}

struct slice forward_received_target(const struct message *m, struct arena *arena)
{
    if (m->query.ptr == NULL)
        return m->path;
    if (m->query.ptr == m->path.ptr + m->path.len + 1)
        return slice_from(m->path.ptr, m->path.len + 1 + m->query.len);
    return arena_printf(arena, "%.*s?%.*s", SLICE_ARG(m->path), SLICE_ARG(m->query));
}

/* The matched prefix is replaced by the rewrite's; borders keep exactly one slash. */
static struct slice rewritten_target(const struct route_config *route, struct slice path, struct slice query,
                                     struct arena *arena)
{
    const struct match_config *match = &route->match;
    struct slice prefix = route->rewrite.path_prefix, rest = path;
    if (match->path_kind == PATH_PREFIX && slice_has_prefix(rest, match->path))
        rest = slice_after(rest, match->path.len);
    else if (match->path_kind == PATH_EXACT)
        rest = SLICE_NONE;
    bool ends_in_slash = slice_has_suffix(prefix, SLICE("/")), begins_with_slash = slice_has_prefix(rest, SLICE("/"));
    if (ends_in_slash && begins_with_slash)
        rest = slice_after(rest, 1);
    const char *between = !ends_in_slash && !begins_with_slash && rest.len > 0 ? "/" : "";
    return arena_printf(arena, "%.*s%s%.*s%s%.*s", SLICE_ARG(prefix), between, SLICE_ARG(rest),
                        query.ptr != NULL ? "?" : "", SLICE_ARG(query));
}

struct slice forward_target(const struct compiled_route *route, const struct message *m, struct slice normal_path,
                            struct arena *arena)
{
    bool is_rewritten = route_has(route, ROUTE_REWRITES) && route->config->rewrite.path_prefix.len > 0 &&
                        !slice_equal(m->path, SLICE("*"));
    return is_rewritten ? rewritten_target(route->config, normal_path, m->query, arena)
                        : forward_received_target(m, arena);
}

void forward_view_client(struct request *r)
{
    const struct tls_peer *peer = stream_tls_peer(&r->client->stream);
    r->view.client_cn = peer != NULL ? peer->cn : SLICE_NONE;
    r->view.client_sans = peer != NULL ? peer->sans : NULL;
    r->view.client_san_count = peer != NULL ? peer->san_count : 0;
}

bool forward_is_last_hop(const struct request *r)
{
    const struct message *m = &r->message;
    struct field *f = message_field(m, FIELD_MAX_FORWARDS);
    uint64_t hops;
    return f != NULL && (m->method == METHOD_OPTIONS || m->method == METHOD_TRACE) && slice_to_u64(f->value, &hops) &&
           hops == 0;
}

void forward_prepare(struct request *r)
{
    hop_by_hop_drop(&r->message);
    message_drop(&r->message, FIELD_X_WEIR_DRILL); /* forged, or of a drill that is over */
    forward_websocket_key(r);
    forward_host(r);
    forward_addresses(r);
    forward_claims(r);
    forward_request_id(r);
    forward_trace(r);
    forward_max_forwards(r);
    exposure_mark(r);
    add_field(r, FIELD_VIA, slice_from_cstr(r->front->via[r->client->protocol->stats]));
    if (route_has(r->decision.route, ROUTE_EDITS_REQUESTS))
        edits_apply(&r->message, &r->arena, &request_route(r)->request_headers);
    r->exchange.target = forward_target(r->decision.route, &r->message, r->view.path, &r->arena);
}

/* ---- copies ------------------------------------------------------------------------------------------------------------ */

static void *pin_binding(void *arg)
{
    struct request *r = arg;
    return binding_pin(r->binding);
}

void forward_copies(struct request *r, uint32_t chosen)
{
    const struct shadow_source source = { .route = r->decision.route,
                                          .head = &r->message,
                                          .target = r->exchange.target,
                                          .trace = &r->trace,
                                          .via = slice_from_cstr(r->front->shadow_via[r->client->protocol->stats]),
                                          .request = r,
                                          .pin = pin_binding,
                                          .list = &r->shadows,
                                          .primary = request_config(r)->upstreams[r->decision.upstream_index].name,
                                          .pairs = &r->pairs,
                                          .is_reviewed = script_wants_copies(r) };
    shadow_begin(&r->binding->shadows, chosen, &source);
}

/* ---- the exchange ------------------------------------------------------------------------------------------------------ */

static struct request *request_of(struct exchange *x)
{
    struct request *r = CONTAINER_OF(x, struct request, exchange);
    CHECK_MAGIC(r, REQUEST_MAGIC);
    return r;
}

static void on_head(struct exchange *x, struct message *response)
{
    struct request *r = request_of(x);
    int64_t duration_us = mono_diff_us(loop_now(r->front->loop), r->begun);
    stats_request_will_end(r->front->stats, r->series, (uint64_t)duration_us); /* most end in this turn */
    if (response->status < 200 && response->status != 101) {
        respond_interim(r, response);
        return;
    }
    if (r->pairs != NULL)
        captures_head(&r->front->shadows, r->pairs, response);
    if (r->exposure.sheet != NULL) {
        exposure_on_head(r, response);
        message_drop(response, FIELD_X_WEIR_EXPOSURE); /* an echo of the mark is not for clients */
    }
    message_drop(response, FIELD_X_WEIR_EVENT); /* between the upstream and us */
    enum reason reason = respond_head(r, response);
    if (reason != REASON_NONE) {
        request_refuse(r, reason);
        return;
    }
    request_watch(r);
    if (r->is_tunnel)
        r->client->protocol->resume(r); /* what it sent ahead of our consent */
}

static void on_data(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct request *r = request_of(x);
    if (r->pairs != NULL)
        captures_body(r->pairs, chunk->bytes + offset, length);
    respond_data(r, chunk, offset, length);
    if (r->client->protocol->is_full(r))
        exchange_pause(x);
}

static void on_trailers(struct exchange *x, struct message *trailers)
{
    struct request *r = request_of(x);
    message_own_fields(trailers, &r->arena); /* on_end comes when the connection has let go of its bytes */
    r->response_trailers = trailers;
    if (r->exposure.sheet != NULL)
        exposure_on_trailers(r, trailers);
}

static void on_batch(struct exchange *x)
{
    struct request *r = request_of(x);
    struct client *c = r->client;
    c->protocol->flush(r);
    if (c->state == CLIENT_CLOSED)
        return; /* and took the request along */
    if (c->protocol->is_full(r))
        exchange_pause(x);
    if (r->is_answer_begun)
        request_watch(r);
}

static void on_end(struct exchange *x)
{
    struct request *r = request_of(x);
    if (r->pairs != NULL)
        captures_end(&r->front->shadows, &r->pairs, REASON_NONE);
    respond_end(r, r->response_trailers);
    request_resume(r);
}

static void on_failed(struct exchange *x, enum reason reason)
{
    struct request *r = request_of(x);
    if (r->pairs != NULL)
        captures_end(&r->front->shadows, &r->pairs, reason);
    request_refuse(r, reason);
}

/* The endpoint takes more of the body. */
static void on_drained(struct exchange *x)
{
    struct request *r = request_of(x);
    request_watch(r);
    r->client->protocol->resume(r);
}

static void on_half_closed(struct exchange *x)
{
    struct request *r = request_of(x);
    r->has_upstream_ended = true;
    r->client->protocol->shutdown(r);
    if (!request_end_tunnel(r))
        r->client->protocol->flush(r);
}

static const struct exchange_events forward_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_batch = on_batch,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
    .on_half_closed = on_half_closed,
};

enum reason forward_begin(struct request *r)
{
    struct exchange *x = &r->exchange;
    x->events = &forward_events;
    x->upstream = r->binding->upstreams[r->decision.upstream_index];
    x->arena = &r->arena;
    x->request = &r->message;
    x->is_tried_once = false;
    x->write = h1_write_of(&r->message);
    return exchange_begin(x);
}
