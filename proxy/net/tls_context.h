/* net/tls_context.h - what connections of one listener, or to one upstream, have in common: certificates, authorities,
 * versions.
 *
 * Immutable once made, and shared by all threads by an atomic count: the snapshot holds one reference, each connection
 * another, so that a reload neither drops nor changes the connections that exist. Made on the main thread, where what
 * is wrong with a file can be told with its place. */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"

struct tls_context;
struct ssl_session_st;

/* A file of PEM and where it was named. */
struct tls_pem {
    struct slice path, bytes;
    struct place place;
};

struct tls_pair {
    struct tls_pem certificate, key; /* the certificate first in its file, then those that lead to its authority */
};

/* How what was read is judged. */
struct tls_check {
    struct wall_time now;         /* unix_ms 0: nothing counts as expired */
    enum err_severity if_expired; /* what an expired certificate is */
    struct err_list *errors;
};

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };
enum tls_client_auth { TLS_CLIENT_AUTH_NONE, TLS_CLIENT_AUTH_REQUEST, TLS_CLIENT_AUTH_REQUIRE };

struct tls_server_options {
    const struct tls_pair *pairs; /* the first is the default */
    size_t pair_count;
    enum tls_version min_version;
    enum tls_client_auth client_auth;
    struct tls_pem client_ca; /* bytes empty: none */
    bool offers_http2;
    struct slice name; /* of the listener: sessions of one are not resumed at another */
};

struct tls_client_options {
    uint64_t digest;            /* of all that it is made of: two contexts with the same are alike */
    struct tls_pem authorities; /* bytes empty: the system's */
    bool is_verified;
    struct tls_pair pair; /* the client's own; certificate.bytes empty: none */
    struct slice name;    /* whom to expect, whatever the address; empty: the address's host */
    bool offers_http2, offers_http1;
};

/* NULL when something is wrong, which was added to the errors. One reference. */
struct tls_context *tls_context_create_server(const struct tls_server_options *options, const struct tls_check *check);
struct tls_context *tls_context_create_client(const struct tls_client_options *options, const struct tls_check *check);
/* Of a client's: what it was made with. */
uint64_t tls_context_digest(const struct tls_context *c);
/* From any thread. */
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c);

/* When the certificates of a context end. */
struct tls_expiry {
    struct slice path; /* of the file; in the context */
    int64_t unix_s;
};
size_t tls_context_expiries(const struct tls_context *c, const struct tls_expiry **out);

/* The newest session with one endpoint, for the next connection to it. All zero: none yet. One thread's. */
struct tls_session_slot {
    struct ssl_session_st *session;
};
void tls_session_slot_clear(struct tls_session_slot *slot);

#endif
