/* lua/jwt.h - JSON Web Tokens (RFC 7519) in their compact form, signed: is this one good, and what does it claim?
 *
 * The algorithm is the caller's, never the token's, which must only name the same one: a token that chooses could choose
 * "none", or HMAC with a public key as its secret. Pure: time is a parameter. */
#ifndef LUA_JWT_H
#define LUA_JWT_H

#include "crypto/signature.h"
#include "json/json.h"

#define JWT_MAX_BYTES  (16u * 1024)
#define JWT_MAX_VALUES 1024 /* in each of its two documents */

enum jwt_algorithm { JWT_HS256, JWT_RS256, JWT_ES256, JWT_ALGORITHM_COUNT };
extern const char *const jwt_algorithm_names[JWT_ALGORITHM_COUNT];

struct jwt_wanted {
    enum jwt_algorithm algorithm;
    struct slice secret;          /* of HS256 */
    const struct public_key *key; /* of the others, and of their kind */
    struct slice issuer;          /* ptr NULL: any */
    struct slice audience;        /* likewise; one of the token's must be it */
    double now_s, leeway_s;       /* since 1970; for clocks that differ */
};

/* NULL: it is good, and *claims is its payload, an object, the caller's to destroy. Else a word for why not, from docs of
   weir.jwt.verify, and *claims is NULL. A claim of time (exp, nbf, iat) that is not there is not checked. */
const char *jwt_verify(const struct jwt_wanted *wanted, struct slice token, struct json **claims) MUST_CHECK;

#endif
