/* shadow/shadow_parts.h - what shadow.c and review.c tell each other. For these two alone.
 *
 * Owner, thread and lifetime of a copy: shadow/shadow.h. */
#ifndef SHADOW_SHADOW_PARTS_H
#define SHADOW_SHADOW_PARTS_H

#include "shadow/shadow.h"

/* Counts what it holds now. False: that is more than its shadow may. */
bool shadow_charge(struct shadow *s);
/* Given up; only one that is too slow is at fault itself. */
void shadow_drop(struct shadow *s, enum shadow_drop why);
/* On a request's list: it is fed, and let go when the request ends. */
void shadow_link(struct shadow *s, struct shadow **list);
/* Begins to send it, and a copy of it to its control; with source->list NULL all of its body is in s->body. Frees it when
   that fails. */
void shadow_start(struct shadow *s, struct shadow_binding *b, const struct shadow_source *source);

#endif
