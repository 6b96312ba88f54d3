/* cli/replay_progress.c - how far it is: a bar for people at a terminal, now and then a line for logs. */
#include "cli/replay.h"

#include "cli/terminal.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_EVERY_MS 100
#define LINE_EVERY_MS 10000
#define BAR_CELLS     24
#define COLUMNS_MIN   20

void replay_progress_init(struct replay_progress *p, const struct replay_report *report, bool is_off)
{
    *p = (struct replay_progress){ .report = report, .is_off = is_off };
    p->is_terminal = terminal_is_live(stderr);
    p->start = clock_mono();
    p->next = mono_add_ms(p->start, p->is_terminal ? DRAW_EVERY_MS : LINE_EVERY_MS);
}

/* By whichever ends first: the files or --limit. -1: not known. */
static double share_done(const struct replay_report *r)
{
    double by_bytes = -1, by_limit = -1;
    if (r->input->total_bytes > 0)
        by_bytes = (double)r->input->done_bytes / (double)r->input->total_bytes;
    if (r->values->limit > 0)
        by_limit = (double)r->sent_count / (double)r->values->limit;
    double share = by_bytes > by_limit ? by_bytes : by_limit;
    return share > 1 ? 1 : share;
}

static void add_bar(double share, struct text *out)
{
    int filled = (int)(share * BAR_CELLS);
    text_add_char(out, '[');
    for (int i = 0; i < BAR_CELLS; i++)
        text_add_char(out, i < filled ? '=' : i == filled ? '>' : ' ');
    text_printf(out, "] %3d %%  ", (int)(share * 100));
}

static void add_counts(const struct replay_progress *p, int64_t elapsed_us, struct text *out)
{
    const struct replay_report *r = p->report;
    if (r->is_interrupted) {
        text_printf(out, "waiting for %llu answers; Ctrl-C again does not",
                    (unsigned long long)(r->sent_count - r->answered_count - r->failed_count));
        return;
    }
    double rate = elapsed_us > 0 ? (double)r->sent_count * 1e6 / (double)elapsed_us : 0;
    text_printf(out, "%llu sent, %.0f/s, %llu different, %llu failed", (unsigned long long)r->sent_count, rate,
                (unsigned long long)r->different_count, (unsigned long long)r->failed_count);
}

/* A line that is longer than the terminal is wide would not be overwritten by the next one. */
static size_t columns(void)
{
    struct winsize size;
    bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= COLUMNS_MIN;
    return is_known ? size.ws_col : 80;
}

void replay_progress_tick(struct replay_progress *p)
{
    struct mono_time now = clock_mono();
    struct text out = { 0 };
    if (p->is_off || mono_is_before(now, p->next))
        return;
    double share = share_done(p->report);
    if (p->is_terminal && share >= 0)
        add_bar(share, &out);
    add_counts(p, mono_diff_us(now, p->start), &out);
    if (p->is_terminal) {
        struct slice line = slice_first(text_slice(&out), columns() - 1);
        fprintf(stderr, "\r%.*s\033[K", SLICE_ARG(line));
    } else if (share >= 0) {
        fprintf(stderr, "replay: %d %%, %s\n", (int)(share * 100), out.bytes);
    } else {
        fprintf(stderr, "replay: %s\n", out.bytes);
    }
    fflush(stderr);
    text_fini(&out);
    p->is_drawn = true;
    p->next = mono_add_ms(now, p->is_terminal ? DRAW_EVERY_MS : LINE_EVERY_MS);
}

void replay_progress_end(struct replay_progress *p)
{
    if (p->is_terminal && p->is_drawn)
        fputs("\r\033[K", stderr);
    p->is_off = true;
}
