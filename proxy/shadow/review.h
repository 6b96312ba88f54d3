/* shadow/review.h - copies that are shown to somebody before they are sent: held until they are whole, and let go or not.
 *
 *   shadow_begin -> review_hold --shadow_feed...--> review_later --the turn's end--> shadow_pool.review --> shadow_start
 *                        |                               |                                    |
 *                        +-- max_body, max_memory        +-- the request ends                 +-- vetoed, or failed
 *                                        all of these: dropped, and nothing of it was sent or recorded
 *
 * Who looks (a script) can hide a part of a body only in the whole of it, so the body waits here by reference, within the
 * copy's bounds. It looks once for a shadow and its control: both get what it made of the copy, or comparing them would
 * find its edits. It looks behind everything that requests send in that turn, so that its time is not theirs.
 *
 * What a held copy is made of is borrowed from its request: one that ends first takes its held copies along.
 *
 * Owner and thread: the copy's. For shadow/ only. */
#ifndef SHADOW_REVIEW_H
#define SHADOW_REVIEW_H

#include "shadow/shadow.h"

/* Behind all other hooks of a turn that make requests' bytes leave. */
void review_init(struct shadow_pool *pool);

/* Nothing of the copy is sent before it was looked at. May drop it. */
void review_hold(struct shadow *s, struct shadow_binding *b, const struct shadow_source *source);
/* Its request is whole. */
void review_later(struct shadow *s);

#endif
