/* server/master.c - the process: turns signals, reports and file changes into deeds. Start and end are in server/start.c.
 *
 * struct server lives on the stack of server_run and belongs to the main thread; workers reach it by mail alone. How it ends:
 *
 *   TERM, INT          drain -> the last worker reports DRAINED, or drain_timeout passes -> loop_stop -> server_end
 *   TERM, INT again    loop_stop at once: clients are cut off
 *   drain by the API   the same drain, but the process stays, to be looked at, until TERM */
#include "server/master.h"

#include "base/log.h"
#include "base/memory.h"
#include "lua/script_host.h"
#include "server/parts.h"

#include <signal.h>

/* ---- ending ------------------------------------------------------------------------------------------------------------ */

void server_on_drain_timeout(void *arg)
{
    struct server *s = arg;
    log_warn("stop: %lld clients are cut off at drain_timeout", (long long)stats_sum(s->stats, STATS_CLIENTS_LIVE));
    loop_stop(s->loop);
}

void server_on_drained(void *arg)
{
    struct server *s = arg;
    log_info("drain: no client is left");
    if (s->is_stopping)
        loop_stop(s->loop);
}

/* Of a drain that the API began: TERM then has nothing to wait for, and no report would come to end it. */
static bool has_drained(const struct server *s)
{
    for (uint32_t i = 0; i < s->worker_count; i++)
        if (!s->publisher.uses[i].is_drained)
            return false;
    return true;
}

void server_drain(struct server *s, struct slice cause)
{
    if (s->state == PROCESS_DRAINING)
        return;
    log_info("drain: begun by %.*s", SLICE_ARG(cause));
    s->state = PROCESS_DRAINING;
    if (drills_abort(&s->drills, "weir drains"))
        server_publish_weights(s); /* whose canary failed does so no more */
    for (uint32_t i = 0; i < s->worker_count; i++)
        worker_order_drain(s->publisher.uses[i].worker);
}

/* The first time: orderly; the second: at once. */
static void stop(struct server *s, const char *signal_name)
{
    int64_t timeout_ms = publisher_snapshot(&s->publisher)->config->drain_timeout_ms;
    if (s->is_stopping) {
        log_warn("stop: %s again, not waiting for clients any more", signal_name);
        loop_stop(s->loop);
        return;
    }
    s->is_stopping = true;
    log_info("stop: %s", signal_name);
    server_drain(s, slice_from_cstr(signal_name));
    if (has_drained(s))
        loop_stop(s->loop);
    else
        timer_start(s->loop, &s->drain_timer, timeout_ms);
}

/* ---- events ------------------------------------------------------------------------------------------------------------ */

static void on_signal(void *arg, int signal_number)
{
    struct server *s = arg;
    switch (signal_number) {
    case SIGTERM:
        stop(s, "SIGTERM");
        break;
    case SIGINT:
        stop(s, "SIGINT");
        break;
    case SIGHUP:
        server_reload(s, SLICE("hup"), SLICE("signal"));
        break;
    case SIGUSR1:
        server_reopen_logs(s);
        break;
    default:
        break;
    }
}

/* Not while draining: every change would be logged as a rejected reload. */
void server_on_file_change(void *arg)
{
    struct server *s = arg;
    if (s->state == PROCESS_SERVING)
        server_reload(s, SLICE("watch"), SLICE("file"));
}

void server_on_report(void *owner, struct mail *mail)
{
    struct server *s = owner;
    struct worker_report_mail *report = CONTAINER_OF(mail, struct worker_report_mail, mail);
    if (report->scripts != NULL)
        script_host_destroy(report->scripts);
    publisher_on_report(&s->publisher, report);
    memory_free(report);
}

void server_on_settled(void *arg)
{
    struct server *s = arg;
    sockets_close_unwanted(&s->sockets);
}

/* Closed only now: until a worker has emptied its accept queue, closing the socket would reset who waits in it. */
void server_on_not_accepting(void *arg)
{
    struct server *s = arg;
    sockets_forget(&s->sockets);
    if (publisher_is_settled(&s->publisher)) /* else a publication is under way, and settles later */
        sockets_close_unwanted(&s->sockets);
}

void server_signals_start(struct server *s)
{
    static const int numbers[SERVER_SIGNAL_COUNT] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
    for (size_t i = 0; i < SERVER_SIGNAL_COUNT; i++)
        notify_signal_start(&s->signals[i], s->loop, numbers[i], on_signal, s);
}

/* Before anything is written. What their defaults would do to the process is never wanted. */
static void signals_ignore(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its size limit fails its write, and nothing else */
    signal(SIGUSR2, SIG_IGN);
}

int server_run(const struct server_options *options)
{
    struct server s = { .options = options };
    signals_ignore();
    bool is_good = server_start(&s);
    if (is_good)
        loop_run(s.loop);
    server_end(&s);
    return is_good ? 0 : 1;
}
