/* front/client_h2.c - HTTP/2 on a client's connection: many requests at once, each a stream of one session.
 *
 * The session (http/h2.h) understands bytes; its events become calls of the request they are for
 * (front/client_h2_events.c), and a request's answer goes back to its stream here. Nothing a request does closes the
 * client: what it queues waits until the turn ends, and then leaves together with everything else that the turn brought
 * for this connection (client_h2_flush_all). */
#include "front/client_h2.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/client_h2_parts.h"
#include "net/tls.h"

#define READS_PER_TURN   4
#define COPY_BELOW_BYTES 512  /* shorter pieces are copied beside their frame heads: fewer pieces to write */
#define GOODBYE_GRACE_MS 1000 /* for the peer to answer the PING behind our GOAWAY: one round trip, and patience */

static bool is_attached(const struct request *r)
{
    return r->h2.stream.session != NULL;
}

void client_h2_flush_later(struct client *c)
{
    if (c->state == CLIENT_CLOSED || list_is_linked(&c->h2->flush_link))
        return;
    list_append(&c->front->flush_due, &c->h2->flush_link);
    loop_repeat_hooks(c->front->loop);
}

static void output_write(void *owner, const void *bytes, uint32_t length)
{
    struct client_h2 *h = owner;
    stream_push_copy(&h->client->stream, bytes, length);
}

static void output_push(void *owner, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct client_h2 *h = owner;
    if (length < COPY_BELOW_BYTES)
        stream_push_copy(&h->client->stream, chunk->bytes + offset, length);
    else
        stream_push(&h->client->stream, chunk, offset, length);
}

static const struct h2_output h2_output = { .write = output_write, .push = output_push };

/* ---- the connection ---------------------------------------------------------------------------------------------------- */

/* Arms the timer for what is due next while there are requests; without one, idle_timeout runs. */
static void arm_timer(struct client *c)
{
    struct client_h2 *h = c->h2;
    const struct limits_config *limits = client_limits(c);
    int64_t due_us = INT64_MAX;
    if (h->heading != NULL)
        due_us = h->head_due.us;
    if (h->is_leaving && list_is_empty(&h->requests)) /* else the last answer is the end */
        due_us = h->goodbye_due.us;
    if (!h->is_leaving && limits->max_connection_age_ms != 0) {
        int64_t end_us = mono_add_ms(c->accepted, limits->max_connection_age_ms).us;
        due_us = end_us < due_us ? end_us : due_us;
    }
    if (due_us == INT64_MAX)
        timer_stop(c->front->loop, &c->timer);
    else
        timer_start(c->front->loop, &c->timer, (due_us - loop_now(c->front->loop).us + 999) / 1000);
}

/* The first of two GOAWAYs: requests that are on their way already are still taken. */
static void leave(struct client *c)
{
    struct client_h2 *h = c->h2;
    if (h->is_leaving)
        return;
    h->is_leaving = true;
    h->goodbye_due = mono_add_ms(loop_now(c->front->loop), GOODBYE_GRACE_MS);
    h2_shutdown(h->session);
    arm_timer(c);
    client_h2_flush_later(c);
}

/* Ends at once: requests that are left are aborted when the GOAWAY is out. */
static void leave_now(struct client *c, enum h2_error error)
{
    h2_goaway(c->h2->session, error);
    client_h2_flush_later(c);
}

/* The session is over and its last bytes are queued. */
static void end_connection(struct client *c)
{
    h2_close(c->h2->session);
    client_linger(c);
}

/* Do bytes wait for the peer to read? Our queue may be empty and the socket still take nothing. */
static bool has_unread(struct client *c)
{
    return c->stream.queued_bytes > 0 || stream_is_full(&c->stream);
}

/* No request is left: as long as idle_timeout allows. */
static void settle(struct client *c)
{
    struct client_h2 *h = c->h2;
    if (c->state == CLIENT_ACTIVE && list_is_empty(&h->requests)) {
        c->has_been_served = true;
        client_wait(c);
    }
    if (c->state == CLIENT_IDLE && h->is_leaving && has_unread(c))
        client_close_in(c, client_limits(c)->idle_timeout_ms); /* the last answers, and our GOAWAY behind them */
    else if (c->state == CLIENT_ACTIVE || h->is_leaving)
        arm_timer(c);
}

/* As much as the socket's queue has room for. */
static void send_some(struct client_h2 *h)
{
    if (h2_send(h->session, STREAM_HIGH_BYTES + 1 - h->client->stream.queued_bytes) == H2_OVER)
        h->is_over = true;
}

/* Writes until the socket's queue is full or nothing is left. */
static void send_all(struct client *c)
{
    struct client_h2 *h = c->h2;
    struct stream *s = &c->stream;
    bool has_written = true;
    if (stream_is_full(s)) /* answer_now has filled it */
        client_flush(c);
    while (c->state != CLIENT_CLOSED && has_written && !stream_is_full(s)) {
        uint32_t before_bytes = s->queued_bytes;
        send_some(h);
        has_written = s->queued_bytes > before_bytes && h2_has_output(h->session);
        stream_is_full(s); /* then on_drained follows, and the rest with it */
        client_flush(c);
    }
}

static void flush_client(struct client *c)
{
    if (c->state == CLIENT_CLOSED || c->state == CLIENT_LINGERING)
        return;
    send_all(c);
    if (c->state == CLIENT_CLOSED)
        return;
    if (c->h2->is_over && !h2_has_output(c->h2->session))
        end_connection(c);
    else
        settle(c);
}

void client_h2_flush_all(struct front *f)
{
    struct list *link;
    while ((link = list_pop(&f->flush_due)) != NULL)
        flush_client(LIST_ITEM(link, struct client_h2, flush_link)->client);
}

static void receive(struct client *c, struct chunk *chunk, uint32_t offset)
{
    struct client_h2 *h = c->h2;
    h->reading = chunk;
    if (h2_receive(h->session, slice_from(chunk->bytes + offset, chunk->used - offset), loop_now(c->front->loop)) ==
        H2_OVER)
        h->is_over = true;
    h->reading = NULL;
    client_h2_flush_touched(h);
}

static void receive_inbox(struct client *c)
{
    uint32_t offset = c->inbox.at;
    c->inbox.at = c->inbox.chunk->used;
    receive(c, c->inbox.chunk, offset);
}

static void on_eof(struct client *c)
{
    c->has_ended = true;
    stream_pause(&c->stream);
    if (c->state == CLIENT_ACTIVE)
        client_close(c);
    else
        client_linger(c); /* what is queued goes out first */
}

/* False: nothing more is to be read now. */
static bool read_once(struct client *c, bool *is_drained)
{
    enum stream_status status = inbox_fill(&c->inbox, &c->stream, 0, is_drained);
    if (status == STREAM_OK)
        receive_inbox(c);
    else if (status == STREAM_EOF)
        on_eof(c);
    else if (status == STREAM_ERROR)
        client_close(c);
    return status == STREAM_OK && !c->h2->is_over;
}

static void h2_on_readable(struct client *c)
{
    bool is_drained = false;
    for (int i = 0; i < READS_PER_TURN && !is_drained; i++) {
        if (c->h2->is_over || stream_is_full(&c->stream)) {
            stream_pause(&c->stream); /* who does not read our answers is not read either */
            return;
        }
        if (!read_once(c, &is_drained))
            break;
    }
    if (c->state != CLIENT_CLOSED)
        inbox_release_if_empty(&c->inbox);
    client_h2_flush_later(c);
}

static void h2_on_drained(struct client *c)
{
    if (!c->has_ended)
        stream_resume(&c->stream);
    client_h2_flush_later(c);
}

static void h2_on_timer(struct client *c)
{
    struct client_h2 *h = c->h2;
    struct mono_time now = loop_now(c->front->loop);
    if (h->heading != NULL && !mono_is_before(now, h->head_due)) {
        request_abort(TAKE(&h->heading), REASON_HEADER_TIMEOUT);
        leave_now(c, H2_ENHANCE_YOUR_CALM); /* in the middle of a header block nothing else can follow */
    } else if (c->state == CLIENT_IDLE && has_unread(c)) {
        client_close(c); /* nobody reads it */
        return;
    } else if (h->is_leaving && !mono_is_before(now, h->goodbye_due) && c->state == CLIENT_IDLE) {
        leave_now(c, H2_NO_ERROR);
    } else if (c->state == CLIENT_IDLE || client_is_too_old(c)) {
        leave(c);
    }
    client_h2_flush_later(c);
}

static void h2_on_close(struct client *c)
{
    list_remove(&c->h2->flush_link);
    h2_close(c->h2->session);
}

static void h2_cut_off(struct client *c)
{
    LIST_FOREACH_SAFE (link, &c->h2->requests) {
        struct request *r = LIST_ITEM(link, struct request, h2.link);
        if (r != c->h2->heading)
            request_on_error(r, REASON_DRAINING);
    }
    send_all(c);
    if (c->state != CLIENT_CLOSED)
        h2_goaway(c->h2->session, H2_NO_ERROR);
    send_all(c);
}

enum preface client_h2_recognise(const struct client *c)
{
    struct slice first_bytes = inbox_bytes(&c->inbox);
    struct tls_facts tls;
    if (stream_tls_facts(&c->stream, &tls) && slice_equal(tls.protocol, SLICE("h2")))
        return PREFACE_COMPLETE; /* agreed on: the session says what is wrong with other bytes */
    size_t length = sizeof(H2_PREFACE) - 1;
    size_t compared = first_bytes.len < length ? first_bytes.len : length;
    if (memcmp(first_bytes.ptr, H2_PREFACE, compared) != 0)
        return PREFACE_ABSENT;
    return compared == length ? PREFACE_COMPLETE : PREFACE_INCOMPLETE;
}

void client_h2_begin(struct client *c)
{
    struct front *f = c->front;
    struct client_h2 *h = memory_zalloc(sizeof *h);
    struct h2_limits limits = h2_limits_with(&f->current->request_limits);
    h->magic = CLIENT_H2_MAGIC;
    h->client = c;
    list_init(&h->flush_link);
    list_init(&h->requests);
    list_init(&h->touched);
    h->session = h2_create(f->upstreams.h2_pool, H2_SERVER, &limits, &client_h2_events, &h2_output, h);
    c->h2 = h;
    client_set_protocol(c, &client_h2);
    if (c->state == CLIENT_ACTIVE)
        client_wait(c);
    if (client_is_leaving(c))
        leave(c);
    receive_inbox(c);
    inbox_release_if_empty(&c->inbox);
    client_h2_flush_later(c);
}

void client_h2_destroy(struct client_h2 *h)
{
    CHECK_MAGIC(h, CLIENT_H2_MAGIC);
    h2_destroy(h->session);
    h->magic = 0;
    memory_free(h);
}

/* ---- answers ------------------------------------------------------------------------------------------------------------- */

static void h2_send_interim_head(struct request *r, const struct message *m)
{
    if (!is_attached(r) || (m->status == 100 && !r->message.expects_continue))
        return; /* a 100 that nobody waits for says nothing */
    struct h1_write w = { .framing = BODY_NONE };
    h2_send_head(&r->h2.stream, m, &w);
    client_h2_flush_later(r->client);
}

static void h2_send_final_head(struct request *r, const struct message *m)
{
    if (!is_attached(r))
        return;
    struct h1_write w = { .framing = m->framing,
                          .content_length = m->content_length,
                          .has_content_length = m->has_content_length,
                          .upgrade = m->status == 101 ? m->upgrade : SLICE_NONE };
    r->response_framing = m->framing;
    h2_send_head(&r->h2.stream, m, &w);
    client_h2_flush_later(r->client);
}

static void h2_send_body(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    if (is_attached(r))
        h2_send_data(&r->h2.stream, chunk, offset, length);
    client_h2_flush_later(r->client);
}

/* A whole answer becomes frames at once, and not when the turn ends: what it consists of is still in the caches, and what its
   request was made of is free for the next one. With a thousand streams that is a third of our time. */
static void answer_now(struct request *r)
{
    struct client_h2 *h = r->client->h2;
    if (h2_is_inside(h->session) || stream_is_full(&r->client->stream))
        return;
    h->answering = r;
    send_some(h);
    h->answering = NULL;
}

static void end_stream(struct request *r, const struct message *trailers)
{
    if (is_attached(r) && (r->is_tunnel || r->response_framing != BODY_NONE))
        h2_send_end(&r->h2.stream, trailers);
    client_h2_flush_later(r->client);
}

static void h2_send_last(struct request *r, const struct message *trailers)
{
    end_stream(r, trailers);
    if (is_attached(r) && !r->is_tunnel)
        answer_now(r);
}

static void h2_shutdown_tunnel(struct request *r)
{
    end_stream(r, NULL);
}

static void h2_flush(struct request *r)
{
    client_h2_flush_later(r->client);
}

static bool h2_is_queue_full(struct request *r)
{
    return is_attached(r) && h2_is_full(&r->h2.stream);
}

static bool h2_is_delivered(const struct request *r)
{
    return !is_attached(r);
}

static uint32_t h2_queued_bytes(const struct request *r)
{
    return r->h2.stream.out.bytes;
}

static void h2_pause(struct request *r)
{
    (void)r; /* its window closes by itself */
}

static bool h2_discard_body(struct request *r)
{
    pieces_clear(&r->h2.body, &r->front->loop->pieces);
    return r->h2.is_end_due;
}

static void h2_finish(struct request *r)
{
    client_h2_flush_later(r->client);
    request_free(r);
}

static void h2_forget(struct request *r)
{
    struct client_h2 *h = r->client->h2;
    if (is_attached(r))
        h2_reset(&r->h2.stream, r->is_cut ? H2_INTERNAL_ERROR : H2_NO_ERROR);
    if (h->delivering == r)
        h->delivering = NULL;
    if (h->heading == r)
        h->heading = NULL;
    list_remove(&r->h2.link);
    list_remove(&r->h2.touched_link);
    pieces_clear(&r->h2.body, &r->front->loop->pieces);
}

const struct client_protocol client_h2 = {
    .stats = STATS_HTTP2,
    .on_readable = h2_on_readable,
    .on_drained = h2_on_drained,
    .on_timer = h2_on_timer,
    .on_drain = leave,
    .on_close = h2_on_close,
    .cut_off = h2_cut_off,
    .send_interim = h2_send_interim_head,
    .send_head = h2_send_final_head,
    .send_data = h2_send_body,
    .send_end = h2_send_last,
    .shutdown = h2_shutdown_tunnel,
    .flush = h2_flush,
    .is_full = h2_is_queue_full,
    .is_delivered = h2_is_delivered,
    .queued_bytes = h2_queued_bytes,
    .pause = h2_pause,
    .resume = client_h2_go_on,
    .discard_body = h2_discard_body,
    .finish = h2_finish,
    .forget = h2_forget,
};
