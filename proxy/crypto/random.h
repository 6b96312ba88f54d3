/* crypto/random.h - bytes nobody can guess, for keys, identifiers and seeds.
 *
 * The seed of what must not be guessed. Draws that only have to be fair come from struct rng (base/hash.h), which
 * costs no call into a library. */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Aborts when the system has no randomness to give. Thread-safe. */
void random_bytes(void *out, size_t count);
uint64_t random_u64(void);

#endif
