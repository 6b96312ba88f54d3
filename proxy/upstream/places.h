/* upstream/places.h - the places in the queues of upstreams: how many requests wait for one, in all workers together.
 *
 * One of the few places where workers meet (design.md, Threads): one atomic number per upstream, touched when a request
 * begins or ends to wait for a connection, and not otherwise. Connections are divided among the workers instead: each
 * can then pool what it has opened, and nobody waits for what another worker does not use.
 *
 * Owner: the main thread; it outlives the workers. Thread: any. */
#ifndef UPSTREAM_PLACES_H
#define UPSTREAM_PLACES_H

#include <stdbool.h>
#include <stdint.h>

struct places;

/* One for the process, before the workers start. */
struct places *places_create(void);
void places_destroy(struct places *p);

/* A place in the queue of that upstream (its id in the statistics, which a name keeps for ever): false when `most` are
   taken. True must be followed by places_give. */
bool places_take(struct places *p, uint32_t upstream_id, uint32_t most);
void places_give(struct places *p, uint32_t upstream_id);

#endif
