/* stats/expose.h - writes metrics as Prometheus text 0.0.4 or OpenMetrics 1.0; knows the formats, not the metrics. */
#ifndef STATS_EXPOSE_H
#define STATS_EXPOSE_H

#include <stdint.h>

#include "base/slice.h"
#include "base/text.h"
#include "stats/histogram.h"

enum expose_format { EXPOSE_TEXT, EXPOSE_OPENMETRICS };
enum expose_type { EXPOSE_COUNTER, EXPOSE_GAUGE, EXPOSE_HISTOGRAM };

/* The Content-Type of an answer in this format. */
extern const char *const expose_content_types[];

/* What an Accept field asks for: OpenMetrics only when it is named and not refused with q=0. */
enum expose_format expose_format_from_accept(struct slice accept);

struct expose_label {
    const char *name;   /* a label name of ours, not escaped */
    struct slice value; /* escaped on the way out */
};

/* A document under construction. Embedded; borrows `out`. All samples of a family stand together: family, its samples,
   the next family.

     # HELP weir_retries_total Requests sent ...                  expose_family
     # TYPE weir_retries_total counter
     weir_retries_total{upstream="a",result="ok"} 3               expose_u64
     weir_retries_total{upstream="a",result="failed"} 0

   Of a family, two samples with the same labels are an error of the document, and not noticed here: callers walk ids, which are
   different names. */
struct expose {
    struct text *out;
    enum expose_format format;
    const char *family; /* the metric's full name; of a counter with _total */
};

void expose_begin(struct expose *e, struct text *out, enum expose_format format);
/* OpenMetrics wants "# EOF", so that a cut document is not taken for a whole one. */
void expose_end(struct expose *e);

/* A counter's name ends in _total; OpenMetrics names its family without it and its samples with it. */
void expose_family(struct expose *e, enum expose_type type, const char *name, const char *help);
/* One sample of the family begun last. */
void expose_u64(struct expose *e, const struct expose_label *labels, size_t label_count, uint64_t value);
void expose_i64(struct expose *e, const struct expose_label *labels, size_t label_count, int64_t value);
/* Finite. */
void expose_real(struct expose *e, const struct expose_label *labels, size_t label_count, double value);
/* value_us / 1,000,000, exactly. */
void expose_seconds(struct expose *e, const struct expose_label *labels, size_t label_count, uint64_t value_us);
/* In seconds, at the bounds of octaves: 64 us, 128 us, ... 67.1 s, +Inf. Durations are whole microseconds rounded
   down, so what is counted below a bound was at most that long. */
void expose_histogram(struct expose *e, const struct expose_label *labels, size_t label_count,
                      const struct histogram *h);

#endif
