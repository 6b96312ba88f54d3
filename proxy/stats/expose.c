/* stats/expose.c - the two text formats of metrics.
 *
 * Text 0.0.4 and OpenMetrics differ in three places, all below: the family name of a counter, the escaping of help,
 * and the end of the document. Samples are the same, so no caller asks which one it writes. */
#include "stats/expose.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>

#define MICROSECONDS 1000000u

const char *const expose_content_types[] = {
    [EXPOSE_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
    [EXPOSE_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/* "q=0", "q=0.0", ...: not acceptable (RFC 9110, section 12.4.2). */
static bool is_refused(struct slice parameters)
{
    struct slice parameter;
    while (slice_next_item(&parameters, ';', &parameter)) {
        if (!slice_has_prefix(parameter, SLICE("q=0")) && !slice_has_prefix(parameter, SLICE("Q=0")))
            continue;
        struct slice digits = slice_after(parameter, 3);
        while (digits.len > 0 && (digits.ptr[0] == '0' || digits.ptr[0] == '.'))
            digits = slice_after(digits, 1);
        return digits.len == 0;
    }
    return false;
}

enum expose_format expose_format_from_accept(struct slice accept)
{
    struct slice range;
    while (slice_next_item(&accept, ',', &range)) {
        struct slice parameters = range, type;
        if (slice_next_item(&parameters, ';', &type) &&
            slice_equal_nocase(type, SLICE("application/openmetrics-text")) && !is_refused(parameters))
            return EXPOSE_OPENMETRICS;
    }
    return EXPOSE_TEXT;
}

void expose_begin(struct expose *e, struct text *out, enum expose_format format)
{
    *e = (struct expose){ .out = out, .format = format };
}

void expose_end(struct expose *e)
{
    if (e->format == EXPOSE_OPENMETRICS)
        text_add(e->out, SLICE("# EOF\n"));
}

/* Exposition 0.0.4 and OpenMetrics 1.0 both escape backslash and line feed; quotes in label values, and in OpenMetrics
   everywhere. */
static void add_escaped(struct text *out, struct slice s, bool escapes_quotes)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\n')
            text_add(out, SLICE("\\n"));
        else if (c == '\\')
            text_add(out, SLICE("\\\\"));
        else if (c == '"' && escapes_quotes)
            text_add(out, SLICE("\\\""));
        else
            text_add_char(out, c);
    }
}

void expose_family(struct expose *e, enum expose_type type, const char *name, const char *help)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };
    struct slice family = slice_from_cstr(name);
    CHECK((type == EXPOSE_COUNTER) == slice_has_suffix(family, SLICE("_total")));
    e->family = name;
    if (e->format == EXPOSE_OPENMETRICS && type == EXPOSE_COUNTER)
        family = slice_first(family, family.len - sizeof "_total" + 1);
    text_printf(e->out, "# HELP %.*s ", SLICE_ARG(family));
    add_escaped(e->out, slice_from_cstr(help), e->format == EXPOSE_OPENMETRICS);
    text_printf(e->out, "\n# TYPE %.*s %s\n", SLICE_ARG(family), types[type]);
}

/* le: the bound of a bucket, or NULL. */
static void add_labels(struct text *out, const struct expose_label *labels, size_t count, const char *le)
{
    if (count == 0 && le == NULL)
        return;
    const char *before = "{";
    for (size_t i = 0; i < count; i++, before = ",") {
        text_printf(out, "%s%s=\"", before, labels[i].name);
        add_escaped(out, labels[i].value, true);
        text_add_char(out, '"');
    }
    if (le != NULL)
        text_printf(out, "%sle=\"%s\"", before, le);
    text_add_char(out, '}');
}

static void begin_sample(struct expose *e, const char *suffix, const struct expose_label *labels, size_t label_count,
                         const char *le)
{
    text_add_cstr(e->out, e->family);
    text_add_cstr(e->out, suffix);
    add_labels(e->out, labels, label_count, le);
    text_add_char(e->out, ' ');
}

static void add_seconds(struct text *out, uint64_t us)
{
    text_printf(out, "%" PRIu64 ".%06" PRIu64 "\n", us / MICROSECONDS, us % MICROSECONDS);
}

void expose_u64(struct expose *e, const struct expose_label *labels, size_t label_count, uint64_t value)
{
    begin_sample(e, "", labels, label_count, NULL);
    text_printf(e->out, "%" PRIu64 "\n", value);
}

void expose_i64(struct expose *e, const struct expose_label *labels, size_t label_count, int64_t value)
{
    begin_sample(e, "", labels, label_count, NULL);
    text_printf(e->out, "%" PRId64 "\n", value);
}

void expose_real(struct expose *e, const struct expose_label *labels, size_t label_count, double value)
{
    begin_sample(e, "", labels, label_count, NULL);
    text_printf(e->out, "%.6g\n", value);
}

void expose_seconds(struct expose *e, const struct expose_label *labels, size_t label_count, uint64_t value_us)
{
    begin_sample(e, "", labels, label_count, NULL);
    add_seconds(e->out, value_us);
}

static void add_bucket(struct expose *e, const struct expose_label *labels, size_t label_count, const char *le,
                       uint64_t count)
{
    begin_sample(e, "_bucket", labels, label_count, le);
    text_printf(e->out, "%" PRIu64 "\n", count);
}

void expose_histogram(struct expose *e, const struct expose_label *labels, size_t label_count,
                      const struct histogram *h)
{
    uint64_t count = 0; /* of everything shorter: buckets of the format are cumulative, ours are not */
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKET_COUNT - 1; bucket++) {
        count += h->buckets[bucket];
        if (bucket % 3 != 0)
            continue; /* inside an octave: kept for quantiles, not shown */
        char le[32];
        /* Powers of two of microseconds, up to 67.108864: %.9g writes each exactly. */
        double bound = (double)histogram_lower_bound_us(bucket + 1) / MICROSECONDS;
        snprintf(le, sizeof le, "%.9g", bound);
        add_bucket(e, labels, label_count, le, count);
    }
    count += h->buckets[HISTOGRAM_BUCKET_COUNT - 1];
    add_bucket(e, labels, label_count, "+Inf", count);
    begin_sample(e, "_sum", labels, label_count, NULL);
    add_seconds(e->out, h->sum_us);
    begin_sample(e, "_count", labels, label_count, NULL);
    text_printf(e->out, "%" PRIu64 "\n", count);
}
