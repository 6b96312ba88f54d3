/* front/limits.c - limits that all workers share: connections, connections per source, request rates.
 *
 * Two tables of fixed size, each slot one key. A key has WAYS places where it may stand; it takes a free one by compare-and-swap on its
 * tag. A connection slot is free again when its count is 0, a rate slot when its time has passed. When all ways are taken by
 * others the limit lets the request through: a table that is too small weakens a limit, it never refuses an innocent.
 */
#include "front/limits.h"

#include "base/hash.h"
#include "base/memory.h"
#include "crypto/random.h"

#include <stdatomic.h>
#include <string.h>

#define SLOT_COUNT 65536u /* per table, 1 MiB */
#define WAYS       8u

/* tag 0: free. A tag is 64 bits of a keyed hash: two keys meet by accident about once in 2^45 tables. */
struct limit_slot {
    _Atomic uint64_t tag;
    _Atomic int64_t value; /* connections: how many; rates: when the bucket is empty again (nanoseconds, monotonic) */
};

struct limits {
    struct hash_key key; /* random: nobody can aim at another's slots */
    _Atomic uint32_t connection_count;
    struct limit_slot connections[SLOT_COUNT];
    struct limit_slot rates[SLOT_COUNT];
};

struct limits *limits_create(void)
{
    struct limits *l = memory_zalloc(sizeof(*l));
    l->key = (struct hash_key){ random_u64(), random_u64() };
    return l;
}

void limits_destroy(struct limits *l)
{
    memory_free(l);
}

static uint64_t tag_of(const struct limits *l, const void *bytes, size_t length)
{
    uint64_t tag = hash_siphash(l->key, bytes, length);
    return tag != 0 ? tag : 1;
}

static struct limit_slot *slot_way(struct limit_slot *table, uint64_t tag, uint32_t way)
{
    return &table[((tag & (SLOT_COUNT - 1)) & ~(uint64_t)(WAYS - 1)) + way];
}

static struct limit_slot *slot_find(struct limit_slot *table, uint64_t tag)
{
    for (uint32_t way = 0; way < WAYS; way++) {
        struct limit_slot *slot = slot_way(table, tag, way);
        if (atomic_load_explicit(&slot->tag, memory_order_acquire) == tag)
            return slot;
    }
    return NULL;
}

/* The key's slot, or a free one made its own; one whose value is at most `stale` counts as free. NULL: all ways are in use. */
static struct limit_slot *slot_take(struct limit_slot *table, uint64_t tag, int64_t stale)
{
    struct limit_slot *slot = slot_find(table, tag);
    for (uint32_t way = 0; slot == NULL && way < WAYS; way++) {
        struct limit_slot *candidate = slot_way(table, tag, way);
        uint64_t old = atomic_load_explicit(&candidate->tag, memory_order_acquire);
        bool is_free = old == 0 || atomic_load_explicit(&candidate->value, memory_order_acquire) <= stale;
        if (is_free && atomic_compare_exchange_strong(&candidate->tag, &old, tag))
            slot = candidate;
    }
    return slot;
}

/* Adds one unless that makes more than `most` (0: no limit). */
static bool count_enter(_Atomic uint32_t *count, uint32_t most)
{
    uint32_t before = atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    if (most == 0 || before < most)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

bool limits_enter(struct limits *l, const struct ip_address *source, uint32_t most, uint32_t most_per_source)
{
    if (!count_enter(&l->connection_count, most))
        return false;
    uint64_t tag = tag_of(l, source->bytes, sizeof(source->bytes));
    struct limit_slot *slot = slot_take(l->connections, tag, 0);
    if (slot == NULL)
        return true;
    int64_t before = atomic_fetch_add_explicit(&slot->value, 1, memory_order_acq_rel);
    if (most_per_source == 0 || before < (int64_t)most_per_source)
        return true;
    atomic_fetch_sub_explicit(&slot->value, 1, memory_order_acq_rel);
    atomic_fetch_sub_explicit(&l->connection_count, 1, memory_order_relaxed);
    return false;
}

void limits_leave(struct limits *l, const struct ip_address *source)
{
    atomic_fetch_sub_explicit(&l->connection_count, 1, memory_order_relaxed);
    struct limit_slot *slot = slot_find(l->connections, tag_of(l, source->bytes, sizeof(source->bytes)));
    if (slot == NULL)
        return;
    int64_t count = atomic_load_explicit(&slot->value, memory_order_acquire);
    while (count > 0 && !atomic_compare_exchange_weak(&slot->value, &count, count - 1))
        ; /* never below 0: a connection that found no slot may leave when its source has one */
}

bool limits_take(struct limits *l, const struct rate_limit_config *rate, uint64_t route_salt, struct slice key,
                 struct mono_time now, int64_t *retry_after_ms)
{
    int64_t now_ns = now.us * 1000;
    uint64_t parts[2] = { route_salt, key.len > 0 ? hash_siphash(l->key, key.ptr, key.len) : 0 };
    struct limit_slot *slot = slot_take(l->rates, tag_of(l, parts, sizeof(parts)), now_ns);
    if (slot == NULL)
        return true;
    /* Generic cell rate algorithm (ITU-T I.371): each request moves the bucket's empty time by one interval; it may run ahead of now by
       `burst` intervals. One atomic number holds all of it. */
    int64_t interval_ns = (int64_t)rate->period_ms * 1000000 / rate->count;
    int64_t ahead_ns = interval_ns * (rate->burst > 0 ? rate->burst : 1);
    int64_t empty_ns = atomic_load_explicit(&slot->value, memory_order_relaxed), next_ns;
    do {
        next_ns = (empty_ns > now_ns ? empty_ns : now_ns) + interval_ns;
        if (next_ns - now_ns > ahead_ns) {
            *retry_after_ms = (next_ns - now_ns - ahead_ns + 999999) / 1000000;
            return false;
        }
    } while (!atomic_compare_exchange_weak(&slot->value, &empty_ns, next_ns));
    return true;
}
