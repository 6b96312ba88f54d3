/* crypto/random.c - OpenSSL's generator, seeded by the kernel. */
#include "crypto/random.h"

#include "base/check.h"

#include <limits.h>

#include <openssl/rand.h>

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
