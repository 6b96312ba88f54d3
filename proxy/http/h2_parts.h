/* http/h2_parts.h - what the files of the HTTP/2 codec share; nobody else includes it.
 *
 *   h2.c        sessions: from creation to their end, bytes in and out
 *   h2_read.c   what the peer's frames mean: nghttp2's callbacks of the way in, events
 *   h2_write.c  what we send: heads, bodies, ends, resets; nghttp2's callbacks of the way out
 *   h2_nv.c     a message as the list of names and values that nghttp2 takes
 *   h2_pool.c   what sessions of a worker share: memory, callbacks, options */
#ifndef HTTP_H2_PARTS_H
#define HTTP_H2_PARTS_H

#include <nghttp2/nghttp2.h>

#include "base/blocks.h"

#include "http/h2.h"
#include "http/h2_guard.h"
#include "http/h2_head.h"
#include "http/h2_resets.h"

#define H2_MAGIC 0x48325345u

enum h2_read_state {
    H2_READ_HEAD,    /* 1xx may have come */
    H2_READ_BODY,    /* head is complete */
    H2_READ_REFUSED, /* on_refused was called: what else comes is thrown away */
    H2_READ_END
};

enum h2_write_state {
    H2_WRITE_HEAD,
    H2_WRITE_BODY,
    H2_WRITE_END, /* everything is given; some of it may still wait */
    H2_WRITE_GONE /* END_STREAM has left */
};

struct h2_pool {
    struct blocks blocks; /* nghttp2's memory and our sessions */
    nghttp2_mem mem;      /* as nghttp2 sees them */
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options[2]; /* by role */
    struct pieces_pool *pieces;
    struct chunk_pool *chunks;
    nghttp2_nv *nvs; /* scratch of h2_nv.c, as the next two */
    size_t nv_capacity;
    char digits[20], status[3];
    uint32_t live_count; /* sessions */
};

struct h2 {
    uint32_t magic;
    enum h2_role role;
    nghttp2_session *session;
    struct h2_pool *pool;
    const struct h2_events *events;
    const struct h2_output *output;
    void *owner;
    struct h2_limits limits;
    struct list streams; /* attached */
    struct list rooms;   /* attached, and on_room is due */
    struct h2_guard guard;
    struct h2_resets resets;
    struct h2_head head;             /* the block that is being read */
    struct h2_stream *reading;       /* whose block it is; NULL: nobody's, it is read away */
    struct message *trailers;        /* the block's, when it is trailers */
    int64_t received_bytes;          /* all */
    int64_t seen_bytes;              /* in frames that nghttp2 showed us, or that we expect in vain: see count_waste */
    size_t sent_bytes, budget_bytes; /* of one h2_send */
    uint32_t stream_count;           /* attached */
    uint32_t begun_count;            /* client: nghttp2's count of streams, queued ones included */
    int32_t peer_reset_id;           /* whose RST_STREAM is being read; 0: none */
    uint32_t failure;                /* error of the GOAWAY that ended it */
    const char *failure_detail;
    bool is_inside;        /* of h2_receive or h2_send */
    bool is_over;          /* H2_OVER was or will be said */
    bool is_closed;        /* h2_close was called */
    bool is_shutting_down; /* h2_shutdown was called */
    bool is_goaway_received;
    bool has_used_up_ids;
};

/* Of the callbacks of the way in: once the session is over, nghttp2 shall unwind and is given no more bytes. Not of
   on_stream_close, after which the stream must go, and not on the way out, which goes on to the GOAWAY. */
static inline int h2_verdict(const struct h2 *h)
{
    return h->is_over ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* NULL: none, or detached. */
static inline struct h2_stream *h2_stream_of(struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

/* h2.c: ends the session: GOAWAY, and nothing is read any more. */
void h2_fail(struct h2 *h, enum h2_error error, const char *detail);
void h2_on_pong(struct h2 *h, const uint8_t payload[8]);
/* Takes tokens; past the last one the session ends. */
void h2_charge(struct h2 *h, uint32_t tokens);

/* h2_write.c: on the session's list, and off it with its queue dropped. */
void h2_attach(struct h2 *h, struct h2_stream *s, int32_t id);
void h2_detach(struct h2_stream *s);
void h2_tell_closed(struct h2 *h, struct h2_stream *s, const struct h2_closing *how);

/* h2_nv.c: heads as nghttp2 takes them: in the pool's scratch, valid until the next call. */
size_t h2_nv_request(struct h2_pool *pool, const struct message *m, struct slice target, struct slice scheme,
                     const struct h1_write *w);
/* `status` as it is sent. */
size_t h2_nv_response(struct h2_pool *pool, const struct message *m, uint16_t status, const struct h1_write *w);
size_t h2_nv_trailers(struct h2_pool *pool, const struct message *trailers);

/* h2_read.c and h2_write.c: nghttp2's callbacks; the user data is the session. */
int h2_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg);
int h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                 const uint8_t *value, size_t value_len, uint8_t flags, void *arg);
int h2_on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg);
int h2_on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
int h2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg);
int h2_on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
int h2_send_data_cb(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                    nghttp2_data_source *source, void *arg);

#endif
