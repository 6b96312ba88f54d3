/* fuzz/fuzz_jwt.c - any bytes as a token, and any header and payload as one that is truly signed: refused with a known word, or
 * good with an object of claims; never good when a byte of it differs. */
#include "base/check.h"
#include "crypto/base64.h"
#include "lua/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define SECRET "thirty-two bytes at the very least"

static const struct jwt_wanted wanted = {
    .algorithm = JWT_HS256, .secret = { SECRET, sizeof(SECRET) - 1 }, .now_s = 1000, .leeway_s = 10
};

static bool is_good(struct slice token)
{
    static const char *const words[] = { "malformed",     "too_long", "wrong_algorithm", "unsupported",
                                         "bad_signature", "expired",  "not_yet_valid" };
    struct json *claims;
    const char *fault = jwt_verify(&wanted, token, &claims);
    bool is_known = fault == NULL;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        is_known |= fault != NULL && strcmp(fault, words[i]) == 0;
    CHECK(is_known && (fault == NULL) == (json_kind(claims) == JSON_KIND_OBJECT));
    json_destroy(claims);
    return fault == NULL;
}

static void add_part(struct text *token, struct slice part)
{
    size_t from = token->len;
    base64_add(token, part);
    for (size_t i = from; i < token->len; i++)
        token->bytes[i] = (char)(token->bytes[i] == '+' ? '-' : token->bytes[i] == '/' ? '_' : token->bytes[i]);
    while (token->len > from && token->bytes[token->len - 1] == '=')
        text_cut(token, token->len - 1);
}

static void sign(struct text *token)
{
    unsigned char code[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    CHECK(HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (const unsigned char *)token->bytes, token->len, code,
               &length) != NULL);
    text_add_char(token, '.');
    add_part(token, slice_from((const char *)code, length));
}

/* The first line is the header, the rest the payload. */
static void try_signed(struct slice input)
{
    struct text token = { 0 };
    size_t end = slice_find(input, '\n');
    add_part(&token, slice_first(input, end));
    text_add_char(&token, '.');
    add_part(&token, slice_after(input, end < input.len ? end + 1 : end));
    sign(&token);
    if (is_good(text_slice(&token)))
        for (size_t i = 0; i < token.len; i += token.len / 16 + 1) {
            token.bytes[i] ^= 1;
            CHECK(!is_good(text_slice(&token)));
            token.bytes[i] ^= 1;
        }
    text_fini(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice input = slice_from((const char *)bytes, length);
    CHECK(!is_good(input)); /* nobody told them the secret */
    try_signed(input);
    return 0;
}
