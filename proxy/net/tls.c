/* net/tls.c - TLS between a stream's bytes and its socket: one SSL, what it has read ahead, what it has encrypted.
 *
 * OpenSSL's own socket BIO would make two system calls a record to read it and one a record to write it. Ours makes
 * one recv bring as many records as there are, and lets the stream send as many as a flush produced at once. */
#include "net/tls.h"

#include "base/check.h"
#include "base/memory.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls_context.h"
#include "net/tls_parts.h"
#include "stats/counters.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#define TLS_MAGIC 0x544c5321u

#define RAW_BYTES          65536u
#define RECORD_EXTRA_BYTES 256u /* header, padding and tag of one record */
/* Records other than data after the handshake (KeyUpdate, tickets, alerts): so many for nothing, then one for each MiB. */
#define EXTRA_RECORDS_FREE  32u
#define EXTRA_RECORDS_SHIFT 20

/* What all connections of a loop share, since none uses it for longer than a call. */
struct tls_buffers {
    char raw[RAW_BYTES];
    char record[TLS_RECORD_BYTES];
};

static struct tls_buffers *buffers_of(struct loop *loop)
{
    if (loop->tls_buffers == NULL)
        loop->tls_buffers = memory_alloc(sizeof(struct tls_buffers));
    return loop->tls_buffers;
}

/* ---- below the SSL --------------------------------------------------------------------------------------------------- */

static void raw_release(struct tls *t)
{
    if (t->raw_chunk != NULL)
        chunk_unref(TAKE(&t->raw_chunk));
}

/* Asks the kernel, once a call. */
static void raw_receive(struct tls *t)
{
    size_t asked = t->receive_bytes;
    t->receive_bytes = 0;
    if (asked == 0 || t->has_fin || t->failure != 0)
        return;
    char *into = buffers_of(t->loop)->raw;
    ssize_t got = recv(t->fd, into, asked, 0);
    stats_add(t->loop->stats, STATS_READ_CALLS, 1);
    stats_add(t->loop->stats, STATS_BYTES_READ, got > 0 ? (uint64_t)got : 0);
    t->is_drained = got < (ssize_t)asked;
    if (got > 0)
        t->raw = slice_from(into, (size_t)got);
    else if (got == 0)
        t->has_fin = true;
    else if (errno != EAGAIN && errno != EINTR)
        t->failure = errno;
}

static int bio_read(BIO *bio, char *out, int length)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->raw.len == 0) {
        raw_release(t);
        raw_receive(t);
    }
    if (t->raw.len == 0) {
        if (!t->has_fin && t->failure == 0)
            BIO_set_retry_read(bio);
        return t->has_fin ? 0 : -1;
    }
    size_t part = t->raw.len < (size_t)length ? t->raw.len : (size_t)length;
    memcpy(out, t->raw.ptr, part);
    t->raw = slice_after(t->raw, part);
    return (int)part;
}

static int bio_write(BIO *bio, const char *bytes, int length)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    pieces_pack(&t->cipher, &t->loop->pieces, &t->loop->chunks, bytes, (uint32_t)length);
    return length;
}

/* It answers no to BIO_CTRL_EOF: a FIN must not break the SSL, which may still have to write. */
static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO *bio_create(struct tls *t)
{
    BIO *bio = BIO_new(tls_context_bio(t->context));
    CHECK(bio != NULL);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

BIO_METHOD *tls_bio_method_create(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    CHECK(method != NULL);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static struct tls *tls_create(struct loop *loop, int fd, struct tls_context *context)
{
    struct tls *t = memory_zalloc(sizeof(*t));
    t->magic = TLS_MAGIC;
    t->fd = fd;
    t->loop = loop;
    t->context = tls_context_ref(context);
    t->ssl = SSL_new(tls_context_ssl(context));
    CHECK(t->ssl != NULL);
    BIO *bio = bio_create(t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    return t;
}

struct tls *tls_open_server(struct loop *loop, int fd, struct tls_context *context)
{
    struct tls *t = tls_create(loop, fd, context);
    SSL_set_accept_state(t->ssl);
    if (!tls_tickets_are_on(loop)) {
        SSL_set_options(t->ssl, SSL_OP_NO_TICKET);
        SSL_set_num_tickets(t->ssl, 0);
    }
    return t;
}

struct tls *tls_open_client(struct loop *loop, int fd, const struct stream_tls_target *target)
{
    static const unsigned char http1[] = "\x08http/1.1";
    struct tls *t = tls_create(loop, fd, target->context);
    SSL_set_connect_state(t->ssl);
    t->slot = target->slot;
    tls_expect_peer(target->context, t->ssl, target->name);
    if (target->offers_http1_alone)
        SSL_set_alpn_protos(t->ssl, http1, sizeof(http1) - 1);
    if (t->slot != NULL && t->slot->session != NULL)
        SSL_set_session(t->ssl, t->slot->session);
    return t;
}

void tls_close(struct tls *t)
{
    CHECK_MAGIC(t, TLS_MAGIC);
    /* Else a connection that was cut off would take its session's resumption along. */
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    pieces_clear(&t->cipher, &t->loop->pieces);
    raw_release(t);
    tls_peer_free(t->peer);
    tls_context_unref(t->context);
    t->magic = 0;
    memory_free(t);
}

void tls_facts(const struct tls *t, struct tls_facts *out)
{
    const unsigned char *protocol;
    unsigned length;
    SSL_get0_alpn_selected(t->ssl, &protocol, &length);
    *out = (struct tls_facts){
        .version = SSL_get_version(t->ssl),
        .server_name = slice_from_cstr(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)),
        .protocol = slice_from((const char *)protocol, length),
        .is_resumed = SSL_session_reused(t->ssl) == 1,
        .peer = t->peer,
    };
}

/* ---- one call of the SSL --------------------------------------------------------------------------------------------- */

static void call_begin(struct tls *t, size_t room)
{
    size_t most = room + RECORD_EXTRA_BYTES;
    t->receive_bytes = most < RAW_BYTES ? most : RAW_BYTES;
    t->is_drained = false;
    ERR_clear_error();
}

/* T1: what the SSL did not take leaves the loop's buffer. */
static void call_end(struct tls *t)
{
    if (t->raw.len == 0) {
        raw_release(t);
        t->raw = SLICE_NONE;
        return;
    }
    if (t->raw_chunk != NULL)
        return;
    struct chunk_pool *pool = &t->loop->chunks;
    bool is_large = t->raw.len > CHUNK_BYTES;
    t->raw_chunk = is_large ? chunk_create_sized(pool, (uint32_t)t->raw.len) : chunk_create(pool);
    memcpy(t->raw_chunk->bytes, t->raw.ptr, t->raw.len);
    t->raw_chunk->used = (uint32_t)t->raw.len;
    t->raw = slice_from(t->raw_chunk->bytes, t->raw.len);
}

static enum tls_result tls_fail(struct tls *t, int error, const char *reason)
{
    t->failure = error;
    t->reason = reason;
    return TLS_FAILED;
}

static enum tls_result tls_fail_protocol(struct tls *t)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    int kind = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    t->is_plain_http = kind == SSL_R_HTTP_REQUEST || kind == SSL_R_HTTPS_PROXY_REQUEST;
    if (kind == SSL_R_CERTIFICATE_VERIFY_FAILED)
        reason = X509_verify_cert_error_string(SSL_get_verify_result(t->ssl));
    ERR_clear_error();
    return tls_fail(t, EPROTO, reason != NULL ? reason : "the TLS library failed");
}

/* Why a call of the SSL returned without what was asked for. */
static enum tls_result tls_outcome(struct tls *t, int returned)
{
    switch (SSL_get_error(t->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        return TLS_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        if (t->failure != 0)
            return tls_fail(t, t->failure, strerrordesc_np(t->failure));
        t->is_cut = true;
        return TLS_EOF;
    default:
        return tls_fail_protocol(t);
    }
}

/* ---- handshake --------------------------------------------------------------------------------------------------------- */

enum tls_result tls_handshake(struct tls *t)
{
    CHECK_MAGIC(t, TLS_MAGIC);
    call_begin(t, RAW_BYTES);
    int returned = SSL_do_handshake(t->ssl);
    enum tls_result result = returned == 1 ? TLS_OK : tls_outcome(t, returned);
    call_end(t);
    if (result == TLS_EOF)
        return tls_fail(t, ECONNRESET, "the peer closed the connection");
    if (result == TLS_OK) {
        t->is_established = true;
        if (SSL_is_server(t->ssl))
            t->peer = tls_peer_create(SSL_get0_peer_certificate(t->ssl));
    }
    return result;
}

/* Called for each record's header and, in TLS 1.3, for the type inside. */
void tls_on_message(int is_sent, int version, int kind, const void *bytes, size_t length, SSL *ssl, void *arg)
{
    (void)version;
    (void)arg;
    struct tls *t = SSL_get_app_data(ssl);
    bool is_type = length > 0 && (kind == SSL3_RT_HEADER || kind == SSL3_RT_INNER_CONTENT_TYPE);
    if (t->is_established && is_type && !is_sent && *(const unsigned char *)bytes != SSL3_RT_APPLICATION_DATA)
        t->extra_record_count++;
}

/* A peer that only says "new keys, please", or "let us begin anew", makes us work and gets nothing done. */
static bool is_flooded(const struct tls *t)
{
    return t->extra_record_count > EXTRA_RECORDS_FREE + (t->read_bytes >> EXTRA_RECORDS_SHIFT);
}

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

/* Without SSL_MODE_AUTO_RETRY each message that is no data returns to us: we count them. */
static enum tls_result read_once(struct tls *t, char *into, size_t room, size_t *count)
{
    for (;;) {
        int returned = SSL_read_ex(t->ssl, into, room, count);
        if (returned == 1)
            return TLS_OK;
        *count = 0;
        enum tls_result result = tls_outcome(t, returned);
        if (is_flooded(t))
            return tls_fail(t, EPROTO, "too many records without data");
        if (result != TLS_AGAIN || (t->raw.len == 0 && t->receive_bytes == 0))
            return result;
    }
}

static enum tls_result take_due(struct tls *t)
{
    enum tls_result due = t->due;
    t->due = TLS_OK;
    return due;
}

enum tls_result tls_read(struct tls *t, const struct iovec *iov, int iov_count, size_t *count)
{
    CHECK_MAGIC(t, TLS_MAGIC);
    size_t room = 0, part;
    *count = 0;
    if (t->due != TLS_OK)
        return take_due(t);
    for (int i = 0; i < iov_count; i++)
        room += iov[i].iov_len;
    call_begin(t, room);
    enum tls_result result = TLS_OK;
    for (int i = 0; i < iov_count && result == TLS_OK; i++)
        for (size_t at = 0; at < iov[i].iov_len && result == TLS_OK; at += part) {
            result = read_once(t, (char *)iov[i].iov_base + at, iov[i].iov_len - at, &part);
            *count += part;
        }
    call_end(t);
    t->read_bytes += *count;
    if (*count == 0)
        return result;
    if (result == TLS_EOF || result == TLS_FAILED)
        t->due = result;
    return TLS_OK;
}

bool tls_has_pending(const struct tls *t)
{
    return t->due != TLS_OK || t->raw.len > 0 || SSL_pending(t->ssl) > 0;
}

bool tls_has_bytes(struct tls *t)
{
    char byte;
    size_t count;
    if (t->due != TLS_OK || SSL_pending(t->ssl) > 0)
        return true;
    call_begin(t, TLS_RECORD_BYTES);
    int returned = SSL_peek_ex(t->ssl, &byte, 1, &count);
    enum tls_result result = returned == 1 ? TLS_OK : tls_outcome(t, returned);
    call_end(t);
    if (result == TLS_EOF || result == TLS_FAILED)
        t->due = result;
    return result != TLS_AGAIN;
}

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

bool tls_seal(struct tls *t, struct pieces *plain)
{
    CHECK_MAGIC(t, TLS_MAGIC);
    char *record = buffers_of(t->loop)->record;
    ERR_clear_error();
    while (plain->bytes > 0 && t->cipher.bytes < TLS_CIPHER_BYTES) {
        const char *run;
        size_t length = pieces_run(plain, record, TLS_RECORD_BYTES, &run), written;
        if (SSL_write_ex(t->ssl, run, length, &written) != 1) {
            tls_fail_protocol(t);
            return false;
        }
        pieces_consume(plain, &t->loop->pieces, written);
    }
    return true;
}

void tls_say_goodbye(struct tls *t)
{
    if (!t->is_established || t->has_said_goodbye)
        return;
    t->has_said_goodbye = true;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}
