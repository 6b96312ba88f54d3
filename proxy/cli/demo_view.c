/* cli/demo_view.c - what the demo shows: who answers how much, where the release stands, and the evidence as it grows. */
#include "cli/demo.h"

#include <stdio.h>
#include <string.h>

#define LINES_PER_TITLE 20
#define COUNT_MS        1000 /* shares are of so long */
#define BAR_CELLS       16   /* so that the longest line, a guardrail's, has 80 columns */

void demo_view_init(struct demo_view *v)
{
    *v = (struct demo_view){ .is_live = terminal_is_live(stdout), .is_coloured = terminal_has_colour(stdout) };
}

static double seconds_since_start(const struct demo_view *v, struct mono_time now)
{
    return (double)mono_diff_us(now, v->start) / 1e6;
}

static uint64_t split_count(const struct demo_counts *c)
{
    return c->answered[DEMO_STABLE] + c->answered[DEMO_CANARY];
}

static struct demo_counts counts_since(const struct demo_counts *now, const struct demo_counts *old)
{
    struct demo_counts since = { .lost = now->lost - old->lost };
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++) {
        since.answered[i] = now->answered[i] - old->answered[i];
        since.failed[i] = now->failed[i] - old->failed[i];
    }
    return since;
}

/* ---- the release -------------------------------------------------------------------------------------------------------- */

/* "2.0 holding, step 2 of 4: 30 %, 3.5s left". */
static void add_release(const struct demo_release *r, bool coloured, struct text *out)
{
    text_printf(out, "%s ", r->revision);
    terminal_add(out, coloured, paint_of_rollout(r->state), slice_from_cstr(r->state));
    if (strcmp(r->state, "holding") == 0)
        text_printf(out, ", step %lld of %lld: %g %%, %.1fs left", (long long)r->step, (long long)r->step_count,
                    100 * r->weight, (double)r->hold_left_ms / 1000);
    else
        text_printf(out, ", canary %g %%", 100 * r->weight);
}

/* Of a comparison both numbers, as they are; of a limit the part of it. */
static void add_evidence(const struct demo_guardrail *g, struct text *out)
{
    if (g->bound > 0)
        text_printf(out, "evidence %.3g of %.0f", g->evidence, g->bound);
    else
        text_printf(out, "%.0f %% of its limit", 100 * g->progress);
}

/* ---- lines, for files and pipes ------------------------------------------------------------------------------------------ */

/* What the upstream answered since the last line; shares are of the split, so the dark launch has none. */
static void add_upstream(const struct demo_view *v, const struct demo_counts *c, enum demo_upstream i, struct text *out)
{
    uint64_t answered = c->answered[i], failed = c->failed[i], all = split_count(c);
    char words[64];
    int length = snprintf(words, sizeof(words), "%5llu", (unsigned long long)answered);
    if (i != DEMO_DARK && all > 0)
        length += snprintf(words + length, sizeof(words) - (size_t)length, " %5.1f %%",
                           100.0 * (double)answered / (double)all);
    if (failed > 0)
        length += snprintf(words + length, sizeof(words) - (size_t)length, ", %llu failed", (unsigned long long)failed);
    snprintf(words + length, sizeof(words) - (size_t)length, "%*s", length < 25 ? 25 - length : 1, "");
    terminal_add(out, v->is_coloured, failed > 0 ? PAINT_RED : PAINT_NONE, slice_from_cstr(words));
}

/* The first comparison's: the demo has one. */
static void add_release_column(const struct demo_view *v, const struct demo_story *story, struct text *out)
{
    const struct demo_release *r = &story->seen;
    if (r->state[0] == '\0')
        return;
    text_printf(out, "  %s ", r->revision);
    terminal_add(out, v->is_coloured, paint_of_rollout(r->state), slice_from_cstr(r->state));
    text_printf(out, " %g %%", 100 * r->weight);
    if (r->guardrail_count > 0 && r->guardrails[0].evidence > 0 && strcmp(r->state, "pending") != 0) {
        text_add_cstr(out, ", ");
        add_evidence(&r->guardrails[0], out);
    }
}

static void show_line(struct demo_view *v, const struct demo_counts *recent, const struct demo_story *story,
                      struct mono_time now)
{
    struct text out = { 0 };
    if (v->line_count++ % LINES_PER_TITLE == 0)
        printf("%6s  %-25s%-25s%-25s%s%s\n", "time", "stable", "canary", "dark", "lost",
               story != NULL ? "  release" : "");
    text_printf(&out, "%5.1fs  ", seconds_since_start(v, now));
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++)
        add_upstream(v, recent, (enum demo_upstream)i, &out);
    text_printf(&out, story != NULL ? "%4llu" : "%llu", (unsigned long long)recent->lost);
    if (story != NULL)
        add_release_column(v, story, &out);
    puts(out.bytes);
    text_fini(&out);
}

/* ---- the block, for terminals --------------------------------------------------------------------------------------------- */

static void block_add_upstreams(struct demo_view *v, struct text *out)
{
    const struct demo_counts *c = &v->recent;
    uint64_t all = split_count(c);
    for (int i = 0; i < DEMO_UPSTREAM_COUNT; i++) {
        double share = i != DEMO_DARK && all > 0 ? (double)c->answered[i] / (double)all : 0;
        char words[32] = "";
        if (i != DEMO_DARK)
            snprintf(words, sizeof(words), "%5.1f %%", 100 * share);
        text_printf(out, "  %-8s ", demo_upstream_names[i]);
        terminal_add_bar(out, v->is_coloured, i == DEMO_STABLE ? PAINT_GREEN : PAINT_CYAN, share, BAR_CELLS);
        text_printf(out, " %7s  %4llu/s", words, (unsigned long long)c->answered[i]);
        snprintf(words, sizeof(words), "  %llu failed", (unsigned long long)c->failed[i]);
        if (c->failed[i] > 0)
            terminal_add(out, v->is_coloured, PAINT_RED, slice_from_cstr(words));
        text_add_char(out, '\n');
    }
    v->block_lines += DEMO_UPSTREAM_COUNT;
}

static void block_add_release(struct demo_view *v, const struct demo_release *r, struct text *out)
{
    text_add_cstr(out, "  release  ");
    add_release(r, v->is_coloured, out);
    text_add_char(out, '\n');
    for (size_t i = 0; i < r->guardrail_count; i++) {
        const struct demo_guardrail *g = &r->guardrails[i];
        text_add_cstr(out, "  guard    ");
        terminal_add_bar(out, v->is_coloured, g->progress >= 0.5 ? PAINT_RED : PAINT_YELLOW, g->progress, BAR_CELLS);
        text_printf(out, " %s, %s: ", g->name, g->verdict);
        add_evidence(g, out);
        text_add_char(out, '\n');
    }
    v->block_lines += 1 + (unsigned)r->guardrail_count;
}

/* The cursor goes to the block's first line, and what is there and below is gone. */
static void erase_block(struct demo_view *v)
{
    if (v->block_lines > 0)
        printf("\033[%uA\r\033[J", v->block_lines);
    v->block_lines = 0;
}

/* Without wrapping, so that a block has as many lines as were counted, also when the terminal gets narrower meanwhile. */
static void show_block(struct demo_view *v, const struct demo_traffic *traffic, const struct demo_story *story,
                       struct mono_time now)
{
    struct text out = { 0 }, cut = { 0 };
    erase_block(v);
    text_printf(&out, "\n  %.0fs, %u requests a second", seconds_since_start(v, now), traffic->rate);
    if (v->recent.lost > 0)
        text_printf(&out, ", %llu lost", (unsigned long long)v->recent.lost);
    text_add_char(&out, '\n');
    v->block_lines = 2;
    block_add_upstreams(v, &out);
    if (story != NULL && story->seen.state[0] != '\0')
        block_add_release(v, &story->seen, &out);
    terminal_add_cut(&cut, terminal_columns(stdout), text_slice(&out));
    printf(TERMINAL_CUTS_LINES "%s" TERMINAL_WRAPS_LINES, cut.bytes);
    text_fini(&cut);
    text_fini(&out);
}

/* ---- both ------------------------------------------------------------------------------------------------------------------ */

void demo_view_show(struct demo_view *v, const struct demo_traffic *traffic, const struct demo_story *story,
                    struct mono_time now)
{
    bool is_due = mono_diff_us(now, v->shown_at) >= COUNT_MS * 1000;
    if (is_due) {
        v->recent = counts_since(&traffic->counts, &v->shown);
        v->shown = traffic->counts;
        v->shown_at = now;
    }
    if (v->is_live)
        show_block(v, traffic, story, now);
    else if (is_due)
        show_line(v, &v->recent, story, now);
    fflush(stdout);
}

/* The block comes back with the next look, a quarter of a second later at most. */
void demo_view_tell(struct demo_view *v, enum paint paint, const char *line, struct mono_time now)
{
    struct text out = { 0 };
    if (v->is_live)
        erase_block(v);
    text_printf(&out, "%5.1fs  ", seconds_since_start(v, now));
    text_add_cstr(&out, v->is_live ? "" : "* ");
    if (v->is_live)
        terminal_add_wrapped(&out, v->is_coloured, paint, out.len, terminal_columns(stdout), slice_from_cstr(line));
    else
        terminal_add(&out, v->is_coloured, paint, slice_from_cstr(line));
    puts(out.bytes);
    fflush(stdout);
    text_fini(&out);
}
