/* crypto/base64.c - OpenSSL's encoder, and its decoder held to the one strict form. */
#include "crypto/base64.h"

#include "base/check.h"

#include <openssl/evp.h>
#include <string.h>

#define PIECE_BYTES 3072u /* encoded at a time: whole triples, so that only the last piece is padded */

void base64_add(struct text *out, struct slice bytes)
{
    unsigned char piece[PIECE_BYTES / 3 * 4 + 1];
    while (bytes.len > 0) {
        struct slice now = slice_first(bytes, PIECE_BYTES);
        int length = EVP_EncodeBlock(piece, (const unsigned char *)now.ptr, (int)now.len);
        CHECK(length > 0);
        text_add(out, slice_from((const char *)piece, (size_t)length));
        bytes = slice_after(bytes, now.len);
    }
}

static size_t padding_count(struct slice text)
{
    if (text.len == 0 || text.ptr[text.len - 1] != '=')
        return 0;
    return text.ptr[text.len - 2] == '=' ? 2 : 1;
}

/* The index of a character in the alphabet, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The decoder passes over blanks and the bits that padding cuts off; one text for the same bytes is what we want. */
static bool is_strict(struct slice text)
{
    size_t padding = text.len % 4 == 0 ? padding_count(text) : 0;
    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < text.len - padding; i++)
        if (digit(text.ptr[i]) < 0)
            return false;
    int unused_bits = padding == 2 ? 15 : padding == 1 ? 3 : 0;
    return padding == 0 || (digit(text.ptr[text.len - padding - 1]) & unused_bits) == 0;
}

bool base64_read(struct arena *arena, struct slice text, struct slice *out)
{
    *out = SLICE("");
    if (text.len > INT32_MAX || !is_strict(text))
        return false;
    if (text.len == 0)
        return true;
    unsigned char *bytes = arena_alloc(arena, text.len / 4 * 3);
    int length = EVP_DecodeBlock(bytes, (const unsigned char *)text.ptr, (int)text.len);
    CHECK(length == (int)(text.len / 4 * 3)); /* it counts what padding stands for */
    *out = slice_from((const char *)bytes, (size_t)length - padding_count(text));
    return true;
}

bool base64url_read(struct arena *arena, struct slice text, struct slice *out)
{
    size_t padding = (4 - text.len % 4) % 4;
    char *plain = arena_alloc(arena, text.len + padding + 1);
    *out = SLICE("");
    if (padding == 3)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '+' || c == '/' || c == '=')
            return false;
        plain[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    memset(plain + text.len, '=', padding);
    return base64_read(arena, slice_from(plain, text.len + padding), out);
}
