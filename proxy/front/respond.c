/* front/respond.c - what goes back to the client: relayed answers and the proxy's own.
 *
 * Relayed or our own, an answer is a neutral message here; how it is framed is the client's protocol's matter. An answer
 * that was begun is never replaced: what goes wrong later cuts it off. */
#include "front/respond.h"

#include "base/check.h"
#include "crypto/digest.h"
#include "front/drill.h"
#include "front/script.h"
#include "http/validate.h"
#include "lua/api.h"
#include "route/edits.h"

/* ---- heads --------------------------------------------------------------------------------------------------------- */

void respond_interim(struct request *r, struct message *response)
{
    hop_by_hop_drop(response);
    r->client->protocol->send_interim(r, response);
}

/* The user's place in a sticky split, for the requests to come. */
static void issue_cookie(struct request *r, struct message *response)
{
    const struct sticky_config *sticky = &request_route(r)->sticky;
    struct slice value =
        arena_printf(&r->arena, "%.*s=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax", SLICE_ARG(sticky->key.name),
                     r->decision.issued_key, (long long)(sticky->ttl_ms / 1000));
    message_add(response, &r->arena, FIELD_SET_COOKIE, field_names[FIELD_SET_COOKIE], value);
}

/* What the route adds to and takes from every answer. */
static void apply_route(struct request *r, struct message *response)
{
    if (r->decision.route == NULL)
        return;
    const struct route_config *route = request_route(r);
    bool has_edits = route_has(r->decision.route, ROUTE_EDITS_RESPONSES);
    if (has_edits)
        edits_apply(response, &r->arena, &route->response_headers);
    if (r->decision.why == WHY_ISSUED)
        issue_cookie(r, response);
    if (has_edits && route->is_variant_exposed && r->decision.upstream_index != CONFIG_NONE)
        message_add(response, &r->arena, FIELD_X_WEIR_UPSTREAM, field_names[FIELD_X_WEIR_UPSTREAM],
                    request_config(r)->upstreams[r->decision.upstream_index].name);
}

/* Whoever has a clock dates an answer that came without (RFC 9110 6.6.1). */
static void add_date(struct request *r, struct message *response)
{
    if (message_field(response, FIELD_DATE) == NULL)
        message_add(response, &r->arena, FIELD_DATE, field_names[FIELD_DATE],
                    http_date_text(&r->front->date, clock_wall()));
}

/* An HTTP/2 client sent no key: the one that is answered here is ours, and so is the check (RFC 6455 4.1, RFC 8441 5.1). */
static bool take_websocket_accept(struct request *r, struct message *response)
{
    static const struct slice name = { "Sec-WebSocket-Accept", 20 };
    const struct field *key = message_field_named(&r->message, SLICE("Sec-WebSocket-Key"), NULL);
    const struct field *answer = message_field_named(response, name, NULL);
    char expected[DIGEST_WEBSOCKET_BYTES];
    if (key == NULL)
        return true; /* another protocol than WebSocket */
    digest_websocket_accept(key->value, expected);
    if (answer == NULL || !slice_equal(answer->value, slice_from(expected, sizeof(expected))))
        return false;
    message_drop_named(response, name);
    return true;
}

enum reason respond_head(struct request *r, struct message *response)
{
    enum reason reason = REASON_NONE;
    bool is_tunnel = response->status == 101;
    r->endpoint =
        arena_copy(&r->arena, slice_from_cstr(r->exchange.endpoint->label)); /* which may leave before we do */
    if (is_tunnel && (!r->message.is_upgrade || !r->is_body_done))
        return REASON_UPSTREAM_INVALID; /* nobody asked for it (RFC 9110 15.2.2), or has asked to the end (7.8) */
    if (is_tunnel)
        response->upgrade = arena_copy(&r->arena, response->upgrade);
    if (is_tunnel && r->client->protocol->stats == STATS_HTTP2 && !take_websocket_accept(r, response))
        return REASON_UPSTREAM_INVALID;
    hop_by_hop_drop(response);
    if (r->script != NULL && !is_tunnel)
        reason = script_on_response(r, response);
    if (reason != REASON_NONE)
        return reason;
    if (!is_tunnel)
        add_date(r, response);
    apply_route(r, response);
    r->client->protocol->send_head(r, response);
    r->is_tunnel = is_tunnel;
    r->status = response->status;
    r->is_answer_begun = true;
    return REASON_NONE;
}

/* ---- bodies ---------------------------------------------------------------------------------------------------------- */

void respond_data(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    r->sent_bytes += length;
    r->client->protocol->send_data(r, chunk, offset, length);
}

void respond_end(struct request *r, struct message *trailers)
{
    if (trailers != NULL)
        trailers_filter(trailers);
    r->client->protocol->send_end(r, trailers);
}

/* ---- answers of our own ---------------------------------------------------------------------------------------------- */

/* An answer that the proxy makes: its head under construction and its whole body. */
struct own_answer {
    struct message head;
    struct slice body;
};

static void own_begin(struct request *r, struct own_answer *own, uint16_t status)
{
    message_init(&own->head, &r->arena, 12);
    own->head.is_response = true;
    own->head.status = status;
    own->head.reason_phrase = h1_reason_phrase(status);
    own->body = SLICE_NONE;
}

static void own_add(struct request *r, struct own_answer *own, enum field_id id, struct slice value)
{
    message_add(&own->head, &r->arena, id, field_names[id], value);
}

/* The body goes the way of a relayed one: in a chunk, here the turn's. */
static void own_queue_body(struct request *r, struct slice body)
{
    uint32_t length = (uint32_t)body.len;
    struct chunk *chunk = chunk_ref(loop_scratch(r->front->loop, length));
    uint32_t offset = chunk->used;
    memcpy(chunk->bytes + offset, body.ptr, length);
    chunk->used += length;
    respond_data(r, chunk, offset, length);
    chunk_unref(chunk);
}

static void own_queue(struct request *r, struct own_answer *own)
{
    struct message *head = &own->head;
    bool is_bodiless = head->status == 204 || head->status == 304;
    bool has_body = own->body.len > 0 && !is_bodiless && r->message.method != METHOD_HEAD;
    add_date(r, &own->head);
    apply_route(r, head);
    head->framing = has_body ? BODY_LENGTH : BODY_NONE;
    head->has_content_length = !is_bodiless;
    head->content_length = own->body.len;
    r->client->protocol->send_head(r, head);
    r->status = head->status;
    r->is_answer_begun = true;
    if (has_body)
        own_queue_body(r, own->body);
    respond_end(r, NULL);
}

static bool is_grpc(const struct message *m)
{
    const struct field *type = message_field(m, FIELD_CONTENT_TYPE);
    return type != NULL && slice_has_prefix(type->value, SLICE("application/grpc"));
}

/* A gRPC client looks at nothing but grpc-status: this is what it would make of our HTTP status (gRPC's "HTTP to gRPC status code
   mapping"), but for what it can be told better: a deadline of the proxy's, and a limit. */
static const char *grpc_status(uint16_t status)
{
    switch (status) {
    case 400:
        return "13"; /* INTERNAL */
    case 401:
        return "16"; /* UNAUTHENTICATED */
    case 403:
        return "7"; /* PERMISSION_DENIED */
    case 404:
        return "12"; /* UNIMPLEMENTED */
    case 429:
        return "8"; /* RESOURCE_EXHAUSTED */
    case 504:
        return "4"; /* DEADLINE_EXCEEDED */
    case 502:
    case 503:
        return "14"; /* UNAVAILABLE */
    default:
        return "2"; /* UNKNOWN */
    }
}

/* gRPC escapes what is not printable ASCII, and '%' itself. Our sentences have only the latter. */
static struct slice grpc_message(struct request *r, const char *sentence)
{
    size_t length = strlen(sentence), at = 0;
    char *out = arena_alloc(&r->arena, length * 3 + 1);
    for (size_t i = 0; i < length; i++)
        if (sentence[i] != '%') {
            out[at++] = sentence[i];
        } else {
            memcpy(out + at, "%25", 3);
            at += 3;
        }
    return slice_from(out, at);
}

/* "Trailers-Only": 200, and the outcome in the head. */
static void own_grpc(struct request *r, struct own_answer *own)
{
    const struct reason_row *row = &reason_rows[r->reason];
    own_begin(r, own, 200);
    own_add(r, own, FIELD_CONTENT_TYPE, SLICE("application/grpc"));
    own_add(r, own, FIELD_X_WEIR_ERROR, slice_from_cstr(row->code));
    message_add(&own->head, &r->arena, FIELD_OTHER, SLICE("grpc-status"), slice_from_cstr(grpc_status(row->status)));
    message_add(&own->head, &r->arena, FIELD_OTHER, SLICE("grpc-message"), grpc_message(r, row->sentence));
}

static void own_reason(struct request *r, struct own_answer *own)
{
    const struct reason_row *row = &reason_rows[r->reason];
    if (is_grpc(&r->message)) {
        own_grpc(r, own);
        return;
    }
    own_begin(r, own, row->status);
    own_add(r, own, FIELD_CONTENT_TYPE, SLICE("text/plain; charset=utf-8"));
    own_add(r, own, FIELD_X_WEIR_ERROR, slice_from_cstr(row->code));
    own->body = arena_printf(&r->arena, "%s: %s\n", row->code, row->sentence);
    if (r->reason == REASON_RATE_LIMITED) {
        int64_t seconds = (r->retry_after_ms + 999) / 1000;
        message_add(&own->head, &r->arena, FIELD_OTHER, SLICE("Retry-After"),
                    arena_printf(&r->arena, "%lld", (long long)(seconds > 0 ? seconds : 1)));
    }
}

/* `to` that is only scheme and host gets the request's path and query behind it. */
static bool has_path(struct slice url)
{
    size_t at = 0;
    while (at + 2 < url.len && memcmp(url.ptr + at, "://", 3) != 0)
        at++;
    struct slice rest = at + 2 < url.len ? slice_after(url, at + 3) : url;
    return slice_find(rest, '/') < rest.len;
}

static void own_redirect(struct request *r, struct own_answer *own)
{
    const struct redirect_config *redirect = &request_route(r)->redirect;
    const struct message *m = &r->message;
    struct slice to = redirect->to;
    if (!has_path(to) && !slice_equal(m->path, SLICE("*")))
        to = arena_printf(&r->arena, "%.*s%.*s%s%.*s", SLICE_ARG(to), SLICE_ARG(m->path),
                          m->query.ptr != NULL ? "?" : "", SLICE_ARG(m->query));
    own_begin(r, own, redirect->code);
    own_add(r, own, FIELD_LOCATION, to);
}

static void own_respond(struct request *r, struct own_answer *own)
{
    const struct respond_config *respond = &request_route(r)->respond;
    own_begin(r, own, respond->status);
    own->body = respond->body;
    if (respond->body.len > 0)
        own_add(r, own, FIELD_CONTENT_TYPE, SLICE("text/plain; charset=utf-8"));
    edits_apply(&own->head, &r->arena, &respond->headers);
}

static void own_script(struct request *r, struct own_answer *own)
{
    const struct script_answer *answer = r->script->answer;
    own_begin(r, own, answer->status);
    own->body = answer->body;
    if (answer->body.len > 0)
        own_add(r, own, FIELD_CONTENT_TYPE, SLICE("text/plain; charset=utf-8"));
    edits_apply(&own->head, &r->arena, &answer->headers);
}

/* TRACE and OPTIONS whose Max-Forwards ran out here. */
static void own_last_hop(struct request *r, struct own_answer *own)
{
    own_begin(r, own, r->message.method == METHOD_OPTIONS ? 200 : 405);
    message_add(&own->head, &r->arena, FIELD_OTHER, SLICE("Allow"), SLICE("OPTIONS"));
}

/* Says which arm it was given: what has no connection gets what a client would. */
static void own_drill(struct request *r, struct own_answer *own)
{
    static const struct slice arms[TALLY_ARM_COUNT] = { { "stable", 6 }, { "canary", 6 } };
    uint16_t status = r->drill->outcome.status;
    own_begin(r, own, status != 0 ? status : 502);
    own_add(r, own, FIELD_X_WEIR_DRILL, arms[r->drill->arm]);
}

void respond_own(struct request *r)
{
    struct own_answer own;
    if (!r->is_body_done)
        r->is_body_done = r->client->protocol->discard_body(r);
    if (!r->is_body_done)
        r->is_close_due = true; /* what is left of the body must not be read as a request */
    if (r->reason != REASON_NONE)
        own_reason(r, &own);
    else if (r->drill != NULL)
        own_drill(r, &own);
    else if (r->script != NULL && r->script->answer != NULL)
        own_script(r, &own);
    else if (request_route(r)->action == ROUTE_REDIRECT)
        own_redirect(r, &own);
    else if (request_route(r)->action == ROUTE_RESPOND)
        own_respond(r, &own);
    else
        own_last_hop(r, &own);
    own_queue(r, &own);
}
