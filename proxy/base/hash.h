/* base/hash.h - SipHash-2-4 (Aumasson, Bernstein 2012): stable across runs and hosts for splits, keyed at random for tables. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct hash_key {
    uint64_t k0, k1;
};

uint64_t hash_siphash(struct hash_key key, const void *bytes, size_t len);

/* Fast unkeyed hash (FNV-like, word at a time) for tables whose keys an operator wrote, never a peer. */
uint64_t hash_bytes(const void *bytes, size_t len);

/* splitmix64 step: turns a counter or a seed into well-mixed bits. */
uint64_t hash_mix(uint64_t x);

/* xoshiro256** (Blackman, Vigna 2018): per-worker randomness that is not secret. */
struct rng {
    uint64_t s[4];
};
void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Uniform in [0, bound), bound > 0, without modulo bias (Lemire 2019). */
uint32_t rng_below(struct rng *rng, uint32_t bound);

#endif
