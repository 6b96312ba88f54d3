/* tests/unit/base/test_hex.c - each digit at each place, as printf writes it. */
#include "base/hex.h"

#include <criterion/criterion.h>

#include <stdio.h>

static void expect_as_printf(uint64_t value)
{
    char expected[HEX_U64_DIGITS + 1], got[HEX_U64_DIGITS + 1] = "";
    snprintf(expected, sizeof(expected), "%016llx", (unsigned long long)value);
    hex_put_u64(value, got);
    cr_assert_str_eq(got, expected);
}

Test(hex, is_what_printf_writes)
{
    expect_as_printf(0);
    expect_as_printf(UINT64_MAX);
    expect_as_printf(0x0123456789abcdef);
    expect_as_printf(0xfedcba9876543210);
    for (uint64_t digit = 0; digit < 16; digit++)
        for (int place = 0; place < 64; place += 4)
            expect_as_printf(digit << place);
}
