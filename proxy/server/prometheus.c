/* server/prometheus.c - reads what a query of Prometheus yields. */
#include "server/prometheus.h"

#include "base/text.h"
#include "json/json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* NAN unless all of it is a number. strtod would take white space in front, and nothing at all as 0. */
static double read_number(struct slice s)
{
    struct text copy = { 0 };
    char *end;
    if (s.len == 0 || isspace((unsigned char)s.ptr[0]))
        return NAN;
    text_add(&copy, s);
    double number = strtod(copy.bytes, &end);
    if (end != copy.bytes + copy.len)
        number = NAN;
    text_fini(&copy);
    return number;
}

static bool is_text(const struct json *value, struct slice expected)
{
    struct slice text;
    return json_as_string(value, &text) && slice_equal(text, expected);
}

/* The [time, "1.5"] of the answer; NULL when there is none, or when there are several. */
static const struct json *sample_of(const struct json *answer)
{
    const struct json *data = json_get(answer, "data"), *result = json_get(data, "result");
    if (!is_text(json_get(answer, "status"), SLICE("success")))
        return NULL;
    if (is_text(json_get(data, "resultType"), SLICE("scalar")))
        return result;
    return json_count(result) == 1 ? json_get(json_at(result, 0), "value") : NULL;
}

double prometheus_number(struct slice body)
{
    struct text problem = { 0 };
    struct json *answer = json_parse(body, &problem);
    struct slice text;
    double number = json_as_string(json_at(sample_of(answer), 1), &text) ? read_number(text) : NAN;
    json_destroy(answer);
    text_fini(&problem);
    return number;
}
