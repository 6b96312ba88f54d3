/* crypto/digest.h - SHA-256, the answer to a WebSocket's key, and comparing secrets without telling how much was right.
 *
 * Where a digest meets the world: bearer tokens are configured as SHA-256 and looked for by it (admin/auth.c), and
 * each line of the audit log covers the one before it (store/audit.c). Pure, any thread. Failures of OpenSSL are
 * checks: they mean no memory. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define DIGEST_SHA256_BYTES    32
#define DIGEST_SHA256_HEX_SIZE 65 /* 64 lower-case digits and a NUL */

/* The raw 32 bytes. */
void digest_sha256(struct slice bytes, uint8_t out[DIGEST_SHA256_BYTES]);
/* As sha256sum prints it. */
void digest_sha256_hex(struct slice bytes, char out[DIGEST_SHA256_HEX_SIZE]);

/* The same of bytes that come piece by piece. Heap; single-threaded. */
struct digest_stream;
struct digest_stream *digest_stream_create(void);
void digest_stream_add(struct digest_stream *stream, struct slice bytes);
/* The digest of all that was added; nothing may be added afterwards. */
void digest_stream_hex(struct digest_stream *stream, char out[DIGEST_SHA256_HEX_SIZE]);
void digest_stream_destroy(struct digest_stream *stream); /* NULL is harmless */

/* The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 4.2.2): 28 characters, no NUL. */
#define DIGEST_WEBSOCKET_BYTES 28
void digest_websocket_accept(struct slice key, char out[DIGEST_WEBSOCKET_BYTES]);

/* Takes the same time whatever differs; only a difference in length returns early. */
bool digest_equal(struct slice a, struct slice b);

#endif
