/* stats/registry.c - hands out stable ids for names.
 *
 * Names are copied once and for all into the registry's arena; only the table of entries moves when it grows. A
 * reload with the names of the one before allocates nothing that stays. */
#include "stats/registry.h"

#include "base/check.h"
#include "base/memory.h"

/* The map's values carry the id beside the entry that is shown. */
struct registered {
    struct registry_entry entry;
    uint32_t id;
};

static struct registered *registry_add(struct registry *r, struct slice first, struct slice second)
{
    if (r->count == r->allocated) {
        r->allocated = r->allocated ? r->allocated * 2 : 16;
        r->entries = memory_resize_array(r->entries, r->allocated, sizeof(struct registry_entry *));
    }
    struct registered *added = arena_zalloc(&r->arena, sizeof *added);
    added->entry.first = arena_copy(&r->arena, first);
    added->entry.second = arena_copy(&r->arena, second);
    added->id = r->count;
    r->entries[r->count++] = &added->entry;
    return added;
}

void registry_init(struct registry *r, uint32_t capacity)
{
    CHECK(capacity > 0);
    *r = (struct registry){ .capacity = capacity };
    arena_init(&r->arena, NULL, 0);
    map_init(&r->ids);
    /* Entry 0, in no map: registry_find answers 0 for what it does not know. */
    registry_add(r, SLICE(""), SLICE(""));
}

void registry_fini(struct registry *r)
{
    map_fini(&r->ids);
    memory_free(r->entries);
    arena_reset(&r->arena);
}

void registry_begin_generation(struct registry *r)
{
    r->generation++;
}

/* NUL stands between, so that no two pairs share a key. */
static struct slice pair_key(struct arena *arena, struct slice first, struct slice second)
{
    return arena_printf(arena, "%.*s%c%.*s", SLICE_ARG(first), '\0', SLICE_ARG(second));
}

uint32_t registry_find(const struct registry *r, struct slice first, struct slice second)
{
    struct arena scratch;
    arena_init(&scratch, NULL, 0);
    const struct registered *found = map_get(&r->ids, pair_key(&scratch, first, second));
    arena_reset(&scratch);
    return found ? found->id : 0;
}

uint32_t registry_id(struct registry *r, struct slice first, struct slice second)
{
    if (first.len == 0 && second.len == 0)
        return 0;
    uint32_t id = registry_find(r, first, second);
    if (id == 0 && r->count < r->capacity) {
        struct registered *added = registry_add(r, first, second);
        map_put(&r->ids, pair_key(&r->arena, first, second), added);
        id = added->id;
    }
    r->entries[id]->generation = r->generation; /* entry 0 too: what shares it is current */
    return id;
}

const struct registry_entry *registry_entry(const struct registry *r, uint32_t id)
{
    CHECK(id < r->count);
    return r->entries[id];
}

bool registry_is_current(const struct registry *r, uint32_t id)
{
    return registry_entry(r, id)->generation == r->generation;
}
