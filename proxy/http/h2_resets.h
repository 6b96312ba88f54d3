/* http/h2_resets.h - which streams we have reset: what their peer had sent by then still comes, and is nobody's fault.
 *
 * HEADERS for any other stream that is over are a fault (RFC 9113 5.1.1), and nghttp2 does not tell the two
 * apart unless it keeps all streams that are over. A ring of ids is enough: what it has forgotten is forgiven.
 *
 * Pure. Owner: the session. */
#ifndef HTTP_H2_RESETS_H
#define HTTP_H2_RESETS_H

#include <stdbool.h>
#include <stdint.h>

#define H2_RESETS_KEPT 64

/* Embedded; all zero when new. */
struct h2_resets {
    int32_t ids[H2_RESETS_KEPT]; /* 0: free */
    uint32_t count;              /* ever added: the next one's place */
    int32_t forgotten_id;        /* the greatest that had to make room; 0: none */
};

static inline void h2_resets_add(struct h2_resets *r, int32_t id)
{
    int32_t *place = &r->ids[r->count++ % H2_RESETS_KEPT];
    if (*place > r->forgotten_id)
        r->forgotten_id = *place;
    *place = id;
}

/* Was it reset by us, as far as we remember? */
static inline bool h2_resets_may_hold(const struct h2_resets *r, int32_t id)
{
    for (uint32_t i = 0; i < H2_RESETS_KEPT; i++)
        if (r->ids[i] == id)
            return true;
    return id <= r->forgotten_id;
}

#endif
