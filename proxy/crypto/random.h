/* crypto/random.h - bytes nobody can guess, for keys, identifiers and seeds. */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Aborts when the system has no randomness to give. Thread-safe. */
void random_bytes(void *out, size_t count);
uint64_t random_u64(void);

#endif
