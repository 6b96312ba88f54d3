/* tests/unit/crypto/test_random.c - random bytes fill what they are given, and differ. */
#include "crypto/random.h"

#include <string.h>

#include <criterion/criterion.h>

Test(random, two_draws_differ)
{
    cr_assert_neq(random_u64(), random_u64());
}

Test(random, fills_exactly_the_bytes_asked_for)
{
    unsigned char bytes[64], touched[62] = { 0 };
    memset(bytes, 0, sizeof bytes);
    for (int round = 0; round < 64; round++) { /* a byte that stays 0 in all rounds: 1 in 256^64 */
        random_bytes(bytes + 1, 62);
        for (size_t i = 0; i < sizeof touched; i++)
            touched[i] |= bytes[i + 1];
    }
    cr_assert_null(memchr(touched, 0, sizeof touched));
    cr_assert_eq(bytes[0], 0);
    cr_assert_eq(bytes[63], 0);
}
