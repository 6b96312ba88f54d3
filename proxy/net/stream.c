/* net/stream.c - a connected byte stream with an exact write queue and back-pressure; plain TCP or a UNIX socket.
 *
 * The write queue is a list of blocks of pieces, since most queues hold one or two and a few hold hundreds; a piece
 * that continues the last one in the same chunk makes it longer. Small writes of all streams are packed into one
 * scratch chunk per turn, so that a head and a short body are one run of bytes, and sending them costs no
 * allocation. */
#include "net/stream.h"

#include "base/memory.h"
#include "stats/counters.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_MAGIC     0x5354524du
#define OUT_PIECES       31
#define FREE_BLOCKS_MAX  256
#define PACK_BELOW_BYTES 4096 /* a queued chunk of 16 KiB is a quarter full at least: the high mark bounds memory too */

struct out_piece {
    struct chunk *chunk; /* one reference held */
    uint32_t offset, length;
};

/* A run of the write queue: pieces [first, last) are waiting. Blocks come from the loop's free list. */
struct out_block {
    struct out_block *next;
    uint32_t first, last;
    struct out_piece pieces[OUT_PIECES];
};

static struct out_block *block_take(struct loop *loop)
{
    struct out_block *b = loop->free_out_blocks;
    if (b != NULL) {
        loop->free_out_blocks = b->next;
        loop->free_out_block_count--;
    } else {
        b = memory_alloc(sizeof(*b));
    }
    b->next = NULL;
    b->first = b->last = 0;
    return b;
}

static void block_give(struct loop *loop, struct out_block *b)
{
    if (loop->free_out_block_count >= FREE_BLOCKS_MAX) {
        memory_free(b);
        return;
    }
    b->next = loop->free_out_blocks;
    loop->free_out_blocks = b;
    loop->free_out_block_count++;
}

void stream_free_blocks(struct loop *loop)
{
    while (loop->free_out_blocks != NULL) {
        struct out_block *b = loop->free_out_blocks;
        loop->free_out_blocks = b->next;
        memory_free(b);
    }
    loop->free_out_block_count = 0;
}

static void queue_clear(struct stream *s)
{
    while (s->out_first != NULL) {
        struct out_block *b = s->out_first;
        for (uint32_t i = b->first; i < b->last; i++)
            chunk_unref(b->pieces[i].chunk);
        s->out_first = b->next;
        block_give(s->loop, b);
    }
    s->out_last = NULL;
    s->queued_bytes = 0;
    if (s->pack != NULL)
        chunk_unref(TAKE(&s->pack));
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

static void stream_read_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    s->events->on_readable(s);
}

static void stream_finish_connect(struct stream *s)
{
    int error = s->failure;
    socklen_t length = sizeof(error);
    if (error == 0 && getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    s->is_connecting = false;
    event_del(s->write_event);
    if (error == 0) {
        event_assign(&s->read_event, s->loop->base, s->fd, EV_READ | EV_PERSIST, stream_read_cb, s);
        event_add(&s->read_event, NULL);
        s->is_read_paused = false;
    }
    s->events->on_connected(s, error);
}

static void write_event_disarm(struct stream *s)
{
    if (s->is_write_armed)
        event_del(s->write_event);
    s->is_write_armed = false;
}

static void stream_write_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    CHECK_MAGIC(s, STREAM_MAGIC);
    if (s->is_connecting) {
        stream_finish_connect(s);
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
    if (s->write_event == NULL) {
        s->write_event = event_new(s->loop->base, s->fd, EV_WRITE | EV_PERSIST, stream_write_cb, s);
        CHECK(s->write_event != NULL);
    }
    event_add(s->write_event, NULL);
    s->is_write_armed = true;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static void stream_reset_fields(struct stream *s, struct loop *loop, int fd, const struct stream_events *events)
{
    s->magic = STREAM_MAGIC;
    s->fd = fd;
    s->loop = loop;
    s->events = events;
    s->out_first = s->out_last = NULL;
    s->queued_bytes = 0;
    s->is_connecting = s->is_above_high = s->is_write_armed = s->is_shutdown_due = s->has_shut_down = s->has_failed =
        false;
    s->is_read_paused = true;
    s->failure = 0;
    s->pack = NULL;
    s->write_event = NULL;
}

void stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_events *events)
{
    stream_reset_fields(s, loop, fd, events);
    event_assign(&s->read_event, loop->base, fd, EV_READ | EV_PERSIST, stream_read_cb, s);
    event_add(&s->read_event, NULL);
    s->is_read_paused = false;
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

/* Has this machine an address to reach that one from? UDP is asked, whose ports are others: nothing is sent. */
static bool has_address_towards(const struct sockaddr *peer, socklen_t length)
{
    int fd = socket(peer->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool has = connect(fd, peer, length) == 0;
    close(fd);
    return has;
}

const char *stream_local_limit(int error, const struct sockaddr *peer, socklen_t length)
{
    switch (error) {
    case EMFILE:
        return "raise the open files limit (RLIMIT_NOFILE)";
    case ENFILE:
        return "raise the machine's open files limit (fs.file-max)";
    case ENOBUFS:
    case ENOMEM:
        return "the kernel has no memory left for sockets";
    case EADDRNOTAVAIL: /* also said when there is no address of that kind, as of ::1 without IPv6 */
        return has_address_towards(peer, length) ? "local ports are used up (net.ipv4.ip_local_port_range)" : NULL;
    default:
        return NULL;
    }
}

void stream_close(struct stream *s)
{
    CHECK_MAGIC(s, STREAM_MAGIC);
    queue_clear(s);
    if (s->write_event != NULL)
        event_free(TAKE(&s->write_event));
    if (!s->is_read_paused)
        event_del(&s->read_event);
    s->is_read_paused = true;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void stream_reset(struct stream *s)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    if (s->fd >= 0)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    stream_close(s);
}

void stream_pause(struct stream *s)
{
    if (s->is_read_paused)
        return;
    event_del(&s->read_event);
    s->is_read_paused = true;
}

void stream_resume(struct stream *s)
{
    if (!s->is_read_paused || s->fd < 0 || s->is_connecting)
        return;
    event_add(&s->read_event, NULL);
    s->is_read_paused = false;
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

enum stream_status stream_read(struct stream *s, struct chunk *into, uint32_t *count)
{
    CHECK(chunk_room(into) > 0);
    ssize_t got = recv(s->fd, into->bytes + into->used, chunk_room(into), 0);
    *count = got > 0 ? (uint32_t)got : 0;
    into->used += *count;
    count_read(s, *count);
    return read_result(s, got);
}

bool stream_has_bytes(const struct stream *s)
{
    char byte;
    return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

enum stream_status stream_readv(struct stream *s, const struct iovec *iov, int iov_count, size_t *count)
{
    ssize_t got = readv(s->fd, iov, iov_count);
    *count = got > 0 ? (size_t)got : 0;
    count_read(s, *count);
    return read_result(s, got);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

/* The piece behind which new bytes go; a fresh one when there is no room. */
static struct out_piece *queue_next_piece(struct stream *s)
{
    if (s->out_last == NULL || s->out_last->last == OUT_PIECES) {
        struct out_block *b = block_take(s->loop);
        if (s->out_last == NULL)
            s->out_first = b;
        else
            s->out_last->next = b;
        s->out_last = b;
    }
    return &s->out_last->pieces[s->out_last->last++];
}

static void queue_append(struct stream *s, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    s->queued_bytes += length;
    if (s->out_last != NULL && s->out_last->last > s->out_last->first) {
        struct out_piece *tail = &s->out_last->pieces[s->out_last->last - 1];
        if (tail->chunk == chunk && tail->offset + tail->length == offset) {
            tail->length += length;
            return;
        }
    }
    struct out_piece *piece = queue_next_piece(s);
    piece->chunk = chunk_ref(chunk);
    piece->offset = offset;
    piece->length = length;
}

/* The peer does not keep up: small pieces are copied together, or each would hold a chunk of its turn until it leaves. */
static void queue_pack(struct stream *s, const char *bytes, uint32_t length)
{
    while (length > 0) {
        if (s->pack != NULL && chunk_room(s->pack) == 0)
            chunk_unref(TAKE(&s->pack));
        if (s->pack == NULL)
            s->pack = chunk_create(&s->loop->chunks);
        struct chunk *pack = s->pack;
        uint32_t offset = pack->used, part = length < chunk_room(pack) ? length : chunk_room(pack);
        memcpy(pack->bytes + offset, bytes, part);
        pack->used += part;
        queue_append(s, pack, offset, part);
        bytes += part;
        length -= part;
    }
}

void stream_push(struct stream *s, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    CHECK(offset + length <= chunk->capacity);
    if (length == 0 || s->fd < 0 || s->has_failed)
        return;
    if (s->is_write_armed && length < PACK_BELOW_BYTES)
        queue_pack(s, chunk->bytes + offset, length);
    else
        queue_append(s, chunk, offset, length);
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

/* Takes `written` bytes off the front of the queue. */
static void queue_consume(struct stream *s, size_t written)
{
    s->queued_bytes -= (uint32_t)written;
    while (written > 0) {
        struct out_block *b = s->out_first;
        struct out_piece *piece = &b->pieces[b->first];
        if (written < piece->length) {
            piece->offset += (uint32_t)written;
            piece->length -= (uint32_t)written;
            return;
        }
        written -= piece->length;
        chunk_unref(piece->chunk);
        if (++b->first == b->last) {
            s->out_first = b->next;
            if (s->out_first == NULL)
                s->out_last = NULL;
            block_give(s->loop, b);
        }
    }
}

/* The front of the queue as an array for sendmsg: *bytes in all. */
static int queue_gather(const struct stream *s, struct iovec iov[64], size_t *bytes)
{
    int count = 0;
    *bytes = 0;
    for (const struct out_block *b = s->out_first; b != NULL && count < 64; b = b->next)
        for (uint32_t i = b->first; i < b->last && count < 64; i++) {
            const struct out_piece *piece = &b->pieces[i];
            iov[count++] = (struct iovec){ piece->chunk->bytes + piece->offset, piece->length };
            *bytes += piece->length;
        }
    return count;
}

static ssize_t queue_send(struct stream *s, size_t *asked)
{
    struct iovec iov[64];
    int count = queue_gather(s, iov, asked);
    if (count == 1)
        return send(s->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    struct msghdr message = { .msg_iov = iov, .msg_iovlen = (size_t)count };
    return sendmsg(s->fd, &message, MSG_NOSIGNAL);
}

static enum stream_status stream_fail(struct stream *s, int error)
{
    s->has_failed = true;
    s->failure = error;
    queue_clear(s);
    write_event_disarm(s);
    return STREAM_ERROR;
}

static void stream_on_queue_empty(struct stream *s)
{
    if (s->pack != NULL)
        chunk_unref(TAKE(&s->pack));
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
    if (s->has_failed || s->fd < 0)
        return STREAM_ERROR;
    if (s->is_connecting)
        return STREAM_OK; /* leaves when connected: the owner flushes in on_connected */
    while (s->out_first != NULL) {
        size_t asked;
        ssize_t sent = queue_send(s, &asked);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return stream_fail(s, errno);
        if (sent > 0)
            queue_consume(s, (size_t)sent);
        stats_add(s->loop->stats, STATS_WRITE_CALLS, 1);
        stats_add(s->loop->stats, STATS_BYTES_WRITTEN, sent > 0 ? (uint64_t)sent : 0);
        if (sent < (ssize_t)asked) {
            write_event_arm(s);
            return STREAM_OK;
        }
    }
    stream_on_queue_empty(s);
    return STREAM_OK;
}

void stream_shutdown(struct stream *s)
{
    s->is_shutdown_due = true;
    if (s->fd >= 0 && s->queued_bytes == 0 && !s->is_connecting)
        stream_on_queue_empty(s);
}
