/* shadow/findings.c - what comparing has found of one shadow: fields and their verdicts, pairs, latencies. */
#include "shadow/findings.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void digest_text(struct hash_stream *h, struct slice s)
{
    uint64_t len = s.len;
    hash_stream_add(h, &len, sizeof len);
    hash_stream_add(h, s.ptr, s.len);
}

static void digest_list(struct hash_stream *h, const struct slice_list *list)
{
    uint64_t count = list->count;
    hash_stream_add(h, &count, sizeof count);
    for (size_t i = 0; i < list->count; i++)
        digest_text(h, list->items[i]);
}

/* Of what decides which fields there are and how they are judged. */
static uint64_t settings_digest(const struct compare_config *config)
{
    struct hash_stream h;
    hash_stream_init(&h);
    digest_text(&h, config->control);
    digest_list(&h, &config->headers);
    digest_list(&h, &config->ignore_headers);
    digest_list(&h, &config->ignore_json);
    digest_list(&h, &config->unordered);
    digest_list(&h, &config->redact);
    for (size_t i = 0; i < config->array_key_count; i++) {
        digest_text(&h, config->array_keys[i].path);
        digest_text(&h, config->array_keys[i].member);
    }
    hash_stream_add(&h, &config->max_body_bytes, sizeof config->max_body_bytes);
    return hash_stream_value(&h);
}

struct findings *findings_create(uint32_t shadow_id, struct slice route, struct slice upstream,
                                 const struct compare_config *config, struct wall_time now)
{
    struct findings *f = memory_zalloc(sizeof *f);
    arena_init(&f->arena, NULL, 0);
    f->use_count = 1;
    f->shadow_id = shadow_id;
    f->route = arena_copy(&f->arena, route);
    f->upstream = arena_copy(&f->arena, upstream);
    f->digest = settings_digest(config);
    f->plan = compare_plan_build(&f->arena, config);
    f->since = now;
    noise_init(&f->noise, config->control.len > 0);
    return f;
}

void findings_destroy(struct findings *f)
{
    if (f == NULL)
        return;
    noise_fini(&f->noise);
    diffs_fini(&f->diffs);
    arena_reset(&f->arena);
    memory_free(f);
}

/* ---- pairs ------------------------------------------------------------------------------------------------------------- */

/* Several fields may have become NOISE_OTHERS: together they are one mark. */
static void marks_add(struct noise_mark *marks, uint32_t *count, uint32_t field, const struct difference *d)
{
    uint32_t at = 0;
    while (at < *count && marks[at].field != field)
        at++;
    if (at == *count)
        marks[(*count)++] = (struct noise_mark){ .field = field, .is_checked = true };
    marks[at].is_checked &= d->is_checked;
    marks[at].is_shadow_different |= d->is_different[PAIR_SHADOW];
    marks[at].is_control_different |= d->is_different[PAIR_CONTROL];
}

static uint32_t marks_make(struct findings *f, const struct comparison *c, struct noise_mark *marks)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->count; i++)
        marks_add(marks, &count, noise_field_id(&f->noise, c->items[i].field), &c->items[i]);
    return count;
}

/* What is settled as noise is nothing to look at. */
static bool is_worth_keeping(const struct noise *noise, const struct noise_mark *marks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct noise_field *field = &noise->fields[marks[i].field];
        bool is_noise = noise_field_verdict(noise, field) == VERDICT_NOISE && noise_field_is_settled(noise, field);
        if (marks[i].is_shadow_different && !is_noise)
            return true;
    }
    return false;
}

/* Side by side: of the same requests. A shadow that never answers would look fast otherwise. */
static void latencies_add(struct findings *f, const struct pair *p)
{
    if (p->answers[PAIR_SHADOW].outcome != PAIR_ANSWERED)
        return;
    for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
        if (p->answers[side].outcome == PAIR_ANSWERED)
            histogram_add(&f->latency[side],
                          p->answers[side].latency_us > 0 ? (uint64_t)p->answers[side].latency_us : 0);
}

enum verdict findings_add(struct findings *f, const struct pair *p, const struct comparison *c)
{
    struct noise_mark marks[COMPARE_FIELDS_MAX + 1] = { 0 };
    uint32_t count = marks_make(f, c, marks);
    enum verdict verdict = noise_add_pair(&f->noise, c->reach[PAIR_CONTROL] != REACH_NONE, marks, count);
    latencies_add(f, p);
    if (is_worth_keeping(&f->noise, marks, count))
        diffs_add(&f->diffs, f->plan, p, c, &f->noise, verdict);
    return verdict;
}

void findings_skip(struct findings *f)
{
    f->skipped_count++;
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------------- */

/* What is proven first, then what is not settled, then by how often the shadow differed. */
static int order_of(const struct noise *n, const struct noise_field *f)
{
    return noise_field_verdict(n, f) == VERDICT_DIFFERENT ? 0 : !noise_field_is_settled(n, f) ? 1 : 2;
}

static uint64_t shadow_count(const struct noise_field *f)
{
    return f->shadow_only + f->both + f->unchecked;
}

struct ordered {
    const struct noise_field *field;
    int order;
};

static int ordered_compare(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    uint64_t xs = shadow_count(x->field), ys = shadow_count(y->field);
    if (x->order != y->order)
        return x->order - y->order;
    return (xs < ys) - (xs > ys);
}

/* E itself leaves the range of doubles some time after it has proven its point. */
static double evidence_shown(double log_evidence)
{
    return exp(log_evidence < 690 ? log_evidence : 690);
}

static void put_field(struct json *list, const struct noise *n, const struct noise_field *f)
{
    struct json *object = json_push_object(list);
    json_put_cstr(object, "field", f->name[0] != '\0' ? f->name : "(others)");
    json_put_cstr(object, "verdict", verdict_names[noise_field_verdict(n, f)]);
    json_put_bool(object, "settled", noise_field_is_settled(n, f));
    json_put_u64(object, "shadow_only", f->shadow_only);
    json_put_u64(object, "control_only", f->control_only);
    json_put_u64(object, "both", f->both);
    json_put_u64(object, "unchecked", f->unchecked);
    if (n->has_control && f->rank > 0) {
        json_put_real(object, "evidence", evidence_shown(f->log_evidence_most));
        json_put_real(object, "evidence_needed", evidence_shown(noise_log_bound(f)));
    }
}

static void put_fields(struct json *object, const struct noise *n)
{
    struct json *list = json_put_array(object, "fields");
    struct ordered ordered[NOISE_FIELDS_MAX + 1];
    size_t count = 0;
    for (uint32_t i = 0; i < n->field_count; i++)
        if (n->fields[i].rank > 0)
            ordered[count++] = (struct ordered){ &n->fields[i], order_of(n, &n->fields[i]) };
    if (count > 0)
        qsort(ordered, count, sizeof *ordered, ordered_compare);
    for (size_t i = 0; i < count; i++)
        put_field(list, n, ordered[i].field);
}

static void put_latency(struct json *object, const char *name, const struct histogram *h)
{
    struct json *latency = json_put_object(object, name);
    json_put_u64(latency, "count", histogram_count(h));
    json_put_real(latency, "p50_ms", (double)histogram_quantile_us(h, 0.5) / 1000);
    json_put_real(latency, "p90_ms", (double)histogram_quantile_us(h, 0.9) / 1000);
    json_put_real(latency, "p99_ms", (double)histogram_quantile_us(h, 0.99) / 1000);
}

void findings_write(const struct findings *f, struct json *object)
{
    char since[25];
    wall_format(f->since, since);
    json_put_string(object, "upstream", f->upstream);
    json_put_cstr(object, "control", f->plan->config->control.len > 0 ? f->plan->config->control.ptr : NULL);
    json_put_cstr(object, "since", since);
    json_put_cstr(object, "verdict", verdict_names[noise_verdict(&f->noise)]);
    struct json *pairs = json_put_object(object, "pairs");
    for (size_t i = 0; i < VERDICT_COUNT; i++)
        json_put_u64(pairs, verdict_names[i], f->noise.verdicts[i]);
    json_put_u64(pairs, "checked", f->noise.checked_count);
    json_put_u64(pairs, "skipped", f->skipped_count);
    put_fields(object, &f->noise);
    struct json *latency = json_put_object(object, "latency");
    for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
        if (side != PAIR_CONTROL || f->noise.has_control)
            put_latency(latency, pair_side_names[side], &f->latency[side]);
}
