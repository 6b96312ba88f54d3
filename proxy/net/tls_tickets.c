/* net/tls_tickets.c - seals and opens session tickets with the keys of the loop. */
#include "net/tls_tickets.h"

#include "base/memory.h"
#include "net/loop.h"
#include "net/tls_parts.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

void tls_ticket_keys_rotate(struct tls_ticket_keys *keys)
{
    memmove(&keys->keys[1], &keys->keys[0], sizeof(keys->keys) - sizeof(keys->keys[0]));
    CHECK(RAND_bytes((unsigned char *)&keys->keys[0], sizeof(keys->keys[0])) == 1);
    if (keys->count < TLS_TICKET_KEYS)
        keys->count++;
}

void tls_ticket_keys_wipe(struct tls_ticket_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof(*keys));
}

void tls_ticket_keys_set(struct loop *loop, const struct tls_ticket_keys *keys)
{
    if (keys != NULL) {
        if (loop->ticket_keys == NULL)
            loop->ticket_keys = memory_alloc(sizeof(*keys));
        *loop->ticket_keys = *keys;
    } else if (loop->ticket_keys != NULL) {
        tls_ticket_keys_wipe(loop->ticket_keys);
        memory_free(TAKE(&loop->ticket_keys));
    }
}

bool tls_tickets_are_on(const struct loop *loop)
{
    return loop->ticket_keys != NULL && loop->ticket_keys->count > 0;
}

static bool mac_begin(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
    unsigned char bytes[sizeof(key->mac)];
    char digest[] = "SHA256";
    memcpy(bytes, key->mac, sizeof(bytes));
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, bytes, sizeof(bytes)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool is_good = EVP_MAC_CTX_set_params(mac, parameters) == 1;
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return is_good;
}

static int ticket_seal(const struct tls *t, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac)
{
    const struct tls_ticket_key *key = &t->loop->ticket_keys->keys[0];
    if (RAND_bytes(iv, 16) != 1)
        return -1;
    memcpy(name, key->name, sizeof(key->name));
    bool is_good = EVP_EncryptInit_ex2(cipher, tls_context_ticket_cipher(t->context), key->cipher, iv, NULL) == 1 &&
                   mac_begin(mac, key);
    return is_good ? 1 : -1;
}

/* TLS 1.3 asks for a new ticket each time (RFC 8446 C.4); before it, one under an old key is replaced. */
static int ticket_open(const struct tls *t, const unsigned char name[16], const unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct tls_ticket_keys *keys = t->loop->ticket_keys;
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct tls_ticket_key *key = &keys->keys[i];
        if (memcmp(name, key->name, sizeof(key->name)) != 0)
            continue;
        bool is_good = EVP_DecryptInit_ex2(cipher, tls_context_ticket_cipher(t->context), key->cipher, iv, NULL) == 1 &&
                       mac_begin(mac, key);
        bool is_renewed = i > 0 || SSL_version(t->ssl) == TLS1_3_VERSION;
        return !is_good ? -1 : is_renewed ? 2 : 1;
    }
    return 0;
}

static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int is_sealing)
{
    const struct tls *t = SSL_get_app_data(ssl);
    if (t == NULL || !tls_tickets_are_on(t->loop))
        return 0;
    return is_sealing ? ticket_seal(t, name, iv, cipher, mac) : ticket_open(t, name, iv, cipher, mac);
}

void tls_tickets_install(SSL_CTX *ssl)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
}
