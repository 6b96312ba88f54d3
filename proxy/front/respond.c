/* front/respond.c - what goes back to the client: relayed answers and the proxy's own.
 *
 * Relayed or our own, an answer's framing is decided here by what the client can read (HTTP/1.0 knows no chunks),
 * not by how the upstream sent it; the codec writes it. An answer that was begun is never replaced: what goes wrong
 * later cuts the connection. */
#include "front/respond.h"

#include "base/check.h"
#include "front/edits.h"
#include "http/validate.h"

#include <time.h>

#define HEAD_MARGIN_BYTES 256
#define COPY_BELOW_BYTES  1024 /* shorter pieces are copied behind the head: one write of one run of bytes */

/* ---- heads --------------------------------------------------------------------------------------------------------- */

static void queue_head(struct request *r, const struct message *m, const struct h1_write *w)
{
    struct stream *s = &r->client->stream;
    uint32_t room = (uint32_t)h1_head_bytes(m) + HEAD_MARGIN_BYTES;
    char *out = stream_reserve(s, room);
    size_t written = h1_write_response(m, w, out, room);
    CHECK(written > 0);
    stream_commit(s, (uint32_t)written);
}

/* Does the connection end with this answer? */
static bool is_last_answer(struct request *r)
{
    const struct limits_config *limits = &request_config(r)->limits;
    struct client *c = r->client;
    struct front *f = r->front;
    int64_t age_ms = mono_diff_us(loop_now(f->loop), c->accepted) / 1000;
    bool is_too_old = limits->max_connection_age_ms != 0 && age_ms >= limits->max_connection_age_ms;
    return r->is_close_due || c->is_close_due || !r->message.is_keep_alive || f->is_draining || is_too_old;
}

static struct h1_write write_of(struct request *r, enum body_framing framing)
{
    bool is_1_0 = r->message.version_minor == 0;
    r->is_close_due = is_last_answer(r) || framing == BODY_UNTIL_CLOSE;
    return (struct h1_write){ .framing = framing,
                              .is_close = r->is_close_due,
                              .is_keep_alive_1_0 = is_1_0 && !r->is_close_due };
}

void respond_interim(struct request *r, struct message *response)
{
    if (r->message.version_minor == 0 || (response->status == 100 && !r->message.expects_continue))
        return; /* RFC 9110 15.2: HTTP/1.0 does not know them; a 100 that nobody waits for says nothing */
    hop_by_hop_drop(response);
    struct h1_write w = { .framing = BODY_NONE };
    queue_head(r, response, &w);
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
    const struct route_config *route = request_route(r);
    if (route == NULL)
        return;
    edits_apply(response, &r->arena, &route->response_headers);
    if (r->decision.why == WHY_ISSUED)
        issue_cookie(r, response);
    if (route->is_variant_exposed && r->decision.upstream_index != CONFIG_NONE)
        message_add(response, &r->arena, FIELD_X_WEIR_UPSTREAM, field_names[FIELD_X_WEIR_UPSTREAM],
                    request_config(r)->upstreams[r->decision.upstream_index].name);
}

/* How the client gets a body that the upstream sends so. */
static enum body_framing relayed_framing(const struct request *r, const struct message *response)
{
    bool is_of_open_length = response->framing == BODY_CHUNKED || response->framing == BODY_UNTIL_CLOSE;
    if (!is_of_open_length)
        return response->framing;
    return r->message.version_minor == 0 ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
}

static bool begin_tunnel(struct request *r, struct message *response)
{
    if (!r->message.is_upgrade || !r->is_body_done)
        return false; /* nobody asked for it (RFC 9110 15.2.2), or has asked to the end (7.8) */
    struct slice protocol = arena_copy(&r->arena, response->upgrade);
    hop_by_hop_drop(response);
    apply_route(r, response);
    struct h1_write w = { .framing = BODY_NONE, .upgrade = protocol };
    queue_head(r, response, &w);
    r->is_tunnel = r->is_close_due = true;
    return true;
}

bool respond_head(struct request *r, struct message *response)
{
    r->endpoint =
        arena_copy(&r->arena, slice_from_cstr(r->exchange.endpoint->label)); /* which may leave before we do */
    if (response->status == 101) {
        if (!begin_tunnel(r, response))
            return false;
    } else {
        hop_by_hop_drop(response);
        apply_route(r, response);
        r->response_framing = relayed_framing(r, response);
        struct h1_write w = write_of(r, r->response_framing);
        w.has_content_length = response->has_content_length;
        w.content_length = response->content_length;
        queue_head(r, response, &w);
    }
    r->status = response->status;
    r->is_answer_begun = true;
    return true;
}

/* ---- bodies ---------------------------------------------------------------------------------------------------------- */

void respond_data(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct stream *s = &r->client->stream;
    bool is_chunked = r->response_framing == BODY_CHUNKED && !r->is_tunnel;
    r->sent_bytes += length;
    if (is_chunked) {
        char size[18];
        stream_push_copy(s, size, (uint32_t)h1_write_chunk_size(length, size));
    }
    if (length < COPY_BELOW_BYTES)
        stream_push_copy(s, chunk->bytes + offset, length);
    else
        stream_push(s, chunk, offset, length);
    if (is_chunked)
        stream_push_copy(s, "\r\n", 2);
}

void respond_end(struct request *r, struct message *trailers)
{
    if (r->response_framing != BODY_CHUNKED || r->is_tunnel)
        return;
    struct stream *s = &r->client->stream;
    if (trailers != NULL)
        trailers_filter(trailers);
    uint32_t room = (uint32_t)(trailers != NULL ? h1_head_bytes(trailers) : 0) + HEAD_MARGIN_BYTES;
    size_t written = h1_write_last_chunk(trailers, stream_reserve(s, room), room);
    CHECK(written > 0);
    stream_commit(s, (uint32_t)written);
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

/* IMF-fixdate (RFC 9110 5.6.7). */
static struct slice http_date(struct request *r)
{
    struct tm tm;
    time_t seconds = (time_t)(clock_wall().unix_ms / 1000);
    char *text = arena_alloc(&r->arena, 32);
    gmtime_r(&seconds, &tm);
    return slice_from(text, strftime(text, 32, "%a, %d %b %Y %H:%M:%S GMT", &tm));
}

static void own_queue(struct request *r, struct own_answer *own)
{
    bool is_bodiless = own->head.status == 204 || own->head.status == 304;
    own_add(r, own, FIELD_DATE, http_date(r));
    apply_route(r, &own->head);
    struct h1_write w = write_of(r, own->body.len > 0 && !is_bodiless ? BODY_LENGTH : BODY_NONE);
    w.has_content_length = !is_bodiless;
    w.content_length = own->body.len;
    if (r->message.method == METHOD_HEAD)
        w.framing = BODY_NONE;
    queue_head(r, &own->head, &w);
    if (w.framing == BODY_LENGTH) {
        stream_push_copy(&r->client->stream, own->body.ptr, (uint32_t)own->body.len);
        r->sent_bytes = own->body.len;
    }
    r->status = own->head.status;
    r->is_answer_begun = true;
}

static void own_reason(struct request *r, struct own_answer *own)
{
    const struct reason_row *row = &reason_rows[r->reason];
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

/* TRACE and OPTIONS whose Max-Forwards ran out here. */
static void own_last_hop(struct request *r, struct own_answer *own)
{
    own_begin(r, own, r->message.method == METHOD_OPTIONS ? 200 : 405);
    message_add(&own->head, &r->arena, FIELD_OTHER, SLICE("Allow"), SLICE("OPTIONS"));
}

void respond_own(struct request *r)
{
    struct own_answer own;
    if (!r->is_body_done)
        r->is_body_done = client_discard_body(r->client);
    if (!r->is_body_done)
        r->is_close_due = true; /* what is left of the body must not be read as a request */
    if (r->reason != REASON_NONE)
        own_reason(r, &own);
    else if (request_route(r)->action == ROUTE_REDIRECT)
        own_redirect(r, &own);
    else if (request_route(r)->action == ROUTE_RESPOND)
        own_respond(r, &own);
    else
        own_last_hop(r, &own);
    own_queue(r, &own);
}
