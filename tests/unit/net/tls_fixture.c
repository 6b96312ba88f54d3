/* tests/unit/net/tls_fixture.c - certificates made on the spot, and two TLS streams whose wire the test holds. */
#include "net/tls_fixture.h"

#include "base/text.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- certificates ------------------------------------------------------------------------------------------------------ */

static struct slice bio_take(struct arena *arena, BIO *bio)
{
    char *bytes;
    long length = BIO_get_mem_data(bio, &bytes);
    struct slice text = arena_copy(arena, slice_from(bytes, (size_t)length));
    BIO_free(bio);
    return text;
}

static void extension_add(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    cr_assert(extension != NULL, "%s", value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *certificate_new(const char *cn, const char *names, EVP_PKEY *key, int days)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -40l * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400l);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1,
                               -1, 0);
    X509_set_pubkey(certificate, key);
    if (names != NULL)
        extension_add(certificate, NID_subject_alt_name, names);
    return certificate;
}

static struct tls_pair pair_write(struct arena *arena, const char *cn, X509 *certificate, EVP_PKEY *key)
{
    struct tls_pair pair = { 0 };
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    pair.certificate.bytes = bio_take(arena, bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    pair.key.bytes = bio_take(arena, bio);
    pair.certificate.path = arena_printf(arena, "%s.pem", cn);
    pair.key.path = arena_printf(arena, "%s.key", cn);
    pair.certificate.place = (struct place){ "weir.yaml", 1, 1 };
    pair.key.place = (struct place){ "weir.yaml", 2, 1 };
    X509_free(certificate);
    EVP_PKEY_free(key);
    return pair;
}

static EVP_PKEY *key_make(enum made_key kind)
{
    return kind == MADE_EC ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
}

struct tls_pair pair_make(struct arena *arena, const char *cn, const char *names, enum made_key kind, int days)
{
    EVP_PKEY *key = key_make(kind);
    X509 *certificate = certificate_new(cn, names, key, days);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    extension_add(certificate, NID_basic_constraints, "CA:TRUE");
    X509_sign(certificate, key, EVP_sha256());
    return pair_write(arena, cn, certificate, key);
}

struct tls_pair pair_make_signed(struct arena *arena, const char *cn, const char *names, const struct tls_pair *by)
{
    BIO *bio = BIO_new_mem_buf(by->certificate.bytes.ptr, (int)by->certificate.bytes.len);
    X509 *authority = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(by->key.bytes.ptr, (int)by->key.bytes.len);
    EVP_PKEY *authority_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL), *key = key_make(MADE_EC);
    BIO_free(bio);
    X509 *certificate = certificate_new(cn, names, key, 365);
    X509_set_issuer_name(certificate, X509_get_subject_name(authority));
    X509_sign(certificate, authority_key, EVP_sha256());
    X509_free(authority);
    EVP_PKEY_free(authority_key);
    return pair_write(arena, cn, certificate, key);
}

static struct tls_context *checked(struct tls_context *context, const struct err_list *errors)
{
    cr_assert(context != NULL && errors->error_count == 0, "%s", errors->first ? errors->first->message : "no context");
    return context;
}

struct tls_context *server_context(const struct tls_pair *pairs, size_t count)
{
    struct arena arena;
    struct err_list errors;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    struct tls_server_options options = { .pairs = pairs, .pair_count = count, .name = SLICE("web") };
    struct tls_check check = { .errors = &errors };
    struct tls_context *context = checked(tls_context_create_server(&options, &check), &errors);
    arena_reset(&arena);
    return context;
}

struct tls_context *client_context(const struct tls_pem *authority, const char *name)
{
    struct arena arena;
    struct err_list errors;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    struct tls_client_options options = {
        .authorities = *authority, .is_verified = true, .name = slice_from_cstr(name), .offers_http1 = true
    };
    struct tls_check check = { .errors = &errors };
    struct tls_context *context = checked(tls_context_create_client(&options, &check), &errors);
    arena_reset(&arena);
    return context;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------- */

static struct end *end_of(struct stream *s)
{
    return CONTAINER_OF(s, struct end, stream);
}

static unsigned char pattern_at(size_t i)
{
    return (unsigned char)(i * 31 + i / 251);
}

static uint64_t hash_add(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x100000001b3u;
}

uint64_t pattern_hash(size_t length)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < length; i++)
        hash = hash_add(hash, pattern_at(i));
    return hash;
}

static void end_take(struct end *e, struct chunk *c)
{
    for (uint32_t i = 0; i < c->used; i++)
        e->hash = hash_add(e->hash, (unsigned char)c->bytes[i]);
    if (e->text != NULL)
        text_add(e->text, slice_from(c->bytes, c->used));
    e->received += c->used;
}

#define CALLS_MOST 1000 /* of one that does not listen: then it pauses, so that a turn that would not end fails */

/* Reads once a call, as little as 100 bytes when slow: what is left must bring another call. */
static void on_readable(struct stream *s)
{
    struct end *e = end_of(s);
    uint32_t count;
    if (e->deaf_after > 0 && e->received >= e->deaf_after) {
        if (++e->readable_count > CALLS_MOST)
            stream_pause(s);
        return;
    }
    struct chunk *c = e->reads_slowly ? chunk_create_sized(&e->loop->chunks, 100) : chunk_create(&e->loop->chunks);
    e->readable_count++;
    enum stream_status status = stream_read(s, c, &count);
    end_take(e, c);
    chunk_unref(c);
    if (status == STREAM_EOF || status == STREAM_ERROR) {
        e->is_ended = true;
        e->error = status == STREAM_ERROR ? s->failure : 0;
        stream_pause(s);
    }
}

static void on_drained(struct stream *s)
{
    end_of(s)->drained_count++;
}

static void on_connected(struct stream *s, int error)
{
    struct end *e = end_of(s);
    cr_assert_not(e->is_connected, "on_connected is called once");
    e->is_connected = error == 0;
    e->error = error;
    e->is_ended = error != 0;
    if (error != 0)
        stream_close(s);
}

static const struct stream_events events = { .on_readable = on_readable,
                                             .on_drained = on_drained,
                                             .on_connected = on_connected };

/* A stream connects by address: one that the system chooses, in no file system. */
static void client_open(struct wire *w, struct tls_context *context, struct tls_session_slot *slot)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t length = sizeof(address);
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(listening, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(listening, 1), 0);
    cr_assert_eq(getsockname(listening, (struct sockaddr *)&address, &length), 0);
    struct stream_tls_target target = { .context = context, .name = NULL, .slot = slot };
    stream_connect_tls(&w->client.stream, w->loop, (struct sockaddr *)&address, length, &target, &events);
    w->client.wire = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    cr_assert_geq(w->client.wire, 0);
    close(listening);
}

void wire_open_with_slot(struct wire *w, struct tls_context *server, struct tls_context *client,
                         struct tls_session_slot *slot, const struct tls_ticket_keys *keys)
{
    int fds[2], small = 16384;
    *w = (struct wire){ .loop = loop_create(NULL) };
    w->server.loop = w->client.loop = w->loop;
    tls_ticket_keys_set(w->loop, keys);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)); /* sends fall short */
    w->server.wire = fds[1];
    stream_open_tls(&w->server.stream, w->loop, fds[0], server, &events);
    client_open(w, client, slot);
    tls_context_unref(server); /* the streams have theirs */
    tls_context_unref(client);
}

void wire_open(struct wire *w, struct tls_context *server, struct tls_context *client)
{
    struct tls_ticket_keys keys = { .count = 0 };
    tls_ticket_keys_rotate(&keys);
    wire_open_with_slot(w, server, client, NULL, &keys);
}

/* Returns what was moved; an end of file is carried on as one. */
static size_t carry(struct wire *w, struct end *from, struct end *to, size_t step)
{
    char bytes[65536];
    struct pollfd room = { .fd = to->wire, .events = POLLOUT };
    if (from->wire < 0 || to->wire < 0 || poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0)
        return 0;
    ssize_t got = recv(from->wire, bytes, step < sizeof(bytes) ? step : sizeof(bytes), MSG_PEEK);
    if (got == 0 && !w->is_cut)
        shutdown(to->wire, SHUT_WR);
    ssize_t sent = got > 0 ? send(to->wire, bytes, (size_t)got, MSG_NOSIGNAL) : 0;
    if (sent > 0)
        cr_assert_eq(recv(from->wire, bytes, (size_t)sent, 0), sent);
    return sent > 0 ? (size_t)sent : 0;
}

/* A turn that waits for nothing: a timer that is due makes sure of that. */
static void nothing(void *arg)
{
    (void)arg;
}

static void turn(struct wire *w)
{
    struct timer timer;
    timer_init(&timer, nothing, NULL);
    timer_start(w->loop, &timer, 0);
    loop_turn(w->loop);
    timer_stop(w->loop, &timer);
}

/* Grows whenever something happened to an end. */
static size_t progress_of(const struct end *e)
{
    return e->received + e->readable_count + e->drained_count + e->is_connected + e->is_ended;
}

bool wire_step(struct wire *w, size_t step)
{
    size_t before = progress_of(&w->server) + progress_of(&w->client);
    size_t moved = carry(w, &w->client, &w->server, step) + carry(w, &w->server, &w->client, step);
    turn(w);
    return moved > 0 || progress_of(&w->server) + progress_of(&w->client) != before;
}

void wire_run(struct wire *w, size_t step)
{
    for (int quiet = 0; quiet < 3;)
        quiet = wire_step(w, step) ? 0 : quiet + 1;
}

void wire_close(struct wire *w)
{
    stream_close(&w->server.stream);
    stream_close(&w->client.stream);
    stream_close(&w->client.stream);
    loop_turn_now(w->loop);
    cr_assert_eq(w->loop->chunks.live_count, 0, "every chunk was given back");
    loop_destroy(w->loop);
    close(w->server.wire);
    close(w->client.wire);
}

void end_send(struct end *e, size_t length)
{
    for (size_t at = 0; at < length;) {
        struct chunk *c = chunk_create(&e->loop->chunks);
        size_t part = length - at < CHUNK_BYTES ? length - at : CHUNK_BYTES;
        for (size_t i = 0; i < part; i++)
            c->bytes[i] = (char)pattern_at(at + i);
        c->used = (uint32_t)part;
        stream_push(&e->stream, c, 0, c->used);
        chunk_unref(c);
        at += part;
    }
    cr_assert_eq(stream_flush(&e->stream), STREAM_OK);
}
