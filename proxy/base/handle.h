/* base/handle.h - names for objects that may be gone: slot and generation (R5). */
#ifndef BASE_HANDLE_H
#define BASE_HANDLE_H

#include <stddef.h>
#include <stdint.h>

struct handle {
    uint32_t slot, generation; /* generation 0: names nothing */
};

struct handle_slot {
    void *object;        /* NULL: free */
    uint32_t generation; /* of the current or the last object */
    uint32_t next_free;
};

/* Embedded, one per worker and kind of object. */
struct handle_table {
    struct handle_slot *slots;
    uint32_t capacity, first_free, live_count;
};

void handle_table_init(struct handle_table *t);
void handle_table_fini(struct handle_table *t);
struct handle handle_create(struct handle_table *t, void *object);
/* The object, or NULL when it is gone. */
void *handle_get(const struct handle_table *t, struct handle h);
/* The handle must be live: naming an object that is gone is a bug of the caller. */
void handle_destroy(struct handle_table *t, struct handle h);

#endif
