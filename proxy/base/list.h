/* base/list.h - intrusive doubly linked list; membership is state (design.md R2).
 *
 * The link is a member of what is listed, so that joining and leaving allocate nothing, cannot fail, and take the same
 * time however long the list is. An object has one link for each list it can be on at a time; being on the list of a
 * state is what being in the state means (front/front.h: clients).
 *
 *   head <-> a <-> b <-> head     an empty head, and a link on no list, point to themselves
 *
 * A link must be initialised before anything else is done with it; a linked object must not move. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

/* A head or a link. A link on no list points to itself. */
struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *link)
{
    return link->next != link;
}

static inline void list_insert_after(struct list *at, struct list *link)
{
    link->next = at->next;
    link->prev = at;
    at->next->prev = link;
    at->next = link;
}

/* In front. The link must be on no list. */
static inline void list_push(struct list *head, struct list *link)
{
    list_insert_after(head, link);
}

/* At the end. The link must be on no list. */
static inline void list_append(struct list *head, struct list *link)
{
    list_insert_after(head->prev, link);
}

/* Harmless on a link that is on no list. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link off, or NULL. */
static inline struct list *list_pop(struct list *head)
{
    struct list *link = head->next;
    if (link == head)
        return NULL;
    list_remove(link);
    return link;
}

/* What the link is a member of. */
#define LIST_ITEM(link, type, member) CONTAINER_OF(link, type, member)

/* The body may remove `link` and free what it is in, but not the link after it, which is held already. Where more than
   one may vanish at a time, pop until the list is empty instead. */
#define LIST_FOREACH_SAFE(link, head)                                                                                  \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);                                  \
         link = link##_next, link##_next = link->next)

#endif
