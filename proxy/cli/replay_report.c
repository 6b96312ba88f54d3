/* cli/replay_report.c - counts, latencies and the first differences of a replay, for people and for programs. */
#include "cli/replay.h"

#include "base/memory.h"
#include "base/units.h"
#include "json/json.h"

#include "cli/terminal.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const kind_words[REPLAY_KIND_COUNT] = {
    [REPLAY_STATUS] = "status",
    [REPLAY_HEADER] = "header",
    [REPLAY_BODY] = "body",
};

static const struct {
    const char *key, *words;
} skip_words[REPLAY_SKIP_COUNT] = {
    [REPLAY_SKIP_METHOD] = { "method", "not safe to repeat (--unsafe-methods sends them)" },
    [REPLAY_SKIP_ROUTE] = { "route", "of other routes" },
    [REPLAY_SKIP_TRUNCATED] = { "truncated", "with a truncated body" },
};

static const char *const failure_words[HTTP_FAILURE_COUNT] = {
    [HTTP_FAILURE_CONNECT] = "connect",     [HTTP_FAILURE_TLS] = "tls",
    [HTTP_FAILURE_TIMEOUT] = "timeout",     [HTTP_FAILURE_BROKEN] = "broken",
    [HTTP_FAILURE_CANCELLED] = "cancelled",
};

/* ---- latencies ------------------------------------------------------------------------------------------------------- */

/* Past the bound each answer takes a random one's place with the probability that keeps the sample uniform (Vitter's
   algorithm R). */
void replay_latencies_add(struct replay_latencies *l, int64_t us)
{
    uint32_t clipped = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    if (l->us == NULL) {
        l->us = memory_resize_array(NULL, REPLAY_LATENCIES_MAX, sizeof(*l->us));
        rng_init(&l->rng, 1);
    }
    l->seen_count++;
    if (l->count < REPLAY_LATENCIES_MAX) {
        l->us[l->count++] = clipped;
        return;
    }
    uint64_t at = rng_next(&l->rng) % l->seen_count;
    if (at < REPLAY_LATENCIES_MAX)
        l->us[at] = clipped;
}

static int compare_us(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

uint32_t replay_latencies_quantile_us(struct replay_latencies *l, double q)
{
    if (l->count == 0)
        return 0;
    qsort(l->us, l->count, sizeof(*l->us), compare_us);
    size_t rank = (size_t)(q * (double)l->count);
    return l->us[rank < l->count ? rank : l->count - 1];
}

/* ---- counting -------------------------------------------------------------------------------------------------------- */

void replay_report_init(struct replay_report *report, struct arena *arena, const struct replay_values *values,
                        const struct replay_input *input)
{
    *report = (struct replay_report){ .arena = arena, .values = values, .input = input };
    report->last_shown = &report->shown;
}

void replay_report_fini(struct replay_report *report)
{
    memory_free(TAKE(&report->recorded.us));
    memory_free(TAKE(&report->now.us));
}

static struct replay_difference *copy_differences(struct arena *arena, const struct replay_difference *from)
{
    struct replay_difference *first = NULL, **last = &first;
    for (; from != NULL; from = from->next) {
        struct replay_difference *d = arena_zalloc(arena, sizeof(*d));
        *d = (struct replay_difference){ NULL, from->kind, arena_copy(arena, from->name),
                                         arena_copy(arena, from->recorded), arena_copy(arena, from->now) };
        *last = d;
        last = &d->next;
    }
    return first;
}

static void list_it(struct replay_report *report, const struct recorded *recorded, struct replay_place place,
                    const struct replay_difference *differences)
{
    struct arena *arena = report->arena;
    if (report->shown_count == report->values->shown)
        return;
    struct replay_shown *s = arena_zalloc(arena, sizeof(*s));
    *s = (struct replay_shown){ NULL,
                                place,
                                arena_copy(arena, recorded->route),
                                arena_copy(arena, recorded->method),
                                arena_copy(arena, slice_first(recorded->target, 200)),
                                copy_differences(arena, differences) };
    *report->last_shown = s;
    report->last_shown = &s->next;
    report->shown_count++;
}

void replay_report_answer(struct replay_report *report, const struct recorded *recorded, struct replay_place place,
                          const struct replay_difference *differences, bool is_compared, int64_t latency_us)
{
    bool has_kind[REPLAY_KIND_COUNT] = { false };
    report->answered_count++;
    if (!is_compared) {
        report->uncompared_count++;
        return;
    }
    replay_latencies_add(&report->recorded, recorded->answer.latency_us);
    replay_latencies_add(&report->now, latency_us);
    if (differences == NULL) {
        report->same_count++;
        return;
    }
    report->different_count++;
    for (const struct replay_difference *d = differences; d != NULL; d = d->next)
        has_kind[d->kind] = true;
    for (size_t i = 0; i < REPLAY_KIND_COUNT; i++)
        report->different_by[i] += has_kind[i];
    list_it(report, recorded, place, differences);
}

void replay_report_failure(struct replay_report *report, const struct http_end *end)
{
    report->failed_count++;
    report->failed_by[end->failure]++;
    if (report->first_failure == NULL && end->failure != HTTP_FAILURE_CANCELLED)
        report->first_failure = arena_copy(report->arena, slice_from_cstr(end->detail)).ptr;
}

bool replay_report_is_good(const struct replay_report *report)
{
    return report->sent_count > 0 && report->different_count == 0 && report->failed_count == 0 &&
           !report->is_interrupted;
}

/* ---- for people ------------------------------------------------------------------------------------------------------ */

static void duration_add(struct text *out, int64_t us)
{
    char span[UNITS_SPAN_BYTES];
    units_say_span(us, span);
    text_add_cstr(out, span);
}

static void label_add(struct text *out, const char *label)
{
    text_printf(out, "%-12s", label);
}

static void count_line(struct text *out, bool coloured, const char *label, enum paint paint, uint64_t count)
{
    char number[24];
    snprintf(number, sizeof(number), "%8llu", (unsigned long long)count);
    label_add(out, label);
    terminal_add(out, coloured, count > 0 ? paint : PAINT_NONE, slice_from_cstr(number));
}

static void headline_add(const struct replay_report *r, struct text *out)
{
    if (r->is_interrupted)
        text_add_cstr(out, "interrupted: ");
    text_printf(out, "%llu requests sent to %s in ", (unsigned long long)r->sent_count, r->values->to);
    duration_add(out, r->elapsed_us);
    if (r->behind_us > 1000000) {
        text_add_cstr(out, ", up to ");
        duration_add(out, r->behind_us);
        text_add_cstr(out, " late (--concurrency allows more at a time)");
    }
    text_add_char(out, '\n');
}

static void different_add(const struct replay_report *r, bool coloured, struct text *out)
{
    count_line(out, coloured, "different", PAINT_RED, r->different_count);
    const char *separator = "   ";
    for (size_t i = 0; i < REPLAY_KIND_COUNT && r->different_count > 0; i++) {
        if (r->different_by[i] == 0)
            continue;
        text_printf(out, "%s%s %llu", separator, kind_words[i], (unsigned long long)r->different_by[i]);
        separator = ", ";
    }
    text_add_char(out, '\n');
}

static void failed_add(const struct replay_report *r, bool coloured, struct text *out)
{
    count_line(out, coloured, "failed", PAINT_RED, r->failed_count);
    const char *separator = "   ";
    for (size_t i = 0; i < HTTP_FAILURE_COUNT; i++) {
        if (r->failed_by[i] == 0)
            continue;
        text_printf(out, "%s%s %llu", separator, failure_words[i], (unsigned long long)r->failed_by[i]);
        separator = ", ";
    }
    if (r->first_failure != NULL) {
        text_add_cstr(out, " (");
        terminal_add(out, false, PAINT_NONE, slice_from_cstr(r->first_failure));
        text_add_char(out, ')');
    }
    text_add_char(out, '\n');
}

static void counts_add(const struct replay_report *r, bool coloured, struct text *out)
{
    count_line(out, coloured, "answered", PAINT_NONE, r->answered_count);
    text_add_char(out, '\n');
    count_line(out, coloured, "same", PAINT_GREEN, r->same_count);
    text_add_char(out, '\n');
    different_add(r, coloured, out);
    failed_add(r, coloured, out);
    if (r->uncompared_count > 0) {
        count_line(out, coloured, "uncompared", PAINT_YELLOW, r->uncompared_count);
        text_add_cstr(out, "   nothing to compare with: no answer was recorded\n");
    }
    for (size_t i = 0; i < REPLAY_SKIP_COUNT; i++) {
        if (r->skipped[i] == 0)
            continue;
        count_line(out, coloured, "skipped", PAINT_YELLOW, r->skipped[i]);
        text_printf(out, "   %s\n", skip_words[i].words);
    }
}

static void latency_row(struct text *out, const char *label, struct replay_latencies *l)
{
    static const double quantiles[] = { 0.5, 0.9, 0.99 };
    label_add(out, label);
    for (size_t i = 0; i < ARRAY_COUNT(quantiles); i++) {
        struct text cell = { 0 };
        duration_add(&cell, replay_latencies_quantile_us(l, quantiles[i]));
        text_printf(out, "%12s", cell.bytes);
        text_fini(&cell);
    }
    text_add_char(out, '\n');
}

static void latencies_add(struct replay_report *r, bool coloured, struct text *out)
{
    if (r->now.count == 0)
        return;
    terminal_add(out, coloured, PAINT_DIM, SLICE("latency              p50         p90         p99"));
    text_add_char(out, '\n');
    latency_row(out, "  recorded", &r->recorded);
    latency_row(out, "  now", &r->now);
}

static void shown_add(const struct replay_shown *s, bool coloured, struct text *out)
{
    text_printf(out, "  %s:%llu  ", s->place.file, (unsigned long long)s->place.line);
    terminal_add(out, coloured, PAINT_BOLD, s->method);
    text_add_char(out, ' ');
    terminal_add(out, coloured, PAINT_BOLD, s->target);
    text_add_char(out, '\n');
    for (const struct replay_difference *d = s->differences; d != NULL; d = d->next) {
        text_printf(out, "    %-7s ", kind_words[d->kind]);
        terminal_add(out, false, PAINT_NONE, d->name);
        text_add_cstr(out, d->name.len > 0 ? ": " : "");
        terminal_add(out, coloured, PAINT_RED, d->recorded);
        text_add_cstr(out, " -> ");
        terminal_add(out, coloured, PAINT_GREEN, d->now);
        text_add_char(out, '\n');
    }
}

static void differences_add(const struct replay_report *r, bool coloured, struct text *out)
{
    if (r->shown == NULL)
        return;
    text_printf(out, "differences, recorded -> now (%u of %llu):\n", r->shown_count,
                (unsigned long long)r->different_count);
    for (const struct replay_shown *s = r->shown; s != NULL; s = s->next)
        shown_add(s, coloured, out);
}

static void input_add(const struct replay_report *r, bool coloured, struct text *out)
{
    const struct replay_input *input = r->input;
    if (input->bad_count > 0) {
        count_line(out, coloured, "bad lines", PAINT_YELLOW, input->bad_count);
        text_add_cstr(out, "   passed over\n");
    }
    for (size_t i = 0; i < input->bad_count && i < REPLAY_BAD_SHOWN; i++) {
        const struct replay_bad_line *b = &input->bad[i];
        text_printf(out, "  %s:%llu: ", b->place.file, (unsigned long long)b->place.line);
        terminal_add(out, false, PAINT_NONE, slice_from_cstr(b->why));
        text_add_char(out, '\n');
    }
    if (input->cut_count > 0)
        text_printf(out, "%s:%llu: the last line ends in the middle; passed over\n", input->cut.file,
                    (unsigned long long)input->cut.line);
}

void replay_report_print(struct replay_report *report, bool coloured, struct text *out)
{
    headline_add(report, out);
    counts_add(report, coloured, out);
    input_add(report, coloured, out);
    latencies_add(report, coloured, out);
    differences_add(report, coloured, out);
    if (report->sent_count == 0 && !report->is_interrupted)
        text_add_cstr(out, "nothing was sent\n");
}

/* ---- for programs ---------------------------------------------------------------------------------------------------- */

static void json_latency(struct json *parent, const char *key, struct replay_latencies *l)
{
    struct json *o = json_put_object(parent, key);
    json_put_u64(o, "p50", replay_latencies_quantile_us(l, 0.5));
    json_put_u64(o, "p90", replay_latencies_quantile_us(l, 0.9));
    json_put_u64(o, "p99", replay_latencies_quantile_us(l, 0.99));
}

static void json_counts(const struct replay_report *r, struct json *root)
{
    json_put_u64(root, "sent", r->sent_count);
    json_put_u64(root, "answered", r->answered_count);
    json_put_u64(root, "same", r->same_count);
    json_put_u64(root, "different", r->different_count);
    json_put_u64(root, "failed", r->failed_count);
    json_put_u64(root, "uncompared", r->uncompared_count);
    struct json *different_by = json_put_object(root, "different_by");
    for (size_t i = 0; i < REPLAY_KIND_COUNT; i++)
        json_put_u64(different_by, kind_words[i], r->different_by[i]);
    struct json *failed_by = json_put_object(root, "failed_by");
    for (size_t i = 0; i < HTTP_FAILURE_COUNT; i++)
        if (failure_words[i] != NULL)
            json_put_u64(failed_by, failure_words[i], r->failed_by[i]);
    json_put_cstr(root, "first_failure", r->first_failure);
    struct json *skipped = json_put_object(root, "skipped");
    for (size_t i = 0; i < REPLAY_SKIP_COUNT; i++)
        json_put_u64(skipped, skip_words[i].key, r->skipped[i]);
}

static void json_place(struct json *object, const struct replay_place *place)
{
    json_put_cstr(object, "file", place->file);
    json_put_u64(object, "line", place->line);
}

static void json_input(const struct replay_input *input, struct json *root)
{
    struct json *bad = json_put_object(root, "bad_lines");
    json_put_u64(bad, "count", input->bad_count);
    json_put_u64(bad, "cut_at_the_end", input->cut_count);
    struct json *first = json_put_array(bad, "first");
    for (size_t i = 0; i < input->bad_count && i < REPLAY_BAD_SHOWN; i++) {
        struct json *o = json_push_object(first);
        json_place(o, &input->bad[i].place);
        json_put_cstr(o, "why", input->bad[i].why);
    }
}

static void json_shown(const struct replay_shown *s, struct json *list)
{
    struct json *o = json_push_object(list);
    json_place(o, &s->place);
    json_put_string(o, "route", s->route);
    json_put_string(o, "method", s->method);
    json_put_string(o, "target", s->target);
    struct json *what = json_put_array(o, "what");
    for (const struct replay_difference *d = s->differences; d != NULL; d = d->next) {
        struct json *item = json_push_object(what);
        json_put_cstr(item, "kind", kind_words[d->kind]);
        if (d->name.len > 0)
            json_put_string(item, "name", d->name);
        json_put_string(item, "recorded", d->recorded);
        json_put_string(item, "now", d->now);
    }
}

void replay_report_json(struct replay_report *report, struct text *out)
{
    struct json *root = json_create_object();
    json_put_cstr(root, "to", report->values->to);
    json_put_bool(root, "ok", replay_report_is_good(report));
    json_put_bool(root, "interrupted", report->is_interrupted);
    json_put_i64(root, "elapsed_us", report->elapsed_us);
    json_put_i64(root, "behind_us", report->behind_us);
    json_counts(report, root);
    json_input(report->input, root);
    struct json *latency = json_put_object(root, "latency_us");
    json_latency(latency, "recorded", &report->recorded);
    json_latency(latency, "now", &report->now);
    struct json *list = json_put_array(root, "differences");
    for (const struct replay_shown *s = report->shown; s != NULL; s = s->next)
        json_shown(s, list);
    json_write_pretty(root, out);
    json_destroy(root);
}
