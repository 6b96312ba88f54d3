/* admin/session_write.h - serializes replies into a session's stream. For admin/ only. */
#ifndef ADMIN_SESSION_WRITE_H
#define ADMIN_SESSION_WRITE_H

struct session;

/* Queues head and body; the caller flushes. A request with HEAD gets no body. */
void session_write_reply(struct session *s);
/* The reply in clear text to who sent a request to a port that speaks TLS, in one write that may fall short: below the stream. */
void session_write_unsealed(struct session *s);
/* 100 Continue, queued. */
void session_write_continue(struct session *s);

#endif
