/* base/handle.c - a slot table whose generations tell a reused slot from the object a handle named. */
#include "base/handle.h"

#include "base/check.h"
#include "base/memory.h"

#define NO_SLOT        UINT32_MAX
#define SLOT_COUNT_MIN 16u

void handle_table_init(struct handle_table *t)
{
    *t = (struct handle_table){ .first_free = NO_SLOT };
}

void handle_table_fini(struct handle_table *t)
{
    memory_free(t->slots);
    handle_table_init(t);
}

static void handle_table_grow(struct handle_table *t)
{
    uint32_t capacity = t->capacity ? t->capacity * 2 : SLOT_COUNT_MIN;
    CHECK(capacity > t->capacity);
    t->slots = memory_resize_array(t->slots, capacity, sizeof *t->slots);
    for (uint32_t slot = capacity; slot-- > t->capacity;) { /* downwards, so that low slots are used first */
        t->slots[slot] = (struct handle_slot){ .next_free = t->first_free };
        t->first_free = slot;
    }
    t->capacity = capacity;
}

struct handle handle_create(struct handle_table *t, void *object)
{
    CHECK(object != NULL);
    if (t->first_free == NO_SLOT)
        handle_table_grow(t);
    uint32_t index = t->first_free;
    struct handle_slot *slot = &t->slots[index];
    t->first_free = slot->next_free;
    t->live_count++;
    slot->object = object;
    /* An old handle would fit again after 2^32 reuses of its slot. */
    if (++slot->generation == 0) /* wrapped: 0 names nothing */
        slot->generation = 1;
    return (struct handle){ .slot = index, .generation = slot->generation };
}

void *handle_get(const struct handle_table *t, struct handle h)
{
    if (h.generation == 0 || h.slot >= t->capacity)
        return NULL;
    const struct handle_slot *slot = &t->slots[h.slot];
    return slot->generation == h.generation ? slot->object : NULL;
}

void handle_destroy(struct handle_table *t, struct handle h)
{
    CHECK(handle_get(t, h) != NULL);
    struct handle_slot *slot = &t->slots[h.slot];
    slot->object = NULL;
    slot->next_free = t->first_free;
    t->first_free = h.slot;
    t->live_count--;
}
