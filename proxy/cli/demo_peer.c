/* cli/demo_peer.c - one HTTP/1.1 connection of the demo, either side: bytes in, events of the codec out. */
#include "cli/demo.h"

#include <string.h>

void demo_peer_init(struct demo_peer *p, struct loop *loop)
{
    arena_init(&p->arena, &loop->arenas, 0);
    p->in = chunk_create(&loop->chunks);
    p->start = 0;
}

void demo_peer_close(struct demo_peer *p)
{
    stream_close(&p->stream);
    if (p->in != NULL)
        chunk_unref(TAKE(&p->in));
    arena_reset(&p->arena);
}

/* Moves what is left to the front, so that the room behind it is one piece. */
static void compact(struct demo_peer *p)
{
    struct chunk *in = p->in;
    memmove(in->bytes, in->bytes + p->start, in->used - p->start);
    in->used -= p->start;
    p->start = 0;
}

/* A full chunk without a complete head in it: the limits of both readers are below a chunk, so this is no HTTP of ours. */
enum stream_status demo_peer_read(struct demo_peer *p)
{
    uint32_t count;
    compact(p);
    if (chunk_room(p->in) == 0)
        return STREAM_ERROR;
    return stream_read(&p->stream, p->in, &count);
}

enum h1_event demo_peer_next(struct demo_peer *p)
{
    struct slice input = slice_from(p->in->bytes + p->start, p->in->used - p->start);
    enum h1_event event = h1_read(&p->reader, &input, &p->arena, &p->message);
    p->start = p->in->used - (uint32_t)input.len;
    return event;
}

void demo_peer_finish_message(struct demo_peer *p)
{
    h1_reader_next(&p->reader);
    arena_reset(&p->arena);
}
