/* cli/demo.c - `weir demo`: three origins, steady traffic and the proxy between them, needing nothing but the binary. */
#include "cli/demo.h"

#include "cli/command.h"
#include "cli/problems.h"
#include "cli/terminal.h"
#include "net/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define VIEW_PERIOD_MS  1000
#define START_MAX_MS    10000 /* for the proxy's first answer */
#define LINES_PER_TITLE 20
#define DEFAULT_RATE    50

const char *const demo_upstream_names[DEMO_UPSTREAM_COUNT] = { "stable", "canary", "dark" };

struct demo_values {
    uint32_t port;
    uint32_t rate;
    int64_t duration_ms; /* 0: until a signal */
};

enum demo_end { END_NONE, END_ASKED, END_PROXY_DIED, END_NO_ANSWER };

/* Everything the demo owns, for its whole life. */
struct demo {
    const struct demo_values *values;
    struct loop *loop;
    struct demo_origin origins[DEMO_UPSTREAM_COUNT];
    struct demo_proxy proxy;
    struct demo_traffic traffic;
    struct notify_signal on_int, on_term, on_child;
    struct timer view, deadline;
    struct demo_counts shown; /* as of the last line */
    struct mono_time start;
    unsigned line_count;
    pid_t parent; /* when it goes, the demo goes */
    bool coloured;
    enum demo_end end;
};

/* ---- what people see ------------------------------------------------------------------------------------------------------ */

static void print_urls(const struct demo *d)
{
    const struct demo_proxy *p = &d->proxy;
    const char *weir = program_invocation_name;
    printf("weir demo: a proxy, three origins and %u requests a second, all on loopback\n\n", d->values->rate);
    printf("  proxy     http://127.0.0.1:%u/\n", p->port);
    printf("  admin     http://127.0.0.1:%u/api/v1/status\n", p->admin_port);
    printf("  metrics   http://127.0.0.1:%u/metrics\n", p->admin_port);
    printf("  config    %s/weir.yaml (watched: change it and see)\n", p->directory);
    printf("  logs      %s/weir.log, access.log\n\n", p->directory);
    printf("Try, in another terminal:\n");
    printf("  curl -i http://127.0.0.1:%u/\n", p->port);
    printf("  curl -H 'x-dark-launch: on' http://127.0.0.1:%u/\n", p->port);
    printf("  %s explain -c %s/weir.yaml -H 'x-dark-launch: on' http://127.0.0.1:%u/\n", weir, p->directory, p->port);
    printf("  %s ctl --state-dir %s routes\n", weir, p->directory);
    printf("  %s ctl --state-dir %s split demo stable=50 canary=50 --reason 'just to see'\n", weir, p->directory);
    printf("\nCtrl-C ends it. The canary fails now and then, so that there is something to see.\n\n");
    fflush(stdout);
}

/* What the upstream answered since the last line; shares are of the split, so the dark launch has none. */
static void add_upstream(const struct demo *d, enum demo_upstream i, uint64_t split_count, struct text *out)
{
    const struct demo_counts *now = &d->traffic.counts, *old = &d->shown;
    uint64_t answered = now->answered[i] - old->answered[i], failed = now->failed[i] - old->failed[i];
    char words[64];
    int length = snprintf(words, sizeof(words), "%5llu", (unsigned long long)answered);
    if (i != DEMO_DARK && split_count > 0)
        length += snprintf(words + length, sizeof(words) - (size_t)length, " %5.1f %%",
                           100.0 * (double)answered / (double)split_count);
    if (failed > 0)
        length += snprintf(words + length, sizeof(words) - (size_t)length, ", %llu failed", (unsigned long long)failed);
    snprintf(words + length, sizeof(words) - (size_t)length, "%*s", length < 23 ? 23 - length : 1, "");
    terminal_add(out, d->coloured, failed > 0 ? PAINT_RED : PAINT_NONE, slice_from_cstr(words));
}

/* One line an interval: requests, and what share of the split each upstream answered. */
static void print_view(struct demo *d)
{
    const struct demo_counts *now = &d->traffic.counts, *old = &d->shown;
    uint64_t split_count = now->answered[DEMO_STABLE] - old->answered[DEMO_STABLE] + now->answered[DEMO_CANARY] -
                           old->answered[DEMO_CANARY];
    struct text out = { 0 };
    if (d->line_count++ % LINES_PER_TITLE == 0)
        printf("%6s  %-23s%-23s%-23s%s\n", "time", "stable", "canary", "dark", "lost");
    text_printf(&out, "%5llds  ", (long long)(mono_diff_us(loop_now(d->loop), d->start) / 1000000));
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++)
        add_upstream(d, (enum demo_upstream)i, split_count, &out);
    text_printf(&out, "%llu", (unsigned long long)(now->lost - old->lost));
    puts(out.bytes);
    fflush(stdout);
    text_fini(&out);
    d->shown = *now;
}

static void print_sum(const struct demo *d)
{
    const struct demo_counts *c = &d->traffic.counts;
    uint64_t failed = 0, answered = 0;
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++) {
        answered += c->answered[i];
        failed += c->failed[i];
    }
    printf("\n%llu requests answered: stable %llu, canary %llu, dark %llu; %llu failed, %llu lost\n",
           (unsigned long long)answered, (unsigned long long)c->answered[DEMO_STABLE],
           (unsigned long long)c->answered[DEMO_CANARY], (unsigned long long)c->answered[DEMO_DARK],
           (unsigned long long)failed, (unsigned long long)c->lost);
}

/* ---- what happens --------------------------------------------------------------------------------------------------------- */

/* Closes everything at once; the turn that this runs in frees it, and is the loop's last. */
static void finish(struct demo *d, enum demo_end end)
{
    if (d->end != END_NONE)
        return;
    d->end = end;
    demo_traffic_stop(&d->traffic);
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++)
        demo_origin_stop(&d->origins[i]);
    timer_stop(d->loop, &d->view);
    timer_stop(d->loop, &d->deadline);
    loop_stop(d->loop);
}

static void on_signal(void *arg, int signal_number)
{
    (void)signal_number;
    finish(arg, END_ASKED);
}

/* The proxy never ends by itself while the demo runs: its log tells why. */
static void on_child(void *arg, int signal_number)
{
    struct demo *d = arg;
    (void)signal_number;
    if (waitpid(d->proxy.pid, NULL, WNOHANG) != d->proxy.pid)
        return;
    d->proxy.pid = 0;
    finish(d, END_PROXY_DIED);
}

/* The parent is looked at once a second, and not by a signal: PR_SET_PDEATHSIG follows the parent's thread, not its process. */
static void on_view(void *arg)
{
    struct demo *d = arg;
    print_view(d);
    timer_start(d->loop, &d->view, VIEW_PERIOD_MS);
    if (getppid() != d->parent)
        finish(d, END_ASKED);
}

static void on_deadline(void *arg)
{
    struct demo *d = arg;
    finish(d, d->traffic.has_answered ? END_ASKED : END_NO_ANSWER);
}

/* The proxy serves: from now on the traffic counts, and --for runs. */
static void on_first_answer(void *arg)
{
    struct demo *d = arg;
    print_urls(d);
    demo_traffic_set_rate(&d->traffic, d->values->rate);
    d->start = loop_now(d->loop);
    timer_start(d->loop, &d->view, VIEW_PERIOD_MS);
    timer_stop(d->loop, &d->deadline);
    if (d->values->duration_ms > 0)
        timer_start(d->loop, &d->deadline, d->values->duration_ms);
}

static void start(struct demo *d)
{
    d->loop = loop_create(NULL);
    notify_signal_start(&d->on_int, d->loop, SIGINT, on_signal, d);
    notify_signal_start(&d->on_term, d->loop, SIGTERM, on_signal, d);
    notify_signal_start(&d->on_child, d->loop, SIGCHLD, on_child, d);
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++)
        demo_origin_start(&d->origins[i], d->loop);
    timer_init(&d->view, on_view, d);
    timer_init(&d->deadline, on_deadline, d);
    timer_start(d->loop, &d->deadline, START_MAX_MS);
    d->traffic.on_first_answer = on_first_answer;
    d->traffic.arg = d;
    demo_traffic_start(&d->traffic, d->loop, d->proxy.port);
}

static void stop(struct demo *d)
{
    notify_signal_stop(&d->on_int);
    notify_signal_stop(&d->on_term);
    notify_signal_stop(&d->on_child);
    loop_destroy(d->loop);
}

/* ---- the command ---------------------------------------------------------------------------------------------------------- */

/* Everything that must exist before the fork: sockets, since the file names their ports, and no thread or loop, since a child would get
   half of one. */
static bool prepare(struct demo *d, struct err_list *errors)
{
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++) {
        if (!demo_origin_open(&d->origins[i], (enum demo_upstream)i, errors))
            return false;
    }
    return demo_proxy_prepare(&d->proxy, (uint16_t)d->values->port, d->origins, errors);
}

static enum command_status report(struct call *call, const struct demo *d)
{
    switch (d->end) {
    case END_NONE:
    case END_ASKED:
        print_sum(d);
        return COMMAND_OK;
    case END_PROXY_DIED:
        demo_proxy_print_log(&d->proxy);
        return command_failed(call, "the proxy ended by itself; its log is above");
    case END_NO_ANSWER:
        demo_proxy_print_log(&d->proxy);
        return command_failed(call, "no answer from the proxy within %d s; its log is above", START_MAX_MS / 1000);
    }
    return COMMAND_FAILED;
}

static enum command_status run(struct call *call)
{
    struct demo_values *values = call->values;
    struct demo d = { .values = values, .parent = getppid(), .coloured = terminal_has_colour(stdout) };
    struct err_list errors;
    err_list_init(&errors, &call->arena);
    if (values->rate == 0)
        values->rate = DEFAULT_RATE;
    enum command_status status = COMMAND_FAILED;
    if (!prepare(&d, &errors)) {
        problems_print(&errors);
    } else if (!demo_proxy_start(&d.proxy, d.origins)) {
        command_failed(call, "could not start a process");
    } else {
        start(&d);
        loop_run(d.loop);
        demo_proxy_stop(&d.proxy);
        stop(&d);
        status = report(call, &d);
    }
    demo_proxy_remove(&d.proxy);
    return status;
}

static const struct option_row options[] = {
    { .name = "port",
      .value_name = "N",
      .kind = OPTION_NUMBER,
      .offset = offsetof(struct demo_values, port),
      .low = 1,
      .high = 65535,
      .doc = "the proxy's port (default 8080 when it is free, else any)" },
    { .name = "rate",
      .value_name = "N",
      .kind = OPTION_NUMBER,
      .offset = offsetof(struct demo_values, rate),
      .low = 1,
      .high = 1000,
      .doc = "requests a second (default 50)" },
    { .name = "for",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct demo_values, duration_ms),
      .doc = "ends by itself after TIME: 10s, 5m" },
};

const struct command command_demo = {
    .name = "demo",
    .synopsis = "[--port N] [--rate N] [--for TIME]",
    .summary = "starts three origins, traffic and the proxy on loopback",
    .details = "Starts built-in stable, canary and dark origins, steady traffic, and the proxy "
               "between them,\n"
               "prints the URLs, and shows once a second what each upstream answered. It needs "
               "nothing but\n"
               "this program, and leaves nothing behind when it ends: by Ctrl-C, by TERM, or when "
               "the process\n"
               "that started it goes away.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct demo_values),
    .run = run,
};
