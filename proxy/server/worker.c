/* server/worker.c - one worker thread: a loop, a front, and the orders of the main thread.
 *
 * Two halves that share no memory but the mail: what runs on the worker's thread (worker_main and all it calls, the orders as
 * they arrive) and what the main thread calls (worker_start, worker_order_*, worker_join). Borrowed memory in an order, the
 * snapshot and the weights, is kept by the main thread until the reports say that it is not used any more. */
#include "server/worker.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/accept.h"
#include "front/front.h"
#include "front/tls_set.h"
#include "net/loop.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>

#define WORKER_MAGIC 0x574f524bu

/* Old access lines are handed on at this age, so that `tail -f` shows traffic as it happens. */
#define ACCESS_AGE_MS 200

struct worker {
    uint32_t magic;
    pthread_t thread;
    sem_t is_serving; /* posted once, when the first listener accepts */
    struct worker_options options;
    struct script_host *first_scripts; /* from the main thread to the worker, at its start */
    struct loop *loop;
    struct mailbox mailbox;
    struct front front;
    struct access_lines *lines;
    struct timer access_timer;
};

/* An order on its way; freed by the worker. */
struct worker_order_mail {
    struct mail mail; /* kind: enum worker_order */
    struct snapshot *snapshot;
    const struct weights *weights;
    struct script_host *scripts; /* ORDER_SWAP, ORDER_SCRIPTS: for this worker alone; NULL: the snapshot has none */
    uint64_t generation;         /* ORDER_SCRIPTS: theirs; the snapshot itself may be gone */
    int *listener_fds;
    char *upstream, *label; /* ORDER_ADDRESSES */
    struct resolved_address *addresses;
    size_t address_count;
    struct tls_ticket_keys *ticket_keys;
};

/* ---- reports ---------------------------------------------------------------------------------------------------------- */

static struct worker_report_mail *report_create(struct worker *w, enum worker_report kind, uint64_t generation)
{
    struct worker_report_mail *m = memory_zalloc(sizeof(*m));
    m->mail.kind = kind;
    m->worker_index = w->options.index;
    m->generation = generation;
    return m;
}

static void report(struct worker *w, enum worker_report kind, uint64_t generation, int64_t swap_us)
{
    struct worker_report_mail *m = report_create(w, kind, generation);
    m->swap_us = (uint32_t)swap_us;
    mailbox_send(w->options.to_main, &m->mail);
}

static void on_binding_unused(void *arg, uint64_t generation, struct script_host *scripts)
{
    struct worker *w = arg;
    struct worker_report_mail *m = report_create(w, REPORT_SNAPSHOT_UNUSED, generation);
    m->scripts = scripts;
    mailbox_send(w->options.to_main, &m->mail);
}

static void on_scripts_full(void *arg, uint64_t generation)
{
    report(arg, REPORT_SCRIPTS_FULL, generation, 0);
}

static void on_scripts_unused(void *arg, struct script_host *scripts)
{
    struct worker *w = arg;
    struct worker_report_mail *m = report_create(w, REPORT_SCRIPTS_UNUSED, 0);
    m->scripts = scripts;
    mailbox_send(w->options.to_main, &m->mail);
}

static void on_drained(void *arg)
{
    report(arg, REPORT_DRAINED, 0, 0);
}

/* ---- access lines ----------------------------------------------------------------------------------------------------- */

static void access_renew(struct worker *w)
{
    struct access_log *log = &w->front.access;
    w->lines = access_lines_create();
    log->bytes = w->lines->bytes;
    log->capacity = sizeof(w->lines->bytes);
    log->used = log->line_count = 0;
}

/* The buffer changes hands: a line is written once by the worker, and never copied on this thread. */
static void access_hand_on(struct access_log *log, void *arg)
{
    struct worker *w = arg;
    w->lines->used = log->used;
    w->lines->line_count = log->line_count;
    stats_add(w->options.stats, STATS_ACCESS_LINES, log->line_count);
    access_writer_submit(w->options.access_writer, w->lines);
    access_renew(w);
}

static void on_access_timer(void *arg)
{
    struct worker *w = arg;
    access_flush(&w->front.access);
    timer_start(w->loop, &w->access_timer, ACCESS_AGE_MS);
}

/* ---- orders ----------------------------------------------------------------------------------------------------------- */

/* Opens the listeners of the new snapshot that are not open yet, closes those it does not name. */
static void worker_set_listeners(struct worker *w, const struct snapshot *s, const int *fds)
{
    LIST_FOREACH_SAFE (link, &w->front.listeners)
        LIST_ITEM(link, struct front_listener, link)->is_kept = false;
    for (size_t i = 0; i < s->config->listener_count; i++)
        accept_open(&w->front, &s->config->listeners[i], fds[i], s->config->tls->listeners[i], s->series->listeners[i]);
    LIST_FOREACH_SAFE (link, &w->front.listeners) {
        struct front_listener *l = LIST_ITEM(link, struct front_listener, link);
        if (!l->is_kept)
            accept_close(&w->front, l);
    }
}

static void worker_swap(struct worker *w, struct worker_order_mail *order)
{
    struct mono_time begun = clock_mono();
    struct snapshot *snapshot = order->snapshot;
    front_swap(&w->front, snapshot, order->weights, TAKE(&order->scripts));
    if (!w->front.is_draining)
        worker_set_listeners(w, snapshot, order->listener_fds);
    report(w, REPORT_SWAPPED, snapshot->generation, mono_diff_us(clock_mono(), begun));
}

static void worker_on_mail(void *owner, struct mail *mail)
{
    struct worker *w = owner;
    struct worker_order_mail *order = CONTAINER_OF(mail, struct worker_order_mail, mail);
    switch ((enum worker_order)mail->kind) {
    case ORDER_SWAP:
        worker_swap(w, order);
        break;
    case ORDER_WEIGHTS:
        front_set_weights(&w->front, order->weights);
        report(w, REPORT_WEIGHTS_SET, order->weights->generation, 0);
        break;
    case ORDER_SCRIPTS:
        front_offer_scripts(&w->front, order->generation, TAKE(&order->scripts));
        break;
    case ORDER_ADDRESSES:
        front_set_addresses(&w->front, order->upstream, order->label, order->addresses, order->address_count);
        break;
    case ORDER_TICKETS:
        tls_ticket_keys_set(w->loop, order->ticket_keys);
        tls_ticket_keys_wipe(order->ticket_keys);
        break;
    case ORDER_DRAIN:
        accept_stop(&w->front);
        report(w, REPORT_NOT_ACCEPTING, 0, 0);
        front_drain(&w->front);
        break;
    case ORDER_STOP:
        loop_stop(w->loop);
        break;
    }
    memory_free(order->listener_fds);
    memory_free(order->upstream);
    memory_free(order->label);
    memory_free(order->addresses);
    memory_free(order->ticket_keys);
    memory_free(order);
}

static struct worker_order_mail *order_create(struct worker *w, enum worker_order kind)
{
    CHECK_MAGIC(w, WORKER_MAGIC);
    struct worker_order_mail *order = memory_zalloc(sizeof(*order));
    order->mail.kind = kind;
    return order;
}

void worker_order_addresses(struct worker *w, const char *upstream, const char *label,
                            const struct resolved_address *addresses, size_t count)
{
    struct worker_order_mail *order = order_create(w, ORDER_ADDRESSES);
    order->upstream = memory_strdup(upstream);
    order->label = memory_strdup(label);
    order->addresses = memory_alloc(count * sizeof(*addresses));
    memcpy(order->addresses, addresses, count * sizeof(*addresses));
    order->address_count = count;
    mailbox_send(&w->mailbox, &order->mail);
}

void worker_order_swap(struct worker *w, struct snapshot *snapshot, const struct weights *weights,
                       const int *listener_fds)
{
    struct worker_order_mail *order = order_create(w, ORDER_SWAP);
    size_t bytes = snapshot->config->listener_count * sizeof(int);
    order->snapshot = snapshot;
    order->weights = weights;
    order->scripts = binding_make_scripts(snapshot, w->options.watchdog, w->options.shared);
    order->listener_fds = memory_alloc(bytes + 1);
    memcpy(order->listener_fds, listener_fds, bytes);
    mailbox_send(&w->mailbox, &order->mail);
}

void worker_order_weights(struct worker *w, const struct weights *weights)
{
    struct worker_order_mail *order = order_create(w, ORDER_WEIGHTS);
    order->weights = weights;
    mailbox_send(&w->mailbox, &order->mail);
}

void worker_order_scripts(struct worker *w, const struct snapshot *snapshot)
{
    struct worker_order_mail *order = order_create(w, ORDER_SCRIPTS);
    order->generation = snapshot->generation;
    order->scripts = binding_make_scripts(snapshot, w->options.watchdog, w->options.shared);
    mailbox_send(&w->mailbox, &order->mail);
}

void worker_order_tickets(struct worker *w, const struct tls_ticket_keys *keys)
{
    struct worker_order_mail *order = order_create(w, ORDER_TICKETS);
    order->ticket_keys = memory_alloc(sizeof(*keys));
    *order->ticket_keys = *keys;
    mailbox_send(&w->mailbox, &order->mail);
}

void worker_order_drain(struct worker *w)
{
    mailbox_send(&w->mailbox, &order_create(w, ORDER_DRAIN)->mail);
}

void worker_order_stop(struct worker *w)
{
    mailbox_send(&w->mailbox, &order_create(w, ORDER_STOP)->mail);
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static void worker_set_up(struct worker *w)
{
    const struct worker_options *o = &w->options;
    w->loop = loop_create(o->stats);
    tls_ticket_keys_set(w->loop, o->ticket_keys);
    mailbox_open(&w->mailbox, w->loop, worker_on_mail, w);
    front_init(&w->front, w->loop, o->stats, o->index, o->worker_count);
    w->front.limits = o->limits;
    front_set_places(&w->front, o->places, o->shadow_places, o->comparer);
    front_set_pseudonym(&w->front, o->pseudonym);
    w->front.on_binding_unused = on_binding_unused;
    w->front.on_scripts_full = on_scripts_full;
    w->front.on_scripts_unused = on_scripts_unused;
    w->front.on_drained = on_drained;
    w->front.arg = w;
    w->front.access.hand_on = access_hand_on;
    w->front.access.arg = w;
    access_renew(w);
    timer_init(&w->access_timer, on_access_timer, w);
    timer_start(w->loop, &w->access_timer, ACCESS_AGE_MS);
    front_swap(&w->front, o->snapshot, o->weights, TAKE(&w->first_scripts));
    worker_set_listeners(w, o->snapshot, o->listener_fds);
}

/* The front first: what it closes is freed after a turn, which is run here since the loop has ended; upstreams and access
   lines are used until then. */
static void worker_tear_down(struct worker *w)
{
    timer_stop(w->loop, &w->access_timer);
    front_fini(&w->front);
    loop_turn_now(w->loop); /* runs what was deferred */
    shadow_pool_fini(&w->front.shadows);
    upstream_set_fini(&w->front.upstreams);
    access_flush(&w->front.access);
    access_lines_destroy(w->lines);
    mailbox_close(&w->mailbox);
    loop_destroy(w->loop);
}

/* In a program with threads glibc makes each read and write a place where the thread can be cancelled, by two atomic
   operations around the system call; it spares them in a thread that could be cancelled anywhere. This one is never
   cancelled at all. */
static void spare_cancellation_points(void)
{
    int old;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    char name[16];
    snprintf(name, sizeof(name), "weir/%u", w->options.index);
    pthread_setname_np(pthread_self(), name);
    spare_cancellation_points();
    worker_set_up(w);
    sem_post(&w->is_serving);
    loop_run(w->loop);
    worker_tear_down(w);
    return NULL;
}

struct worker *worker_start(const struct worker_options *options)
{
    struct worker *w = memory_zalloc(sizeof(*w));
    w->magic = WORKER_MAGIC;
    w->options = *options;
    w->first_scripts = binding_make_scripts(options->snapshot, options->watchdog, options->shared);
    sem_init(&w->is_serving, 0, 0);
    /* Signals are the main thread's. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    CHECK(pthread_create(&w->thread, NULL, worker_main, w) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    while (sem_wait(&w->is_serving) != 0)
        ;
    return w;
}

void worker_join(struct worker *w)
{
    CHECK_MAGIC(w, WORKER_MAGIC);
    CHECK(pthread_join(w->thread, NULL) == 0);
    sem_destroy(&w->is_serving);
    w->magic = 0;
    memory_free(w);
}
