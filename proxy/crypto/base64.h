/* crypto/base64.h - bytes as text and back (RFC 4648, sections 4 and 5). Pure, any thread. */
#ifndef CRYPTO_BASE64_H
#define CRYPTO_BASE64_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/text.h"

/* With padding, on one line. */
void base64_add(struct text *out, struct slice bytes);
/* Exactly what base64_add writes: no blanks, padded, unused bits zero; false for everything else. *out is in the
   arena. */
bool base64_read(struct arena *arena, struct slice text, struct slice *out) MUST_CHECK;
/* The same for the alphabet of URLs, and without padding, as JSON Web Tokens have it (RFC 7515, section 2). */
bool base64url_read(struct arena *arena, struct slice text, struct slice *out) MUST_CHECK;

#endif
