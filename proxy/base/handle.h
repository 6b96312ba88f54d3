/* base/handle.h - names for objects that may be gone: slot and generation (R5).
 *
 * A pointer kept by somebody who is not told of the end becomes a pointer to another object in the same place. A
 * handle cannot: its slot may be taken again, but under another generation, and handle_get answers NULL. It fits into
 * 64 bits, to travel through interfaces that pass a number (admin/session.c).
 *
 * Owner and thread: of whoever embeds the table. */
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
    uint32_t next_free;  /* with object NULL: the next free slot, or UINT32_MAX */
};

/* Embedded, one per thread and kind of object. Slots are never given back before the end: the table is as large as the
   most objects that lived at once. */
struct handle_table {
    struct handle_slot *slots; /* capacity of them; moves when it grows, so no slot is pointed to */
    uint32_t capacity;
    uint32_t first_free; /* UINT32_MAX: every slot is taken */
    uint32_t live_count;
};

void handle_table_init(struct handle_table *t);
void handle_table_fini(struct handle_table *t);
/* A name for the object, which must not be NULL; it is borrowed. */
struct handle handle_create(struct handle_table *t, void *object);
/* The object, or NULL when it is gone. */
void *handle_get(const struct handle_table *t, struct handle h);
/* The handle must be live: naming an object that is gone is a bug of the caller. */
void handle_destroy(struct handle_table *t, struct handle h);

#endif
