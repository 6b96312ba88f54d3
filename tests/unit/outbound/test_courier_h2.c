/* tests/unit/outbound/test_courier_h2.c - several errands at once to a peer that speaks HTTP/2 over TLS. */
#include "outbound/courier.h"

#include "base/text.h"
#include "net/loop.h"
#include "net/tls_fixture.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAX   32u
#define STREAMS_MAX 32u
#define AT_ONCE     8u

struct server;

/* One connection, with a thread of its own. */
struct peer {
    struct server *server;
    int fd;
    SSL *ssl;
    pthread_t thread;
    nghttp2_session *session;
    int32_t waiting[STREAMS_MAX]; /* streams whose request is there, and that have no answer yet */
    unsigned waiting_count, waiting_most;
};

/* Keeps all answers back until so many requests have come. */
struct server {
    int fd;
    uint16_t port;
    SSL_CTX *context;
    pthread_t thread;
    pthread_mutex_t lock;
    unsigned wanted, come; /* under the lock */
    bool must_end;         /* under the lock */
    struct peer peers[PEERS_MAX];
    unsigned peer_count; /* read after the thread's end */
};

/* ---- HTTP/2 ------------------------------------------------------------------------------------------------------------ */

static ssize_t send_bytes(nghttp2_session *session, const uint8_t *bytes, size_t length, int flags, void *arg)
{
    struct peer *p = arg;
    (void)session;
    (void)flags;
    int sent = SSL_write(p->ssl, bytes, (int)length);
    return sent > 0 ? sent : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct peer *p = arg;
    bool is_request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    (void)session;
    if (!is_request || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 || p->waiting_count == STREAMS_MAX)
        return 0;
    p->waiting[p->waiting_count++] = frame->hd.stream_id;
    p->waiting_most = p->waiting_count > p->waiting_most ? p->waiting_count : p->waiting_most;
    pthread_mutex_lock(&p->server->lock);
    p->server->come++;
    pthread_mutex_unlock(&p->server->lock);
    return 0;
}

static void answer_all(struct peer *p)
{
    uint8_t name[] = ":status", value[] = "200";
    const nghttp2_nv status = { name, value, sizeof name - 1, sizeof value - 1, NGHTTP2_NV_FLAG_NONE };
    while (p->waiting_count > 0)
        nghttp2_submit_response(p->session, p->waiting[--p->waiting_count], &status, 1, NULL);
}

/* False: it is to end. */
static bool look(struct peer *p)
{
    pthread_mutex_lock(&p->server->lock);
    bool may_answer = p->server->come >= p->server->wanted, must_end = p->server->must_end;
    pthread_mutex_unlock(&p->server->lock);
    if (may_answer)
        answer_all(p);
    return !must_end && nghttp2_session_send(p->session) == 0;
}

static bool read_some(struct peer *p)
{
    uint8_t bytes[4096];
    struct pollfd ready = { .fd = p->fd, .events = POLLIN };
    if (SSL_pending(p->ssl) == 0 && poll(&ready, 1, 5) == 0)
        return true;
    int got = SSL_read(p->ssl, bytes, sizeof bytes);
    return got > 0 && nghttp2_session_mem_recv(p->session, bytes, (size_t)got) == got;
}

static void *serve_peer(void *arg)
{
    struct peer *p = arg;
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_send_callback(callbacks, send_bytes);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_server_new(&p->session, callbacks, p);
    nghttp2_session_callbacks_del(callbacks);
    if (SSL_accept(p->ssl) == 1) {
        nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, NULL, 0);
        while (look(p) && read_some(p))
            continue;
    }
    nghttp2_session_del(p->session);
    SSL_free(p->ssl);
    close(p->fd);
    return NULL;
}

/* ---- TLS --------------------------------------------------------------------------------------------------------------- */

static int choose(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *theirs,
                  unsigned int theirs_length, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned int at = 0; at < theirs_length; at += theirs[at] + 1u)
        if (theirs[at] == 2 && memcmp(&theirs[at + 1], "h2", 2) == 0) {
            *out = &theirs[at + 1];
            *length = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *context_create(void)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct tls_pair pair = pair_make(&arena, "gate", "IP:127.0.0.1", MADE_EC, 30);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *certificate = BIO_new_mem_buf(pair.certificate.bytes.ptr, (int)pair.certificate.bytes.len);
    BIO *key = BIO_new_mem_buf(pair.key.bytes.ptr, (int)pair.key.bytes.len);
    X509 *x509 = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    EVP_PKEY *secret = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    cr_assert(SSL_CTX_use_certificate(context, x509) == 1 && SSL_CTX_use_PrivateKey(context, secret) == 1);
    SSL_CTX_set_alpn_select_cb(context, choose, NULL);
    X509_free(x509);
    EVP_PKEY_free(secret);
    BIO_free(certificate);
    BIO_free(key);
    arena_reset(&arena);
    return context;
}

/* ---- the server -------------------------------------------------------------------------------------------------------- */

static void *serve(void *arg)
{
    struct server *s = arg;
    for (int fd; s->peer_count < PEERS_MAX && (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        struct peer *p = &s->peers[s->peer_count++];
        *p = (struct peer){ .server = s, .fd = fd, .ssl = SSL_new(s->context) };
        SSL_set_fd(p->ssl, fd);
        cr_assert_eq(pthread_create(&p->thread, NULL, serve_peer, p), 0);
    }
    return NULL;
}

static void server_start(struct server *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    *s = (struct server){ .fd = socket(AF_INET, SOCK_STREAM, 0), .context = context_create() };
    pthread_mutex_init(&s->lock, NULL);
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(s->fd, 64), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_want(struct server *s, unsigned more)
{
    pthread_mutex_lock(&s->lock);
    s->wanted = s->come + more;
    pthread_mutex_unlock(&s->lock);
}

static void server_stop(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    s->must_end = true;
    pthread_mutex_unlock(&s->lock);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < s->peer_count; i++)
        pthread_join(s->peers[i].thread, NULL);
    close(s->fd);
    SSL_CTX_free(s->context);
    pthread_mutex_destroy(&s->lock);
}

/* ---- errands ----------------------------------------------------------------------------------------------------------- */

struct seen_answers {
    unsigned count, good_count;
};

static void on_done(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct seen_answers *seen = arg;
    (void)ticket;
    seen->count++;
    seen->good_count += answer->failure == NULL && answer->status == 200;
    cr_expect_null(answer->failure, "%s", answer->failure);
}

/* All at once, and all of them answered. */
static void send_and_wait(struct courier *c, struct loop *loop, struct server *s, unsigned count)
{
    const struct http_tls tls = { .is_insecure = true };
    struct seen_answers seen = { 0 };
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/gate", s->port);
    const struct courier_errand errand = { .url = slice_from_cstr(url),
                                           .method = SLICE("POST"),
                                           .body = SLICE("{}"),
                                           .timeout_ms = 30000,
                                           .tls = &tls,
                                           .done = on_done,
                                           .arg = &seen };
    server_want(s, count);
    for (unsigned i = 0; i < count; i++)
        cr_assert(courier_send(c, &errand));
    while (seen.count < count)
        loop_turn(loop);
    cr_expect_eq(seen.good_count, count);
}

Test(courier_h2, no_two_errands_share_a_connection_at_a_time)
{
    struct server server;
    struct loop *loop = loop_create(NULL);
    struct courier *c = courier_start(loop);
    server_start(&server);
    send_and_wait(c, loop, &server, 1); /* a connection that is known to speak HTTP/2 invites the others */
    send_and_wait(c, loop, &server, AT_ONCE);
    send_and_wait(c, loop, &server, AT_ONCE);
    courier_stop(c);
    server_stop(&server);
    for (unsigned i = 0; i < server.peer_count; i++)
        cr_expect_eq(server.peers[i].waiting_most, 1, "%u at a time", server.peers[i].waiting_most);
    cr_expect_eq(server.peer_count, AT_ONCE, "one after the other they do: %u connections", server.peer_count);
    loop_destroy(loop);
}
