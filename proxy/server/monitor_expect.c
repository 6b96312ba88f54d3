/* server/monitor_expect.c - whether a monitor's answer is as expected, and what is wrong when it is not. */
#include "server/monitors.h"

#include "base/units.h"

#include <stdarg.h>
#include <stdio.h>

#define DAY_MS INT64_C(86400000)

static bool complain(char out[MONITOR_COMPLAINT_BYTES], const char *format, ...) PRINTF_LIKE(2, 3);

static bool complain(char out[MONITOR_COMPLAINT_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out, MONITOR_COMPLAINT_BYTES, format, arguments);
    va_end(arguments);
    return true;
}

static bool latency_complains(const struct monitor_expect_config *expect, const struct courier_answer *answer,
                              char out[MONITOR_COMPLAINT_BYTES])
{
    char span[UNITS_SPAN_BYTES];
    if (expect->latency_ms == 0 || answer->latency_us <= expect->latency_ms * 1000)
        return false;
    units_say_span(answer->latency_us, span);
    return complain(out, "it took %s", span);
}

static bool is_expected_status(const struct monitor_expect_config *expect, uint16_t status)
{
    for (size_t i = 0; i < expect->status_count; i++)
        if (status >= expect->statuses[i].from && status <= expect->statuses[i].to)
            return true;
    return false;
}

static bool headers_complain(const struct monitor_expect_config *expect, const struct courier_answer *answer,
                             char out[MONITOR_COMPLAINT_BYTES])
{
    for (size_t i = 0; i < expect->header_count; i++) {
        const struct header_set *wanted = &expect->headers[i];
        struct slice value;
        if (!courier_answer_header(answer, wanted->name, &value))
            return complain(out, "header %.*s is missing", SLICE_ARG(wanted->name));
        if (!slice_equal(value, wanted->value))
            return complain(out, "header %.*s is '%.*s'", SLICE_ARG(wanted->name), SLICE_ARG(slice_first(value, 60)));
    }
    return false;
}

static bool certificate_complains(const struct monitor_expect_config *expect, const struct courier_answer *answer,
                                  struct wall_time now, char out[MONITOR_COMPLAINT_BYTES])
{
    if (expect->certificate_days == 0)
        return false;
    if (answer->certificate_ends.unix_ms == 0)
        return complain(out, "it showed no certificate");
    int64_t days = (answer->certificate_ends.unix_ms - now.unix_ms) / DAY_MS;
    return days < expect->certificate_days && complain(out, "its certificate ends in %lld days", (long long)days);
}

bool monitor_complains(const struct monitor_expect_config *expect, const struct courier_answer *answer,
                       struct wall_time now, char out[MONITOR_COMPLAINT_BYTES])
{
    out[0] = '\0';
    if (answer->failure != NULL)
        return complain(out, "%s", answer->failure);
    if (!is_expected_status(expect, answer->status))
        return complain(out, "status %u", answer->status);
    if (headers_complain(expect, answer, out))
        return true;
    if (expect->body.len > 0 && !slice_contains(answer->body, expect->body))
        return complain(out, "the body does not contain '%.*s'", SLICE_ARG(slice_first(expect->body, 60)));
    if (latency_complains(expect, answer, out))
        return true;
    return certificate_complains(expect, answer, now, out);
}
