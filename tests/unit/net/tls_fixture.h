/* tests/unit/net/tls_fixture.h - certificates made on the spot, and two TLS streams whose wire the test holds. */
#ifndef TESTS_NET_TLS_FIXTURE_H
#define TESTS_NET_TLS_FIXTURE_H

#include "base/arena.h"
#include "base/err.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/tls_context.h"
#include "net/tls_tickets.h"

enum made_key { MADE_EC, MADE_RSA };

/* A certificate and its key as PEM, in the arena. `names`: "DNS:a.example,DNS:*.b.example", or NULL. Signed by itself, and
   good as an authority. Days from now may be negative. */
struct tls_pair pair_make(struct arena *arena, const char *cn, const char *names, enum made_key key, int days);
/* The same, signed by an authority made before. */
struct tls_pair pair_make_signed(struct arena *arena, const char *cn, const char *names, const struct tls_pair *by);

struct tls_context *server_context(const struct tls_pair *pairs, size_t count);
/* Trusts that certificate and expects that name. */
struct tls_context *client_context(const struct tls_pem *authority, const char *name);

/* One end. */
struct end {
    struct stream stream;
    struct loop *loop;
    int wire; /* what the stream's socket is connected to */
    bool is_connected, is_ended, reads_slowly;
    int error;
    size_t received, drained_count, readable_count;
    size_t deaf_after; /* having received so much it neither reads nor pauses; 0: never */
    uint64_t hash;     /* of what was received, in order */
    struct text *text; /* what was received; NULL: not kept */
};

/* Server and client, each on a socket pair; the test carries bytes between the other two ends. */
struct wire {
    struct loop *loop;
    struct end server, client;
    struct tls_session_slot slot;
    bool is_cut; /* ends of file are not carried on */
};

void wire_open(struct wire *w, struct tls_context *server, struct tls_context *client);
void wire_open_with_slot(struct wire *w, struct tls_context *server, struct tls_context *client,
                         struct tls_session_slot *slot, const struct tls_ticket_keys *keys);
/* Carries up to `step` bytes each way and runs the loop; false when nothing moved. */
bool wire_step(struct wire *w, size_t step);
/* Until nothing moves. */
void wire_run(struct wire *w, size_t step);
void wire_close(struct wire *w);

/* Queues `length` bytes of a pattern in chunks and flushes. */
void end_send(struct end *e, size_t length);
uint64_t pattern_hash(size_t length);

#endif
