/* http/message.h - the neutral HTTP message: what every codec yields and every step of a request reads.
 *
 * Nothing in it is one version's own but version_minor: whoever routes, edits or forwards a message never asks how it
 * came in. How it is written on the wire is not here either, but in struct h1_write (http/codec.h).
 *
 * Owner: the request, or the exchange for a response. It owns no bytes: names and values point into the chunk the head
 * was read into, or into the arena. Fields keep their order of arrival and their spelling; one that is not to go on is
 * marked, not removed.
 *
 *   fields:   [0, field_count) lines, dropped ones among them     [field_count, field_capacity) room */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

#include "http/fields.h"

enum method {
    METHOD_OTHER, /* a valid token we have no name for: forwarded, neither safe nor idempotent */
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
    METHOD_COUNT
};

/* Methods are case-sensitive (RFC 9110 9.1): "get" is METHOD_OTHER. */
enum method method_from_name(struct slice name);
bool method_is_safe(enum method m);       /* RFC 9110 9.2.1: GET HEAD OPTIONS TRACE */
bool method_is_idempotent(enum method m); /* RFC 9110 9.2.2: the safe ones, PUT, DELETE */

/* One field line. Name and value borrow from the chunk the head was read into (or from the arena when added). */
struct field {
    struct slice name, value; /* as received; value trimmed */
    uint16_t id;              /* enum field_id; FIELD_OTHER when not well known */
    bool is_dropped;          /* not to be forwarded: removed in place, so that no array moves */
};

/* How the body ends (RFC 9112 6.3). What the sender chose, not what goes out: an answer of open length leaves
   chunked. */
enum body_framing {
    BODY_NONE,       /* no body byte follows: also HEAD answers, 1xx, 204, 304, Content-Length: 0 */
    BODY_LENGTH,     /* content_length bytes, at least one */
    BODY_CHUNKED,    /* until the last chunk, then trailers */
    BODY_UNTIL_CLOSE /* responses only */
};

/* A head. All slices borrow: the owner of the message keeps the chunk and the arena. */
struct message {
    bool is_response;
    uint8_t version_major; /* 1; 2 when it came in as HTTP/2, for Via and logs */
    uint8_t version_minor; /* HTTP/1.minor: 0 or 1; with version_major 2 it is 1, since that is what HTTP/2 can do */
    enum method method;    /* requests; for responses the request's method, set by the reader's owner */
    uint16_t status;       /* responses: 100..599 */
    struct slice method_name;
    struct slice target;        /* request target as received */
    struct slice authority;     /* host[:port]: of an absolute-form target, else Host; empty when neither */
    struct slice path;          /* raw path, "/" at least; "*" for OPTIONS *; without query */
    struct slice query;         /* raw query without '?'; ptr NULL: no '?' in the target */
    struct slice reason_phrase; /* responses; may be empty. ptr NULL: the standard one is to be written */

    struct field *fields; /* in the arena, in order of arrival */
    uint16_t field_count, field_capacity;
    uint16_t first_of[FIELD_COUNT]; /* 1 + index of the first line ever added with that id, dropped or
                                       not; 0: none. For message_field, which skips dropped lines */

    enum body_framing framing;
    uint64_t content_length; /* with has_content_length; at most INT64_MAX */
    bool has_content_length; /* BODY_LENGTH; BODY_NONE with Content-Length: 0, and HEAD and 304 answers */
    bool is_keep_alive;      /* the sender will keep the connection after this message */
    bool expects_continue;   /* Expect: 100-continue; one to be ignored is dropped */
    bool is_upgrade;         /* Connection: upgrade and an Upgrade field; a 101 answer */
    bool wants_trailers;     /* TE: trailers */
    struct slice upgrade;    /* the Upgrade field's value */
};

/* Empties the message and gives it room for `field_capacity` fields in the arena. */
void message_init(struct message *m, struct arena *arena, uint16_t field_capacity);

/* Behind message_field. */
struct field *message_find_kept(const struct message *m, enum field_id id);

/* The first field line with that id that is not dropped; NULL when there is none. Pointers to lines are good until a
   line is added. Most questions are for lines that most messages have not, and cost no call. */
static inline struct field *message_field(const struct message *m, enum field_id id)
{
    return m->first_of[id] != 0 ? message_find_kept(m, id) : NULL;
}
/* The next one with the same id behind `after`. */
struct field *message_next_field(const struct message *m, const struct field *after);
/* By name, ASCII case-insensitive; `after` NULL: the first. */
struct field *message_field_named(const struct message *m, struct slice name, const struct field *after);

/* Appends a line; the slices are borrowed. Grows into the arena past the capacity. */
struct field *message_add(struct message *m, struct arena *arena, enum field_id id, struct slice name,
                          struct slice value);
void message_drop(struct message *m, enum field_id id);
void message_drop_named(struct message *m, struct slice name);
/* Drops every line with the name, then appends one. */
void message_set(struct message *m, struct arena *arena, struct slice name, struct slice value);
/* Copies names and values into the arena: the chunk they were read into may go. */
void message_own_fields(struct message *m, struct arena *arena);

/* The value of the cookie called `name` in the Cookie fields (RFC 6265 4.2, crumbs across lines); false when absent. */
bool message_cookie(const struct message *m, struct slice name, struct slice *value);
/* The first one of that name: "a=1&a=2" has a 1. The raw value of query argument `name` (not percent-decoded); false
   when absent. */
bool query_argument(struct slice query, struct slice name, struct slice *value);

#endif
