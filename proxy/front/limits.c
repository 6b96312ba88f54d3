/* front/limits.c - limits that all workers share: connections, connections per source, request rates.
 *
 * Two tables of fixed size, each slot one key. A key has WAYS places where it may stand; it takes a free one by compare-and-swap. A
 * source's slot is free again when its count is 0, a rate's when its time has passed. When all ways are taken by others
 * the limit lets the request through: a table that is too small weakens a limit, it never refuses an innocent.
 *
 * A source's tag and count are one atomic number: what was counted stays the source's own until it leaves, whatever other
 * workers do meanwhile (tests/unit/front/race_limits.c). A rate's tag and time are two, since a time needs 64 bits: when two keys meet
 * in the moment in which a slot passes from one to the other, one request may be charged to the wrong one of them, which time heals. */
#include "front/limits.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "crypto/random.h"

#include <stdatomic.h>
#include <string.h>

#define SLOT_COUNT 65536u /* per table: sources 512 KiB, rates 1 MiB */
#define WAYS       8u     /* of a source: one cache line */
#define TRIES_MAX  64     /* each that fails is another worker's success */

#define COUNT_BITS 24u
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)

/* The tag above, how many connections below; count 0: free, whatever the tag. The tag's 40 bits and the 13 that choose the ways are of
   a keyed hash: among 65,536 sources, two meet by accident about once in four million tables. */
typedef _Atomic uint64_t source_slot;

/* tag 0: free. A tag is 64 bits of a keyed hash: two keys meet by accident about once in 2^45 tables. */
struct rate_slot {
    _Atomic uint64_t tag;
    _Atomic int64_t empty_ns; /* when the bucket is empty again; monotonic */
};

struct limits {
    struct hash_key key; /* random: nobody can aim at another's slots */
    _Atomic uint32_t connection_count;
    _Alignas(WAYS * sizeof(source_slot)) source_slot sources[SLOT_COUNT];
    struct rate_slot rates[SLOT_COUNT];
};

struct limits *limits_create(void)
{
    struct limits *l = memory_zalloc_aligned(sizeof(*l), _Alignof(struct limits));
    l->key = (struct hash_key){ random_u64(), random_u64() };
    return l;
}

void limits_destroy(struct limits *l)
{
    memory_free(l);
}

/* ---- connections ------------------------------------------------------------------------------------------------------- */

/* Adds one unless that makes more than `most` (0: no limit). */
static bool count_enter(_Atomic uint32_t *count, uint32_t most)
{
    uint32_t before = atomic_load_explicit(count, memory_order_relaxed);
    do {
        if (most != 0 && before >= most)
            return false; /* adding first and taking back would refuse another that fits meanwhile */
    } while (!atomic_compare_exchange_weak(count, &before, before + 1));
    return true;
}

static uint64_t count_of(uint64_t word)
{
    return word & COUNT_MASK;
}

static bool is_of(uint64_t word, uint64_t tag)
{
    return count_of(word) > 0 && (word & ~COUNT_MASK) == tag;
}

/* The tag's slot, else a free one, else NULL; *word is what was seen there. */
static source_slot *source_find(source_slot *ways, uint64_t tag, uint64_t *word)
{
    source_slot *free = NULL;
    for (uint32_t way = 0; way < WAYS; way++) {
        uint64_t seen = atomic_load(&ways[way]);
        if (!is_of(seen, tag) && (free != NULL || count_of(seen) > 0))
            continue;
        *word = seen;
        free = &ways[way];
        if (is_of(seen, tag))
            break;
    }
    return free;
}

/* Workers that take free ways at the same moment may give a source two slots, until one is empty again: both count. */
static uint64_t count_elsewhere(source_slot *ways, uint64_t tag, const source_slot *slot)
{
    uint64_t count = 0;
    for (uint32_t way = 0; way < WAYS; way++) {
        uint64_t seen = atomic_load(&ways[way]);
        count += &ways[way] != slot && is_of(seen, tag) ? count_of(seen) : 0;
    }
    return count;
}

static bool source_enter(struct limits *l, const struct ip_address *source, uint32_t most, uint32_t *place)
{
    uint64_t hash = hash_siphash(l->key, source->bytes, sizeof(source->bytes)), tag = hash & ~COUNT_MASK;
    source_slot *ways = &l->sources[hash % (SLOT_COUNT / WAYS) * WAYS];
    *place = LIMITS_NOWHERE;
    for (int i = 0; i < TRIES_MAX; i++) {
        uint64_t word, count;
        source_slot *slot = source_find(ways, tag, &word);
        if (slot == NULL || count_of(word) == COUNT_MASK)
            return true;
        count = count_of(word);
        if (most != 0 && count + count_elsewhere(ways, tag, slot) >= most)
            return false;
        if (!atomic_compare_exchange_strong(slot, &word, (tag | count) + 1))
            continue;
        if (most == 0 || count + 1 + count_elsewhere(ways, tag, slot) <= most) {
            *place = (uint32_t)(slot - l->sources);
            return true;
        }
        atomic_fetch_sub(slot, 1); /* another worker was faster, in another slot */
    }
    return true;
}

/* The slot is the source's as long as this connection is counted in it. */
static void source_leave(struct limits *l, uint32_t place)
{
    if (place != LIMITS_NOWHERE)
        CHECK(count_of(atomic_fetch_sub(&l->sources[place], 1)) > 0);
}

bool limits_enter(struct limits *l, const struct ip_address *source, uint32_t most, uint32_t most_per_source,
                  uint32_t *place)
{
    if (!source_enter(l, source, most_per_source, place))
        return false;
    if (count_enter(&l->connection_count, most))
        return true;
    source_leave(l, *place);
    return false;
}

/* Leaves first: both may be the same source. */
bool limits_move(struct limits *l, const struct ip_address *source, uint32_t most_per_source, uint32_t *place)
{
    source_leave(l, *place);
    return source_enter(l, source, most_per_source, place);
}

void limits_leave(struct limits *l, uint32_t place)
{
    CHECK(atomic_fetch_sub_explicit(&l->connection_count, 1, memory_order_relaxed) > 0);
    source_leave(l, place);
}

/* ---- rates ---------------------------------------------------------------------------------------------------------------- */

static struct rate_slot *rate_way(struct limits *l, uint64_t tag, uint32_t way)
{
    return &l->rates[tag % (SLOT_COUNT / WAYS) * WAYS + way];
}

static struct rate_slot *rate_find(struct limits *l, uint64_t tag)
{
    for (uint32_t way = 0; way < WAYS; way++) {
        struct rate_slot *slot = rate_way(l, tag, way);
        if (atomic_load_explicit(&slot->tag, memory_order_acquire) == tag)
            return slot;
    }
    return NULL;
}

/* The key's slot, or a free one made its own; one whose time has passed counts as free. NULL: all ways are in use. */
static struct rate_slot *rate_take_slot(struct limits *l, uint64_t tag, int64_t now_ns)
{
    struct rate_slot *slot = rate_find(l, tag);
    for (uint32_t way = 0; slot == NULL && way < WAYS; way++) {
        struct rate_slot *candidate = rate_way(l, tag, way);
        uint64_t old = atomic_load_explicit(&candidate->tag, memory_order_acquire);
        bool is_free = old == 0 || atomic_load_explicit(&candidate->empty_ns, memory_order_acquire) <= now_ns;
        if (is_free && atomic_compare_exchange_strong(&candidate->tag, &old, tag))
            slot = candidate;
    }
    return slot;
}

bool limits_take(struct limits *l, const struct rate_limit_config *rate, uint64_t route_salt, struct slice key,
                 struct mono_time now, int64_t *retry_after_ms)
{
    int64_t now_ns = now.us * 1000;
    uint64_t parts[2] = { route_salt, key.len > 0 ? hash_siphash(l->key, key.ptr, key.len) : 0 };
    uint64_t tag = hash_siphash(l->key, parts, sizeof(parts));
    struct rate_slot *slot = rate_take_slot(l, tag != 0 ? tag : 1, now_ns);
    if (slot == NULL)
        return true;
    /* Generic cell rate algorithm (ITU-T I.371): each request moves the bucket's empty time by one interval; it may run ahead of now by
       `burst` intervals. One atomic number holds all of it. */
    int64_t interval_ns = (int64_t)rate->period_ms * 1000000 / rate->count;
    int64_t ahead_ns = interval_ns * (rate->burst > 0 ? rate->burst : 1);
    int64_t empty_ns = atomic_load_explicit(&slot->empty_ns, memory_order_relaxed), next_ns;
    do {
        next_ns = (empty_ns > now_ns ? empty_ns : now_ns) + interval_ns;
        if (next_ns - now_ns > ahead_ns) {
            *retry_after_ms = (next_ns - now_ns - ahead_ns + 999999) / 1000000;
            return false;
        }
    } while (!atomic_compare_exchange_weak(&slot->empty_ns, &empty_ns, next_ns));
    return true;
}
