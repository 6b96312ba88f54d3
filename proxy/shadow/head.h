/* shadow/head.h - the head of a copy: the request's own as it goes on, edited, and marked as a copy.
 *
 * Owner and thread: the copy's; everything is in its arena, or borrowed from the request until head_own. For shadow/ only. */
#ifndef SHADOW_HEAD_H
#define SHADOW_HEAD_H

#include "shadow/shadow.h"

/* Fills in s->message, with its edits; names and values are still the request's. */
void head_take(struct shadow *s, const struct shadow_source *source);
/* Whether the head is still to be written, once the exchange has begun. */
bool head_is_needed(const struct shadow *s);
/* It has to wait, so it outlives what it was taken from: s->message and the exchange's target move into the arena. */
void head_own(struct shadow *s);
/* A copy of the trailers that go on, in the arena. */
struct message *head_own_trailers(struct arena *arena, const struct message *trailers);

#endif
