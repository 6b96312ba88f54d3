/* crypto/random.c - OpenSSL's generator, seeded by the kernel. */
#include "crypto/random.h"

#include "base/check.h"

#include <limits.h>

#include <openssl/rand.h>

/* RAND_bytes takes an int. It fails only when the kernel has no randomness, and then nothing secret can be made. */
void random_bytes(void *out, size_t count)
{
    CHECK(count <= INT_MAX);
    CHECK(RAND_bytes(out, (int)count) == 1);
}

uint64_t random_u64(void)
{
    uint64_t number;
    random_bytes(&number, sizeof number);
    return number;
}
