/* tests/unit/crypto/test_digest.c - SHA-256 against the vectors of FIPS 180-4, and the comparison of secrets. */
#include "crypto/digest.h"

#include <criterion/criterion.h>

static void assert_digest(struct slice bytes, const char *expected)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    digest_sha256_hex(bytes, hex);
    cr_assert_str_eq(hex, expected);
}

Test(digest, sha256_of_the_standard_vectors)
{
    assert_digest(SLICE_NONE, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(SLICE("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

Test(digest, pieces_come_to_the_same_as_the_whole)
{
    struct slice whole = SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    for (size_t cut = 0; cut <= whole.len; cut++) {
        char expected[DIGEST_SHA256_HEX_SIZE], hex[DIGEST_SHA256_HEX_SIZE];
        struct digest_stream *stream = digest_stream_create();
        digest_stream_add(stream, slice_first(whole, cut));
        digest_stream_add(stream, SLICE_NONE);
        digest_stream_add(stream, slice_after(whole, cut));
        digest_stream_hex(stream, hex);
        digest_stream_destroy(stream);
        digest_sha256_hex(whole, expected);
        cr_assert_str_eq(hex, expected);
    }
}

Test(digest, comparison_sees_each_byte_and_the_length)
{
    cr_assert(digest_equal(SLICE("secret"), SLICE("secret")));
    cr_assert(digest_equal(SLICE_NONE, SLICE("")));
    cr_assert_not(digest_equal(SLICE("secret"), SLICE("Secret")));
    cr_assert_not(digest_equal(SLICE("secret"), SLICE("secreT")));
    cr_assert_not(digest_equal(SLICE("secret"), SLICE("secre")));
}
