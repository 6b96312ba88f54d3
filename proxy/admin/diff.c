/* admin/diff.c - shortest edit scripts by the greedy algorithm of Myers (1986), written as unified hunks. */
#include "admin/diff.h"

#include "base/arena.h"

struct lines {
    struct slice *items;
    int count;
};

/* The edit script: '=' keep, '-' drop from the old, '+' take from the new; in order. */
struct script {
    char *steps;
    int count;
};

static struct lines lines_split(struct slice text, struct arena *arena)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    struct lines l = { .items = arena_zalloc_array(arena, count + 1, sizeof *l.items) };
    while (text.len > 0) {
        size_t end = slice_find(text, '\n');
        l.items[l.count++] = slice_first(text, end);
        text = slice_after(text, end + 1);
    }
    return l;
}

static struct lines lines_between(struct lines l, int from, int count)
{
    return (struct lines){ l.items + from, count };
}

/* ---- the shortest script ------------------------------------------------------------------------------------------- */

/* One row a number of edits d: the furthest old line reached on each diagonal k = old - new, for k in [-d, d]. */
struct frontier {
    int *rows[DIFF_EDITS_MAX + 1];
    int depth; /* rows filled */
};

static int *row_create(int d, struct arena *arena)
{
    int *row = arena_alloc(arena, (size_t)(2 * d + 1) * sizeof *row);
    return row + d; /* indexed by k */
}

/* Whether diagonal k of row d was best reached by taking a new line (from k + 1), not by dropping an old one. */
static bool came_down(const int *previous, int d, int k)
{
    return k == -d || (k != d && previous[k - 1] < previous[k + 1]);
}

static int follow(const struct lines *a, const struct lines *b, int x, int k)
{
    while (x < a->count && x - k < b->count && slice_equal(a->items[x], b->items[x - k]))
        x++;
    return x;
}

/* Fills rows until the end of both is reached; false when that takes more than DIFF_EDITS_MAX edits. */
static bool frontier_fill(struct frontier *f, const struct lines *a, const struct lines *b, struct arena *arena)
{
    for (int d = 0; d <= DIFF_EDITS_MAX; d++) {
        int *row = f->rows[d] = row_create(d, arena);
        f->depth = d;
        for (int k = -d; k <= d; k += 2) {
            int x = 0;
            if (d > 0 && came_down(f->rows[d - 1], d, k))
                x = f->rows[d - 1][k + 1];
            else if (d > 0)
                x = f->rows[d - 1][k - 1] + 1;
            row[k] = follow(a, b, x, k);
            if (row[k] >= a->count && row[k] - k >= b->count)
                return true;
        }
    }
    return false;
}

static void step_back(struct script *s, char step, int times)
{
    while (times-- > 0)
        s->steps[s->count++] = step;
}

/* Walks the rows from the end; the steps come out last first. */
static void script_trace(struct script *s, const struct frontier *f, int x, int y)
{
    for (int d = f->depth; d > 0; d--) {
        const int *previous = f->rows[d - 1];
        bool is_down = came_down(previous, d, x - y);
        int from_k = is_down ? x - y + 1 : x - y - 1;
        int from_x = previous[from_k];
        int start_x = is_down ? from_x : from_x + 1;
        step_back(s, '=', x - start_x);
        step_back(s, is_down ? '+' : '-', 1);
        x = from_x;
        y = from_x - from_k;
    }
    step_back(s, '=', x);
}

static void script_reverse(char *steps, int count)
{
    for (int i = 0, j = count - 1; i < j; i++, j--) {
        char t = steps[i];
        steps[i] = steps[j];
        steps[j] = t;
    }
}

static void script_between(struct script *s, const struct lines *a, const struct lines *b, struct arena *arena)
{
    struct frontier *f = arena_zalloc(arena, sizeof *f);
    int begin = s->count;
    if (frontier_fill(f, a, b, arena)) {
        script_trace(s, f, a->count, b->count);
        script_reverse(s->steps + begin, s->count - begin);
    } else {
        step_back(s, '-', a->count);
        step_back(s, '+', b->count);
    }
}

/* Equal lines at both ends are not searched. */
static struct script script_create(const struct lines *a, const struct lines *b, struct arena *arena)
{
    struct script s = { .steps = arena_alloc(arena, (size_t)(a->count + b->count) + 1) };
    int shorter = a->count < b->count ? a->count : b->count, head = 0, tail = 0;
    while (head < shorter && slice_equal(a->items[head], b->items[head]))
        head++;
    while (tail < shorter - head && slice_equal(a->items[a->count - 1 - tail], b->items[b->count - 1 - tail]))
        tail++;
    struct lines a_middle = lines_between(*a, head, a->count - head - tail);
    struct lines b_middle = lines_between(*b, head, b->count - head - tail);
    step_back(&s, '=', head);
    script_between(&s, &a_middle, &b_middle, arena);
    step_back(&s, '=', tail);
    return s;
}

/* ---- hunks ----------------------------------------------------------------------------------------------------------- */

/* Steps [begin, end) are printed together; old_line and new_line are those of `begin`, from 0. */
struct hunk {
    int begin, end, old_line, new_line;
};

static int next_change(const struct script *s, int from)
{
    while (from < s->count && s->steps[from] == '=')
        from++;
    return from;
}

/* Where a hunk that changes at `at` ends: its context does not reach the next change's. */
static int hunk_end(const struct script *s, int at)
{
    for (;;) {
        while (at < s->count && s->steps[at] != '=')
            at++;
        int next = next_change(s, at);
        if (next == s->count || next - at > 2 * DIFF_CONTEXT_LINES)
            return at + DIFF_CONTEXT_LINES < s->count ? at + DIFF_CONTEXT_LINES : s->count;
        at = next;
    }
}

static void hunk_write(struct text *out, const struct script *s, const struct hunk *h, const struct lines *a,
                       const struct lines *b)
{
    int old_count = 0, new_count = 0, x = h->old_line, y = h->new_line;
    for (int i = h->begin; i < h->end; i++) {
        old_count += s->steps[i] != '+';
        new_count += s->steps[i] != '-';
    }
    /* Of an empty side, the line before it is named (as diff -u does). */
    text_printf(out, "@@ -%d,%d +%d,%d @@\n", x + (old_count > 0), old_count, y + (new_count > 0), new_count);
    for (int i = h->begin; i < h->end; i++) {
        char step = s->steps[i];
        text_add_char(out, step == '=' ? ' ' : step);
        text_add(out, step == '+' ? b->items[y] : a->items[x]);
        text_add_char(out, '\n');
        x += step != '+';
        y += step != '-';
    }
}

static void hunks_write(struct text *out, const struct script *s, const struct lines *a, const struct lines *b)
{
    struct hunk h = { 0 };
    int at = 0; /* where old_line and new_line stand */
    for (int change = next_change(s, 0); change < s->count; change = next_change(s, h.end)) {
        h.begin = change - at > DIFF_CONTEXT_LINES ? change - DIFF_CONTEXT_LINES : at;
        h.old_line += h.begin - at; /* only kept lines lie between */
        h.new_line += h.begin - at;
        h.end = hunk_end(s, change);
        hunk_write(out, s, &h, a, b);
        for (at = h.begin; at < h.end; at++) {
            h.old_line += s->steps[at] != '+';
            h.new_line += s->steps[at] != '-';
        }
    }
}

void diff_write(struct text *out, const char *old_name, struct slice old_text, const char *new_name,
                struct slice new_text)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct lines a = lines_split(old_text, &arena), b = lines_split(new_text, &arena);
    struct script s = script_create(&a, &b, &arena);
    if (next_change(&s, 0) < s.count) {
        text_printf(out, "--- %s\n+++ %s\n", old_name, new_name);
        hunks_write(out, &s, &a, &b);
    }
    arena_reset(&arena);
}
