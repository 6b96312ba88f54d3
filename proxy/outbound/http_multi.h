/* outbound/http_multi.h - many HTTP requests at a time on one thread: libcurl's multi interface behind callbacks.
 *
 * For `weir replay` and outbound/courier.h: connections are kept and shared, HTTP/2 is spoken where TLS agrees on it (or in clear text when asked to),
 * nothing is followed, decoded, cached or remembered, and no proxy of the environment is asked: what goes out is what was
 * given.
 *
 *   http_multi_start -> (http_multi_wait: on_header..., on_body..., on_done)     once each, never before start returns
 *
 * Callbacks run inside http_multi_wait, where they may start further requests, and http_multi_destroy, where they may
 * not. */
#ifndef OUTBOUND_HTTP_MULTI_H
#define OUTBOUND_HTTP_MULTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"

struct http_multi;

enum http_failure {
    HTTP_FAILURE_NONE,    /* the answer came whole */
    HTTP_FAILURE_CONNECT, /* no connection, or no such host */
    HTTP_FAILURE_TLS,
    HTTP_FAILURE_TIMEOUT,
    HTTP_FAILURE_BROKEN,    /* it ended early, or was no HTTP */
    HTTP_FAILURE_CANCELLED, /* http_multi_destroy came first */
    HTTP_FAILURE_COUNT
};

/* How it ended. Borrowed for the time of the call. */
struct http_end {
    enum http_failure failure;
    const char *detail;                /* one line for people; "" without a failure */
    uint16_t status;                   /* 0: no head came */
    int64_t latency_us;                /* from the connection's being there to the final head; 0: no head came */
    int64_t total_us;                  /* the same to its end; 0: no connection was there */
    struct wall_time certificate_ends; /* of the peer, when it was asked for; 0: there was none */
};

/* `token` is what http_multi_start was given. */
struct http_events {
    void (*on_header)(void *token, struct slice name, struct slice value); /* of the final head, just before on_done */
    void (*on_body)(void *token, struct slice bytes);
    void (*on_done)(void *token, const struct http_end *end);
};

struct http_multi_settings {
    uint32_t connection_max; /* open at a time; what is more waits for one */
    int64_t timeout_ms;      /* for each request, all of it */
    const char *ca_file;     /* NULL: the system's */
    bool is_insecure;        /* certificates are not looked at */
    bool is_http2;           /* HTTP/2 in clear text too, by prior knowledge */
    bool is_one_at_a_time;   /* a connection has one request at a time, over HTTP/2 too; it is kept for the next */
};

struct http_header {
    struct slice name, value;
};

/* How to speak TLS with one peer, in place of the settings'. NULL: as libcurl does by itself. */
struct http_tls {
    const char *ca_file, *cert_file, *key_file;
    bool is_insecure;       /* its certificate is not looked at */
    bool wants_certificate; /* http_end.certificate_ends */
};

/* Borrowed for the time of the call. The caller has seen to it that nothing in it ends a line. */
struct http_send {
    const char *url; /* where to: scheme, host and port count */
    struct slice method, target;
    const struct http_header *headers; /* the message's own, Host among them; Content-Length is added where it is due */
    size_t header_count;
    struct slice body;
    int64_t timeout_ms;         /* for all of it; 0: the settings' */
    const char *connect_to;     /* "host:port" to connect to, whatever the URL names; NULL: by the URL */
    const struct http_tls *tls; /* NULL: by the settings */
    bool is_http2;              /* like the settings' */
    bool is_alone;              /* over a connection of its own, which is closed behind it */
};

struct http_multi *http_multi_create(const struct http_multi_settings *settings, const struct http_events *events);
/* Ends what is under way: on_done with HTTP_FAILURE_CANCELLED. */
void http_multi_destroy(struct http_multi *m);

void http_multi_start(struct http_multi *m, const struct http_send *send, void *token);
size_t http_multi_live_count(const struct http_multi *m);
/* Moves bytes, and waits at most so long for something to happen, on a connection or on `fd` (-1: none). */
void http_multi_wait(struct http_multi *m, int fd, int64_t timeout_ms);

#endif
