/* net/tls_parts.h - what the files of TLS in net/ share among themselves. For net/ only. */
#ifndef NET_TLS_PARTS_H
#define NET_TLS_PARTS_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "base/err.h"
#include "net/tls.h"
#include "net/tls_context.h"

/* ---- tls.c: callbacks that contexts install ------------------------------------------------------------------------------ */

void tls_on_message(int is_sent, int version, int kind, const void *bytes, size_t length, SSL *ssl, void *arg);
/* Whatever is below an SSL of ours: freed by its context. */
BIO_METHOD *tls_bio_method_create(void);

/* ---- tls_context.c ----------------------------------------------------------------------------------------------------- */

SSL_CTX *tls_context_ssl(const struct tls_context *c);
const BIO_METHOD *tls_context_bio(const struct tls_context *c);
const EVP_CIPHER *tls_context_ticket_cipher(const struct tls_context *c);
/* Sets SNI and what the peer's certificate must be for. */
void tls_expect_peer(const struct tls_context *c, SSL *ssl, const char *name);

/* ---- tls_certificate.c --------------------------------------------------------------------------------------------------- */

/* A certificate with its chain and key, as read. */
struct tls_certificate {
    X509 *leaf;
    STACK_OF(X509) * chain; /* without the leaf */
    EVP_PKEY *key;
    int64_t expires_unix_s;
};

/* False with errors added. */
bool tls_certificate_read(const struct tls_pair *pair, const struct tls_check *check, struct tls_certificate *out);
void tls_certificate_free(struct tls_certificate *c);
/* Calls `add` for each DNS name the certificate is for, in lower case; the common name when it has no alternative
   names. */
void tls_certificate_names(X509 *leaf, void (*add)(void *arg, struct slice name), void *arg);
/* The certificates of a PEM file; false with errors added. */
bool tls_authorities_read(const struct tls_pem *pem, const struct tls_check *check, X509_STORE *store,
                          STACK_OF(X509_NAME) * names);

/* Names of a peer's certificate, from the heap; NULL for none. */
struct tls_peer *tls_peer_create(X509 *certificate);
void tls_peer_free(struct tls_peer *peer);

/* ---- tls_tickets.c ------------------------------------------------------------------------------------------------------- */

/* Tickets are sealed and opened with the keys of the loop that serves the connection. */
void tls_tickets_install(SSL_CTX *ssl);
/* Whether the loop has keys. */
bool tls_tickets_are_on(const struct loop *loop);

#endif
