/* crypto/signature.c - OpenSSL's verification of HMAC, RSA and ECDSA signatures. */
#include "crypto/signature.h"

#include "base/memory.h"
#include "crypto/digest.h"

#include <limits.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define RSA_MIN_BITS      2048
#define RSA_MAX_BITS      8192
#define P256_NUMBER_BYTES 32
#define P256_DER_BYTES    (2 + 2 * (2 + 1 + P256_NUMBER_BYTES)) /* at most */

struct public_key {
    enum public_key_kind kind;
    EVP_PKEY *key;
};

bool signature_is_hmac_sha256(struct slice secret, struct slice bytes, struct slice signature)
{
    unsigned char code[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    CHECK(secret.len <= INT_MAX);
    CHECK(HMAC(EVP_sha256(), secret.len ? secret.ptr : "", (int)secret.len,
               (const unsigned char *)(bytes.len ? bytes.ptr : ""), bytes.len, code, &length) != NULL);
    return digest_equal(slice_from((const char *)code, length), signature);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

static bool is_of_kind(const EVP_PKEY *key, enum public_key_kind kind)
{
    char curve[32];
    size_t length;
    if (kind == PUBLIC_KEY_RSA)
        return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_MIN_BITS &&
               EVP_PKEY_get_bits(key) <= RSA_MAX_BITS;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, curve, sizeof curve, &length) == 1 &&
           strcmp(curve, "prime256v1") == 0;
}

/* NULL when there is none. A private key's text is none: who can verify should not be able to sign. */
static EVP_PKEY *read_pem(struct slice pem)
{
    EVP_PKEY *key = NULL;
    const unsigned char *at = (const unsigned char *)pem.ptr;
    size_t left = pem.len;
    if (!slice_contains(pem, SLICE("-----BEGIN")) || slice_contains(pem, SLICE("PRIVATE KEY")))
        return NULL;
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, NULL, EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    CHECK(decoder != NULL);
    bool is_read = OSSL_DECODER_from_data(decoder, &at, &left) == 1;
    OSSL_DECODER_CTX_free(decoder);
    ERR_clear_error(); /* else TLS on this thread would take what failed here for its own */
    return is_read ? key : NULL;
}

struct public_key *public_key_read(struct slice pem, enum public_key_kind kind)
{
    EVP_PKEY *key = read_pem(pem);
    if (key == NULL || !is_of_kind(key, kind)) {
        EVP_PKEY_free(key);
        return NULL;
    }
    struct public_key *made = memory_alloc(sizeof *made);
    *made = (struct public_key){ kind, key };
    return made;
}

void public_key_destroy(struct public_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->key);
    memory_free(key);
}

/* ---- verifying --------------------------------------------------------------------------------------------------------- */

/* A positive INTEGER of DER (X.690, 8.3): no zeros in front, but one where the number would look negative. */
static size_t write_der_number(unsigned char *out, const unsigned char *number)
{
    size_t skipped = 0;
    while (skipped < P256_NUMBER_BYTES - 1 && number[skipped] == 0)
        skipped++;
    size_t length = P256_NUMBER_BYTES - skipped, zero = number[skipped] >> 7;
    out[0] = 0x02;
    out[1] = (unsigned char)(length + zero);
    out[2] = 0;
    memcpy(out + 2 + zero, number + skipped, length);
    return 2 + zero + length;
}

/* Two numbers side by side -> the SEQUENCE that OpenSSL reads; its length. */
static size_t write_der(unsigned char out[P256_DER_BYTES], struct slice signature)
{
    const unsigned char *numbers = (const unsigned char *)signature.ptr;
    size_t length = write_der_number(out + 2, numbers);
    length += write_der_number(out + 2 + length, numbers + P256_NUMBER_BYTES);
    out[0] = 0x30;
    out[1] = (unsigned char)length;
    return 2 + length;
}

bool public_key_has_signed(const struct public_key *key, struct slice bytes, struct slice signature)
{
    unsigned char der[P256_DER_BYTES];
    const unsigned char *given = (const unsigned char *)signature.ptr;
    size_t given_length = signature.len;
    if (key->kind == PUBLIC_KEY_P256) {
        if (signature.len != 2 * P256_NUMBER_BYTES)
            return false;
        given_length = write_der(der, signature);
        given = der;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL);
    bool is_good = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->key) == 1 &&
                   EVP_DigestVerify(context, given, given_length, (const unsigned char *)(bytes.len ? bytes.ptr : ""),
                                    bytes.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return is_good;
}
