/* base/divisor.h - the greatest common divisor: what the weights of a split are reduced by. */
#ifndef BASE_DIVISOR_H
#define BASE_DIVISOR_H

#include <stdint.h>

/* Euclid's. Of 0 and n it is n, so a sum over several numbers may begin with 0; it is 0 only when all of them are. */
static inline uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

#endif
