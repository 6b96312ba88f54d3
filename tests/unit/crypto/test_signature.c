/* tests/unit/crypto/test_signature.c - the examples of RFC 7515, and what must not pass for one. */
#include "crypto/signature.h"

#include <criterion/criterion.h>

#include <string.h>

#include "crypto/base64.h"
#include "crypto/rfc7515.h"

static struct arena arena;

static void open(void)
{
    arena_init(&arena, NULL, 0);
}

static void close(void)
{
    arena_reset(&arena);
}

TestSuite(signature, .init = open, .fini = close);

static struct slice bytes_of(const char *text)
{
    struct slice out;
    cr_assert(base64url_read(&arena, slice_from_cstr(text), &out));
    return out;
}

Test(signature, hmac_of_the_rfc)
{
    struct slice secret = bytes_of(RFC7515_HS256_SECRET), code = bytes_of(RFC7515_HS256_SIGNATURE);
    struct slice text = SLICE(RFC7515_HS256_HEADER "." RFC7515_PAYLOAD);
    cr_assert(signature_is_hmac_sha256(secret, text, code));
    cr_assert_not(signature_is_hmac_sha256(slice_after(secret, 1), text, code));
    cr_assert_not(signature_is_hmac_sha256(secret, slice_after(text, 1), code));
    cr_assert_not(signature_is_hmac_sha256(secret, text, slice_first(code, 31)));
    cr_assert_not(signature_is_hmac_sha256(secret, text, SLICE("")));
    cr_assert_not(signature_is_hmac_sha256(SLICE(""), SLICE(""), code));
}

/* The signature as it is, with each of its bytes changed, cut and too long. */
static void expect_only(const struct public_key *key, struct slice text, struct slice signature)
{
    char changed[600];
    cr_assert(public_key_has_signed(key, text, signature));
    cr_assert_not(public_key_has_signed(key, slice_after(text, 1), signature));
    memcpy(changed, signature.ptr, signature.len);
    for (size_t i = 0; i < signature.len; i += 7) {
        changed[i] ^= 1;
        cr_assert_not(public_key_has_signed(key, text, slice_from(changed, signature.len)), "byte %zu", i);
        changed[i] ^= 1;
    }
    changed[signature.len] = 0;
    cr_assert_not(public_key_has_signed(key, text, slice_from(changed, signature.len + 1)));
    cr_assert_not(public_key_has_signed(key, text, slice_first(signature, signature.len - 1)));
    cr_assert_not(public_key_has_signed(key, text, SLICE("")));
    memset(changed, 0, signature.len);
    cr_assert_not(public_key_has_signed(key, text, slice_from(changed, signature.len)));
    memset(changed, 0xff, signature.len);
    cr_assert_not(public_key_has_signed(key, text, slice_from(changed, signature.len)));
}

Test(signature, rsa_of_the_rfc)
{
    struct public_key *key = public_key_read(SLICE(RFC7515_RS256_KEY), PUBLIC_KEY_RSA);
    cr_assert_not_null(key);
    expect_only(key, SLICE(RFC7515_RS256_HEADER "." RFC7515_PAYLOAD), bytes_of(RFC7515_RS256_SIGNATURE));
    public_key_destroy(key);
}

Test(signature, ecdsa_of_the_rfc)
{
    struct public_key *key = public_key_read(SLICE(RFC7515_ES256_KEY), PUBLIC_KEY_P256);
    cr_assert_not_null(key);
    expect_only(key, SLICE(RFC7515_ES256_HEADER "." RFC7515_PAYLOAD), bytes_of(RFC7515_ES256_SIGNATURE));
    public_key_destroy(key);
}

Test(signature, a_key_is_good_for_its_own_kind_only)
{
    cr_assert_null(public_key_read(SLICE(RFC7515_RS256_KEY), PUBLIC_KEY_P256));
    cr_assert_null(public_key_read(SLICE(RFC7515_ES256_KEY), PUBLIC_KEY_RSA));
    public_key_destroy(NULL);
}

static const char short_rsa[] = /* 1024 bits */
    "-----BEGIN PUBLIC KEY-----\n"
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDJ/j4iZOBD0HZqhruj4GopsNIE\n"
    "pCyfdayVxQ6lndAAIpsb02blbsJbDRMjTinHGUcNMl6RWx37plAQL7MygeX1guDC\n"
    "SJVGgflcQK09E2K5bfo8IzycvyA7NEBVzFvqVFCtnksxQC8Hbh4TNZ0SpV+HII4X\n"
    "fdpe/v1nNQl27wHUhQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
static const char private_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguddW/meQIVD9Q9OM\n"
                                  "/auqRutoPzHgXZ3OVegU3T3O/uShRANCAATbi0FSX7Vp669T/RRIDSxG4KHSz+YE\n"
                                  "9HiQSoJkl/JTSuFQiw5IZlIqBu3fqYpWyPy8QuYmYVSnC5x4bnW/QeUO\n"
                                  "-----END PRIVATE KEY-----\n";

Test(signature, what_is_no_public_key_is_refused)
{
    struct slice both = arena_printf(&arena, "%s%s", RFC7515_ES256_KEY, private_key);
    cr_assert_null(public_key_read(both, PUBLIC_KEY_P256), "who verifies should not be able to sign");
    static const char *const texts[] = {
        "",
        "secret",
        "-----BEGIN PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        short_rsa,
        private_key,
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        cr_assert_null(public_key_read(slice_from_cstr(texts[i]), PUBLIC_KEY_RSA), "%s", texts[i]);
        cr_assert_null(public_key_read(slice_from_cstr(texts[i]), PUBLIC_KEY_P256), "%s", texts[i]);
    }
}
