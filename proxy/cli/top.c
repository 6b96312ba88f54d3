/* cli/top.c - `weir top`: who answers how much, how well and how fast, and where releases stand, again and again. */
#include "cli/top.h"

#include "base/clock.h"
#include "base/units.h"
#include "cli/ctl.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_INTERVAL_MS 1000
#define INTERVAL_MIN_MS     100
#define INTERVAL_MAX_MS     3600000
#define ROWS_KNOWN_MIN      5    /* of a terminal: below, its size is not believed */
#define CALL_MAX_MS         5000 /* a server that hangs is told about, and asked again */

/* Goes to the alternate screen, so that what was there is back at the end; each frame begins at its top. */
#define SCREEN_ENTER "\033[?1049h"
#define SCREEN_LEAVE "\033[?1049l"
#define SCREEN_HOME  "\033[H\033[J"

/* Owner: run. Two looks with an arena each: the older one's is used again. */
struct top {
    struct call *call;
    bool is_live, is_coloured;
    int64_t interval_ms;
    struct arena arenas[2];
    struct top_sample samples[2];
    struct mono_time taken_at[2];
    size_t newest;
    size_t look_count;
    struct text problem; /* why the last look failed; "": it did not */
    struct text frame;   /* the figures, without the heading: shown again while looks fail */
};

/* ---- looking ----------------------------------------------------------------------------------------------------------- */

static enum command_status look(struct top *t)
{
    struct text body = { 0 };
    size_t next = 1 - t->newest;
    text_clear(&t->problem);
    enum command_status status = ctl_fetch(t->call, "/metrics", &body, &t->problem);
    if (status != COMMAND_OK) {
        text_fini(&body);
        return status;
    }
    arena_reset(&t->arenas[next]);
    top_read(&t->samples[next], text_slice(&body), &t->arenas[next]);
    t->taken_at[next] = clock_mono();
    t->newest = next;
    t->look_count++;
    text_fini(&body);
    return COMMAND_OK;
}

/* ---- showing ----------------------------------------------------------------------------------------------------------- */

static void add_latency(struct table *table, double seconds)
{
    char span[UNITS_SPAN_BYTES];
    if (isnan(seconds)) {
        table_add(table, PAINT_DIM, "%s", "");
        return;
    }
    units_say_span((int64_t)(seconds * 1e6), span);
    table_add(table, PAINT_NONE, "%s", span);
}

static void add_row(struct table *table, const struct top_row *row, const struct top_figures *f, bool is_first,
                    double seconds)
{
    double failed = f->requests > 0 ? 100 * (double)f->errors / (double)f->requests : 0;
    if (is_first)
        table_add(table, PAINT_BOLD, "%.*s", SLICE_ARG(row->route));
    else
        table_add(table, PAINT_NONE, " ");
    table_add(table, PAINT_NONE, "%.*s", SLICE_ARG(row->upstream));
    if (isnan(f->share))
        table_add(table, PAINT_DIM, "%s", "");
    else
        table_add(table, PAINT_CYAN, "%.1f%%", 100 * f->share);
    table_add(table, PAINT_NONE, "%.1f", (double)f->requests / seconds);
    table_add(table, failed > 0 ? PAINT_RED : PAINT_NONE, "%.1f%%", failed);
    table_add(table, PAINT_NONE, "%lld", (long long)f->in_flight);
    add_latency(table, f->p50_s);
    add_latency(table, f->p99_s);
}

static void add_routes(struct top *t, struct arena *arena, struct text *out)
{
    static const struct table_column columns[] = { { "route", ALIGN_LEFT },   { "upstream", ALIGN_LEFT },
                                                   { "share", ALIGN_RIGHT },  { "req/s", ALIGN_RIGHT },
                                                   { "errors", ALIGN_RIGHT }, { "in flight", ALIGN_RIGHT },
                                                   { "p50", ALIGN_RIGHT },    { "p99", ALIGN_RIGHT } };
    const struct top_sample *now = &t->samples[t->newest], *before = &t->samples[1 - t->newest];
    double seconds = (double)mono_diff_us(t->taken_at[t->newest], t->taken_at[1 - t->newest]) / 1e6;
    struct top_figures *figures = arena_zalloc_array(arena, now->count + 1, sizeof(*figures));
    struct table table;
    top_compare(now, before, figures);
    table_init(&table, arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < now->count; i++) {
        bool is_first = i == 0 || !slice_equal(now->rows[i].route, now->rows[i - 1].route);
        add_row(&table, &now->rows[i], &figures[i], is_first, seconds);
    }
    table_print(&table, t->is_coloured, out);
    table_fini(&table);
}

/* Nothing where there are none, or where who asks may see metrics alone. */
static void add_rollouts(struct top *t, struct text *out)
{
    struct text body = { 0 }, fault = { 0 };
    struct json *answer =
        ctl_fetch(t->call, "rollouts", &body, &fault) == COMMAND_OK ? json_parse(text_slice(&body), &fault) : NULL;
    if (json_count(json_get(answer, "rollouts")) > 0) {
        text_add_char(out, '\n');
        ctl_print_rollouts(t->call, answer, t->is_coloured, out);
    }
    json_destroy(answer);
    text_fini(&body);
    text_fini(&fault);
}

/* The last one, and what the traffic was like before and after: what an operator asks for first when figures are bad. */
static void add_deployment(struct top *t, struct text *out)
{
    struct text body = { 0 }, fault = { 0 };
    enum command_status status = ctl_fetch(t->call, "events?follow=false&kind=deploy&limit=1", &body, &fault);
    struct json *answer = status == COMMAND_OK ? json_parse(text_slice(&body), &fault) : NULL;
    const struct json *event = json_at(json_get(answer, "events"), 0);
    if (event != NULL) {
        text_add_cstr(out, "last deployment: ");
        terminal_add(out, t->is_coloured, PAINT_BOLD, slice_from_cstr(ctl_text(t->call, event, "subject")));
        text_add_char(out, ' ');
        terminal_add(out, false, PAINT_NONE, slice_from_cstr(ctl_text(t->call, event, "text")));
        text_printf(out, " (%s)\n", ctl_text(t->call, event, "at"));
        ctl_add_effect(t->call, event, t->is_coloured, out);
        text_add_char(out, '\n');
    }
    json_destroy(answer);
    text_fini(&body);
    text_fini(&fault);
}

/* What does not fit is cut off, and said so, since scrolling would move the top away. */
static struct slice fitting(struct slice frame, size_t rows)
{
    size_t end = 0;
    for (size_t row = 0; row < rows && end < frame.len; row++)
        end += slice_find(slice_after(frame, end), '\n') + 1;
    return slice_first(frame, end < frame.len ? end : frame.len);
}

static size_t terminal_rows(void)
{
    struct winsize size;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row >= ROWS_KNOWN_MIN;
    return is_known ? size.ws_row : 24;
}

/* The heading, the figures, and what went wrong since. Also after the terminal has changed its size. */
static void draw(const struct top *t)
{
    char now[25];
    struct text out = { 0 }, cut = { 0 };
    struct slice frame = text_slice(&t->frame), shown = t->is_live ? fitting(frame, terminal_rows() - 3) : frame;
    wall_format(clock_wall(), now);
    text_printf(&out, "weir top, %s, the last %s%s\n", now, ctl_time_text(t->call, t->interval_ms),
                t->is_live ? "; Ctrl-C ends it" : "");
    if (t->problem.len > 0)
        text_printf(&out, "%s; asked again and again, these are the last figures\n", t->problem.bytes);
    text_add(&out, shown);
    text_add_cstr(&out, shown.len < frame.len ? "...\n" : "");
    if (t->is_live) {
        terminal_add_cut(&cut, terminal_columns(stdout), text_slice(&out));
        printf(SCREEN_HOME TERMINAL_CUTS_LINES "%s" TERMINAL_WRAPS_LINES, cut.bytes);
    } else {
        printf("%s\n", out.bytes);
    }
    fflush(stdout);
    text_fini(&cut);
    text_fini(&out);
}

/* Figures are of the time between two looks: behind the first one a screen says when they come, and files wait for them. */
static void make_frame(struct top *t)
{
    struct arena *arena = &t->call->arena;
    text_clear(&t->frame);
    if (t->look_count == 1) {
        if (t->is_live)
            text_printf(&t->frame, "the first figures come in %s\n", ctl_time_text(t->call, t->interval_ms));
        return;
    }
    add_deployment(t, &t->frame);
    add_routes(t, arena, &t->frame);
    add_rollouts(t, &t->frame);
}

/* ---- the command ---------------------------------------------------------------------------------------------------------- */

/* Until the next look is due: false when a signal has ended it. Signals are waited for and not caught, so that nothing happens in a
   handler. */
static bool wait_for_next(struct top *t, const sigset_t *signals)
{
    struct mono_time due = mono_add_ms(clock_mono(), t->interval_ms);
    for (;;) {
        int64_t left_us = mono_diff_us(due, clock_mono());
        if (left_us <= 0)
            return true;
        struct timespec left = { left_us / 1000000, left_us % 1000000 * 1000 };
        int number = sigtimedwait(signals, NULL, &left);
        if (number == SIGINT || number == SIGTERM)
            return false;
        if (number == SIGWINCH && t->frame.len > 0)
            draw(t);
    }
}

/* Before anything could be shown. */
static enum command_status fail(const struct top *t, enum command_status status)
{
    if (t->problem.len == 0)
        return status;
    command_failed(t->call, "%s", t->problem.bytes);
    if (strstr(t->problem.bytes, "could not reach") != NULL)
        fputs(CTL_UNREACHABLE_HINT, stderr);
    return COMMAND_FAILED;
}

/* Each turn gives back what it took from the call's arena: it may run for days. */
static enum command_status turns(struct top *t, const sigset_t *signals, bool is_once)
{
    for (;;) {
        enum command_status status = look(t);
        bool is_vain = status != COMMAND_OK && (is_once || t->look_count == 0);
        if (is_vain)
            return fail(t, status);
        if (status == COMMAND_OK)
            make_frame(t);
        if (t->frame.len > 0)
            draw(t);
        arena_reset(&t->call->arena);
        if ((is_once && t->look_count > 1) || !wait_for_next(t, signals))
            return COMMAND_OK;
    }
}

static enum command_status run(struct call *call)
{
    struct ctl_values *values = call->values;
    struct top t = { .call = call, .interval_ms = values->interval_ms > 0 ? values->interval_ms : DEFAULT_INTERVAL_MS };
    sigset_t signals;
    if (t.interval_ms < INTERVAL_MIN_MS || t.interval_ms > INTERVAL_MAX_MS)
        return command_misused(call, "--interval is from 100ms to 1h");
    values->timeout_ms = CALL_MAX_MS;
    t.is_live = terminal_is_live(stdout) && !values->is_once;
    t.is_coloured = terminal_has_colour(stdout);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGWINCH);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    arena_init(&t.arenas[0], NULL, 0);
    arena_init(&t.arenas[1], NULL, 0);
    fputs(t.is_live ? SCREEN_ENTER : "", stdout);
    enum command_status status = turns(&t, &signals, values->is_once);
    fputs(t.is_live ? SCREEN_LEAVE : "", stdout);
    arena_reset(&t.arenas[0]);
    arena_reset(&t.arenas[1]);
    text_fini(&t.problem);
    text_fini(&t.frame);
    return status;
}

static const struct option_row options[] = {
    CTL_CONNECTION_OPTIONS,
    { .name = "once",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_once),
      .doc = "prints one interval's figures and ends" },
    { .name = "interval",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct ctl_values, interval_ms),
      .doc = "how often (default 1s)" },
};

const struct command command_top = {
    .name = "top",
    .synopsis = "[--admin unix:PATH|http://HOST:PORT|https://HOST:PORT] [--once] [--interval TIME]",
    .summary = "shows routes, upstreams and rollouts of a running instance, live",
    .details = "Once a second, of each route and upstream: the share, requests a second, errors (5xx), what is\n"
               "in flight, the median and the 99th percentile of latency, all of the last interval; and where\n"
               "each rollout stands. Without a terminal one block of lines follows the other. An instance that\n"
               "stops answering is asked again until it does.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct ctl_values),
    .run = run,
};
