/* server/notices.c - the tries of a notice: when, how often, and what came of them. */
#include "server/notices.h"

#include <stdio.h>

#include "base/memory.h"

#define TRY_TIMEOUT_MS 10000
#define RESULT_BYTES   160u

void notices_init(struct notices *all)
{
    list_init(&all->items);
}

static void notice_destroy(struct notices *all, struct notice *n)
{
    list_remove(&n->link);
    all->count--;
    memory_free(n->target);
    memory_free(n->subject);
    memory_free(n->incident);
    memory_free(n->url);
    memory_free(n->body);
    memory_free(n);
}

void notices_fini(struct notices *all)
{
    LIST_FOREACH_SAFE (link, &all->items)
        notice_destroy(all, LIST_ITEM(link, struct notice, link));
}

static void notice_end(struct notices *all, struct notice *n, enum notice_end end, const char *result)
{
    all->told(all->arg, n, end, result);
    notice_destroy(all, n);
}

/* 2, 8, 32 and 60 seconds behind the first ones, which outlasts a restart of whoever is told. */
static int64_t wait_us(uint32_t tries)
{
    static const int64_t waits_s[NOTICE_TRIES] = { 0, 2, 8, 32, 60 };
    return waits_s[tries < NOTICE_TRIES ? tries : NOTICE_TRIES - 1] * 1000000;
}

static void fail_try(struct notices *all, struct notice *n, bool is_final, const char *result)
{
    n->ticket = 0;
    if (n->is_old)
        notice_end(all, n, NOTICE_REPLACED, "a newer one took its place");
    else if (is_final || n->tries >= NOTICE_TRIES)
        notice_end(all, n, NOTICE_FAILED, result);
    else
        n->due = (struct mono_time){ all->now(all->arg).us + wait_us(n->tries) };
}

/* A request that they refuse is refused again; what they could not do now may work later. */
static bool is_refused_for_good(unsigned status)
{
    return status >= 300 && status < 500 && status != 408 && status != 429;
}

static struct notice *find(struct notices *all, uint64_t ticket)
{
    LIST_FOREACH_SAFE (link, &all->items)
        if (LIST_ITEM(link, struct notice, link)->ticket == ticket)
            return LIST_ITEM(link, struct notice, link);
    return NULL;
}

static void on_answer(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct notices *all = arg;
    struct notice *n = find(all, ticket);
    char result[RESULT_BYTES];
    if (n == NULL)
        return;
    if (answer->failure != NULL)
        snprintf(result, sizeof result, "%s", answer->failure);
    else
        snprintf(result, sizeof result, "answered %u", answer->status);
    if (answer->failure == NULL && answer->status >= 200 && answer->status < 300)
        notice_end(all, n, NOTICE_TOLD, result);
    else
        fail_try(all, n, answer->failure == NULL && is_refused_for_good(answer->status), result);
}

static void try_now(struct notices *all, struct notice *n)
{
    const struct courier_errand errand = { .url = slice_from_cstr(n->url),
                                           .method = SLICE("POST"),
                                           .content_type = SLICE("application/json"),
                                           .body = slice_from_cstr(n->body),
                                           .timeout_ms = TRY_TIMEOUT_MS,
                                           .done = on_answer,
                                           .arg = all,
                                           .ticket = ++all->newest_ticket };
    n->tries++;
    n->ticket = errand.ticket;
    if (!all->send(all->arg, &errand))
        fail_try(all, n, false, "too much is under way");
}

/* Of the state of the same thing: the one under way may arrive, those that wait would come behind the newer one. */
static void replace_old(struct notices *all, const struct notice_order *order)
{
    LIST_FOREACH_SAFE (link, &all->items) {
        struct notice *n = LIST_ITEM(link, struct notice, link);
        if (!n->replaces || !slice_equal(slice_from_cstr(n->url), order->url) ||
            !slice_equal(slice_from_cstr(n->subject), order->subject))
            continue;
        n->is_old = true;
        if (n->ticket == 0)
            notice_end(all, n, NOTICE_REPLACED, "a newer one took its place");
    }
}

static char *copy(struct slice s)
{
    return memory_copy_text(s.ptr, s.len);
}

void notices_send(struct notices *all, const struct notice_order *order)
{
    if (order->replaces)
        replace_old(all, order);
    struct notice *n = memory_zalloc(sizeof *n);
    *n = (struct notice){ .target = copy(order->target),
                          .subject = copy(order->subject),
                          .incident = copy(order->incident),
                          .url = copy(order->url),
                          .body = copy(order->body),
                          .kind = order->kind,
                          .cause = order->cause,
                          .replaces = order->replaces };
    list_init(&n->link);
    list_append(&all->items, &n->link);
    if (++all->count > NOTICES_MAX)
        notice_end(all, n, NOTICE_FAILED, "too many notices wait already");
    else
        try_now(all, n);
}

void notices_look(struct notices *all)
{
    struct mono_time now = all->now(all->arg);
    LIST_FOREACH_SAFE (link, &all->items) {
        struct notice *n = LIST_ITEM(link, struct notice, link);
        if (n->ticket == 0 && n->due.us <= now.us)
            try_now(all, n);
    }
}
