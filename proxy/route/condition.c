/* route/condition.c - runs compiled conditions against a request.
 *
 * Everything here is on the way of each request that a route's or rule's `when` looks at: it reads the request and the
 * program, writes nothing but the stack (a regex: its thread's scratch memory), and ends after at most cost_count
 * tests. */
#include "route/condition.h"

#include <stdlib.h>

#include "route/pattern.h"
#include "route/program.h"
#include "route/sticky.h"

#define NUMBER_MAX_BYTES 63

/* Digits, with an optional minus in front and an optional fraction behind; nothing else that strtod would take. */
static bool is_decimal(struct slice s)
{
    size_t at = s.len > 0 && s.ptr[0] == '-' ? 1 : 0;
    size_t digit_count = 0;
    bool has_point = false;
    for (; at < s.len; at++) {
        if (s.ptr[at] == '.' && !has_point && digit_count > 0)
            has_point = true;
        else if (s.ptr[at] >= '0' && s.ptr[at] <= '9')
            digit_count++;
        else
            return false;
    }
    return digit_count > 0 && s.ptr[s.len - 1] != '.';
}

/* strtod, on a copy that ends in NUL: what it reads is checked before, and no part of the house sets a locale. */
static bool parse_decimal(struct slice s, double *out)
{
    if (s.len > NUMBER_MAX_BYTES || !is_decimal(s))
        return false;
    char text[NUMBER_MAX_BYTES + 1];
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    *out = strtod(text, NULL);
    return true;
}

static bool set_has(const struct value_set *set, struct slice value)
{
    if (set->map != NULL)
        return map_get(set->map, value) != NULL;
    for (size_t i = 0; i < set->count; i++)
        if (slice_equal(set->values[i], value))
            return true;
    return false;
}

static bool prefix_holds(const struct program_test *t, struct slice value)
{
    return t->subject == SUBJECT_PATH ? path_has_prefix(value, t->operand->value)
                                      : slice_has_prefix(value, t->operand->value);
}

static bool range_holds(const struct program_test *t, struct slice value)
{
    double number;
    return parse_decimal(value, &number) && t->operand->range.low <= number && number < t->operand->range.high;
}

/* value NULL: the request has none, which only `present: false` asks for. An empty value is a value. */
static bool value_holds(const struct program_test *t, const struct slice *value)
{
    if (t->op == OPERATOR_PRESENT)
        return t->operand->is_present == (value != NULL);
    if (value == NULL)
        return false;
    switch ((enum condition_operator)t->op) {
    case OPERATOR_EQUALS:
        return slice_equal(*value, t->operand->value);
    case OPERATOR_IN:
        return set_has(&t->operand->set, *value);
    case OPERATOR_PREFIX:
        return prefix_holds(t, *value);
    case OPERATOR_SUFFIX:
        return slice_has_suffix(*value, t->operand->value);
    case OPERATOR_CONTAINS:
        return slice_contains(*value, t->operand->value);
    case OPERATOR_REGEX:
        return regex_matches(t->operand->regex, *value);
    case OPERATOR_RANGE:
        return range_holds(t, *value);
    case OPERATOR_NONE:
    case OPERATOR_PRESENT:
        break;
    }
    return false;
}

static const struct field *next_header(const struct program_test *t, const struct message *m, const struct field *after)
{
    if (t->field_id == FIELD_OTHER)
        return message_field_named(m, t->name, after);
    return after == NULL ? message_field(m, (enum field_id)t->field_id) : message_next_field(m, after);
}

/* A header that came in several lines fits when one of them does. */
static bool header_holds(const struct program_test *t, const struct message *m)
{
    const struct field *f = next_header(t, m, NULL);
    if (f == NULL)
        return value_holds(t, NULL);
    for (; f != NULL; f = next_header(t, m, f))
        if (value_holds(t, &f->value))
            return true;
    return false;
}

static bool cookie_holds(const struct program_test *t, const struct message *m)
{
    struct slice value;
    bool is_there = message_cookie(m, t->name, &value);
    return value_holds(t, is_there ? &value : NULL);
}

static bool query_holds(const struct program_test *t, struct slice query)
{
    struct slice value;
    bool is_there = query.ptr != NULL && query_argument(query, t->name, &value);
    return value_holds(t, is_there ? &value : NULL);
}

/* Of several alternative names any may match, as of several lines of a header. */
static bool tls_client_holds(const struct program_test *t, const struct route_request *request)
{
    bool is_cn = slice_equal(t->name, SLICE("cn"));
    const struct slice *names = is_cn ? &request->client_cn : request->client_sans;
    size_t count = is_cn ? request->client_cn.len > 0 : request->client_san_count;
    if (count == 0)
        return value_holds(t, NULL);
    for (size_t i = 0; i < count; i++)
        if (value_holds(t, &names[i]))
            return true;
    return false;
}

static bool source_holds(const struct program_test *t, const struct ip_address *source)
{
    for (size_t i = 0; i < t->operand->source.count; i++)
        if (ip_network_contains(&t->operand->source.networks[i], source))
            return true;
    return false;
}

/* A request without the key is in no sample. */
static bool sample_holds(const struct program_test *t, const struct route_request *request)
{
    char scratch[16];
    struct slice key;
    return key_extract(t->key, request, scratch, &key) &&
           sticky_is_within(t->operand->sample.salt, key, t->operand->sample.share_ppm);
}

static bool between_holds(const struct program_test *t, struct wall_time now)
{
    return t->operand->between.from.unix_ms <= now.unix_ms && now.unix_ms < t->operand->between.until.unix_ms;
}

static bool test_holds(const struct program_test *t, const struct route_request *request)
{
    switch ((enum condition_subject)t->subject) {
    case SUBJECT_HEADER:
        return header_holds(t, request->message);
    case SUBJECT_COOKIE:
        return cookie_holds(t, request->message);
    case SUBJECT_QUERY:
        return query_holds(t, request->query);
    case SUBJECT_PATH:
        return value_holds(t, &request->path);
    case SUBJECT_HOST:
        return value_holds(t, &request->host);
    case SUBJECT_METHOD:
        return value_holds(t, &request->message->method_name);
    case SUBJECT_TLS_CLIENT:
        return tls_client_holds(t, request);
    case SUBJECT_SOURCE:
        return source_holds(t, &request->source);
    case SUBJECT_SEGMENT:
        return condition_matches(t->operand->segment, request);
    case SUBJECT_SAMPLE:
        return sample_holds(t, request);
    case SUBJECT_BETWEEN:
        return between_holds(t, request->now);
    }
    return false;
}

bool condition_matches(const struct condition_program *program, const struct route_request *request)
{
    uint16_t at = program->entry;
    while (at < TARGET_FALSE) {
        const struct program_test *t = &program->tests[at];
        at = test_holds(t, request) ? t->on_true : t->on_false;
    }
    return at == TARGET_TRUE;
}
