/* front/limits.c - limits that all workers share: connections, connections per source, request rates.
 *
 * Two tables of fixed size, each slot one key. A key has WAYS places where it may stand; it takes a free one by compare-and-swap. A
 * source's slot is free again when its count is 0, a rate's when its time has passed. When all ways are taken by others
 * the limit lets the request through: a table that is too small weakens a limit, it never refuses an innocent.
 *
 * What a slot says is one atomic word, tag and count or tag and time: so it can be changed only as long as it is the key's own, and
 * what was counted there stays the key's, whatever other workers do meanwhile. Two workers that meet may give one key two slots;
 * both count, and neither lets in what both together do not (tests/unit/front/race_limits.c). */
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

/* A key's bucket. A tag is 64 bits of a keyed hash: two keys meet by accident about once in 2^45 tables. The time needs nearly as
   many: nanoseconds for rates beyond a million a second, years for those of one a day with a burst. */
union rate_slot {
    struct {
        uint64_t tag;
        int64_t empty_ns; /* when the bucket is empty, and so its slot free, again; monotonic */
    };
    unsigned __int128 word; /* both: changed only by rate_exchange */
};

struct limits {
    struct hash_key key; /* random: nobody can aim at another's slots */
    _Atomic uint32_t connection_count;
    _Alignas(WAYS * sizeof(source_slot)) source_slot sources[SLOT_COUNT];
    _Alignas(WAYS * sizeof(union rate_slot)) union rate_slot rates[SLOT_COUNT];
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

/* cmpxchg16b: the first x86-64 of all lacked it, so compilers have to be told. Not inlined: clang would take its callers' target. */
#ifdef __x86_64__
#define CAN_EXCHANGE_16 __attribute__((noinline, target("cx16")))
#else
#define CAN_EXCHANGE_16
#endif

/* Puts `next` in the place of `seen`, unless something else is there by now: returns what was there. The old builtin is always an
   instruction; the one behind <stdatomic.h> may be a call of libatomic, and a lock. */
CAN_EXCHANGE_16 static union rate_slot rate_exchange(union rate_slot *slot, union rate_slot seen, union rate_slot next)
{
    return (union rate_slot){ .word = __sync_val_compare_and_swap(&slot->word, seen.word, next.word) };
}

static bool rate_try(union rate_slot *slot, union rate_slot seen, union rate_slot next)
{
    return rate_exchange(slot, seen, next).word == seen.word;
}

/* Both halves as they were at one moment: only an exchange reads sixteen bytes so. */
static union rate_slot rate_read(union rate_slot *slot)
{
    union rate_slot nothing = { .word = 0 };
    return rate_exchange(slot, nothing, nothing);
}

/* The halves one after the other, perhaps of two keys: enough to look for a way, since an exchange finds out. */
static union rate_slot rate_glance(const union rate_slot *slot)
{
    return (union rate_slot){ .tag = __atomic_load_n(&slot->tag, __ATOMIC_ACQUIRE),
                              .empty_ns = __atomic_load_n(&slot->empty_ns, __ATOMIC_RELAXED) };
}

/* How full the bucket is, as the time until it is empty: 0 for one that is not the tag's. */
static int64_t rate_backlog_ns(union rate_slot seen, uint64_t tag, int64_t now_ns)
{
    return seen.tag == tag && seen.empty_ns > now_ns ? seen.empty_ns - now_ns : 0;
}

/* The tag's slot, else a free one, else NULL; *seen is what was there. */
static union rate_slot *rate_find(union rate_slot *ways, uint64_t tag, int64_t now_ns, union rate_slot *seen)
{
    union rate_slot *free = NULL;
    for (uint32_t way = 0; way < WAYS; way++) {
        union rate_slot there = rate_glance(&ways[way]);
        if (there.tag == tag)
            there = rate_read(&ways[way]);
        if (there.tag != tag && (free != NULL || there.empty_ns > now_ns))
            continue;
        *seen = there;
        free = &ways[way];
        if (there.tag == tag)
            break;
    }
    return free;
}

/* Of a second slot that the tag has: see source_enter. */
static int64_t rate_backlog_elsewhere_ns(union rate_slot *ways, uint64_t tag, int64_t now_ns,
                                         const union rate_slot *slot)
{
    int64_t backlog_ns = 0;
    for (uint32_t way = 0; way < WAYS; way++)
        if (&ways[way] != slot && __atomic_load_n(&ways[way].tag, __ATOMIC_ACQUIRE) == tag)
            backlog_ns += rate_backlog_ns(rate_read(&ways[way]), tag, now_ns);
    return backlog_ns;
}

/* One that was charged and is refused all the same. The slot may be another's by now: then it is forgotten anyway. */
static void rate_give_back(union rate_slot *slot, uint64_t tag, int64_t interval_ns)
{
    union rate_slot seen = rate_read(slot);
    while (seen.tag == tag) {
        union rate_slot less = { .tag = tag, .empty_ns = seen.empty_ns - interval_ns };
        union rate_slot there = rate_exchange(slot, seen, less);
        if (there.word == seen.word)
            return;
        seen = there;
    }
}

/* Generic cell rate algorithm (ITU-T I.371): each request moves the bucket's empty time by one interval; it may run ahead of now by
   `burst` intervals. */
static bool rate_take(union rate_slot *ways, uint64_t tag, int64_t now_ns, int64_t interval_ns, int64_t ahead_ns,
                      int64_t *too_early_ns)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        union rate_slot seen;
        union rate_slot *slot = rate_find(ways, tag, now_ns, &seen);
        if (slot == NULL)
            return true;
        int64_t filled_ns = rate_backlog_ns(seen, tag, now_ns) + interval_ns;
        *too_early_ns = filled_ns + rate_backlog_elsewhere_ns(ways, tag, now_ns, slot) - ahead_ns;
        if (*too_early_ns > 0)
            return false;
        if (!rate_try(slot, seen, (union rate_slot){ .tag = tag, .empty_ns = now_ns + filled_ns }))
            continue;
        if (filled_ns + rate_backlog_elsewhere_ns(ways, tag, now_ns, slot) <= ahead_ns)
            return true;
        rate_give_back(slot, tag, interval_ns); /* another worker was faster, in another slot */
    }
    return true;
}

bool limits_take(struct limits *l, const struct rate_limit_config *rate, uint64_t route_salt, struct slice key,
                 struct mono_time now, int64_t *retry_after_ms)
{
    uint64_t parts[2] = { route_salt, key.len > 0 ? hash_siphash(l->key, key.ptr, key.len) : 0 };
    uint64_t tag = hash_siphash(l->key, parts, sizeof(parts));
    union rate_slot *ways = &l->rates[tag % (SLOT_COUNT / WAYS) * WAYS];
    int64_t interval_ns = (int64_t)rate->period_ms * 1000000 / rate->count, too_early_ns;
    int64_t ahead_ns = interval_ns * (rate->burst > 0 ? rate->burst : 1);
    if (rate_take(ways, tag, now.us * 1000, interval_ns, ahead_ns, &too_early_ns))
        return true;
    *retry_after_ms = (too_early_ns + 999999) / 1000000;
    return false;
}
