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

static void hex_write(const uint8_t raw[DIGEST_SHA256_BYTES], char out[DIGEST_SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_SHA256_BYTES; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[2 * DIGEST_SHA256_BYTES] = '\0';
}

void digest_sha256_hex(struct slice bytes, char out[DIGEST_SHA256_HEX_SIZE])
{
    uint8_t raw[DIGEST_SHA256_BYTES];
    digest_sha256(bytes, raw);
    hex_write(raw, out);
}

/* struct digest_stream is never defined: a pointer to it is OpenSSL's context in our own name. */
static EVP_MD_CTX *to_context(struct digest_stream *stream)
{
    return (EVP_MD_CTX *)(void *)stream;
}

struct digest_stream *digest_stream_create(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    return (struct digest_stream *)(void *)context;
}

void digest_stream_add(struct digest_stream *stream, struct slice bytes)
{
    CHECK(EVP_DigestUpdate(to_context(stream), bytes.len ? bytes.ptr : "", bytes.len) == 1);
}

void digest_stream_hex(struct digest_stream *stream, char out[DIGEST_SHA256_HEX_SIZE])
{
    uint8_t raw[DIGEST_SHA256_BYTES];
    CHECK(EVP_DigestFinal_ex(to_context(stream), raw, NULL) == 1);
    hex_write(raw, out);
}

void digest_stream_destroy(struct digest_stream *stream)
{
    EVP_MD_CTX_free(to_context(stream));
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
