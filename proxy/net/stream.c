/* net/stream.c - a connected byte stream with an exact write queue and back-pressure: TCP or a UNIX socket, plain or TLS.
 *
 * The write queue is a queue of pieces (base/pieces.h). Small writes of all streams are packed into one scratch chunk
 * per turn, so that a head and a short body are one run of bytes, and sending them costs no allocation.
 *
 * With TLS there are two queues: what the owner pushed, and what of it is encrypted already (net/tls.h). A flush moves
 * bytes from the first to the second as long as the kernel takes them, so that what waits, waits as plain text. */
#include "net/stream.h"

#include "base/memory.h"
#include "net/tls.h"
#include "stats/counters.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_MAGIC     0x5354524du
#define PACK_BELOW_BYTES 4096 /* a queued chunk of 16 KiB is a quarter full at least: the high mark bounds memory too */

static enum stream_status stream_send(struct stream *s, struct pieces *queue);
static void send_before_close(struct stream *s, const struct pieces *queue);

/* S3 */
static void count_queued(struct stream *s)
{
    s->queued_bytes = s->out.bytes + (s->tls != NULL ? s->tls->cipher.bytes : 0);
}

static void queues_clear(struct stream *s)
{
    pieces_clear(&s->out, &s->loop->pieces);
    if (s->tls != NULL)
        pieces_clear(&s->tls->cipher, &s->loop->pieces);
    s->queued_bytes = 0;
}

/* ---- the write event: for the queue's sake, or to watch a peer that is not read ------------------------------------------- */

static enum stream_status stream_fail(struct stream *s, int error);

/* Registers the write event, which is not registered now. */
static void write_event_add(struct stream *s, short what, event_callback_fn callback)
{
    if (s->write_event == NULL) {
        s->write_event = event_new(s->loop->base, s->fd, what, callback, s);
        CHECK(s->write_event != NULL);
    } else {
        CHECK(event_assign(s->write_event, s->loop->base, s->fd, what, callback, s) == 0);
    }
    event_add(s->write_event, NULL);
}

static bool is_peer_gone(const struct stream *s)
{
    struct pollfd p = { .fd = s->fd };
    if (poll(&p, 1, 0) != 1)
        return false;
    return (p.revents & POLLERR) || ((p.revents & POLLHUP) && !s->has_shut_down); /* HUP: both directions are shut */
}

static void stream_watch_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    CHECK_MAGIC(s, STREAM_MAGIC);
    if (!is_peer_gone(s))
        return; /* it is only writable (told once, at the start), or sent FIN */
    stream_fail(s, ECONNRESET);
    s->events->on_drained(s);
}

/* Edge-triggered write interest: the kernel wakes us for it when the connection's state changes, never when bytes come. No other
   choice of events does: read interest would wake for every byte that nobody wants, and libevent 2.1 reports a reset as
   readable and writable, never as EV_CLOSED. It does not mix with level-triggered interest in the same descriptor, of which
   there is none: reading is paused, and while the write event is armed a reset is told by that. */
static void watch_add(struct stream *s)
{
    write_event_add(s, EV_WRITE | EV_ET | EV_PERSIST, stream_watch_cb);
}

static void watch_del(struct stream *s)
{
    if (s->is_watched && !s->is_write_armed)
        event_del(s->write_event);
    s->is_watched = false;
}

static void write_event_disarm(struct stream *s)
{
    if (!s->is_write_armed)
        return;
    event_del(s->write_event);
    s->is_write_armed = false;
    if (s->is_watched)
        watch_add(s);
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

/* Has TLS read ahead what the owner may read? The kernel knows nothing of it. */
static bool has_pending(const struct stream *s)
{
    return s->tls != NULL && !s->is_read_paused && !s->is_connecting && tls_has_pending(s->tls);
}

/* Who has not read it all is called again, in the next turn. */
static void wake_for_pending(struct stream *s)
{
    if (has_pending(s))
        loop_wake(s->loop, &s->wake);
}

static void read_event_stop(struct stream *s)
{
    event_del(&s->read_event);
    list_remove(&s->wake.link);
    s->is_read_paused = true;
}

/* The handshake goes on, on both sides: TCP is connected. */
static void stream_shake(struct stream *s)
{
    enum tls_result result = tls_handshake(s->tls);
    bool is_broken = stream_send(s, &s->tls->cipher) == STREAM_ERROR;
    if (result == TLS_AGAIN && !is_broken)
        return;
    s->is_connecting = false;
    if (result == TLS_FAILED)
        s->failure = s->tls->failure;
    s->events->on_connected(s, result == TLS_OK && !is_broken ? 0 : s->failure);
}

static void stream_read_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    CHECK_MAGIC(s, STREAM_MAGIC);
    if (s->is_connecting) {
        stream_shake(s);
        if (!has_pending(s))
            return;
        /* What came with the peer's last flight, often a whole request, needs no turn of its own. */
    }
    s->events->on_readable(s);
    wake_for_pending(s);
}

static void read_event_start(struct stream *s)
{
    event_assign(&s->read_event, s->loop->base, s->fd, EV_READ | EV_PERSIST, stream_read_cb, s);
    event_add(&s->read_event, NULL);
    s->is_read_paused = false;
}

static void stream_finish_connect(struct stream *s)
{
    int error = s->failure;
    socklen_t length = sizeof(error);
    if (error == 0 && getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    s->is_write_armed = false;
    event_del(s->write_event);
    if (error == 0)
        read_event_start(s);
    if (error == 0 && s->tls != NULL) {
        stream_shake(s);
        return;
    }
    s->is_connecting = false;
    s->events->on_connected(s, error);
}

static void stream_write_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    CHECK_MAGIC(s, STREAM_MAGIC);
    if (s->is_connecting && s->is_read_paused) { /* TCP */
        stream_finish_connect(s);
        return;
    }
    if (s->is_connecting) { /* a part of the handshake is still to be sent */
        stream_shake(s);
        return;
    }
    if (stream_flush(s) != STREAM_OK) {
        s->events->on_drained(s); /* the owner finds has_failed */
        return;
    }
    if (s->queued_bytes > 0 && !(s->is_above_high && s->queued_bytes < STREAM_LOW_BYTES))
        return;
    s->is_above_high = false;
    if (s->queued_bytes == 0)
        write_event_disarm(s);
    s->events->on_drained(s);
}

static void write_event_arm(struct stream *s)
{
    if (s->is_write_armed)
        return;
    if (s->is_watched)
        event_del(s->write_event);
    write_event_add(s, EV_WRITE | EV_PERSIST, stream_write_cb);
    s->is_write_armed = true;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static void stream_reset_fields(struct stream *s, struct loop *loop, int fd, const struct stream_events *events)
{
    s->magic = STREAM_MAGIC;
    s->fd = fd;
    s->loop = loop;
    s->events = events;
    pieces_init(&s->out);
    s->tls = NULL;
    s->queued_bytes = 0;
    s->is_connecting = s->is_above_high = s->is_write_armed = s->is_shutdown_due = false;
    s->has_shut_down = s->is_watched = s->has_failed = false;
    s->is_read_paused = true;
    s->is_read_drained = false;
    s->failure = 0;
    s->write_event = NULL;
    s->wake.event = &s->read_event;
    list_init(&s->wake.link);
    list_init(&s->unsent_link);
}

void stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_events *events)
{
    stream_reset_fields(s, loop, fd, events);
    read_event_start(s);
}

void stream_open_tls(struct stream *s, struct loop *loop, int fd, struct tls_context *context,
                     const struct stream_events *events)
{
    stream_open(s, loop, fd, events);
    s->tls = tls_open_server(loop, fd, context);
    s->is_connecting = true;
}

void stream_connect(struct stream *s, struct loop *loop, const struct sockaddr *address, socklen_t length,
                    const struct stream_events *events)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    stream_reset_fields(s, loop, fd, events);
    s->is_connecting = true;
    if (fd < 0) {
        s->failure = errno;
    } else {
        int yes = 1;
        if (address->sa_family != AF_UNIX)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        if (connect(fd, address, length) != 0 && errno != EINPROGRESS)
            s->failure = errno;
    }
    s->write_event = event_new(loop->base, fd, EV_WRITE | EV_PERSIST, stream_write_cb, s);
    CHECK(s->write_event != NULL);
    if (s->failure != 0)
        event_active(s->write_event, EV_WRITE, 0); /* on_connected never runs inside stream_connect */
    else
        event_add(s->write_event, NULL);
}

void stream_connect_tls(struct stream *s, struct loop *loop, const struct sockaddr *address, socklen_t length,
                        const struct stream_tls_target *target, const struct stream_events *events)
{
    stream_connect(s, loop, address, length, events);
    s->tls = tls_open_client(loop, s->fd, target);
}

/* An orderly end is told to the peer, if the kernel takes it at once: who closes with bytes still queued cuts off, and the
   peer shall see that. The kernel keeps it back for the FIN of close(): one segment for both costs half, and wakes the peer
   once. */
static void tls_end(struct stream *s)
{
    struct tls *t = TAKE(&s->tls);
    if (s->fd >= 0 && !s->has_failed && s->out.bytes == 0) {
        tls_say_goodbye(t);
        send_before_close(s, &t->cipher);
    }
    tls_close(t);
}

void stream_close(struct stream *s)
{
    CHECK_MAGIC(s, STREAM_MAGIC);
    unsent_flush_one(s);
    if (s->tls != NULL)
        tls_end(s);
    queues_clear(s);
    if (s->write_event != NULL)
        event_free(TAKE(&s->write_event));
    if (!s->is_read_paused)
        read_event_stop(s);
    s->is_write_armed = s->is_watched = false;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void stream_reset(struct stream *s)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    if (s->fd >= 0)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    s->has_failed = true; /* no goodbye */
    stream_close(s);
}

void stream_pause(struct stream *s)
{
    if (s->is_read_paused || s->is_connecting)
        return;
    read_event_stop(s);
}

void stream_resume(struct stream *s)
{
    if (!s->is_read_paused || s->fd < 0 || s->is_connecting)
        return;
    watch_del(s);
    event_add(&s->read_event, NULL);
    s->is_read_paused = false;
    wake_for_pending(s);
}

void stream_watch(struct stream *s)
{
    stream_pause(s);
    if (s->is_watched || s->fd < 0 || s->is_connecting || s->has_failed)
        return;
    s->is_watched = true;
    if (!s->is_write_armed)
        watch_add(s);
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static enum stream_status read_result(struct stream *s, ssize_t got)
{
    if (got > 0)
        return STREAM_OK;
    if (got == 0)
        return STREAM_EOF;
    if (errno == EAGAIN || errno == EINTR)
        return STREAM_AGAIN;
    s->failure = errno;
    return STREAM_ERROR;
}

static void count_read(const struct stream *s, size_t bytes)
{
    stats_add(s->loop->stats, STATS_READ_CALLS, 1);
    stats_add(s->loop->stats, STATS_BYTES_READ, bytes);
}

/* What reading made the SSL say: an answer to a KeyUpdate, an alert. Leaves in front of what is not encrypted yet. */
static void send_replies(struct stream *s)
{
    if (s->tls->cipher.bytes == 0 || s->is_write_armed)
        return;
    count_queued(s);
    if (stream_send(s, &s->tls->cipher) == STREAM_ERROR)
        return; /* has_failed tells, and the next read finds the end */
}

static enum stream_status read_tls(struct stream *s, const struct iovec *iov, int iov_count, size_t *count)
{
    enum tls_result result = tls_read(s->tls, iov, iov_count, count);
    s->is_read_drained = s->tls->is_drained && !tls_has_pending(s->tls);
    send_replies(s);
    switch (result) {
    case TLS_OK:
        return STREAM_OK;
    case TLS_AGAIN:
        return STREAM_AGAIN;
    case TLS_EOF:
        return STREAM_EOF;
    case TLS_FAILED:
        break;
    }
    s->failure = s->tls->failure;
    return STREAM_ERROR;
}

enum stream_status stream_readv(struct stream *s, const struct iovec *iov, int iov_count, size_t *count)
{
    size_t asked = 0;
    if (s->tls != NULL)
        return read_tls(s, iov, iov_count, count);
    for (int i = 0; i < iov_count; i++)
        asked += iov[i].iov_len;
    ssize_t got = readv(s->fd, iov, iov_count);
    *count = got > 0 ? (size_t)got : 0;
    s->is_read_drained = *count < asked;
    count_read(s, *count);
    return read_result(s, got);
}

static enum stream_status read_plain(struct stream *s, char *into, size_t room, size_t *count)
{
    ssize_t got = recv(s->fd, into, room, 0);
    *count = got > 0 ? (size_t)got : 0;
    s->is_read_drained = *count < room;
    count_read(s, *count);
    return read_result(s, got);
}

enum stream_status stream_read(struct stream *s, struct chunk *into, uint32_t *count)
{
    struct iovec room = { into->bytes + into->used, chunk_room(into) };
    size_t got;
    CHECK(room.iov_len > 0);
    enum stream_status status =
        s->tls != NULL ? read_tls(s, &room, 1, &got) : read_plain(s, room.iov_base, room.iov_len, &got);
    *count = (uint32_t)got;
    into->used += *count;
    return status;
}

bool stream_has_bytes(struct stream *s)
{
    char byte;
    if (s->tls == NULL || s->is_connecting)
        return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
    bool has_bytes = tls_has_bytes(s->tls);
    send_replies(s);
    return has_bytes;
}

bool stream_has_news(struct stream *s)
{
    return s->tls == NULL || stream_has_bytes(s);
}

enum stream_status stream_drop(struct stream *s)
{
    char nowhere[65536];
    struct iovec room = { nowhere, sizeof(nowhere) };
    size_t count;
    if (s->tls != NULL) /* what it holds back would wake us turn after turn (wake_for_pending) */
        return read_tls(s, &room, 1, &count);
    ssize_t got = recv(s->fd, nowhere, sizeof(nowhere), MSG_TRUNC); /* TCP throws them away without a copy: tcp(7) */
    count_read(s, got > 0 ? (size_t)got : 0);
    return read_result(s, got);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

void stream_push(struct stream *s, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    CHECK(offset + length <= chunk->capacity);
    if (length == 0 || s->fd < 0 || s->has_failed)
        return;
    s->queued_bytes += length;
    if (s->is_write_armed && length < PACK_BELOW_BYTES)
        pieces_pack(&s->out, &s->loop->pieces, &s->loop->chunks, chunk->bytes + offset, length);
    else
        pieces_push(&s->out, &s->loop->pieces, chunk, offset, length);
}

char *stream_reserve(struct stream *s, uint32_t min_bytes)
{
    struct chunk *scratch = loop_scratch(s->loop, min_bytes);
    return scratch->bytes + scratch->used;
}

void stream_commit(struct stream *s, uint32_t length)
{
    struct chunk *scratch = s->loop->scratch;
    CHECK(scratch != NULL && length <= chunk_room(scratch));
    uint32_t offset = scratch->used;
    scratch->used += length;
    stream_push(s, scratch, offset, length);
}

void stream_push_copy(struct stream *s, const void *bytes, uint32_t length)
{
    memcpy(stream_reserve(s, length), bytes, length);
    stream_commit(s, length);
}

/* `more`: MSG_MORE, or 0. */
static ssize_t queue_send(struct stream *s, const struct pieces *queue, size_t *asked, int more)
{
    struct iovec iov[64];
    ssize_t sent;
    int count = pieces_gather(queue, iov, ARRAY_COUNT(iov), asked);
    if (count == 1) {
        sent = send(s->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL | more);
    } else {
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = (size_t)count };
        sent = sendmsg(s->fd, &message, MSG_NOSIGNAL | more);
    }
    stats_add(s->loop->stats, STATS_WRITE_CALLS, 1);
    stats_add(s->loop->stats, STATS_BYTES_WRITTEN, sent > 0 ? (uint64_t)sent : 0);
    return sent;
}

static void send_before_close(struct stream *s, const struct pieces *queue)
{
    size_t asked;
    if (queue->bytes > 0)
        queue_send(s, queue, &asked, MSG_MORE);
}

static enum stream_status stream_fail(struct stream *s, int error)
{
    s->has_failed = true;
    s->failure = error;
    queues_clear(s);
    watch_del(s);
    write_event_disarm(s);
    return STREAM_ERROR;
}

/* STREAM_AGAIN: write interest is armed for the rest. */
static enum stream_status stream_send(struct stream *s, struct pieces *queue)
{
    if (s->has_failed)
        return STREAM_ERROR;
    while (queue->bytes > 0) {
        size_t asked;
        ssize_t sent = queue_send(s, queue, &asked, 0);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return stream_fail(s, errno);
        if (sent > 0)
            pieces_consume(queue, &s->loop->pieces, (size_t)sent);
        count_queued(s);
        if (sent < (ssize_t)asked) {
            write_event_arm(s);
            return STREAM_AGAIN;
        }
    }
    return STREAM_OK;
}

/* Encrypts as much as the kernel takes; close_notify is the last thing. */
static enum stream_status send_tls(struct stream *s)
{
    enum stream_status status;
    do {
        if (!tls_seal(s->tls, &s->out))
            return stream_fail(s, s->tls->failure);
        if (s->out.bytes == 0 && s->is_shutdown_due)
            tls_say_goodbye(s->tls);
        count_queued(s);
        status = stream_send(s, &s->tls->cipher);
    } while (status == STREAM_OK && s->out.bytes > 0);
    return status;
}

static void stream_on_queue_empty(struct stream *s)
{
    if (s->is_above_high)
        write_event_arm(s); /* somebody waits for on_drained, which comes from the loop */
    else
        write_event_disarm(s);
    if (s->is_shutdown_due && !s->has_shut_down) {
        s->has_shut_down = true;
        shutdown(s->fd, SHUT_WR);
    }
}

enum stream_status stream_flush(struct stream *s)
{
    CHECK_MAGIC(s, STREAM_MAGIC);
    list_remove(&s->unsent_link);
    if (s->has_failed || s->fd < 0)
        return STREAM_ERROR;
    if (s->is_connecting)
        return STREAM_OK; /* leaves when connected: the owner flushes in on_connected */
    enum stream_status status = s->tls != NULL ? send_tls(s) : stream_send(s, &s->out);
    if (status == STREAM_OK)
        stream_on_queue_empty(s);
    return status == STREAM_ERROR ? STREAM_ERROR : STREAM_OK;
}

void stream_shutdown(struct stream *s)
{
    s->is_shutdown_due = true;
    if ((s->queued_bytes > 0 && !list_is_linked(&s->unsent_link)) || stream_flush(s) != STREAM_OK)
        return; /* it follows the last byte, or nobody is there to see it */
}
