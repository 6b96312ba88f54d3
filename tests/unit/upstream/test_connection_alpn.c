/* tests/unit/upstream/test_connection_alpn.c - what the endpoint chose by ALPN decides who shares a connection. */
#include "net/tls_fixture.h"
#include "upstream/connection.h"
#include "upstream/fixture.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct house h;
static struct call calls[6];
static const char *const names[] = { "0", "1", "2", "3", "4", "5" };
static struct arena arena;
static struct tls_pair pair;

/* ---- the endpoint ------------------------------------------------------------------------------------------------------ */

/* A connection as its end has it. */
struct peer {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

/* `arg`: the only protocol that is taken; NULL: ALPN is ignored. */
static int choose(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *theirs,
                  unsigned int theirs_length, void *arg)
{
    const char *wanted = arg;
    (void)ssl;
    for (unsigned int at = 0; wanted != NULL && at < theirs_length; at += theirs[at] + 1u)
        if (theirs[at] == strlen(wanted) && memcmp(&theirs[at + 1], wanted, theirs[at]) == 0) {
            *out = &theirs[at + 1];
            *length = theirs[at];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *peer_context(const char *protocol)
{
    union {
        const char *constant;
        void *arg;
    } wanted = { protocol };
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *certificate = BIO_new_mem_buf(pair.certificate.bytes.ptr, (int)pair.certificate.bytes.len);
    BIO *key = BIO_new_mem_buf(pair.key.bytes.ptr, (int)pair.key.bytes.len);
    X509 *x509 = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    EVP_PKEY *secret = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    cr_assert(SSL_CTX_use_certificate(context, x509) == 1 && SSL_CTX_use_PrivateKey(context, secret) == 1);
    SSL_CTX_set_alpn_select_cb(context, choose, wanted.arg);
    X509_free(x509);
    EVP_PKEY_free(secret);
    BIO_free(certificate);
    BIO_free(key);
    return context;
}

static bool is_shaken(struct peer *p)
{
    int result = SSL_accept(p->ssl);
    cr_assert(result == 1 || SSL_get_error(p->ssl, result) == SSL_ERROR_WANT_READ);
    return result == 1;
}

/* Takes the next connection and shakes hands, choosing that protocol. */
static struct peer peer_open(const char *protocol)
{
    TURN_UNTIL(&h, peer_has_connection(&h, 0));
    struct peer p = { .context = peer_context(protocol), .fd = peer_accept(&h, 0) };
    cr_assert_eq(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
    p.ssl = SSL_new(p.context);
    SSL_set_fd(p.ssl, p.fd);
    TURN_UNTIL(&h, is_shaken(&p));
    return p;
}

/* Waits for the head of /NAME and answers it. */
static void peer_answer_one(struct peer *p, const char *name)
{
    char got[1024] = "", target[16];
    size_t length = 0;
    snprintf(target, sizeof(target), " /%s HTTP/1.1", name);
    while (strstr(got, "\r\n\r\n") == NULL) {
        int count = SSL_read(p->ssl, got + length, (int)(sizeof(got) - 1 - length));
        length += count > 0 ? (size_t)count : 0;
        house_turn(&h);
    }
    cr_assert_not_null(strstr(got, target), "%s", got);
    cr_assert_eq(SSL_write(p->ssl, OK_ANSWER, (int)strlen(OK_ANSWER)), (int)strlen(OK_ANSWER));
}

static void peer_close(struct peer *p)
{
    SSL_free(p->ssl);
    SSL_CTX_free(p->context);
    close(p->fd);
}

/* ---- the house --------------------------------------------------------------------------------------------------------- */

static struct tls_context *context_of(enum upstream_protocol protocol)
{
    struct err_list errors;
    err_list_init(&errors, &arena);
    struct tls_client_options options = { .digest = 1 + (uint64_t)protocol,
                                          .offers_http1 = protocol != UPSTREAM_HTTP2,
                                          .offers_http2 = protocol != UPSTREAM_HTTP1 };
    struct tls_check check = { .errors = &errors };
    struct tls_context *context = tls_context_create_client(&options, &check);
    cr_assert_not_null(context);
    return context;
}

static void apply(enum upstream_protocol protocol)
{
    struct tls_context *before = h.tls;
    h.config.protocol = protocol;
    h.tls = context_of(protocol);
    house_apply(&h);
    tls_context_unref(before);
}

static void open_tls(enum upstream_protocol protocol)
{
    signal(SIGPIPE, SIG_IGN); /* the endpoint may write to one that was closed */
    arena_init(&arena, NULL, 0);
    pair = pair_make(&arena, "svc.internal", "DNS:svc.internal", MADE_EC, 365);
    house_open(&h, "L");
    apply(protocol);
}

static void close_tls(void)
{
    house_close(&h);
    tls_context_unref(h.tls);
    arena_reset(&arena);
}

static void start(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        call_start(&calls[i], &h, names[i]);
}

static uint64_t connects(void)
{
    return house_stat(&h, STATS_UPSTREAM_CONNECTS);
}

/* ---- what was agreed on -------------------------------------------------------------------------------------------------- */

Test(connection_alpn, http2_carries_all_who_gathered)
{
    open_tls(UPSTREAM_BY_ALPN);
    start(6);
    cr_assert_eq(connects(), 1);
    struct peer p = peer_open("h2");
    TURN_UNTIL(&h, calls[5].x.state == EXCHANGE_WAITING);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(calls[i].x.connection, calls[0].x.connection);
    cr_assert_eq(calls[0].x.connection->protocol, &connection_h2);
    cr_assert_eq(connects(), 1);
    for (int i = 0; i < 6; i++)
        call_cancel(&calls[i]);
    peer_close(&p);
    close_tls();
}

static void part(const char *protocol)
{
    struct peer peers[4];
    open_tls(UPSTREAM_BY_ALPN);
    start(3);
    cr_assert_eq(connects(), 1);
    peers[0] = peer_open(protocol);
    TURN_UNTIL(&h, calls[0].x.state == EXCHANGE_WAITING);
    cr_assert_eq(connects(), 3, "each has one of its own");
    for (int i = 1; i < 3; i++) {
        cr_assert_eq(calls[i].x.state, EXCHANGE_CONNECTING);
        cr_assert_eq(calls[i].x.try_count, 1, "what it waited for was no try");
        cr_assert_not(calls[i].x.is_retried);
    }
    call_start(&calls[3], &h, names[3]);
    cr_assert_eq(connects(), 4, "nobody gathers any more");
    for (int i = 1; i < 4; i++)
        peers[i] = peer_open(protocol);
    for (int i = 0; i < 4; i++) {
        peer_answer_one(&peers[i], names[i]);
        TURN_UNTIL(&h, call_is_over(&calls[i]));
        cr_assert_str_eq(calls[i].heard, "Dhde");
        peer_close(&peers[i]);
    }
    close_tls();
}

Test(connection_alpn, of_those_who_gathered_for_http1_all_but_the_first_get_their_own)
{
    part("http/1.1");
}

Test(connection_alpn, who_knows_no_alpn_speaks_http1)
{
    part(NULL);
}

Test(connection_alpn, at_the_limit_those_who_part_wait_in_order)
{
    open_tls(UPSTREAM_BY_ALPN);
    h.config.max_connections = 1;
    house_apply(&h);
    start(4);
    cr_assert_eq(house_pending_count(&h), 0);
    struct peer p = peer_open("http/1.1");
    TURN_UNTIL(&h, calls[0].x.state == EXCHANGE_WAITING);
    cr_assert_eq(house_pending_count(&h), 3);
    for (int i = 0; i < 4; i++)
        peer_answer_one(&p, names[i]);
    TURN_UNTIL(&h, call_is_over(&calls[3]));
    cr_assert_eq(connects(), 1);
    peer_close(&p);
    close_tls();
}

Test(connection_alpn, at_both_limits_those_who_part_are_refused)
{
    open_tls(UPSTREAM_BY_ALPN);
    h.config.max_connections = 1;
    h.config.max_pending = 1;
    house_apply(&h);
    start(3);
    struct peer p = peer_open("http/1.1");
    TURN_UNTIL(&h, call_is_over(&calls[2]));
    cr_assert_eq(calls[2].reason, REASON_OVERLOADED);
    peer_answer_one(&p, names[0]);
    peer_answer_one(&p, names[1]);
    TURN_UNTIL(&h, call_is_over(&calls[1]));
    peer_close(&p);
    close_tls();
}

static void cancel_fourth(struct call *c)
{
    (void)c;
    call_cancel(&calls[3]);
}

/* The first ends its connection as soon as it has it; of those who part the third is refused, and its owner ends the fourth,
   which is between two connections. */
Test(connection_alpn, whoever_goes_on_may_end_those_who_part)
{
    open_tls(UPSTREAM_BY_ALPN);
    start(4);
    h.config.max_connections = 1;
    h.config.max_pending = 0;
    house_apply(&h);
    calls[0].cancel_at = 'D';
    calls[2].on_end = cancel_fourth;
    struct peer p = peer_open("http/1.1");
    TURN_UNTIL(&h, call_is_over(&calls[2]));
    cr_assert_str_eq(calls[0].heard, "D");
    cr_assert_eq(calls[0].x.state, EXCHANGE_DONE);
    cr_assert_eq(calls[1].x.state, EXCHANGE_CONNECTING, "in the place that became free");
    cr_assert_eq(calls[2].reason, REASON_OVERLOADED);
    cr_assert_str_eq(calls[3].heard, "");
    cr_assert_eq(calls[3].x.state, EXCHANGE_DONE);
    call_cancel(&calls[1]);
    peer_close(&p);
    close_tls();
}

/* ---- what is known from before --------------------------------------------------------------------------------------------- */

static void serve_http2(void)
{
    start(1);
    struct peer p = peer_open("h2");
    TURN_UNTIL(&h, calls[0].x.state == EXCHANGE_WAITING);
    call_cancel(&calls[0]);
    peer_close(&p);
    TURN_UNTIL(&h, h.upstream->connection_count == 0);
    h.call_count = 0;
    arena_reset(&calls[0].arena);
}

Test(connection_alpn, an_endpoint_that_spoke_http2_may_speak_http1_now)
{
    open_tls(UPSTREAM_BY_ALPN);
    serve_http2();
    start(2);
    cr_assert_eq(connects(), 2);
    struct peer first = peer_open("http/1.1"), second = peer_open("http/1.1");
    peer_answer_one(&first, names[0]);
    peer_answer_one(&second, names[1]);
    TURN_UNTIL(&h, call_is_over(&calls[0]) && call_is_over(&calls[1]));
    peer_close(&first);
    peer_close(&second);
    close_tls();
}

Test(connection_alpn, an_endpoint_that_spoke_http1_may_speak_http2_now)
{
    open_tls(UPSTREAM_BY_ALPN);
    start(1);
    struct peer old = peer_open("http/1.1");
    peer_answer_one(&old, names[0]);
    TURN_UNTIL(&h, call_is_over(&calls[0]));
    peer_close(&old);
    TURN_UNTIL(&h, h.upstream->connection_count == 0);
    call_start(&calls[1], &h, names[1]);
    struct peer p = peer_open("h2");
    TURN_UNTIL(&h, calls[1].x.state == EXCHANGE_WAITING);
    call_start(&calls[2], &h, names[2]);
    cr_assert_eq(calls[2].x.connection, calls[1].x.connection, "there is room for more");
    call_cancel(&calls[1]);
    call_cancel(&calls[2]);
    peer_close(&p);
    close_tls();
}

/* ---- what is configured ------------------------------------------------------------------------------------------------------ */

Test(connection_alpn, http1_alone_is_offered_alone)
{
    open_tls(UPSTREAM_HTTP1);
    start(2);
    cr_assert_eq(connects(), 2);
    struct peer p = peer_open("h2");
    const unsigned char *chosen;
    unsigned int length;
    SSL_get0_alpn_selected(p.ssl, &chosen, &length);
    cr_assert_eq(length, 0, "h2 was not among what it could choose");
    peer_answer_one(&p, names[0]);
    TURN_UNTIL(&h, call_is_over(&calls[0]));
    call_cancel(&calls[1]);
    peer_close(&p);
    close_tls();
}

Test(connection_alpn, http2_alone_is_http2_or_nothing)
{
    open_tls(UPSTREAM_HTTP2);
    start(2);
    struct peer p = peer_open("http/1.1");
    TURN_UNTIL(&h, call_is_over(&calls[0]) && call_is_over(&calls[1]));
    cr_assert_eq(calls[1].reason, REASON_UPSTREAM_TLS);
    cr_assert(house_is_down(&h, 0));
    peer_close(&p);
    close_tls();
}

/* What was offered counts, not what is configured by the time it is agreed on. */
Test(connection_alpn, a_reload_in_the_middle_of_the_handshake)
{
    open_tls(UPSTREAM_BY_ALPN);
    start(2);
    apply(UPSTREAM_HTTP2);
    struct peer p = peer_open("http/1.1");
    peer_answer_one(&p, names[0]);
    TURN_UNTIL(&h, call_is_over(&calls[0]));
    cr_assert_eq(calls[0].status, 200);
    cr_assert_eq(calls[1].x.endpoint, house_endpoint(&h, 0), "the other went where the new configuration says");
    call_cancel(&calls[1]);
    peer_close(&p);
    close_tls();
}

Test(connection_alpn, without_tls_it_is_http1)
{
    house_open(&h, "H");
    start(2);
    cr_assert_neq(calls[0].x.connection, calls[1].x.connection);
    struct upstream_connection *c = calls[0].x.connection;
    h.config.protocol = UPSTREAM_HTTP1;
    house_apply(&h);
    cr_assert(c->is_reusable && c->protocol == &connection_h1, "saying so changes nothing");
    call_cancel(&calls[0]);
    call_cancel(&calls[1]);
    house_close(&h);
}
