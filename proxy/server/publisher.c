/* server/publisher.c - publishes snapshots and weights, and frees what no worker uses. */
#include "server/publisher.h"

#include "base/log.h"
#include "base/memory.h"

/* One snapshot with all weights it ever had, newest first. */
struct publication {
    struct list link;
    struct snapshot *snapshot;
    struct list weights;
    uint64_t first_weights_generation; /* that it was published with */
    uint32_t unused_count;             /* workers that reported it unused */
};

struct waiter {
    struct list link;
    void (*done)(void *arg, uint64_t ticket);
    void *arg;
    uint64_t ticket;
};

static void on_settled_timer(void *arg);

void publisher_init(struct publisher *p, struct loop *loop, uint32_t worker_count)
{
    *p = (struct publisher){ .loop = loop, .worker_count = worker_count };
    p->uses = memory_zalloc(worker_count * sizeof *p->uses);
    list_init(&p->publications);
    list_init(&p->waiters);
    timer_init(&p->settled_timer, on_settled_timer, p);
}

static struct publication *newest(const struct publisher *p)
{
    CHECK(!list_is_empty(&p->publications));
    return LIST_ITEM(p->publications.next, struct publication, link);
}

static struct weights_set *newest_weights(const struct publication *publication)
{
    return LIST_ITEM(publication->weights.next, struct weights_set, link);
}

struct snapshot *publisher_snapshot(const struct publisher *p)
{
    return newest(p)->snapshot;
}

size_t publisher_snapshot_count(const struct publisher *p)
{
    size_t count = 0;
    for (const struct list *at = p->publications.next; at != &p->publications; at = at->next)
        count++;
    return count;
}

const struct weights *publisher_weights(const struct publisher *p)
{
    return &newest_weights(newest(p))->weights;
}

/* ---- publishing ------------------------------------------------------------------------------------------------------ */

struct weights_set *weights_set_create(struct publisher *p)
{
    struct weights_set *set = memory_zalloc(sizeof *set);
    list_init(&set->link);
    arena_init(&set->arena, NULL, 0);
    set->weights.generation = ++p->weights_generation;
    return set;
}

static void weights_set_destroy(struct publisher *p, struct weights_set *set)
{
    p->on_weights_unused(p->arg, set->weights.generation);
    list_remove(&set->link);
    arena_reset(&set->arena);
    memory_free(set);
}

void publish_snapshot(struct publisher *p, struct snapshot *snapshot, struct weights_set *set, const int *fds)
{
    struct publication *publication = memory_zalloc(sizeof *publication);
    publication->snapshot = snapshot;
    publication->first_weights_generation = set->weights.generation;
    list_init(&publication->weights);
    list_push(&publication->weights, &set->link);
    list_init(&publication->link);
    list_push(&p->publications, &publication->link);
    for (uint32_t i = 0; i < p->worker_count; i++)
        if (p->uses[i].worker != NULL)
            worker_order_swap(p->uses[i].worker, snapshot, &set->weights, fds + i * snapshot->config->listener_count);
}

void publish_weights(struct publisher *p, struct weights_set *set)
{
    list_push(&newest(p)->weights, &set->link);
    for (uint32_t i = 0; i < p->worker_count; i++)
        if (p->uses[i].worker != NULL)
            worker_order_weights(p->uses[i].worker, &set->weights);
}

/* ---- freeing --------------------------------------------------------------------------------------------------------- */

static void publication_destroy(struct publisher *p, struct publication *publication)
{
    LIST_FOREACH_SAFE (link, &publication->weights)
        weights_set_destroy(p, LIST_ITEM(link, struct weights_set, link));
    list_remove(&publication->link);
    snapshot_destroy(publication->snapshot);
    memory_free(publication);
}

/* Freed with the last report, and never the current one: a worker gives up a snapshot only after it has taken the next. */
static void snapshot_unused(struct publisher *p, uint64_t generation)
{
    LIST_FOREACH_SAFE (link, &p->publications) {
        struct publication *publication = LIST_ITEM(link, struct publication, link);
        if (publication->snapshot->generation != generation)
            continue;
        CHECK(publication != newest(p) && publication->unused_count < p->worker_count);
        if (++publication->unused_count == p->worker_count) {
            log_debug("reload: generation %llu is not used any more", (unsigned long long)generation);
            publication_destroy(p, publication);
        }
        return;
    }
    CHECK(!"a generation that was never published");
}

/* The oldest weights any worker may still read. */
static uint64_t oldest_in_use(const struct publisher *p)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < p->worker_count; i++)
        if (p->uses[i].weights_generation < oldest)
            oldest = p->uses[i].weights_generation;
    return oldest;
}

/* Of the current snapshot; older ones keep theirs to the end. */
static void weights_prune(struct publisher *p)
{
    struct publication *publication = newest(p);
    uint64_t oldest = oldest_in_use(p);
    LIST_FOREACH_SAFE (link, &publication->weights) {
        struct weights_set *set = LIST_ITEM(link, struct weights_set, link);
        if (set->weights.generation < oldest && set != newest_weights(publication))
            weights_set_destroy(p, set);
    }
}

void publisher_fini(struct publisher *p)
{
    timer_stop(p->loop, &p->settled_timer);
    LIST_FOREACH_SAFE (link, &p->publications)
        publication_destroy(p, LIST_ITEM(link, struct publication, link));
    LIST_FOREACH_SAFE (link, &p->waiters) {
        list_remove(link);
        memory_free(LIST_ITEM(link, struct waiter, link));
    }
    memory_free(p->uses);
}

/* ---- settling -------------------------------------------------------------------------------------------------------- */

bool publisher_is_settled(const struct publisher *p)
{
    uint64_t generation = publisher_snapshot(p)->generation;
    uint64_t weights_generation = publisher_weights(p)->generation;
    for (uint32_t i = 0; i < p->worker_count; i++)
        if (p->uses[i].generation != generation || p->uses[i].weights_generation != weights_generation)
            return false;
    return true;
}

/* on_settled first: it closes the sockets that are given up, and who waits reports the change as complete. */
static void settle(struct publisher *p)
{
    if (!publisher_is_settled(p))
        return;
    p->on_settled(p->arg);
    struct list ready;
    list_init(&ready);
    for (struct list *link; (link = list_pop(&p->waiters)) != NULL;)
        list_append(&ready, link); /* who waits again from inside `done` waits for the next time */
    for (struct list *link; (link = list_pop(&ready)) != NULL;) {
        struct waiter *w = LIST_ITEM(link, struct waiter, link);
        w->done(w->arg, w->ticket);
        memory_free(w);
    }
}

static void on_settled_timer(void *arg)
{
    settle(arg);
}

void publisher_when_settled(struct publisher *p, void (*done)(void *arg, uint64_t ticket), void *arg, uint64_t ticket)
{
    struct waiter *w = memory_zalloc(sizeof *w);
    *w = (struct waiter){ .done = done, .arg = arg, .ticket = ticket };
    list_init(&w->link);
    list_append(&p->waiters, &w->link);
    /* When nothing is under way no report will come; a timer of 0 ms keeps the promise not to call back at once. */
    if (publisher_is_settled(p))
        timer_start(p->loop, &p->settled_timer, 0);
}

/* ---- reports --------------------------------------------------------------------------------------------------------- */

static struct publication *publication_of(struct publisher *p, uint64_t generation)
{
    LIST_FOREACH_SAFE (link, &p->publications) {
        struct publication *publication = LIST_ITEM(link, struct publication, link);
        if (publication->snapshot->generation == generation)
            return publication;
    }
    CHECK(!"a generation that was never published");
    return NULL;
}

/* The weights that came with the snapshot; newer ones have an order, and a report, of their own. */
static void on_swapped(struct publisher *p, struct worker_use *use, const struct worker_report_mail *report)
{
    use->generation = report->generation;
    use->last_swap_us = report->swap_us;
    use->weights_generation = publication_of(p, report->generation)->first_weights_generation;
}

static void on_not_accepting(struct publisher *p, struct worker_use *use)
{
    use->is_accepting = false;
    for (uint32_t i = 0; i < p->worker_count; i++)
        if (p->uses[i].is_accepting)
            return;
    p->on_not_accepting(p->arg);
}

static void on_drained(struct publisher *p, struct worker_use *use)
{
    use->is_drained = true;
    for (uint32_t i = 0; i < p->worker_count; i++)
        if (!p->uses[i].is_drained)
            return;
    p->on_drained(p->arg);
}

void publisher_on_report(struct publisher *p, const struct worker_report_mail *report)
{
    CHECK(report->worker_index < p->worker_count);
    if (p->is_ending)
        return; /* workers give up the current snapshot too */
    struct worker_use *use = &p->uses[report->worker_index];
    switch ((enum worker_report)report->mail.kind) {
    case REPORT_SWAPPED:
        on_swapped(p, use, report);
        break;
    case REPORT_SNAPSHOT_UNUSED:
        snapshot_unused(p, report->generation);
        return;
    case REPORT_SCRIPTS_FULL: /* sent before that the snapshot is unused: it is there */
        worker_order_scripts(use->worker, publication_of(p, report->generation)->snapshot);
        return;
    case REPORT_SCRIPTS_UNUSED: /* destroyed by who took the report */
        return;
    case REPORT_WEIGHTS_SET:
        use->weights_generation = report->generation;
        break;
    case REPORT_NOT_ACCEPTING:
        on_not_accepting(p, use);
        return;
    case REPORT_DRAINED:
        on_drained(p, use);
        return;
    }
    weights_prune(p);
    settle(p);
}
