/* cli/demo.c - `weir demo`: three origins, steady traffic and the proxy between them, needing nothing but the binary. */
#include "cli/demo.h"

#include "cli/command.h"
#include "cli/problems.h"
#include "net/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MAX_MS    10000 /* for the proxy's first answer */
#define DEFAULT_RATE    50
#define DEFAULT_HOLD_MS 4000
#define HOLD_MIN_MS     500 /* of what is shorter nobody would see a thing */
#define HOLD_MAX_MS     3600000
#define USUAL_PER_1000  40 /* of the canary's answers without a story, so that there is something to see */

const char *const demo_upstream_names[DEMO_UPSTREAM_COUNT] = { "stable", "canary", "dark" };

struct demo_values {
    uint32_t port;
    uint32_t rate;
    int64_t duration_ms; /* 0: until a signal */
    int64_t hold_ms;     /* of the release's first step; 0: no story */
    const char *story;   /* "release", "none" */
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
    struct timer show, deadline;
    struct demo_view view;
    struct demo_story story; /* zeroed without one */
    pid_t parent;            /* when it goes, the demo goes */
    enum demo_end end;
};

/* ---- what people see ------------------------------------------------------------------------------------------------------ */

static void print_story_urls(const struct demo *d, const char *weir)
{
    const char *directory = d->proxy.directory;
    printf("  %s ctl --state-dir %s rollout demo\n", weir, directory);
    printf("  %s ctl --state-dir %s rollout demo plan\n", weir, directory);
    printf("  %s ctl --state-dir %s incidents\n", weir, directory);
    printf("\nThe release, as weir.yaml has it:\n\n");
    demo_proxy_print_rollout(stdout, d->values->hold_ms);
}

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
    if (d->values->hold_ms > 0)
        print_story_urls(d, weir);
    else
        printf("  %s ctl --state-dir %s split demo stable=50 canary=50 --reason 'just to see'\n", weir, p->directory);
    printf("\nCtrl-C ends it. %s\n\n", d->values->hold_ms > 0
                                           ? "One release goes bad and is taken back; the next one succeeds."
                                           : "The canary fails now and then, so that there is something to see.");
    fflush(stdout);
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
    demo_story_stop(&d->story);
    demo_traffic_stop(&d->traffic);
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++)
        demo_origin_stop(&d->origins[i]);
    timer_stop(d->loop, &d->show);
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

/* The parent is looked at again and again, and not by a signal: PR_SET_PDEATHSIG follows the parent's thread, not its process. */
static void on_show(void *arg)
{
    struct demo *d = arg;
    demo_view_show(&d->view, &d->traffic, d->values->hold_ms > 0 ? &d->story : NULL, loop_now(d->loop));
    timer_start(d->loop, &d->show, DEMO_VIEW_MS);
    if (getppid() != d->parent)
        finish(d, END_ASKED);
}

static void on_deadline(void *arg)
{
    struct demo *d = arg;
    finish(d, d->traffic.has_answered ? END_ASKED : END_NO_ANSWER);
}

static void on_tell(void *arg, enum paint paint, const char *line)
{
    struct demo *d = arg;
    demo_view_tell(&d->view, paint, line, loop_now(d->loop));
}

static void start_story(struct demo *d)
{
    d->story = (struct demo_story){ .loop = d->loop,
                                    .proxy = &d->proxy,
                                    .canary = &d->origins[DEMO_CANARY],
                                    .stable = &d->origins[DEMO_STABLE],
                                    .traffic = &d->traffic,
                                    .hold_ms = d->values->hold_ms,
                                    .tell = on_tell,
                                    .arg = d };
    demo_story_start(&d->story);
}

/* The proxy serves: from now on the traffic counts, and --for runs. */
static void on_first_answer(void *arg)
{
    struct demo *d = arg;
    print_urls(d);
    demo_traffic_set_rate(&d->traffic, d->values->rate);
    d->view.start = d->view.shown_at = loop_now(d->loop);
    timer_start(d->loop, &d->show, DEMO_VIEW_MS);
    if (d->values->hold_ms > 0)
        start_story(d);
    else
        demo_origin_set_failing(&d->origins[DEMO_CANARY], USUAL_PER_1000);
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
    timer_init(&d->show, on_show, d);
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
    return demo_proxy_prepare(&d->proxy, (uint16_t)d->values->port, d->values->hold_ms, d->origins, errors);
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

/* Fills in what was not given. False with what is wrong with the rest. */
static bool complete_values(const struct call *call, struct demo_values *values)
{
    bool is_story = values->story == NULL || strcmp(values->story, "release") == 0;
    if (values->rate == 0)
        values->rate = DEFAULT_RATE;
    if (!is_story && strcmp(values->story, "none") != 0) {
        command_misused(call, "--story is release or none, not \"%s\"", values->story);
        return false;
    }
    if (values->hold_ms == 0)
        values->hold_ms = DEFAULT_HOLD_MS;
    if (values->hold_ms < HOLD_MIN_MS || values->hold_ms > HOLD_MAX_MS) {
        command_misused(call, "--hold is from 500ms to 1h");
        return false;
    }
    if (!is_story)
        values->hold_ms = 0;
    return true;
}

static enum command_status run(struct call *call)
{
    struct demo_values *values = call->values;
    struct demo d = { .values = values, .parent = getppid() };
    struct err_list errors;
    if (!complete_values(call, values))
        return COMMAND_USAGE;
    err_list_init(&errors, &call->arena);
    demo_view_init(&d.view);
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
    { .name = "story",
      .value_name = "WHICH",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct demo_values, story),
      .doc = "release: one goes bad and is taken back, the next succeeds (default); none: a split 90 to 10" },
    { .name = "hold",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct demo_values, hold_ms),
      .doc = "how long the release's first step lasts (default 4s); the others follow it" },
};

const struct command command_demo = {
    .name = "demo",
    .synopsis = "[--port N] [--rate N] [--for TIME] [--story release|none] [--hold TIME]",
    .summary = "starts three origins, traffic, the proxy and a release on loopback",
    .details = "Starts built-in stable, canary and dark origins, steady traffic, and the proxy between them,\n"
               "prints the URLs, and shows what each upstream answers. It needs nothing but this program,\n"
               "and leaves nothing behind when it ends: by Ctrl-C, by TERM, or when the process that started\n"
               "it goes away.\n\n"
               "The story is a release whose canary turns bad at its second step: one sees the evidence grow\n"
               "until it is taken back, then the next release, which succeeds. It runs once; the traffic goes on.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct demo_values),
    .run = run,
};
