/* server/outcome_memory.c - ids of outcomes: those known, and those on their way into the store. */
#include "server/outcome_memory.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"

#include <string.h>

_Static_assert(OUTCOME_IDS_KEPT == RECENT_COUNT, "a restart knows what the process before was sure to know");

static void know(void *arg, uint64_t hash)
{
    (void)recent_add(arg, hash);
}

void outcome_memory_init(struct recent *known, struct store *store)
{
    if (!outcome_ids_each(store, know, known) && store_is_usable(store))
        log_warn("outcomes: which were told before cannot be read: %s", store_message(store));
}

void outcome_memory_add(struct recent *known, struct outcome_pending *pending, uint64_t hash)
{
    if (!recent_add(known, hash))
        return;
    if (pending->hashes == NULL)
        pending->hashes = memory_zalloc(RECENT_COUNT * sizeof *pending->hashes);
    if (pending->count == RECENT_COUNT) {
        pending->count /= 2;
        memmove(pending->hashes, pending->hashes + pending->count, pending->count * sizeof *pending->hashes);
    }
    pending->hashes[pending->count++] = hash;
}

struct outcome_ids outcome_pending_ids(const struct outcome_pending *p)
{
    return (struct outcome_ids){ .hashes = p->hashes, .count = p->count };
}

void outcome_pending_stored(struct outcome_pending *p)
{
    p->count = 0;
}

void outcome_pending_fini(struct outcome_pending *p)
{
    memory_free(p->hashes);
    *p = (struct outcome_pending){ 0 };
}
