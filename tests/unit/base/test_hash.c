/* tests/unit/base/test_hash.c - reference vectors, and that numbers are spread evenly. */
#include "base/hash.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct hash_key reference_key = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };

/* vectors_sip64 of the authors' reference implementation: input 00 01 02 ... of each length. */
Test(hash, siphash_answers_the_reference_vectors)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        { 0, 0x726fdb47dd0e0e31u },  { 1, 0x74f839c593dc67fdu },  { 2, 0x0d6c8009d9a94f5au },
        { 3, 0x85676696d7fb7e2du },  { 4, 0xcf2794e0277187b7u },  { 5, 0x18765564cd99a68du },
        { 6, 0xcbc9466e58fee3ceu },  { 7, 0xab0200f58b01d137u },  { 8, 0x93f5f5799a932462u },
        { 9, 0x9e0082df0ba9e4b0u },  { 10, 0x7a5dbbc594ddb9f3u }, { 11, 0xf4b32f46226bada7u },
        { 12, 0x751e8fbc860ee5fbu }, { 13, 0x14ea5627c0843d90u }, { 14, 0xf723ca908e7af2eeu },
        { 15, 0xa129ca6149be45e5u }, { 63, 0x958a324ceb064572u },
    };
    unsigned char input[64];
    for (unsigned i = 0; i < sizeof input; i++)
        input[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        cr_assert_eq(hash_siphash(reference_key, input, vectors[i].len), vectors[i].hash, "length %zu", vectors[i].len);
}

Test(hash, siphash_depends_on_the_key_and_not_on_alignment)
{
    char buffer[32] = "?the same bytes";
    uint64_t aligned = hash_siphash(reference_key, "the same bytes", 14);
    cr_assert_eq(hash_siphash(reference_key, buffer + 1, 14), aligned);
    struct hash_key other = { reference_key.k0 ^ 1, reference_key.k1 };
    cr_assert_neq(hash_siphash(other, buffer + 1, 14), aligned);
}

/* Published with XXH64, and printed by xxhsum -H1. */
Test(hash, stream_answers_the_reference_vectors)
{
    static const struct {
        const char *input;
        uint64_t hash;
    } vectors[] = {
        { "", 0xef46db3751d8e999u },
        { "a", 0xd24ec4f1a98c6e5bu },
        { "abc", 0x44bc2cf5ad770999u },
        { "xxhash", 0x32dd38952c4bc720u },
        { "Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1u },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct hash_stream s;
        hash_stream_init(&s);
        hash_stream_add(&s, vectors[i].input, strlen(vectors[i].input));
        cr_assert_eq(hash_stream_value(&s), vectors[i].hash, "of '%s'", vectors[i].input);
    }
}

/* Whole, in three pieces cut at every two places, and each prefix on the way. */
Test(hash, stream_does_not_feel_where_its_input_is_cut)
{
    unsigned char input[100];
    for (unsigned i = 0; i < sizeof input; i++)
        input[i] = (unsigned char)(i * 7 + 1);
    struct hash_stream whole;
    hash_stream_init(&whole);
    hash_stream_add(&whole, input, sizeof input);
    for (size_t a = 0; a <= sizeof input; a++) {
        for (size_t b = a; b <= sizeof input; b++) {
            struct hash_stream s;
            hash_stream_init(&s);
            hash_stream_add(&s, input, a);
            (void)hash_stream_value(&s);
            hash_stream_add(&s, input + a, b - a);
            hash_stream_add(&s, input + b, sizeof input - b);
            cr_assert_eq(hash_stream_value(&s), hash_stream_value(&whole), "cut at %zu and %zu", a, b);
        }
    }
}

Test(hash, bytes_tells_lengths_of_zero_bytes_apart)
{
    static const char zeros[32];
    for (size_t a = 0; a < sizeof zeros; a++)
        for (size_t b = a + 1; b < sizeof zeros; b++)
            cr_assert_neq(hash_bytes(zeros, a), hash_bytes(zeros, b), "%zu and %zu", a, b);
    cr_assert_eq(hash_bytes(NULL, 0), hash_bytes(zeros, 0));
}

Test(hash, the_low_bits_of_bytes_spread_similar_names)
{
    unsigned buckets[64] = { 0 };
    for (int i = 0; i < 6400; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "route-%d.example.com", i);
        buckets[hash_bytes(name, (size_t)len) % 64]++;
    }
    for (int i = 0; i < 64; i++)
        cr_assert(buckets[i] > 50 && buckets[i] < 160, "bucket %d holds %u", i, buckets[i]);
}

/* splitmix64 from seed 0; its author's test values. */
Test(hash, mix_is_splitmix64)
{
    cr_assert_eq(hash_mix(0), 0xe220a8397b1dcdafu);
    cr_assert_eq(hash_mix(0x9e3779b97f4a7c15u), 0x6e789e6aa1b965f4u);
}

/* xoshiro256** from state 1, 2, 3, 4; values of the authors' C code. */
Test(hash, rng_is_xoshiro256_starstar)
{
    struct rng rng = { { 1, 2, 3, 4 } };
    cr_assert_eq(rng_next(&rng), 11520u);
    cr_assert_eq(rng_next(&rng), 0u);
    cr_assert_eq(rng_next(&rng), 1509978240u);
    cr_assert_eq(rng_next(&rng), 1215971899390074240u);
}

Test(hash, rng_below_stays_below_and_hits_every_value_evenly)
{
    struct rng rng;
    rng_init(&rng, 42);
    unsigned counts[7] = { 0 };
    for (int i = 0; i < 70000; i++)
        counts[rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%d came %u times", i, counts[i]);
    cr_assert_eq(rng_below(&rng, 1), 0);
    cr_assert_lt(rng_below(&rng, UINT32_MAX), UINT32_MAX);
}

Test(hash, rng_differs_by_seed)
{
    struct rng a, b;
    rng_init(&a, 1);
    rng_init(&b, 2);
    cr_assert_neq(rng_next(&a), rng_next(&b));
}

Test(hash, rng_below_zero_aborts, .signal = SIGABRT)
{
    struct rng rng;
    rng_init(&rng, 1);
    rng_below(&rng, 0);
}
