/* http/h2_read.c - what the peer's frames mean: nghttp2's callbacks of the way in, and the events they become.
 *
 * After each event the stream may be detached or gone, so it is looked up again by its id before anything else is done
 * with it. */
#include "http/h2_parts.h"

#define NO_LENGTH        UINT64_MAX
#define FRAME_HEAD_BYTES 9

/* Streams take turns: by default nghttp2 would serve the oldest one alone for as long as it has bytes. */
static const nghttp2_extpri fair = { .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1 };

/* The stream again, if the event has left it and the session alone. */
static struct h2_stream *stream_after_event(struct h2 *h, int32_t id)
{
    return h->is_over ? NULL : h2_stream_of(h, id);
}

/* ---- ends ---------------------------------------------------------------------------------------------------------- */

/* The rules were broken in this stream. */
static void stream_fail(struct h2 *h, struct h2_stream *s, enum reason reason, const char *detail)
{
    struct h2_closing how = {
        .cause = H2_MALFORMED,
        .error = H2_PROTOCOL_ERROR,
        .reason = reason,
        .detail = detail,
    };
    h2_reset(s, H2_PROTOCOL_ERROR);
    h->events->on_closed(s, &how);
    h2_charge(h, H2_COST_FAULT);
}

static void body_fail(struct h2 *h, struct h2_stream *s, const char *detail)
{
    stream_fail(h, s, h->role == H2_SERVER ? REASON_MALFORMED : REASON_UPSTREAM_INVALID, detail);
}

/* END_STREAM came, and everything before it was told. */
static void read_end(struct h2 *h, struct h2_stream *s)
{
    if (s->read_state == H2_READ_HEAD) {
        body_fail(h, s, "the stream ends without a head");
        return;
    }
    if (s->expected_bytes != NO_LENGTH && s->received_bytes != s->expected_bytes) { /* RFC 9113 8.1.1 */
        body_fail(h, s, "the body is shorter than Content-Length");
        return;
    }
    bool is_told = s->read_state == H2_READ_BODY;
    s->read_state = H2_READ_END;
    if (is_told)
        h->events->on_end(s);
}

/* ---- heads --------------------------------------------------------------------------------------------------------- */

static void begin_block(struct h2 *h, struct h2_stream *s)
{
    struct message *m = s->message;
    enum h2_block block = H2_BLOCK_TRAILERS;
    if (s->read_state == H2_READ_HEAD)
        block = h->role == H2_SERVER ? H2_BLOCK_REQUEST : H2_BLOCK_RESPONSE;
    if (block == H2_BLOCK_TRAILERS)
        m = h->trailers = arena_zalloc(s->arena, sizeof(*m));
    if (block == H2_BLOCK_RESPONSE) {
        m->method = s->request_method;
        m->upgrade = s->upgrade;
    } else {
        m->upgrade = SLICE_NONE;
    }
    h2_head_begin(&h->head, block, &h->limits.head, s->head_bytes, s->arena, m);
    h->reading = s;
}

int h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    h->reading = NULL;
    h->seen_bytes += (int64_t)frame->hd.length + FRAME_HEAD_BYTES;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return h2_verdict(h);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct h2_stream *s = h->events->on_begin(h);
        if (s == NULL) {
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, H2_REFUSED_STREAM);
            h2_charge(h, H2_COST_RESET);
            return h2_verdict(h);
        }
        h2_attach(h, s, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
        nghttp2_session_change_extpri_stream_priority(session, frame->hd.stream_id, &fair, 1);
    }
    struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s != NULL && s->read_state < H2_READ_REFUSED)
        begin_block(h, s);
    return h2_verdict(h);
}

int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                 const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    (void)frame;
    (void)flags;
    if (h->reading != NULL)
        h2_head_field(&h->head, slice_from((const char *)name, name_len), slice_from((const char *)value, value_len));
    return h2_verdict(h);
}

static uint64_t expected_bytes_of(const struct message *m)
{
    if (m->framing == BODY_CHUNKED || m->is_upgrade)
        return NO_LENGTH;
    return m->framing == BODY_LENGTH ? m->content_length : 0;
}

static void refuse_head(struct h2 *h, struct h2_stream *s, bool is_end)
{
    enum reason reason = h->head.reason;
    s->read_state = is_end ? H2_READ_END : H2_READ_REFUSED;
    s->expected_bytes = NO_LENGTH;
    h2_charge(h, H2_COST_FAULT);
    if (!h->is_over)
        h->events->on_refused(s, reason, h->head.error_detail);
}

static void accept_head(struct h2 *h, struct h2_stream *s, bool is_end)
{
    const struct message *m = s->message;
    int32_t id = s->id;
    bool is_interim = m->is_response && m->status < 200 && m->status != 101;
    if (!is_interim) {
        s->read_state = H2_READ_BODY;
        s->is_tunnel = m->is_upgrade;
        s->expected_bytes = expected_bytes_of(m);
    }
    if (s->upgrade.len > 0 && !is_interim && !m->is_upgrade)
        h2_send_end(s, NULL); /* there will be no tunnel */
    h->events->on_head(s);
    s = stream_after_event(h, id);
    if (s != NULL && is_end)
        read_end(h, s);
}

static void end_trailers(struct h2 *h, struct h2_stream *s)
{
    int32_t id = s->id;
    if (h->trailers->field_count > 0)
        h->events->on_trailers(s, h->trailers);
    s = stream_after_event(h, id);
    if (s != NULL)
        read_end(h, s);
}

static void end_block(struct h2 *h, struct h2_stream *s, bool is_end)
{
    h->reading = NULL;
    s->head_bytes = h->head.bytes;
    if (h2_head_end(&h->head, is_end)) {
        if (h->head.block == H2_BLOCK_TRAILERS)
            end_trailers(h, s);
        else
            accept_head(h, s, is_end);
    } else if (h->head.is_answerable) {
        refuse_head(h, s, is_end);
    } else {
        stream_fail(h, s, h2_head_reason(&h->head, h->role == H2_CLIENT), h->head.error_detail);
    }
}

/* ---- bodies -------------------------------------------------------------------------------------------------------- */

int h2_on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct h2 *h = arg;
    (void)flags;
    struct h2_stream *s = h2_stream_of(h, id);
    /* The connection's window at once; the stream's when the owner has passed the bytes on. */
    nghttp2_session_consume_connection(session, len);
    if (s == NULL)
        return h2_verdict(h);
    if (s->read_state != H2_READ_BODY) {
        nghttp2_session_consume_stream(session, id, len);
        if (s->read_state == H2_READ_HEAD)
            body_fail(h, s, "DATA before the head");
        return h2_verdict(h);
    }
    if (len > h->limits.stream_window_bytes - s->unconsumed_bytes)
        return h2_verdict(h); /* beyond the window: nghttp2 has reset the stream, and hands the bytes on all the same */
    s->received_bytes += len;
    if (s->received_bytes > s->expected_bytes) {
        body_fail(h, s, "the body is longer than Content-Length, or may not be there");
        return h2_verdict(h);
    }
    s->unconsumed_bytes += (uint32_t)len;
    h->events->on_data(s, slice_from((const char *)data, len));
    return h2_verdict(h);
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

static uint32_t frame_cost(const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_DATA:
        return hd->length == 0 && (hd->flags & NGHTTP2_FLAG_END_STREAM) == 0 ? H2_COST_EMPTY : 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM: /* counted where it is known what it ends */
        return 0;
    case NGHTTP2_SETTINGS:
        return (hd->flags & NGHTTP2_FLAG_ACK) != 0 ? H2_COST_FRAME : H2_COST_SETTINGS;
    case NGHTTP2_PING:
        return H2_COST_PING;
    default:
        return H2_COST_FRAME;
    }
}

/* HEADERS for a stream that is over, and that it was not us who ended early: an id that is too small, or used twice. DATA for one
   is thrown away, which RFC 9113 5.1 leaves to us, and counts as waste. */
static bool is_on_closed_stream(struct h2 *h, const nghttp2_frame_hd *hd)
{
    if (h->role == H2_CLIENT || hd->type != NGHTTP2_HEADERS)
        return false;
    return (hd->stream_id & 1) != 0 && hd->stream_id <= nghttp2_session_get_last_proc_stream_id(h->session) &&
           nghttp2_session_find_stream(h->session, hd->stream_id) == NULL &&
           !h2_resets_may_hold(&h->resets, hd->stream_id);
}

/* What nghttp2 overlooks as we have set it up. */
static void check_frame(struct h2 *h, const nghttp2_frame_hd *hd)
{
    if (is_on_closed_stream(h, hd)) /* RFC 9113 5.1.1 */
        h2_fail(h, H2_STREAM_CLOSED, "HEADERS for a stream that is over");
    if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0) /* RFC 9113 6.3 */
        h2_fail(h, H2_PROTOCOL_ERROR, "PRIORITY for the connection");
}

int h2_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    if (hd->type != NGHTTP2_HEADERS) /* they count when somebody reads them */
        h->seen_bytes += (int64_t)hd->length + FRAME_HEAD_BYTES;
    uint32_t cost = frame_cost(hd);
    if (cost > 0)
        h2_charge(h, cost);
    check_frame(h, hd);
    return h2_verdict(h);
}

static void on_goaway_frame(struct h2 *h, const nghttp2_goaway *goaway)
{
    h->is_goaway_received = true;
    if (goaway->error_code != NGHTTP2_NO_ERROR && h->failure == 0) {
        h->failure = goaway->error_code;
        h->failure_detail = "the peer sent GOAWAY";
    }
    if (h->events->on_goaway != NULL)
        h->events->on_goaway(h, goaway->error_code);
}

/* HEADERS or DATA are complete. */
static void on_message_frame(struct h2 *h, const nghttp2_frame_hd *hd)
{
    bool is_end = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct h2_stream *s = h2_stream_of(h, hd->stream_id);
    if (s == NULL)
        return;
    if (hd->type == NGHTTP2_HEADERS && h->reading == s)
        end_block(h, s, is_end);
    else if (is_end)
        read_end(h, s);
}

/* DATA of nothing but padding is as empty as can be. */
static void charge_padding(struct h2 *h, const nghttp2_frame *frame)
{
    const nghttp2_frame_hd *hd = &frame->hd;
    bool is_end = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (hd->type == NGHTTP2_DATA && !is_end && hd->length > 0 && hd->length == frame->data.padlen)
        h2_charge(h, H2_COST_EMPTY);
}

int h2_on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        charge_padding(h, frame);
        on_message_frame(h, &frame->hd);
        break;
    case NGHTTP2_RST_STREAM:
        h->peer_reset_id = frame->hd.stream_id;
        if (h2_stream_of(h, frame->hd.stream_id) == NULL)
            h2_charge(h, H2_COST_FRAME);
        break;
    case NGHTTP2_SETTINGS:
        if (!is_ack && h->events->on_settings != NULL)
            h->events->on_settings(h);
        break;
    case NGHTTP2_PING:
        if (is_ack)
            h2_on_pong(h, frame->ping.opaque_data);
        break;
    case NGHTTP2_GOAWAY:
        on_goaway_frame(h, &frame->goaway);
        break;
    default:
        break;
    }
    return h2_verdict(h);
}

/* ---- a stream is gone ---------------------------------------------------------------------------------------------- */

/* What the owner wanted has gone through, whatever came behind it. */
static bool is_complete(const struct h2 *h, const struct h2_stream *s)
{
    return h->role == H2_SERVER ? s->write_state == H2_WRITE_GONE : s->read_state == H2_READ_END;
}

static struct h2_closing closing_of(const struct h2 *h, const struct h2_stream *s, uint32_t error)
{
    bool is_client = h->role == H2_CLIENT;
    bool is_peers = h->peer_reset_id == s->id;
    if (is_complete(h, s) && (error == NGHTTP2_NO_ERROR || !s->is_tunnel))
        return (struct h2_closing){ .cause = H2_COMPLETE, .error = error, .reason = REASON_NONE, .detail = "" };
    struct h2_closing how = {
        .cause = H2_PEER_RESET,
        .error = error,
        .reason = is_client ? REASON_UPSTREAM_RESET : REASON_CLIENT_ABORTED,
        .detail = "the peer reset the stream",
        .is_unprocessed = is_client && error == NGHTTP2_REFUSED_STREAM,
    };
    if (how.is_unprocessed && !is_peers) {
        how.cause = H2_LOST;
        how.detail = "the peer takes no more streams";
    } else if (!is_peers) {
        how.cause = H2_MALFORMED;
        how.reason = is_client ? REASON_UPSTREAM_INVALID : REASON_MALFORMED;
        how.detail = "the peer broke the rules of streams";
    }
    return how;
}

int h2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    struct h2_stream *s = h2_stream_of(h, id);
    if (h->role == H2_CLIENT)
        h->begun_count--;
    if (s != NULL) {
        struct h2_closing how = closing_of(h, s, error);
        h2_detach(s);
        if (how.cause == H2_COMPLETE)
            h2_guard_earn(&h->guard, H2_EARN_STREAM);
        else if (how.cause == H2_PEER_RESET)
            h2_charge(h, H2_COST_RESET);
        h->events->on_closed(s, &how);
    }
    h->peer_reset_id = 0;
    return 0;
}
