/* net/loop.c - one thread's event loop: turns, time, deferred frees, and the pools its connections share.
 *
 * libevent is asked for one turn at a time, because what happens between turns is ours: hooks, frees, pools. Free
 * lists are bounded; beyond their bounds memory goes back to the heap, so that a burst does not stay. */
#include "net/loop.h"

#include "base/memory.h"
#include "net/tls_tickets.h"
#include "stats/counters.h"

#include <event2/event.h>
#include <sys/random.h>

#define FREE_CHUNKS_MAX      256  /* 4 MiB kept per worker */
#define FREE_BLOCKS_MAX      2048 /* 1 MiB; as many as the streams of some dozen HTTP/2 clients queue at once */
#define FREE_ARENA_PAGES_MAX 1536 /* the same for their requests: 12 MiB */
#define ARENA_PAGE_BYTES     8192

static struct event_base *base_create(void)
{
    struct event_config *config = event_config_new();
    CHECK(config != NULL);
    /* One thread per base: no locks. And no changelist: it would tell the kernel of a deleted event only at the next turn, when the
       descriptor is closed and its number may be another thread's. Steady traffic makes no epoll_ctl with or without it. */
    CHECK(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0);
    CHECK(event_config_require_features(config, EV_FEATURE_ET) == 0); /* stream_watch; that is: epoll */
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    CHECK(base != NULL);
    return base;
}

/* From the kernel: ids that are drawn from it shall not be guessed from the time. */
static uint64_t seed(void)
{
    uint64_t bits;
    CHECK(getrandom(&bits, sizeof(bits), 0) == (ssize_t)sizeof(bits));
    return bits;
}

struct loop *loop_create(struct stats_worker *stats)
{
    struct loop *loop = memory_zalloc(sizeof(*loop));
    loop->magic = LOOP_MAGIC;
    loop->base = base_create();
    loop->stats = stats;
    list_init(&loop->wakes);
    list_init(&loop->chores);
    unsent_init(&loop->unsent);
    chunk_pool_init(&loop->chunks, FREE_CHUNKS_MAX);
    pieces_pool_init(&loop->pieces, FREE_BLOCKS_MAX);
    arena_pool_init(&loop->arenas, ARENA_PAGE_BYTES, FREE_ARENA_PAGES_MAX);
    rng_init(&loop->rng, seed());
    wheel_init(&loop->wheel, loop);
    return loop;
}

void loop_destroy(struct loop *loop)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    CHECK(loop->deferred == NULL && list_is_empty(&loop->wakes) && list_is_empty(&loop->unsent.streams));
    CHECK(list_is_empty(&loop->chores));
    wheel_fini(&loop->wheel);
    memory_free(loop->tls_buffers);
    tls_ticket_keys_set(loop, NULL);
    event_base_free(loop->base);
    pieces_pool_fini(&loop->pieces);
    chunk_pool_fini(&loop->chunks);
    arena_pool_fini(&loop->arenas);
    loop->magic = 0;
    memory_free(loop);
}

struct mono_time loop_now_slow(struct loop *loop)
{
    loop->now = clock_mono();
    loop->is_now_known = true;
    return loop->now;
}

struct chunk *loop_scratch(struct loop *loop, uint32_t min_bytes)
{
    struct chunk *scratch = loop->scratch;
    if (scratch != NULL && scratch->ref_count == 1)
        scratch->used = 0;
    if (scratch != NULL && chunk_room(scratch) >= min_bytes)
        return scratch;
    if (scratch != NULL)
        chunk_unref(scratch);
    loop->scratch =
        min_bytes <= CHUNK_BYTES ? chunk_create(&loop->chunks) : chunk_create_sized(&loop->chunks, min_bytes);
    return loop->scratch;
}

void loop_after_turn(struct loop *loop, struct deferred *d)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    d->next = loop->deferred;
    loop->deferred = d;
}

void loop_wake(struct loop *loop, struct wake *w)
{
    if (!list_is_linked(&w->link))
        list_append(&loop->wakes, &w->link);
}

void loop_add_chore(struct loop *loop, struct chore *c)
{
    list_append(&loop->chores, &c->link);
}

void loop_add_turn_hook(struct loop *loop, struct turn_hook *hook)
{
    struct turn_hook **at = &loop->hooks;
    while (*at != NULL)
        at = &(*at)->next;
    hook->next = NULL;
    *at = hook;
}

/* What happens once per turn, in this order: hooks and unsent writes (both may close things and make work for each
   other), frees, the shared scratch chunk. Hooks come first: whoever has read an answer finds it in the gauges. */
static void loop_end_turn(struct loop *loop)
{
    do {
        loop->are_hooks_due = false;
        for (struct turn_hook *hook = loop->hooks; hook != NULL; hook = hook->next)
            hook->run(hook->arg);
        unsent_end_turn(loop);
    } while (loop->are_hooks_due || !list_is_empty(&loop->unsent.streams));
    while (loop->deferred != NULL) {
        struct deferred *d = loop->deferred;
        loop->deferred = d->next;
        d->destroy(d);
    }
    if (loop->scratch != NULL)
        chunk_unref(TAKE(&loop->scratch));
}

/* Not before: libevent runs what is made active inside a callback in the same turn, so that one that makes itself active
   would keep it from ending. */
static void loop_activate_wakes(struct loop *loop)
{
    struct list *link;
    while ((link = list_pop(&loop->wakes)) != NULL)
        event_active(LIST_ITEM(link, struct wake, link)->event, EV_READ, 0);
}

void loop_turn_now(struct loop *loop)
{
    loop_end_turn(loop);
}

/* A piece takes its time: those that are served after it begin with a new reading of the clock. */
static void loop_do_chore(struct loop *loop)
{
    struct chore *c = LIST_ITEM(list_pop(&loop->chores), struct chore, link);
    c->run(c);
    loop->is_now_known = false;
}

void loop_turn(struct loop *loop)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    int flags = EVLOOP_ONCE;
    loop->is_now_known = false;
    loop->turn_count++;
    if (!list_is_empty(&loop->chores)) {
        loop_do_chore(loop);
        flags = EVLOOP_NONBLOCK; /* there may be more, and what it left behind is flushed when the turn ends */
    }
    loop_activate_wakes(loop);
    event_base_loop(loop->base, flags);
    stats_add(loop->stats, STATS_LOOP_TURNS, 1);
    loop_end_turn(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->is_stopping)
        loop_turn(loop);
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
    event_base_loopbreak(loop->base);
}
