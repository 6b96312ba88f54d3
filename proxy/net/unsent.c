/* net/unsent.c - streams whose queues leave together when the turn ends. */
#include "net/unsent.h"

#include "net/loop.h"
#include "net/stream.h"

/* More than this leaves at once: it is worth a wake-up, and would hold its chunks for the rest of the turn. */
#define SOON_MOST_BYTES 16384u

#define STREAM_OF(link) LIST_ITEM(link, struct stream, unsent_link)

void unsent_init(struct unsent *u)
{
    list_init(&u->streams);
    list_init(&u->failed);
    u->count = 0;
}

static void unsent_flush(struct unsent *u)
{
    struct list *link;
    u->count = 0;
    while ((link = list_pop(&u->streams)) != NULL)
        if (stream_flush(STREAM_OF(link)) == STREAM_ERROR)
            list_append(&u->failed, link);
}

enum stream_status stream_flush_soon(struct stream *s)
{
    struct unsent *u = &s->loop->unsent;
    if (s->queued_bytes > SOON_MOST_BYTES || s->has_failed || s->is_write_armed)
        return stream_flush(s);
    if (list_is_linked(&s->unsent_link))
        return STREAM_OK;
    list_append(&u->streams, &s->unsent_link);
    if (++u->count >= UNSENT_MAX)
        unsent_flush(u);
    return STREAM_OK;
}

void unsent_flush_one(struct stream *s)
{
    if (list_is_linked(&s->unsent_link) && stream_flush(s) == STREAM_ERROR)
        return; /* nobody is there to be told */
}

void unsent_end_turn(struct loop *loop)
{
    struct unsent *u = &loop->unsent;
    struct list *link;
    unsent_flush(u);
    if (!list_is_empty(&u->failed))
        loop_repeat_hooks(loop); /* what is closed now may be what others wait for */
    while ((link = list_pop(&u->failed)) != NULL)
        STREAM_OF(link)->events->on_drained(STREAM_OF(link)); /* the owner finds has_failed */
}
