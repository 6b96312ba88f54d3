/* crypto/digest.h - SHA-256, and comparing secrets without telling how much was right. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define DIGEST_SHA256_BYTES    32
#define DIGEST_SHA256_HEX_SIZE 65 /* 64 lower-case digits and a NUL */

void digest_sha256(struct slice bytes, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_sha256_hex(struct slice bytes, char out[DIGEST_SHA256_HEX_SIZE]);

/* Takes the same time whatever differs; only a difference in length returns early. */
bool digest_equal(struct slice a, struct slice b);

#endif
