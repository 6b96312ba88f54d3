/* http/h2_write.c - what we send in a stream: heads, bodies, ends, resets; nghttp2's callbacks of the way out. */
#include "http/h2_parts.h"

#define PACK_BEHIND_BYTES 4096 /* shorter pieces behind so much are copied together: see base/pieces.h */

void h2_stream_init(struct h2_stream *s, struct arena *arena, struct message *message)
{
    memset(s, 0, sizeof(*s));
    s->magic = H2_STREAM_MAGIC;
    s->arena = arena;
    s->message = message;
    s->expected_bytes = UINT64_MAX;
    list_init(&s->link);
    list_init(&s->room_link);
    pieces_init(&s->out);
}

void h2_attach(struct h2 *h, struct h2_stream *s, int32_t id)
{
    CHECK_MAGIC(s, H2_STREAM_MAGIC);
    CHECK(s->session == NULL && s->id == 0);
    s->session = h;
    s->id = id;
    list_append(&h->streams, &s->link);
    h->stream_count++;
}

void h2_detach(struct h2_stream *s)
{
    struct h2 *h = s->session;
    if (h->reading == s)
        h->reading = NULL;
    list_remove(&s->link);
    list_remove(&s->room_link);
    pieces_clear(&s->out, h->pool->pieces);
    h->stream_count--;
    s->session = NULL;
}

void h2_reset(struct h2_stream *s, enum h2_error error)
{
    CHECK_MAGIC(s, H2_STREAM_MAGIC);
    struct h2 *h = s->session;
    if (h == NULL)
        return;
    nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
    nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, (uint32_t)error);
    if (s->read_state != H2_READ_END)
        h->seen_bytes += h->limits.stream_window_bytes; /* may be on its way, in vain */
    h2_detach(s);
}

void h2_consume(struct h2_stream *s, uint32_t bytes)
{
    CHECK_MAGIC(s, H2_STREAM_MAGIC);
    if (s->session == NULL || bytes == 0)
        return;
    CHECK(bytes <= s->unconsumed_bytes);
    s->unconsumed_bytes -= bytes;
    nghttp2_session_consume_stream(s->session->session, s->id, bytes);
}

/* ---- heads and bodies ---------------------------------------------------------------------------------------------- */

static void submit_trailers(struct h2_stream *s)
{
    struct h2_pool *pool = s->session->pool;
    size_t count = h2_nv_trailers(pool, s->out_trailers);
    nghttp2_submit_trailer(s->session->session, s->id, pool->nvs, count);
}

/* How much of the queue goes into the next DATA frame, which h2_send_data_cb then writes. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    (void)buffer;
    (void)source;
    struct h2_stream *s = h2_stream_of(h, id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* detached: RST_STREAM is on its way */
    size_t count = s->out.bytes < length ? s->out.bytes : length;
    bool is_end = s->write_state == H2_WRITE_END && count == s->out.bytes;
    if (count == 0 && !is_end)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (is_end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (is_end && s->out_trailers != NULL) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(s);
    }
    return (ssize_t)count;
}

int h2_send_data_cb(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                    nghttp2_data_source *source, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    (void)source;
    struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);
    CHECK(s != NULL);
    h->output->write(h->owner, head, 9);
    h->sent_bytes += 9 + length;
    h2_guard_earn(&h->guard, H2_EARN_DATA + (uint32_t)(length / H2_EARN_BYTES));
    while (length > 0) {
        const struct piece *p = pieces_front(&s->out);
        uint32_t part = p->length < length ? p->length : (uint32_t)length;
        h->output->push(h->owner, p->chunk, p->offset, part);
        pieces_consume(&s->out, h->pool->pieces, part);
        length -= part;
    }
    if (s->is_above_high && s->out.bytes < H2_LOW_BYTES && !list_is_linked(&s->room_link))
        list_append(&h->rooms, &s->room_link);
    return h->sent_bytes >= h->budget_bytes ? NGHTTP2_ERR_PAUSE : 0;
}

static const nghttp2_data_provider body_provider = { .read_callback = read_body };

/* The head with or without a body behind it. */
static void head_is_given(struct h2_stream *s, bool has_body)
{
    s->write_state = has_body ? H2_WRITE_BODY : H2_WRITE_END;
}

void h2_send_head(struct h2_stream *s, const struct message *m, const struct h1_write *w)
{
    CHECK_MAGIC(s, H2_STREAM_MAGIC);
    struct h2 *h = s->session;
    if (h == NULL)
        return;
    CHECK(h->role == H2_SERVER && s->write_state == H2_WRITE_HEAD);
    bool is_tunnel = m->status == 101;
    size_t count = h2_nv_response(h->pool, m, is_tunnel ? 200 : m->status, w);
    if (m->status < 200 && !is_tunnel) {
        nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, s->id, NULL, h->pool->nvs, count, NULL);
        return;
    }
    bool has_body = is_tunnel || w->framing != BODY_NONE;
    s->is_tunnel = is_tunnel;
    head_is_given(s, has_body);
    nghttp2_submit_response(h->session, s->id, h->pool->nvs, count, has_body ? &body_provider : NULL);
}

bool h2_is_closing(const struct h2 *h)
{
    return h->is_over || h->is_shutting_down || h->is_goaway_received || h->has_used_up_ids;
}

uint32_t h2_peer_max_streams(const struct h2 *h)
{
    return nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool h2_can_begin(const struct h2 *h)
{
    return !h2_is_closing(h) && h->begun_count < h2_peer_max_streams(h);
}

bool h2_can_upgrade(const struct h2 *h)
{
    return nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool h2_begin(struct h2 *h, struct h2_stream *s, const struct message *m, struct slice target, struct slice scheme,
              const struct h1_write *w)
{
    CHECK_MAGIC(h, H2_MAGIC);
    CHECK(h->role == H2_CLIENT);
    if (!h2_can_begin(h))
        return false;
    bool has_body = w->framing != BODY_NONE || w->upgrade.len > 0;
    size_t count = h2_nv_request(h->pool, m, target, scheme, w);
    int32_t id = nghttp2_submit_request(h->session, NULL, h->pool->nvs, count, has_body ? &body_provider : NULL, s);
    if (id < 0) {
        h->has_used_up_ids = true;
        return false;
    }
    h->has_used_up_ids = id > INT32_MAX - 2;
    h->begun_count++;
    h2_attach(h, s, id);
    s->request_method = m->method;
    s->upgrade = w->upgrade.len > 0 ? arena_copy(s->arena, w->upgrade) : SLICE_NONE;
    head_is_given(s, has_body);
    return true;
}

static void resume(struct h2_stream *s)
{
    nghttp2_session_resume_data(s->session->session, s->id);
}

void h2_send_data(struct h2_stream *s, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    CHECK_MAGIC(s, H2_STREAM_MAGIC);
    if (s->session == NULL || length == 0)
        return;
    CHECK(s->write_state == H2_WRITE_BODY);
    struct h2_pool *pool = s->session->pool;
    if (s->out.bytes >= PACK_BEHIND_BYTES && length < PACK_BEHIND_BYTES)
        pieces_pack(&s->out, pool->pieces, pool->chunks, chunk->bytes + offset, length);
    else
        pieces_push(&s->out, pool->pieces, chunk, offset, length);
    resume(s);
}

void h2_send_copy(struct h2_stream *s, struct slice bytes)
{
    CHECK_MAGIC(s, H2_STREAM_MAGIC);
    if (s->session == NULL || bytes.len == 0)
        return;
    CHECK(s->write_state == H2_WRITE_BODY);
    struct h2_pool *pool = s->session->pool;
    pieces_pack(&s->out, pool->pieces, pool->chunks, bytes.ptr, (uint32_t)bytes.len);
    resume(s);
}

void h2_send_end(struct h2_stream *s, const struct message *trailers)
{
    CHECK_MAGIC(s, H2_STREAM_MAGIC);
    if (s->session == NULL || s->write_state != H2_WRITE_BODY)
        return;
    s->write_state = H2_WRITE_END;
    s->out_trailers = trailers != NULL && trailers->field_count > 0 ? trailers : NULL;
    resume(s);
}

/* ---- frames that left ---------------------------------------------------------------------------------------------- */

/* The answer is complete. Who still sends the request is told to stop, without blame (RFC 9113 8.1). */
static void end_is_written(struct h2 *h, struct h2_stream *s)
{
    s->write_state = H2_WRITE_GONE;
    if (h->role == H2_CLIENT || s->read_state == H2_READ_END || s->is_tunnel)
        return;
    nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    h->seen_bytes += h->limits.stream_window_bytes;
}

/* nghttp2 ends a session by itself when the peer breaks a rule of the connection. */
static void goaway_is_written(struct h2 *h, const nghttp2_goaway *goaway)
{
    if (goaway->error_code == NGHTTP2_NO_ERROR || h->is_over)
        return;
    h->is_over = true;
    h->failure = goaway->error_code;
    h->failure_detail = "the peer broke a rule of the connection";
}

int h2_on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        goaway_is_written(h, &frame->goaway);
    if (frame->hd.type > NGHTTP2_RST_STREAM) /* no DATA, HEADERS, PRIORITY or RST_STREAM */
        return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        h2_resets_add(&h->resets, frame->hd.stream_id);
    struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);
    if (s == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        s->is_head_written = true;
    /* A reset nobody here asked for: the peer broke a rule that nghttp2 watches (CVE-2025-8671). */
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        h2_charge(h, H2_COST_FAULT);
    if (frame->hd.type != NGHTTP2_RST_STREAM && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        end_is_written(h, s);
    return 0;
}
