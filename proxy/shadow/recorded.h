/* shadow/recorded.h - one recorded request with the digest of its answer, and the line of JSON that it is in a file.
 *
 * The format is a promise to others' tools: docs/record.md tells it, docs/record.schema.json describes it to programs,
 * and RECORD_VERSION is raised when a reader of the old one would go wrong. A line stands by itself: files can be cut,
 * joined and searched line by line.
 *
 * Bytes that are UTF-8 without NUL are a JSON string, all others {"base64": "..."}; so each message comes back byte for
 * byte. Pure, any thread. Owner: the caller, of a struct that owns nothing itself. */
#ifndef SHADOW_RECORDED_H
#define SHADOW_RECORDED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "crypto/digest.h"

#define RECORD_VERSION        1
#define RECORD_HEADERS_MAX    1024                  /* of a request or an answer; a line with more is refused */
#define RECORD_LINE_MAX_BYTES (32u * 1024u * 1024u) /* without its newline; a longer one is refused unread */

struct recorded_header {
    struct slice name, value;
    bool is_redacted; /* it was there, its value is not told: null in the file */
};

/* What the primary answered. */
struct recorded_answer {
    uint16_t status; /* 100..999; 0: none came, and nothing below is set */
    const struct recorded_header *headers;
    size_t header_count;
    uint64_t body_bytes;
    char body_sha256[DIGEST_SHA256_HEX_SIZE]; /* "" when its end was not seen */
    char json_sha256[DIGEST_SHA256_HEX_SIZE]; /* of the canonical form; "" when the body is no JSON */
    int64_t latency_us;
};

/* All bytes borrowed: by recorded_write from its caller, by recorded_read's caller from the arena. */
struct recorded {
    struct wall_time at; /* when the request came */
    struct slice route, upstream, shadow;
    struct slice method, scheme, host, target; /* target as sent: path and query */
    const struct recorded_header *headers;
    size_t header_count;
    struct slice body;
    bool is_truncated; /* the body went on */
    struct recorded_answer answer;
};

/* Adds one line with its newline. */
void recorded_write(const struct recorded *r, struct text *out);

/* Reads one line without its newline. False with a sentence in `error`: no JSON, another version, something missing, or
   what no server may be sent (a method, target, host or header that is none). Unknown members are passed over. */
bool recorded_read(struct slice line, struct arena *arena, struct recorded *out, struct text *error) MUST_CHECK;

/* Whether a header of an answer says something about the moment or the connection only, and so differs between any two
   answers: neither recorded nor compared. */
bool recorded_is_volatile(struct slice name);

/* The digest of a whole body's canonical form, or "" when it is no JSON object or array: those tell formatting from
   content. */
void recorded_json_digest(struct slice body, char out[DIGEST_SHA256_HEX_SIZE]);

#endif
