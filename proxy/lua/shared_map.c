/* lua/shared_map.c - values that the scripts of all workers share: a bounded map of texts, numbers and booleans. */
#include "lua/shared_map.h"

#include <pthread.h>
#include <string.h>

#include "base/blocks.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/memory.h"
#include "crypto/random.h"

#define BYTES_PER_BUCKET  128 /* of the limit: an entry of a short key and a number takes about as much */
#define BUCKETS_MAX       65536
#define SWEPT_BUCKETS     4   /* looked through for what is over, at each write that needs room */
#define EVICTED_MAX       256 /* by one write: more than the largest entry needs, so that only a lowered limit waits */
#define FREE_BLOCKS_BYTES (32u * 1024)

/* Followed by the key and room for a text. */
struct entry {
    struct list link;   /* of shard->recent */
    struct entry *next; /* of the bucket */
    uint64_t hash;
    int64_t ends_us; /* monotonic; INT64_MAX: never */
    struct shared_value value;
    uint32_t room_bytes; /* for a text, whether there is one or not */
    uint16_t key_bytes;
    char bytes[];
};

struct shard {
    _Alignas(64) pthread_mutex_t lock; /* of everything here */
    struct entry **buckets;            /* NULL until the first write */
    size_t bucket_count;               /* a power of two */
    size_t swept;                      /* the next bucket to sweep */
    struct list recent;                /* the most recently used first */
    size_t limit_bytes, used_bytes;    /* of entries */
    uint64_t entry_count, evicted_count;
    struct blocks blocks; /* whose blocks the lock keeps to one thread at a time */
};

struct shared_map {
    struct hash_key key; /* random: peers choose keys, and could choose those of one bucket */
    struct shard shards[SHARED_SHARDS];
};

/* ---- life ---------------------------------------------------------------------------------------------------------------- */

struct shared_map *shared_map_create(size_t limit_bytes)
{
    struct shared_map *m = memory_zalloc_aligned(sizeof *m, _Alignof(struct shared_map));
    m->key = (struct hash_key){ random_u64(), random_u64() };
    for (unsigned i = 0; i < SHARED_SHARDS; i++) {
        struct shard *s = &m->shards[i];
        CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
        list_init(&s->recent);
        blocks_init(&s->blocks, FREE_BLOCKS_BYTES);
        s->limit_bytes = limit_bytes / SHARED_SHARDS;
    }
    return m;
}

static void drop(struct shard *s, struct entry *e);

void shared_map_destroy(struct shared_map *m)
{
    for (unsigned i = 0; i < SHARED_SHARDS; i++) {
        struct shard *s = &m->shards[i];
        while (!list_is_empty(&s->recent))
            drop(s, CONTAINER_OF(s->recent.next, struct entry, link));
        memory_unmap(s->buckets, s->bucket_count * sizeof(*s->buckets));
        blocks_fini(&s->blocks);
        pthread_mutex_destroy(&s->lock);
    }
    memory_free(m);
}

static void lock(struct shard *s)
{
    CHECK(pthread_mutex_lock(&s->lock) == 0);
}

static void unlock(struct shard *s)
{
    CHECK(pthread_mutex_unlock(&s->lock) == 0);
}

void shared_map_set_limit(struct shared_map *m, size_t limit_bytes)
{
    for (unsigned i = 0; i < SHARED_SHARDS; i++) {
        lock(&m->shards[i]);
        m->shards[i].limit_bytes = limit_bytes / SHARED_SHARDS;
        unlock(&m->shards[i]);
    }
}

struct shared_stats shared_map_stats(struct shared_map *m)
{
    struct shared_stats sum = { 0 };
    for (unsigned i = 0; i < SHARED_SHARDS; i++) {
        struct shard *s = &m->shards[i];
        lock(s);
        sum.entry_count += s->entry_count;
        sum.used_bytes += s->used_bytes;
        sum.evicted_count += s->evicted_count;
        unlock(s);
    }
    return sum;
}

/* ---- entries: with the lock held ------------------------------------------------------------------------------------------ */

static size_t entry_bytes(size_t key_bytes, size_t room_bytes)
{
    return sizeof(struct entry) + key_bytes + room_bytes;
}

static struct entry **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->bucket_count - 1)];
}

static void drop(struct shard *s, struct entry *e)
{
    struct entry **at = bucket_of(s, e->hash);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->link);
    s->used_bytes -= entry_bytes(e->key_bytes, e->room_bytes);
    s->entry_count--;
    blocks_free(&s->blocks, e);
}

static bool is_over(const struct entry *e, struct mono_time now)
{
    return e->ends_us <= now.us;
}

/* The shard of a key, locked, and the key's entry in it, or NULL. One whose time is over is dropped. */
static struct shard *enter(struct shared_map *m, struct slice key, struct mono_time now, uint64_t *hash,
                           struct entry **found)
{
    CHECK(key.len > 0 && key.len <= SHARED_KEY_MAX_BYTES);
    *hash = hash_siphash(m->key, key.ptr, key.len);
    struct shard *s = &m->shards[*hash >> 60];
    lock(s);
    struct entry *e = s->buckets != NULL ? *bucket_of(s, *hash) : NULL;
    while (e != NULL && (e->hash != *hash || !slice_equal(slice_from(e->bytes, e->key_bytes), key)))
        e = e->next;
    if (e != NULL && is_over(e, now)) {
        drop(s, e);
        e = NULL;
    }
    if (e != NULL) {
        list_remove(&e->link);
        list_push(&s->recent, &e->link);
    }
    *found = e;
    return s;
}

static void make_buckets(struct shard *s)
{
    s->bucket_count = 64;
    while (s->bucket_count < BUCKETS_MAX && s->bucket_count * 2 * BYTES_PER_BUCKET <= s->limit_bytes)
        s->bucket_count *= 2;
    s->buckets = memory_map(s->bucket_count * sizeof(*s->buckets));
}

static void sweep(struct shard *s, struct mono_time now)
{
    for (unsigned i = 0; i < SWEPT_BUCKETS; i++) {
        s->swept = (s->swept + 1) & (s->bucket_count - 1);
        for (struct entry *next, *e = s->buckets[s->swept]; e != NULL; e = next) {
            next = e->next;
            if (is_over(e, now))
                drop(s, e);
        }
    }
}

static void make_room(struct shard *s, size_t bytes, struct mono_time now)
{
    sweep(s, now);
    for (unsigned i = 0; i < EVICTED_MAX && s->used_bytes + bytes > s->limit_bytes && !list_is_empty(&s->recent); i++) {
        drop(s, CONTAINER_OF(s->recent.prev, struct entry, link));
        s->evicted_count++;
    }
}

static struct entry *make_entry(struct shard *s, struct slice key, uint64_t hash, size_t room_bytes,
                                struct mono_time now)
{
    size_t bytes = entry_bytes(key.len, room_bytes);
    if (s->buckets == NULL)
        make_buckets(s);
    make_room(s, bytes, now);
    struct entry *e = blocks_alloc(&s->blocks, bytes);
    struct entry **bucket = bucket_of(s, hash);
    *e = (struct entry){
        .next = *bucket, .hash = hash, .room_bytes = (uint32_t)room_bytes, .key_bytes = (uint16_t)key.len
    };
    memcpy(e->bytes, key.ptr, key.len);
    *bucket = e;
    list_push(&s->recent, &e->link);
    s->used_bytes += bytes;
    s->entry_count++;
    return e;
}

static void set_value(struct entry *e, const struct shared_value *value, int64_t ttl_us, struct mono_time now)
{
    char *room = e->bytes + e->key_bytes;
    e->value = *value;
    e->ends_us = ttl_us != 0 ? now.us + ttl_us : INT64_MAX;
    if (value->type == SHARED_TEXT && value->text.len > 0)
        memcpy(room, value->text.ptr, value->text.len);
    e->value.text.ptr = room;
}

/* ---- what may be done to them ------------------------------------------------------------------------------------------------ */

bool shared_map_get(struct shared_map *m, struct slice key, struct mono_time now, char buffer[SHARED_VALUE_MAX_BYTES],
                    struct shared_value *out)
{
    uint64_t hash;
    struct entry *e;
    struct shard *s = enter(m, key, now, &hash, &e);
    if (e != NULL) {
        *out = e->value;
        if (e->value.type == SHARED_TEXT)
            memcpy(buffer, e->value.text.ptr, e->value.text.len);
        out->text.ptr = buffer;
    }
    unlock(s);
    return e != NULL;
}

bool shared_map_put(struct shared_map *m, struct slice key, const struct shared_value *value, int64_t ttl_us,
                    enum shared_write how, struct mono_time now)
{
    uint64_t hash;
    struct entry *e;
    size_t length = value->type == SHARED_TEXT ? value->text.len : 0;
    CHECK(length <= SHARED_VALUE_MAX_BYTES);
    struct shard *s = enter(m, key, now, &hash, &e);
    bool is_wanted = e == NULL || how == SHARED_SET;
    if (is_wanted) {
        if (e != NULL && (e->room_bytes < length || e->room_bytes / 4 > length)) { /* too small, or mostly empty */
            drop(s, e);
            e = NULL;
        }
        if (e == NULL)
            e = make_entry(s, key, hash, length, now);
        set_value(e, value, ttl_us, now);
    }
    unlock(s);
    return is_wanted;
}

static double to_number(const struct shared_value *v)
{
    return v->type == SHARED_INTEGER ? (double)v->integer : v->number;
}

/* Integers wrap around, as Lua's do. */
static void add_to(struct shared_value *value, const struct shared_value *amount)
{
    if (value->type == SHARED_INTEGER && amount->type == SHARED_INTEGER) {
        value->integer = (int64_t)((uint64_t)value->integer + (uint64_t)amount->integer);
    } else {
        value->number = to_number(value) + to_number(amount);
        value->type = SHARED_NUMBER;
    }
}

bool shared_map_increase(struct shared_map *m, struct slice key, const struct shared_value *amount, int64_t ttl_us,
                         struct mono_time now, struct shared_value *out)
{
    static const struct shared_value zero = { .type = SHARED_INTEGER };
    uint64_t hash;
    struct entry *e;
    struct shard *s = enter(m, key, now, &hash, &e);
    if (e == NULL) {
        e = make_entry(s, key, hash, 0, now);
        set_value(e, &zero, ttl_us, now);
    }
    bool is_number = e->value.type == SHARED_INTEGER || e->value.type == SHARED_NUMBER;
    if (is_number) {
        add_to(&e->value, amount);
        *out = e->value;
        out->text = SLICE_NONE;
    }
    unlock(s);
    return is_number;
}

bool shared_map_delete(struct shared_map *m, struct slice key, struct mono_time now)
{
    uint64_t hash;
    struct entry *e;
    struct shard *s = enter(m, key, now, &hash, &e);
    if (e != NULL)
        drop(s, e);
    unlock(s);
    return e != NULL;
}
