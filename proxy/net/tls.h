/* net/tls.h - TLS between a stream's bytes and its socket: one SSL, what it has read ahead, what it has encrypted.
 *
 * For net/stream.c, which alone calls these functions; owners of streams see struct tls_facts. The SSL has no socket:
 * what it reads comes from one recv into a buffer of the loop, what it writes goes to `cipher`, which the stream sends.
 *
 *   socket -> raw -> SSL -> the owner's chunks          the owner's pieces -> SSL -> cipher -> socket
 *
 * An idle connection holds no buffer: raw and cipher are empty, and OpenSSL gives its own back
 * (SSL_MODE_RELEASE_BUFFERS). Owner: the stream. Thread: the loop's.
 *
 *   invariants
 *   T1 between calls raw points into raw_chunk, or is empty and raw_chunk NULL
 *   T2 cipher never holds more than TLS_CIPHER_BYTES and one record: what the kernel does not take stays plain text */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pieces.h"
#include "base/slice.h"

struct loop;
struct ssl_st;
struct stream_tls_target;
struct tls_context;
struct tls_session_slot;

#define TLS_CIPHER_BYTES (64u * 1024)
#define TLS_RECORD_BYTES 16384u /* of plain text: RFC 8446 5.1 */

/* Names of a verified client certificate, taken once, when the handshake ends. */
struct tls_peer {
    struct slice cn; /* the subject's last common name; may be empty */
    size_t san_count;
    struct slice sans[]; /* alternative names of type DNS, e-mail and URI */
};

/* What an owner may know, once connected. */
struct tls_facts {
    const char *version;      /* "TLSv1.3" */
    struct slice server_name; /* SNI, as the client sent it; empty: none */
    struct slice protocol;    /* chosen by ALPN; empty: none was */
    bool is_resumed;
    const struct tls_peer *peer; /* NULL: it showed no certificate */
};

enum tls_result {
    TLS_OK,    /* the handshake is done; bytes were moved */
    TLS_AGAIN, /* more bytes of the peer are needed */
    TLS_EOF,   /* close_notify, or FIN */
    TLS_FAILED /* errno in failure, text in reason */
};

struct tls {
    uint32_t magic;
    int fd; /* the stream's */
    struct ssl_st *ssl;
    struct loop *loop;
    struct tls_context *context; /* a reference */
    struct pieces cipher;        /* encrypted, not yet taken by the kernel */
    struct slice raw;            /* received, not yet taken by the SSL */
    struct chunk *raw_chunk;
    size_t receive_bytes; /* most that recv may bring in this call; 0: it was asked already */
    bool is_established;
    bool is_drained;               /* the last recv was short */
    bool has_fin;                  /* recv returned 0 */
    bool is_cut;                   /* FIN without close_notify: what came may be less than was sent */
    bool has_said_goodbye;         /* close_notify is in cipher, or was sent */
    bool is_plain_http;            /* the first bytes were an HTTP request in clear text */
    enum tls_result due;           /* found behind bytes that were delivered first; TLS_OK: none */
    int failure;                   /* errno */
    const char *reason;            /* static text */
    uint32_t extra_record_count;   /* other than data, since the handshake */
    uint64_t read_bytes;           /* plain text */
    struct tls_session_slot *slot; /* clients: where to keep the newest session; NULL: nowhere */
    struct tls_peer *peer;
};

/* Takes a reference to the context. */
struct tls *tls_open_server(struct loop *loop, int fd, struct tls_context *context);
/* The target's name: whom to expect, and SNI unless it is an address; NULL: as the context says. */
struct tls *tls_open_client(struct loop *loop, int fd, const struct stream_tls_target *target);
void tls_close(struct tls *t);

/* One step: TLS_OK, TLS_AGAIN or TLS_FAILED. cipher is to be sent in any case. */
enum tls_result tls_handshake(struct tls *t);
/* Fills the buffers; asks the kernel at most once. TLS_OK: *count > 0. cipher may hold an answer afterwards. */
enum tls_result tls_read(struct tls *t, const struct iovec *iov, int iov_count, size_t *count);
/* Is there something to read without the kernel: bytes, or an end that was not told yet? */
bool tls_has_pending(const struct tls *t);
/* Reads on until there is something for the owner, or nothing more came. */
bool tls_has_bytes(struct tls *t);
/* Moves plain text to cipher, in full records, until cipher is full; false when the connection is broken. */
bool tls_seal(struct tls *t, struct pieces *plain);
/* Puts close_notify behind cipher, once. */
void tls_say_goodbye(struct tls *t);

void tls_facts(const struct tls *t, struct tls_facts *out);

#endif
