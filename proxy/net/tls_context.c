/* net/tls_context.c - builds the SSL_CTXs of a listener or an upstream, and chooses among a listener's by SNI.
 *
 * A listener has one SSL_CTX per set of names. Certificates of different key types for the same names share one, and
 * OpenSSL chooses by what the client can verify. */
#include "net/tls_context.h"

#include "base/map.h"
#include "base/memory.h"
#include "net/tls_parts.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>

#define TLS_CONTEXT_MAGIC 0x544c5343u

/* AEAD with forward secrecy only, the cheapest first: 128 bits are enough. Who has no AES in hardware gets ChaCha20
   (SSL_OP_PRIORITIZE_CHACHA). */
#define CIPHERS_TLS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_TLS_1_2                                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SESSION_S       7200 /* how long a session may be resumed */
#define SESSION_AUTH_S  300  /* with client certificates: they are not asked for again meanwhile */
#define TICKETS         1    /* after a full handshake of TLS 1.3 */
#define CHAIN_BYTES_MAX 32768
#define CHAIN_DEPTH_MAX 8

struct tls_group {
    SSL_CTX *ssl;
    struct slice names; /* joined with blanks: groups are told apart by them */
};

struct tls_context {
    uint32_t magic;
    _Atomic uint32_t ref_count;
    struct arena arena; /* names, expiries, groups */
    BIO_METHOD *bio;
    EVP_CIPHER *ticket_cipher; /* found once: finding it takes longer than using it */
    struct tls_group *groups;  /* the first is the default; clients have one */
    size_t group_count;
    struct map groups_by_name; /* exact names, and "*.example.com" */
    struct tls_expiry *expiries;
    size_t expiry_count;
    unsigned char protocols[16]; /* offered, as ALPN writes them */
    unsigned protocols_length;
    uint64_t digest;   /* clients: of what it was made of */
    struct slice name; /* clients: whom to expect; empty: who is connected to */
};

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static struct tls_context *context_create(size_t group_count)
{
    struct tls_context *c = memory_zalloc(sizeof(*c));
    c->magic = TLS_CONTEXT_MAGIC;
    c->ref_count = 1;
    arena_init(&c->arena, NULL, 0);
    map_init(&c->groups_by_name);
    c->bio = tls_bio_method_create();
    c->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    CHECK(c->ticket_cipher != NULL);
    c->groups = arena_zalloc_array(&c->arena, group_count, sizeof(*c->groups));
    c->expiries = arena_zalloc_array(&c->arena, group_count, sizeof(*c->expiries));
    return c;
}

static void context_destroy(struct tls_context *c)
{
    for (size_t i = 0; i < c->group_count; i++)
        SSL_CTX_free(c->groups[i].ssl);
    map_fini(&c->groups_by_name);
    EVP_CIPHER_free(c->ticket_cipher);
    BIO_meth_free(c->bio);
    arena_reset(&c->arena);
    c->magic = 0;
    memory_free(c);
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    CHECK_MAGIC(c, TLS_CONTEXT_MAGIC);
    atomic_fetch_add_explicit(&c->ref_count, 1, memory_order_relaxed);
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    if (c == NULL)
        return;
    CHECK_MAGIC(c, TLS_CONTEXT_MAGIC);
    if (atomic_fetch_sub_explicit(&c->ref_count, 1, memory_order_acq_rel) == 1)
        context_destroy(c);
}

SSL_CTX *tls_context_ssl(const struct tls_context *c)
{
    return c->groups[0].ssl;
}

const BIO_METHOD *tls_context_bio(const struct tls_context *c)
{
    return c->bio;
}

const EVP_CIPHER *tls_context_ticket_cipher(const struct tls_context *c)
{
    return c->ticket_cipher;
}

uint64_t tls_context_digest(const struct tls_context *c)
{
    return c->digest;
}

size_t tls_context_expiries(const struct tls_context *c, const struct tls_expiry **out)
{
    *out = c->expiries;
    return c->expiry_count;
}

/* ---- what both sides have in common ------------------------------------------------------------------------------------ */

static SSL_CTX *ssl_create(const SSL_METHOD *method, enum tls_version min_version)
{
    int groups[] = { NID_X25519, NID_X9_62_prime256v1, NID_secp384r1 };
    SSL_CTX *ssl = SSL_CTX_new(method);
    CHECK(ssl != NULL);
    SSL_CTX_set_min_proto_version(ssl, min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY); /* tls_read counts what is no data */
    CHECK(SSL_CTX_set_cipher_list(ssl, CIPHERS_TLS_1_2) == 1);
    CHECK(SSL_CTX_set_ciphersuites(ssl, CIPHERS_TLS_1_3) == 1);
    CHECK(SSL_CTX_set1_groups(ssl, groups, ARRAY_COUNT(groups)) == 1);
    SSL_CTX_set_max_cert_list(ssl, CHAIN_BYTES_MAX);
    SSL_CTX_set_verify_depth(ssl, CHAIN_DEPTH_MAX);
    SSL_CTX_set_msg_callback(ssl, tls_on_message);
    return ssl;
}

static bool use_certificate(SSL_CTX *ssl, const struct tls_pair *pair, const struct tls_certificate *certificate,
                            const struct tls_check *check)
{
    if (SSL_CTX_use_cert_and_key(ssl, certificate->leaf, certificate->key, certificate->chain, 1) == 1)
        return true;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    err_add(check->errors, pair->certificate.place, "the certificate '%.*s' cannot be used: %s",
            SLICE_ARG(pair->certificate.path), reason != NULL ? reason : "unknown");
    ERR_clear_error();
    return false;
}

static void remember_expiry(struct tls_context *c, const struct tls_pair *pair,
                            const struct tls_certificate *certificate)
{
    c->expiries[c->expiry_count++] = (struct tls_expiry){ .path = arena_copy(&c->arena, pair->certificate.path),
                                                          .unix_s = certificate->expires_unix_s };
}

/* As ALPN writes a list: each name behind its length. */
static void offer(struct tls_context *c, struct slice protocol)
{
    CHECK(c->protocols_length + 1 + protocol.len <= sizeof(c->protocols));
    c->protocols[c->protocols_length++] = (unsigned char)protocol.len;
    memcpy(c->protocols + c->protocols_length, protocol.ptr, protocol.len);
    c->protocols_length += (unsigned)protocol.len;
}

/* ---- servers: SNI -------------------------------------------------------------------------------------------------------- */

/* RFC 6066 3: compared without case, no final dot. */
static struct slice server_name(SSL *ssl, char out[256])
{
    struct slice name = slice_from_cstr(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    if (name.len >= 256)
        return SLICE_NONE;
    for (size_t i = 0; i < name.len; i++)
        out[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20 : name.ptr[i]);
    name = slice_from(out, name.len);
    return slice_has_suffix(name, SLICE(".")) ? slice_first(name, name.len - 1) : name;
}

/* The name itself, then with its first label as a star (RFC 6125 6.4.3). */
static const struct tls_group *group_find(const struct tls_context *c, struct slice name, char buffer[256])
{
    const struct tls_group *group = name.len > 0 ? map_get(&c->groups_by_name, name) : NULL;
    size_t dot = slice_find(name, '.');
    if (group != NULL || dot == 0 || dot == name.len)
        return group;
    buffer[dot - 1] = '*';
    return map_get(&c->groups_by_name, slice_from(buffer + dot - 1, name.len - dot + 1));
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct tls_context *c = arg;
    char buffer[256];
    const struct tls_group *group = group_find(c, server_name(ssl, buffer), buffer);
    if (group != NULL && group != &c->groups[0])
        SSL_set_SSL_CTX(ssl, group->ssl);
    return SSL_TLSEXT_ERR_OK; /* a name we do not know gets the default */
}

static int on_protocols(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                        const unsigned char *theirs, unsigned theirs_length, void *arg)
{
    (void)ssl;
    const struct tls_context *c = arg;
    unsigned char *out;
    int result = SSL_select_next_proto(&out, chosen_length, c->protocols, c->protocols_length, theirs, theirs_length);
    *chosen = out;
    /* RFC 7301 3.2: no protocol in common is an error. */
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- servers: certificates ----------------------------------------------------------------------------------------------- */

struct joined_names {
    struct tls_context *context;
    struct slice all;
};

static void join_name(void *arg, struct slice name)
{
    struct joined_names *joined = arg;
    joined->all = arena_printf(&joined->context->arena, "%.*s %.*s", SLICE_ARG(joined->all), SLICE_ARG(name));
}

static struct tls_group *group_add(struct tls_context *c, struct slice names, SSL_CTX *ssl)
{
    struct tls_group *group = &c->groups[c->group_count++];
    struct slice rest = slice_after(names, 1), name;
    *group = (struct tls_group){ .ssl = ssl, .names = names };
    while (names.len > 0 && slice_next_item(&rest, ' ', &name))
        if (map_get(&c->groups_by_name, name) == NULL) /* who comes first has the name */
            map_put(&c->groups_by_name, name, group);
    return group;
}

/* The group of exactly these names that has no certificate of this key type yet. */
static struct tls_group *group_for(struct tls_context *c, struct slice names, const struct tls_certificate *certificate)
{
    for (size_t i = 0; i < c->group_count; i++) {
        struct tls_group *group = &c->groups[i];
        bool is_taken = false;
        if (!slice_equal(group->names, names))
            continue;
        for (long more = SSL_CTX_set_current_cert(group->ssl, SSL_CERT_SET_FIRST); more == 1;
             more = SSL_CTX_set_current_cert(group->ssl, SSL_CERT_SET_NEXT))
            is_taken |=
                EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(group->ssl)) == EVP_PKEY_get_base_id(certificate->key);
        if (!is_taken)
            return group;
    }
    return NULL;
}

/* Who resumes a session must have shown the same certificate to the same authorities. */
static void set_session_id(SSL_CTX *ssl, const struct tls_server_options *o)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct slice all =
        arena_printf(&arena, "%.*s\n%d\n%.*s", SLICE_ARG(o->name), (int)o->client_auth, SLICE_ARG(o->client_ca.bytes));
    SHA256((const unsigned char *)all.ptr, all.len, digest);
    CHECK(SSL_CTX_set_session_id_context(ssl, digest, sizeof(digest)) == 1);
    arena_reset(&arena);
}

static bool set_client_auth(SSL_CTX *ssl, const struct tls_server_options *o, const struct tls_check *check)
{
    if (o->client_auth == TLS_CLIENT_AUTH_NONE)
        return true;
    int mode = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
    if (o->client_auth == TLS_CLIENT_AUTH_REQUIRE)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    bool is_good = tls_authorities_read(&o->client_ca, check, SSL_CTX_get_cert_store(ssl), names);
    SSL_CTX_set_client_CA_list(ssl, names);
    SSL_CTX_set_verify(ssl, mode, NULL);
    return is_good;
}

static SSL_CTX *server_ssl_create(struct tls_context *c, const struct tls_server_options *o,
                                  const struct tls_check *check)
{
    SSL_CTX *ssl = ssl_create(TLS_server_method(), o->min_version);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets remember */
    SSL_CTX_set_timeout(ssl, o->client_auth == TLS_CLIENT_AUTH_NONE ? SESSION_S : SESSION_AUTH_S);
    SSL_CTX_set_num_tickets(ssl, TICKETS);
    SSL_CTX_set_tlsext_servername_callback(ssl, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ssl, c);
    SSL_CTX_set_alpn_select_cb(ssl, on_protocols, c);
    tls_tickets_install(ssl);
    set_session_id(ssl, o);
    if (set_client_auth(ssl, o, check))
        return ssl;
    SSL_CTX_free(ssl);
    return NULL;
}

static bool server_add(struct tls_context *c, const struct tls_server_options *o, const struct tls_pair *pair,
                       const struct tls_check *check)
{
    struct tls_certificate certificate;
    struct joined_names joined = { .context = c, .all = SLICE_NONE };
    if (!tls_certificate_read(pair, check, &certificate))
        return false;
    tls_certificate_names(certificate.leaf, join_name, &joined);
    struct tls_group *group = group_for(c, joined.all, &certificate);
    if (group == NULL) {
        SSL_CTX *ssl = server_ssl_create(c, o, check);
        group = ssl != NULL ? group_add(c, joined.all, ssl) : NULL;
    }
    bool is_good = group != NULL && use_certificate(group->ssl, pair, &certificate, check);
    remember_expiry(c, pair, &certificate);
    tls_certificate_free(&certificate);
    return is_good;
}

struct tls_context *tls_context_create_server(const struct tls_server_options *options, const struct tls_check *check)
{
    struct tls_context *c = context_create(options->pair_count);
    bool is_good = true;
    if (options->offers_http2)
        offer(c, SLICE("h2"));
    offer(c, SLICE("http/1.1"));
    for (size_t i = 0; i < options->pair_count; i++)
        is_good &= server_add(c, options, &options->pairs[i], check);
    if (is_good)
        return c;
    tls_context_unref(c);
    return NULL;
}

/* ---- clients ------------------------------------------------------------------------------------------------------------- */

void tls_session_slot_clear(struct tls_session_slot *slot)
{
    SSL_SESSION_free(slot->session);
    slot->session = NULL;
}

/* The newest wins; taken over from the SSL. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls *t = SSL_get_app_data(ssl);
    if (t == NULL || t->slot == NULL)
        return 0;
    tls_session_slot_clear(t->slot);
    t->slot->session = session;
    return 1;
}

/* Names are checked by the certificate's rules, addresses by theirs (RFC 6125, RFC 9110 4.3.4); addresses are no SNI. */
void tls_expect_peer(const struct tls_context *c, SSL *ssl, const char *name)
{
    const char *wanted = c->name.len > 0 ? c->name.ptr : name;
    if (wanted == NULL)
        return;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, wanted) == 1)
        return;
    X509_VERIFY_PARAM_set1_host(param, wanted, 0);
    char host[256];
    if (snprintf(host, sizeof(host), "%s", wanted) < (int)sizeof(host))
        SSL_set_tlsext_host_name(ssl, host);
}

static bool client_trust(SSL_CTX *ssl, const struct tls_client_options *o, const struct tls_check *check)
{
    SSL_CTX_set_verify(ssl, o->is_verified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (o->authorities.bytes.len > 0)
        return tls_authorities_read(&o->authorities, check, SSL_CTX_get_cert_store(ssl), NULL);
    return !o->is_verified || SSL_CTX_set_default_verify_paths(ssl) == 1;
}

static bool client_show(struct tls_context *c, SSL_CTX *ssl, const struct tls_client_options *o,
                        const struct tls_check *check)
{
    struct tls_certificate certificate;
    if (o->pair.certificate.bytes.len == 0)
        return true;
    if (!tls_certificate_read(&o->pair, check, &certificate))
        return false;
    remember_expiry(c, &o->pair, &certificate);
    bool is_good = use_certificate(ssl, &o->pair, &certificate, check);
    tls_certificate_free(&certificate);
    return is_good;
}

struct tls_context *tls_context_create_client(const struct tls_client_options *options, const struct tls_check *check)
{
    struct tls_context *c = context_create(1);
    SSL_CTX *ssl = ssl_create(TLS_client_method(), TLS_VERSION_1_2);
    c->groups[c->group_count++].ssl = ssl;
    c->name = arena_copy(&c->arena, options->name);
    c->digest = options->digest;
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, on_session);
    if (options->offers_http2)
        offer(c, SLICE("h2"));
    if (options->offers_http1)
        offer(c, SLICE("http/1.1"));
    SSL_CTX_set_alpn_protos(ssl, c->protocols, c->protocols_length);
    bool is_good = client_trust(ssl, options, check);
    is_good &= client_show(c, ssl, options, check);
    ERR_clear_error();
    if (is_good)
        return c;
    tls_context_unref(c);
    return NULL;
}
