/* crypto/digest.c - OpenSSL's digests and its comparison. */
#include "crypto/digest.h"

#include "base/check.h"

#include <openssl/evp.h>
#include <string.h>

void digest_sha256(struct slice bytes, uint8_t out[DIGEST_SHA256_BYTES])
{
    unsigned length = 0;
    CHECK(EVP_Digest(bytes.len ? bytes.ptr : "", bytes.len, out, &length, EVP_sha256(), NULL) == 1);
    CHECK(length == DIGEST_SHA256_BYTES);
}

void digest_sha256_hex(struct slice bytes, char out[DIGEST_SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t raw[DIGEST_SHA256_BYTES];
    digest_sha256(bytes, raw);
    for (size_t i = 0; i < DIGEST_SHA256_BYTES; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[2 * DIGEST_SHA256_BYTES] = '\0';
}

void digest_websocket_accept(struct slice key, char out[DIGEST_WEBSOCKET_BYTES])
{
    static const struct slice suffix = { "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36 };
    uint8_t raw[20];
    unsigned char text[DIGEST_WEBSOCKET_BYTES + 1];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1);
    CHECK(EVP_DigestUpdate(context, key.ptr, key.len) == 1);
    CHECK(EVP_DigestUpdate(context, suffix.ptr, suffix.len) == 1);
    CHECK(EVP_DigestFinal_ex(context, raw, NULL) == 1);
    EVP_MD_CTX_free(context);
    CHECK(EVP_EncodeBlock(text, raw, sizeof(raw)) == DIGEST_WEBSOCKET_BYTES);
    memcpy(out, text, DIGEST_WEBSOCKET_BYTES);
}

bool digest_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}
