/* base/hex.h - numbers as lower-case hexadecimal digits of a fixed width: the ids that every request gets.
 *
 * Eight digits are made at a time in one word, a byte each, since a loop over the digits was a twentieth of all the
 * instructions that a request cost. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define HEX_U64_DIGITS 16

#define HEX_EACH_BYTE(n) ((n) * (UINT64_MAX / 255)) /* the byte n, eight times */

static inline void hex_put_u32(uint32_t value, char out[8])
{
    uint64_t digits = value; /* spread: four bits a byte, the first digit in the highest */
    digits = (digits | digits << 16) & 0x0000ffff0000ffff;
    digits = (digits | digits << 8) & 0x00ff00ff00ff00ff;
    digits = (digits | digits << 4) & HEX_EACH_BYTE(0x0f);
    uint64_t is_letter = (digits + HEX_EACH_BYTE(6)) >> 4 & HEX_EACH_BYTE(1); /* 10 and above reach bit 4 */
    digits = htobe64(digits + HEX_EACH_BYTE('0') + is_letter * ('a' - '0' - 10));
    memcpy(out, &digits, sizeof(digits));
}

static inline void hex_put_u64(uint64_t value, char out[HEX_U64_DIGITS])
{
    hex_put_u32((uint32_t)(value >> 32), out);
    hex_put_u32((uint32_t)value, out + 8);
}

#endif
