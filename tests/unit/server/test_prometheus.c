/* tests/unit/server/test_prometheus.c - an answer of Prometheus is one number, or nobody knows. */
#include "server/prometheus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

static double number_of(const char *body)
{
    return prometheus_number(slice_from_cstr(body));
}

/* An answer whose data is of this type, with this result. */
static double yields(const char *type, const char *result)
{
    char body[512];
    snprintf(body, sizeof body, "{\"status\":\"success\",\"data\":{\"resultType\":\"%s\",\"result\":%s}}", type,
             result);
    return number_of(body);
}

/* A vector of one series, whose value is written so. */
static double written(const char *value)
{
    char result[128];
    snprintf(result, sizeof result, "[{\"metric\":{\"job\":\"x\"},\"value\":[1700000000.5,%s]}]", value);
    return yields("vector", result);
}

Test(prometheus, a_vector_of_one_series_and_a_scalar_are_a_number)
{
    cr_expect_eq(written("\"1.5\""), 1.5);
    cr_expect_eq(written("\"-2e-3\""), -2e-3);
    cr_expect_eq(written("\"0\""), 0);
    cr_expect_eq(yields("scalar", "[1700000000,\"7\"]"), 7);
}

Test(prometheus, infinite_ones_are_numbers)
{
    cr_expect(isinf(written("\"+Inf\"")) && written("\"+Inf\"") > 0);
    cr_expect(isinf(written("\"-Inf\"")) && written("\"-Inf\"") < 0);
}

Test(prometheus, what_is_no_number_is_not_nought)
{
    static const char *const values[] = { "\"NaN\"", "\"\"",    "\" \"", "\" 5\"", "\"5 \"", "\"5s\"", "\"five\"",
                                          "\"1,5\"", "\"--1\"", "5",     "null",   "true",   "[]",     "{}" };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cr_expect(isnan(written(values[i])), "%s is %g", values[i], written(values[i]));
}

Test(prometheus, none_and_several_series_are_no_number)
{
    cr_expect(isnan(yields("vector", "[]")));
    cr_expect(isnan(yields("vector", "[{\"value\":[1,\"1\"]},{\"value\":[1,\"1\"]}]")));
    cr_expect(isnan(yields("matrix", "[{\"values\":[[1,\"1\"]]}]")));
    cr_expect(isnan(yields("string", "[1,\"5\"]")));
    cr_expect(isnan(yields("scalar", "[1]")));
    cr_expect(isnan(yields("scalar", "\"5\"")));
    cr_expect(isnan(yields("vector", "{\"value\":[1,\"1\"]}")));
}

Test(prometheus, what_is_no_answer_is_no_number)
{
    static const char *const bodies[] = {
        "",
        "{",
        "null",
        "5",
        "[]",
        "{}",
        "<html>502</html>",
        "{\"status\":\"success\"}",
        "{\"status\":\"success\",\"data\":null}",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\"}}",
        "{\"status\":\"error\",\"errorType\":\"timeout\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"5\"]}}",
        "{\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"5\"]}}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        cr_expect(isnan(number_of(bodies[i])), "%s", bodies[i]);
}

/* Deeper than any answer is, and cut off anywhere: refused, not followed. */
Test(prometheus, a_hostile_answer_is_no_number)
{
    static const char whole[] = "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"5\"]}}";
    enum { DEEP = 60000 };
    char *deep = malloc(DEEP);
    cr_assert_not_null(deep);
    memset(deep, '[', DEEP);
    cr_expect(isnan(prometheus_number(slice_from(deep, DEEP))));
    free(deep);
    for (size_t len = 0; len < sizeof whole - 1; len++)
        cr_expect(isnan(prometheus_number(slice_from(whole, len))), "its first %zu bytes", len);
}
