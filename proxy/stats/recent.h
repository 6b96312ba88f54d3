/* stats/recent.h - whether something was met lately: exact, bounded, and what is old is forgotten. Pure.
 *
 * Two sets of hashes: new ones go to the younger, and when that is full it becomes the older and a new one begins. So at
 * least the newest RECENT_COUNT are known, and at most twice as many. Nothing is allocated before the first is added: 1 MiB
 * then. Owner: who embeds it; one thread. */
#ifndef STATS_RECENT_H
#define STATS_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#define RECENT_COUNT 32768u

/* All zero is an empty one. */
struct recent {
    uint64_t
        *slots[2];  /* owned, twice as many as RECENT_COUNT each, 0: free; the younger first; NULL before the first */
    uint32_t count; /* in the younger */
};

void recent_fini(struct recent *r);
bool recent_has(const struct recent *r, uint64_t hash);
/* Whether it was new. */
bool recent_add(struct recent *r, uint64_t hash);

#endif
