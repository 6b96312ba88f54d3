/* crypto/signature.h - is this what the holder of a key has signed?
 *
 * The three kinds that JSON Web Tokens come with (RFC 7518, section 3), all over SHA-256: by a secret that both sides share
 * (HMAC), and by a public key (RSA with PKCS #1 v1.5, ECDSA on P-256). Which of them is meant, the caller says: a key is
 * good for its own kind only. Pure; a key may be used by one thread at a time. */
#ifndef CRYPTO_SIGNATURE_H
#define CRYPTO_SIGNATURE_H

#include <stdbool.h>

#include "base/check.h"
#include "base/slice.h"

/* Compared in constant time. */
bool signature_is_hmac_sha256(struct slice secret, struct slice bytes, struct slice signature) MUST_CHECK;

enum public_key_kind {
    PUBLIC_KEY_RSA,  /* of 2048 to 8192 bits: shorter ones can be broken, longer ones cost too much */
    PUBLIC_KEY_P256, /* on that curve alone */
};

struct public_key;

/* Of a text of PEM, "BEGIN PUBLIC KEY" (or "BEGIN RSA PUBLIC KEY"); NULL when it is none, or none of that kind. Costs some
   hundred microseconds. */
struct public_key *public_key_read(struct slice pem, enum public_key_kind kind);
void public_key_destroy(struct public_key *key); /* NULL is harmless */

/* RSA: about 27 microseconds for 2048 bits, four times that for 4096. P-256, where a signature is two numbers of 32 bytes (RFC 7518,
   section 3.4): about 80. */
bool public_key_has_signed(const struct public_key *key, struct slice bytes, struct slice signature) MUST_CHECK;

#endif
