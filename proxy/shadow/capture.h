/* shadow/capture.h - a pair while its request and copies are under way: filled from several places, handed over once.
 *
 * A pair is awaited from up to three sides, each of which holds a pointer to it until it ends:
 *
 *   struct request.pairs   the primary: all pairs of the request, by pair->next
 *   struct shadow.pair     the shadow, and the control, each its copy
 *
 * Whoever ends last hands it to the comparer. The memory it takes is counted in its shadow's lane, beside that of the copies;
 * once the lane holds half of what it may, bodies are hashed and no longer kept, and no pair is made, nor while the comparer
 * is behind: then less is compared. The other half is for copies alone, however long answers last that pairs wait for.
 *
 * Owner: the three sides together. Thread: the worker's. Each side's holder has the binding pinned that the lane is of. */
#ifndef SHADOW_CAPTURE_H
#define SHADOW_CAPTURE_H

#include "shadow/pair.h"
#include "shadow/shadow.h"

/* A pair with its request's head, on source->pairs, awaited from the primary; NULL: this copy is not compared. Of a copy
   that is to be reviewed nothing is put there, and a pair that never gets its request is thrown away. */
struct pair *capture_begin(struct shadow_pool *pool, struct shadow_slot *slot, const struct compiled_shadow *shadow,
                           const struct shadow_source *source);

/* A reviewed copy goes: what it has become is the pair's request. */
void capture_request(struct pair *p, const struct message *head, const struct pieces *body);

void capture_request_body(struct pair *p, const char *bytes, size_t len);
void capture_request_end(struct pair *p);

/* The final head of a side's answer, and its body. */
void capture_head(struct shadow_pool *pool, struct pair *p, enum pair_side side, const struct message *m);
void capture_body(struct pair *p, enum pair_side side, const char *bytes, size_t len);

/* How a side ends, of which only `reason` may be REASON_NONE: its answer is whole. Takes the pointer. */
void capture_end(struct shadow_pool *pool, struct pair **p, enum pair_side side, enum reason reason);
/* The side is not heard to its end, for reasons that say nothing of it. Takes the pointer. */
void capture_give_up(struct shadow_pool *pool, struct pair **p, enum pair_side side);

/* The primary's side, for all pairs of a request. */
void captures_head(struct shadow_pool *pool, struct pair *first, const struct message *m);
void captures_body(struct pair *first, const char *bytes, size_t len);
void captures_end(struct shadow_pool *pool, struct pair **first, enum reason reason);
void captures_give_up(struct shadow_pool *pool, struct pair **first);

#endif
