/* net/tls_certificate.c - reads certificates and keys, and says what is wrong with them and where. */
#include "net/tls_parts.h"

#include "base/memory.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#define SOON_S (30 * 86400)

/* ---- PEM ------------------------------------------------------------------------------------------------------------- */

static BIO *pem_open(const struct tls_pem *pem)
{
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(pem->bytes.ptr, (int)pem->bytes.len);
    CHECK(bio != NULL);
    return bio;
}

/* Is that only the end of the file? */
static bool is_at_end(void)
{
    unsigned long code = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    return is_end || code == 0;
}

static const char *library_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error()); /* the first is nearest to the cause */
    return reason != NULL ? reason : "unknown";
}

/* Nobody types a passphrase into a server. */
static int no_passphrase(char *buffer, int size, int is_writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    *(bool *)arg = true;
    return -1;
}

static bool read_chain(const struct tls_pem *pem, struct err_list *errors, struct tls_certificate *out)
{
    BIO *bio = pem_open(pem);
    X509 *next;
    out->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    out->chain = sk_X509_new_null();
    while (out->leaf != NULL && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        sk_X509_push(out->chain, next);
    BIO_free(bio);
    bool is_good = out->leaf != NULL && is_at_end();
    if (!is_good && is_at_end())
        err_add(errors, pem->place, "'%.*s' holds no certificate in PEM", SLICE_ARG(pem->path));
    else if (!is_good)
        err_add(errors, pem->place, "'%.*s': a certificate in it cannot be read: %s", SLICE_ARG(pem->path),
                library_reason());
    ERR_clear_error();
    return is_good;
}

static bool read_key(const struct tls_pem *pem, struct err_list *errors, struct tls_certificate *out)
{
    bool is_encrypted = false;
    BIO *bio = pem_open(pem);
    out->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_encrypted);
    BIO_free(bio);
    if (out->key == NULL && is_encrypted) {
        struct err *e = err_add(errors, pem->place, "the key '%.*s' is encrypted", SLICE_ARG(pem->path));
        err_hint(errors, e, "store it without a passphrase, readable by weir alone");
    } else if (out->key == NULL) {
        err_add(errors, pem->place, "'%.*s' holds no private key in PEM", SLICE_ARG(pem->path));
    }
    ERR_clear_error();
    return out->key != NULL;
}

/* ---- what it is good for ----------------------------------------------------------------------------------------------- */

static int64_t unix_of(const ASN1_TIME *time)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return 0;
    return timegm(&parts);
}

static void day_format(int64_t unix_s, char out[25])
{
    wall_format((struct wall_time){ unix_s * 1000 }, out);
    out[10] = '\0';
}

static void check_times(const struct tls_pem *pem, const struct tls_check *check, const struct tls_certificate *c)
{
    char day[25];
    int64_t now_s = check->now.unix_ms / 1000;
    if (now_s == 0)
        return;
    day_format(c->expires_unix_s, day);
    int64_t begins_unix_s = unix_of(X509_get0_notBefore(c->leaf));
    if (c->expires_unix_s <= now_s && check->if_expired == ERR_ERROR)
        err_add(check->errors, pem->place, "the certificate '%.*s' expired on %s", SLICE_ARG(pem->path), day);
    else if (c->expires_unix_s <= now_s)
        err_add_warning(check->errors, pem->place, "the certificate '%.*s' expired on %s", SLICE_ARG(pem->path), day);
    else if (c->expires_unix_s <= now_s + SOON_S)
        err_add_warning(check->errors, pem->place, "the certificate '%.*s' expires soon, on %s", SLICE_ARG(pem->path),
                        day);
    if (begins_unix_s <= now_s)
        return;
    day_format(begins_unix_s, day);
    err_add_warning(check->errors, pem->place, "the certificate '%.*s' is not valid before %s", SLICE_ARG(pem->path),
                    day);
}

bool tls_certificate_read(const struct tls_pair *pair, const struct tls_check *check, struct tls_certificate *out)
{
    *out = (struct tls_certificate){ 0 };
    bool is_good = read_chain(&pair->certificate, check->errors, out);
    is_good &= read_key(&pair->key, check->errors, out);
    if (out->leaf != NULL) {
        out->expires_unix_s = unix_of(X509_get0_notAfter(out->leaf));
        check_times(&pair->certificate, check, out);
    }
    if (is_good && X509_check_private_key(out->leaf, out->key) != 1) {
        err_add(check->errors, pair->key.place, "the key '%.*s' does not belong to the certificate '%.*s'",
                SLICE_ARG(pair->key.path), SLICE_ARG(pair->certificate.path));
        is_good = false;
    }
    ERR_clear_error();
    if (!is_good)
        tls_certificate_free(out);
    return is_good;
}

void tls_certificate_free(struct tls_certificate *c)
{
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    *c = (struct tls_certificate){ 0 };
}

bool tls_authorities_read(const struct tls_pem *pem, const struct tls_check *check, X509_STORE *store,
                          STACK_OF(X509_NAME) * names)
{
    BIO *bio = pem_open(pem);
    X509 *next;
    size_t count = 0;
    for (; (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; count++) {
        X509_STORE_add_cert(store, next);
        if (names != NULL)
            sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(next)));
        X509_free(next);
    }
    BIO_free(bio);
    bool is_end = is_at_end();
    if (!is_end)
        err_add(check->errors, pem->place, "'%.*s': a certificate in it cannot be read: %s", SLICE_ARG(pem->path),
                library_reason());
    else if (count == 0)
        err_add(check->errors, pem->place, "'%.*s' holds no certificate in PEM", SLICE_ARG(pem->path));
    ERR_clear_error();
    return is_end && count > 0;
}

/* ---- names --------------------------------------------------------------------------------------------------------------- */

/* As bytes; a NUL inside would end the name for some readers and not for others: such a name is none. */
static struct slice text_of(const ASN1_STRING *string)
{
    struct slice text = slice_from((const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    return memchr(text.ptr, '\0', text.len) == NULL ? text : SLICE_NONE;
}

static struct slice common_name(X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = -1, last = -1;
    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        last = at;
    return last >= 0 ? text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last))) : SLICE_NONE;
}

static void add_lower(struct slice name, void (*add)(void *arg, struct slice name), void *arg)
{
    char lower[256];
    if (name.len == 0 || name.len >= sizeof lower)
        return;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20 : name.ptr[i]);
    add(arg, slice_from(lower, name.len));
}

void tls_certificate_names(X509 *leaf, void (*add)(void *arg, struct slice name), void *arg)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    if (names == NULL)
        add_lower(common_name(leaf), add, arg);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            add_lower(text_of(name->d.dNSName), add, arg);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

static bool is_name(const GENERAL_NAME *name)
{
    return name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI;
}

static struct slice copy(char **at, struct slice text)
{
    memcpy(*at, text.len ? text.ptr : "", text.len);
    *at += text.len;
    return slice_from(*at - text.len, text.len);
}

/* One block of memory: the struct, the slices, the bytes. */
static struct tls_peer *peer_alloc(struct slice cn, const GENERAL_NAMES *names, char **bytes)
{
    size_t text_bytes = cn.len, count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        if (is_name(sk_GENERAL_NAME_value(names, i))) {
            text_bytes += text_of(sk_GENERAL_NAME_value(names, i)->d.ia5).len;
            count++;
        }
    size_t slices_bytes = count * sizeof(struct slice);
    struct tls_peer *peer = memory_zalloc(sizeof(*peer) + slices_bytes + text_bytes);
    *bytes = (char *)peer->sans + slices_bytes;
    return peer;
}

struct tls_peer *tls_peer_create(X509 *certificate)
{
    char *at;
    if (certificate == NULL)
        return NULL;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    struct slice cn = common_name(certificate);
    struct tls_peer *peer = peer_alloc(cn, names, &at);
    peer->cn = copy(&at, cn);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        if (is_name(sk_GENERAL_NAME_value(names, i)))
            peer->sans[peer->san_count++] = copy(&at, text_of(sk_GENERAL_NAME_value(names, i)->d.ia5));
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return peer;
}

void tls_peer_free(struct tls_peer *peer)
{
    memory_free(peer);
}
