/* base/map.c - linear probing with backward-shift deletion: no tombstones, so lookups stay short for ever. */
#include "base/map.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

#define CAPACITY_MIN 8u

void map_init(struct map *m)
{
    *m = (struct map){ 0 };
}

void map_fini(struct map *m)
{
    memory_free(m->entries);
    map_init(m);
}

/* The key's slot, or the free slot where its probe ends. Needs a free slot, which 3/4 load leaves. */
static size_t map_probe(const struct map *m, uint64_t hash, struct slice key)
{
    size_t mask = m->capacity - 1;
    size_t at = hash & mask;
    while (m->entries[at].key.ptr != NULL && (m->entries[at].hash != hash || !slice_equal(m->entries[at].key, key)))
        at = (at + 1) & mask;
    return at;
}

/* NULL marks a free slot, so the empty key must point somewhere. */
static struct slice normal_key(struct slice key)
{
    return key.ptr ? key : SLICE("");
}

/* Entries are put again by their kept hashes; keys are compared but never differ here. */
static void map_grow(struct map *m)
{
    struct map old = *m;
    m->capacity = old.capacity ? old.capacity * 2 : CAPACITY_MIN;
    CHECK(m->capacity <= SIZE_MAX / sizeof *m->entries);
    m->entries = memory_zalloc(m->capacity * sizeof *m->entries);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.entries[i].key.ptr != NULL)
            m->entries[map_probe(m, old.entries[i].hash, old.entries[i].key)] = old.entries[i];
    memory_free(old.entries);
}

/* A free slot has value NULL, so the slot where the probe ends answers in both cases. */
void *map_get(const struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    return m->entries[map_probe(m, hash_bytes(key.ptr, key.len), normal_key(key))].value;
}

void *map_put(struct map *m, struct slice key, void *value)
{
    CHECK(value != NULL);
    if ((m->count + 1) * 4 > m->capacity * 3)
        map_grow(m);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    struct map_entry *entry = &m->entries[map_probe(m, hash, normal_key(key))];
    void *before = entry->value;
    if (before == NULL)
        m->count++;
    *entry = (struct map_entry){ .hash = hash, .key = normal_key(key), .value = value };
    return before;
}

/* Fills the hole by moving up each later entry of the run that may stand there: one whose home is not between the hole
   and its present slot (Knuth, vol. 3, 6.4, algorithm R). */
static void map_close_hole(struct map *m, size_t hole)
{
    size_t mask = m->capacity - 1;
    for (size_t at = (hole + 1) & mask; m->entries[at].key.ptr != NULL; at = (at + 1) & mask) {
        size_t home = m->entries[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            m->entries[hole] = m->entries[at];
            hole = at;
        }
    }
    m->entries[hole] = (struct map_entry){ .key = SLICE_NONE };
}

void *map_remove(struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    size_t at = map_probe(m, hash_bytes(key.ptr, key.len), normal_key(key));
    void *value = m->entries[at].value;
    if (value == NULL)
        return NULL;
    map_close_hole(m, at);
    m->count--;
    return value;
}

struct map_entry *map_next(const struct map *m, size_t *cursor)
{
    while (*cursor < m->capacity) {
        struct map_entry *entry = &m->entries[(*cursor)++];
        if (entry->key.ptr != NULL)
            return entry;
    }
    return NULL;
}
