/* server/tickets.c - the keys of TLS session tickets: made at start, renewed from time to time, told to the workers.
 *
 * All workers have the same, so that a session begun at one is resumed at any; reloads do not touch them. Two workers
 * may differ for the moment that mail takes: what one cannot open yet is a full handshake. */
#include "server/parts.h"

static void on_ticket_timer(void *arg)
{
    struct server *s = arg;
    tls_ticket_keys_rotate(&s->ticket_keys);
    for (uint32_t i = 0; i < s->worker_count; i++)
        worker_order_tickets(s->publisher.uses[i].worker, &s->ticket_keys);
    timer_start(s->loop, &s->ticket_timer, TLS_TICKET_ROTATE_S * 1000ll);
}

void server_tickets_begin(struct server *s)
{
    tls_ticket_keys_rotate(&s->ticket_keys);
    timer_init(&s->ticket_timer, on_ticket_timer, s);
    timer_start(s->loop, &s->ticket_timer, TLS_TICKET_ROTATE_S * 1000ll);
}

void server_tickets_end(struct server *s)
{
    if (s->ticket_keys.count == 0)
        return;
    timer_stop(s->loop, &s->ticket_timer);
    tls_ticket_keys_wipe(&s->ticket_keys);
}
