/* net/stream.h - a connected byte stream with an exact write queue and back-pressure: TCP or a UNIX socket, plain or TLS.
 *
 * Reading is pulled: on_readable says that bytes wait, the owner reads into a chunk of its choice. Read interest stays
 * registered for the stream's whole life unless paused, so steady traffic makes no epoll_ctl. Writing is queued as
 * (chunk, offset, length) and leaves in one writev per stream_flush; write interest exists only after the kernel said
 * EAGAIN. Short messages leave by stream_flush_soon, those of one turn together.
 *
 * With TLS the owner's bytes are plain text and all else is the same: what TLS has read ahead brings on_readable again
 * in the next turn, what is encrypted and not sent counts as queued. The handshake runs inside, and on_connected tells its end.
 *
 * Owner: the client or upstream connection it is embedded in. Thread: the loop's. Back-pressure is the owner's to
 * apply: a stream tells that it is full and when it is not any more, and never drops bytes of a connection that works.
 *
 *   invariants
 *   S1 a closed stream has fd -1, no events, an empty queue, and calls nobody
 *   S2 the write event is registered only while the queue is not empty, on_drained is owed, a connect is in progress, or,
 *      edge-triggered, the stream is watched
 *   S3 queued_bytes is what the owner pushed and the kernel has not taken; with TLS, as much of it as is encrypted
 *      counts as it will be sent
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <event2/event_struct.h>

#include "base/chunk.h"
#include "base/pieces.h"
#include "net/loop.h"

#define STREAM_HIGH_BYTES (256u * 1024) /* queued above it: the source should pause */
#define STREAM_LOW_BYTES  (64u * 1024)  /* drained below it: on_drained */

struct stream;
struct tls;
struct tls_context;
struct tls_facts;
struct tls_peer;
struct tls_session_slot;

/* All are called from the loop, never from inside a stream function. The owner may close the stream in any of them. */
struct stream_events {
    void (*on_readable)(struct stream *s);
    void (*on_drained)(struct stream *s); /* the queue fell below the low mark, or is empty */
    /* 0, or the errno of what failed: the connect, or the TLS handshake (EPROTO; stream_tls_failure has the words). */
    void (*on_connected)(struct stream *s, int error);
};

/* Embedded in a client or an upstream connection. */
struct stream {
    uint32_t magic;
    int fd; /* -1: closed */
    struct loop *loop;
    const struct stream_events *events;
    struct pieces out;     /* what the owner pushed, plain text; small pieces for a slow peer are packed */
    struct tls *tls;       /* NULL: no TLS */
    uint32_t queued_bytes; /* not yet taken by the kernel */
    bool is_connecting;    /* on_connected is still to come */
    bool is_read_drained;  /* the last read took all there was */
    bool is_read_paused;   /* no read interest: paused, connecting or closed */
    bool is_above_high;    /* owner was told to wait for on_drained */
    bool is_shutdown_due;  /* SHUT_WR once the queue is empty */
    bool has_shut_down;    /* it was sent */
    bool is_write_armed;   /* write interest is registered */
    bool is_watched;       /* paused by stream_watch */
    bool has_failed;       /* a write failed, or a watched peer is gone: errno in failure; the owner learns from
                              stream_flush or on_drained */
    int failure;
    struct event *write_event; /* made at the first EAGAIN or stream_watch, freed with the stream */
    struct event read_event;   /* inside, since every stream has one for its whole life */
    struct wake wake;          /* TLS: for what was read ahead and waits */
    struct list unsent_link;   /* in loop->unsent: it is flushed when the turn ends */
};

/* Takes over a connected, non-blocking fd and starts listening for bytes. */
void stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_events *events);
/* Starts a non-blocking connect; on_connected follows (also after an immediate error). */
void stream_connect(struct stream *s, struct loop *loop, const struct sockaddr *address, socklen_t length,
                    const struct stream_events *events);
/* As stream_open, behind a TLS handshake in which we are the server; on_connected follows. Until then the owner only
   closes. */
void stream_open_tls(struct stream *s, struct loop *loop, int fd, struct tls_context *context,
                     const struct stream_events *events);

/* Whom to shake hands with. */
struct stream_tls_target {
    struct tls_context *context;
    const char *name;              /* whom to expect; borrowed for the call */
    struct tls_session_slot *slot; /* may be NULL; outlives the stream */
    bool offers_http1_alone;       /* by ALPN, whatever the context offers */
};
/* As stream_connect; on_connected follows when the handshake is done. */
void stream_connect_tls(struct stream *s, struct loop *loop, const struct sockaddr *address, socklen_t length,
                        const struct stream_tls_target *target, const struct stream_events *events);
/* Idempotent. Drops the queue (of which the kernel was offered all that was flushed), closes the fd at once. */
void stream_close(struct stream *s);
/* Same with SO_LINGER 0: the peer sees a reset. */
void stream_reset(struct stream *s);

enum stream_status {
    STREAM_OK,    /* bytes were moved */
    STREAM_AGAIN, /* nothing to read now */
    STREAM_EOF,   /* the peer sent FIN, or with TLS close_notify */
    STREAM_ERROR  /* reset or another failure: errno in s->failure */
};

/* Reads into the chunk's free room; *count bytes were added to chunk->used. is_read_drained: nothing more is there. */
enum stream_status stream_read(struct stream *s, struct chunk *into, uint32_t *count);
/* Do bytes, or the peer's FIN, wait to be read? One system call. */
bool stream_has_bytes(struct stream *s);
/* In on_readable, of a stream from which nothing is expected: is there something for its owner? TLS also has messages of
   its own. */
bool stream_has_news(struct stream *s);
/* After STREAM_EOF: the end may have been forged, since TLS was not ended in order (RFC 8446 6.1). What has its own
   framing need not care. */
bool stream_is_cut(const struct stream *s);
/* Reads into several buffers at once. */
enum stream_status stream_readv(struct stream *s, const struct iovec *iov, int iov_count, size_t *count);

/* Reads up to 64 KiB once and forgets them. */
enum stream_status stream_drop(struct stream *s);

/* Queue bytes [offset, offset + length) of a chunk: by a reference of its own, or by a copy when they are few and wait for
   a slow peer. */
void stream_push(struct stream *s, struct chunk *chunk, uint32_t offset, uint32_t length);
/* Queue a copy, packed behind earlier copies. For framing and short bodies. */
void stream_push_copy(struct stream *s, const void *bytes, uint32_t length);
/* Room of at least `min_bytes` in the queue's own chunk, to serialize into; commit tells how many were written. */
char *stream_reserve(struct stream *s, uint32_t min_bytes);
void stream_commit(struct stream *s, uint32_t length);

/* Writes what the kernel takes, in one writev per 64 pieces. STREAM_OK: the queue is empty or write interest is armed.
   STREAM_ERROR: the peer is gone. */
enum stream_status stream_flush(struct stream *s) MUST_CHECK;
/* As stream_flush, but a short queue may wait for the turn's end, to leave together with others (net/unsent.h). That it
   failed there is told by on_drained. stream_shutdown and stream_close send it first. */
enum stream_status stream_flush_soon(struct stream *s) MUST_CHECK;
/* Sends FIN behind what is queued. */
void stream_shutdown(struct stream *s);

/* Above the high mark after a push: pause the source until on_drained. */
static inline bool stream_is_full(struct stream *s)
{
    if (s->queued_bytes > STREAM_HIGH_BYTES)
        s->is_above_high = true;
    return s->is_above_high;
}

/* Deregisters and registers read interest: each costs an epoll_ctl, so only under back-pressure. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/* Pauses, and has on_drained called (has_failed is set) when the peer resets the connection: whoever reads nothing would
   not learn it. A FIN is left to be read. Until stream_resume or the stream's end. */
void stream_watch(struct stream *s);

/* False without TLS, and before the handshake is done. Texts live as long as the stream. */
bool stream_tls_facts(const struct stream *s, struct tls_facts *out);
/* The client's verified certificate, or NULL. */
const struct tls_peer *stream_tls_peer(const struct stream *s);
/* Why the handshake or the reading failed, or NULL; whether the peer sent an HTTP request in clear text. */
const char *stream_tls_failure(const struct stream *s, bool *is_plain_http);

static inline bool stream_is_open(const struct stream *s)
{
    return s->fd >= 0;
}

#endif
