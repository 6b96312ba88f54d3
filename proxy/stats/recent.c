/* stats/recent.c - two tables with open addressing that are emptied and never deleted from. */
#include "stats/recent.h"

#include "base/hash.h"
#include "base/memory.h"

#include <string.h>

#define SLOT_COUNT (2 * RECENT_COUNT) /* half full at most: probes stay short */

void recent_fini(struct recent *r)
{
    memory_free(r->slots[0]);
    memory_free(r->slots[1]);
    *r = (struct recent){ 0 };
}

/* Zero marks a free slot. */
static uint64_t key_of(uint64_t hash)
{
    return hash == 0 ? 1 : hash;
}

/* Its slot, or the free one where it would be. */
static uint64_t *find(uint64_t *slots, uint64_t key)
{
    uint64_t at = hash_mix(key) % SLOT_COUNT;
    while (slots[at] != 0 && slots[at] != key)
        at = (at + 1) % SLOT_COUNT;
    return &slots[at];
}

bool recent_has(const struct recent *r, uint64_t hash)
{
    for (int i = 0; i < 2; i++)
        if (r->slots[i] != NULL && *find(r->slots[i], key_of(hash)) != 0)
            return true;
    return false;
}

static void turn_over(struct recent *r)
{
    uint64_t *old = r->slots[1];
    if (old == NULL)
        old = memory_zalloc(SLOT_COUNT * sizeof *old);
    else
        memset(old, 0, SLOT_COUNT * sizeof *old);
    r->slots[1] = r->slots[0];
    r->slots[0] = old;
    r->count = 0;
}

bool recent_add(struct recent *r, uint64_t hash)
{
    if (recent_has(r, hash))
        return false;
    if (r->slots[0] == NULL || r->count == RECENT_COUNT)
        turn_over(r);
    *find(r->slots[0], key_of(hash)) = key_of(hash);
    r->count++;
    return true;
}
