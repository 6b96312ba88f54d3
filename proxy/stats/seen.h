/* stats/seen.h - a bounded set of keys that were met before; now and then it takes a new one for an old one. Pure.
 *
 * A Bloom filter of two probes (Bloom 1970): a key that was added is always known, and a new one is taken for known with
 * a probability of about (1 - exp(-2 n / bits))^2 after n keys: 3 % at 100,000 keys in 2^20 bits. For evidence that is
 * the right side to err on: what is taken for seen is not counted, in either arm alike, so that only power is lost. When
 * it is full everything is known, and nothing is counted any more.
 *
 * Keys are hashes. They are mixed again, since the same hash may have chosen the arm: without that a canary's keys would
 * share one corner of the set and fill it sooner than stable's. Owner: who embeds it; one thread. */
#ifndef STATS_SEEN_H
#define STATS_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct seen {
    uint64_t *words; /* owned */
    uint32_t word_count;
    uint64_t added_count; /* keys that were new */
};

/* bits: a power of two, at least 64. */
void seen_init(struct seen *s, uint32_t bits);
void seen_fini(struct seen *s);
void seen_clear(struct seen *s);
/* Remembers the key of a kind (an event, a column); whether it was new. */
bool seen_add(struct seen *s, uint64_t key, uint32_t kind);

#endif
