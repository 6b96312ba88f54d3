/* admin/session.h - one operator's connection: requests in, replies out, one at a time. For admin/ only.
 *
 *   (accepted, TLS) -------> SESSION_HANDSHAKE
 *              session_open      | on_connected
 *                                v              request complete
 *   (accepted) ------------> SESSION_READING ---------------------> dispatch
 *                              ^   ^                            held |   | ready
 *            queue is empty,   |   |          session_settled        v   v
 *            keep-alive        |   |    SESSION_WRITING <---- SESSION_HELD
 *                              |   +---------- | (also straight from dispatch)
 *                              +---------------+
 *                                              | last reply: queue is empty
 *                                              v
 *   session_close from anywhere <------ SESSION_LINGERING   (its bytes are read and dropped until it closes)
 *
 *   SESSION_READING ---- dispatch: a stream of events, follow_begin ----> SESSION_FOLLOWING   (until either side closes)
 *
 *   invariants
 *   N1 a session is on admin->sessions until session_close, and its handle is live as long
 *   N2 `input` exists only while bytes are in it or being read; `head` only between a head and its reply
 *   N3 a deadline is armed in every state; none is longer than SESSION_IDLE_MS; that of SESSION_FOLLOWING sends a sign of
 *      life, which a dead peer does not take for long
 *   N4 nothing is read into the input while SESSION_HELD or SESSION_WRITING: the peer waits in its socket */
#ifndef ADMIN_SESSION_H
#define ADMIN_SESSION_H

#include "admin/call.h"
#include "admin/parts.h"
#include "http/codec.h"
#include "net/stream.h"

#define SESSION_MAGIC 0x53455353u

#define SESSION_IDLE_MS     75000 /* between requests */
#define SESSION_SHAKE_MS    10000 /* from accepting to the end of the TLS handshake */
#define SESSION_REQUEST_MS  10000 /* from a request's first byte to its last */
#define SESSION_HELD_MS     10000 /* for the workers to switch */
#define SESSION_WRITE_MS    60000 /* for the peer to take the reply */
#define SESSION_LINGER_MS   2000
#define SESSION_BODY_BYTES  (256u * 1024)
#define SESSION_LINE_BYTES  4096 /* with the head it fits one chunk */
#define SESSION_HEAD_BYTES  8192
#define SESSION_FIELD_COUNT 64

enum session_state {
    SESSION_HANDSHAKE,
    SESSION_READING,
    SESSION_HELD,
    SESSION_WRITING,
    SESSION_FOLLOWING,
    SESSION_LINGERING,
    SESSION_CLOSED
};

struct session {
    uint32_t magic;
    enum session_state state;
    struct list link; /* admin->sessions */
    struct admin *admin;
    struct admin_socket *from;
    struct handle handle;
    struct stream stream;
    struct timer deadline;
    struct deferred deferred;
    char peer_name[AUTH_NAME_BYTES];
    struct actor peer; /* of a UNIX socket; over TCP each request says who it is */

    struct chunk *input;     /* bytes [consumed, used) wait; NULL when there are none */
    uint32_t consumed_bytes; /* of input */
    struct chunk *head;      /* where the request's slices point, when `input` moved on */
    struct arena arena;      /* of the request */
    struct h1_reader reader;
    struct message request;
    struct text body;
    bool has_head;
    bool is_last; /* this reply ends the connection */
    struct admin_reply reply;
};

/* Takes the descriptor over. */
void session_open(struct admin *a, struct admin_socket *from, int fd);
/* Idempotent; freed after the turn. */
void session_close(struct session *s);
/* Every worker uses what was published: a held reply goes out. */
void session_settled(struct session *s);

#endif
