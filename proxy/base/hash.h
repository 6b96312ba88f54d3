/* base/hash.h - hashes and pseudo-random numbers.
 *
 * Which one is for what:
 *   hash_siphash   keyed, where a peer chooses the input: with a fixed key for what must agree between runs and hosts
 *                  (sticky splits, stored fingerprints), with a random one where nobody may aim (front/limits.c)
 *   hash_bytes     fast and unkeyed: tables whose keys an operator wrote
 *   hash_stream    fast, piece by piece, of what is too long to keep: bodies that are compared or recorded
 *   hash_mix       one number into another that shows nothing of it: seeds
 *   struct rng     a worker's draws: blocks, ids, balancing. Not secret: tokens and keys come from crypto/random.h */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct hash_key {
    uint64_t k0, k1;
};

/* SipHash-2-4 (Aumasson, Bernstein 2012). Never changed: stored fingerprints and users' places depend on it. */
uint64_t hash_siphash(struct hash_key key, const void *bytes, size_t len);

/* Fast unkeyed hash (FNV-like, word at a time) for tables whose keys an operator wrote, never a peer. */
uint64_t hash_bytes(const void *bytes, size_t len);

/* XXH64 with seed 0 (Collet, "xxHash fast digest algorithm", 0.1.1), over bytes that come in pieces of any length. Where
   they are cut does not matter. Records on disk hold it, and xxhsum -H1 prints the same. Not for what a peer may aim
   at. */
struct hash_stream {
    uint64_t lanes[4];
    uint64_t total_bytes; /* added so far; modulo 32 of them wait in `held` */
    unsigned char held[32];
};
void hash_stream_init(struct hash_stream *s);
void hash_stream_add(struct hash_stream *s, const void *bytes, size_t len);
/* Of all that was added so far; more may be added afterwards. */
uint64_t hash_stream_value(const struct hash_stream *s);

/* splitmix64 step: turns a counter or a seed into well-mixed bits. */
uint64_t hash_mix(uint64_t x);

/* xoshiro256** (Blackman, Vigna 2018): per-worker randomness that is not secret. */
struct rng {
    uint64_t s[4]; /* never all zero */
};
/* The same seed gives the same numbers: what tests and simulations are built on. */
void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Uniform in [0, bound), bound > 0, without modulo bias (Lemire 2019). */
uint32_t rng_below(struct rng *rng, uint32_t bound);

#endif
