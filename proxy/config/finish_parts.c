/* config/finish_parts.c - refuses keys that have no effect where they stand. */
#include "config/finish_parts.h"

struct place finish_place(const struct node *map, const char *key)
{
    const struct node *value = node_get(map, key);
    return value != NULL ? value->place : map->place;
}

void finish_refuse(struct fill *f, const struct node *map, const char *key, const char *fault, const char *hint)
{
    struct err *e = err_add(f->errors, finish_place(map, key), "'%s' %s", key, fault);
    if (hint != NULL)
        err_hint(f->errors, e, "%s", hint);
}

void finish_refuse_strangers(struct fill *f, const struct node *map, const char *const *keys, size_t count,
                             const char *owner)
{
    for (size_t i = 0; i < count; i++) {
        if (node_get(map, keys[i]) == NULL)
            continue;
        const char *fault = arena_printf(f->errors->arena, "has no effect %s", owner).ptr;
        finish_refuse(f, map, keys[i], fault, "remove it");
    }
}

const char *finish_find_only(struct fill *f, const struct node *map, const char *const *keys, size_t count,
                             const char *fault, const char *hint)
{
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (node_get(map, keys[i]) == NULL)
            continue;
        if (found != NULL) {
            struct err *e = err_add(f->errors, finish_place(map, keys[i]), "'%s' stands beside '%s'", keys[i], found);
            err_hint(f->errors, e, "%s", hint);
            return NULL;
        }
        found = keys[i];
    }
    if (found == NULL) {
        struct err *e = err_add(f->errors, map->place, "%s", fault);
        err_hint(f->errors, e, "%s", hint);
    }
    return found;
}
