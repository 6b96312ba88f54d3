/* shadow/redact.c - what of a request and its answers is never stored or shown: credentials, and what rules name. */
#include "shadow/redact.h"

#include <stdio.h>
#include <stdlib.h>

const struct slice redact_defaults[] = {
    SLICE("authorization"),
    SLICE("proxy-authorization"),
    SLICE("cookie"),
    SLICE("set-cookie"),
    SLICE("x-api-key"),
    SLICE("api-key"),
    SLICE("x-auth-token"),
    SLICE("x-access-token"),
    SLICE("x-csrf-token"),
    SLICE("x-xsrf-token"),
    SLICE("x-amz-security-token"),
    SLICE("?access_token"),
    SLICE("?refresh_token"),
    SLICE("?id_token"),
    SLICE("?api_key"),
    SLICE("?apikey"),
    SLICE("?token"),
    SLICE("?password"),
    SLICE("?secret"),
    SLICE("?client_secret"),
    SLICE("?client_assertion"),
    SLICE("?assertion"),
    SLICE("?code_verifier"),
    SLICE("?signature"),
    SLICE("?sig"),
    SLICE("?code"),
    SLICE("?x-amz-signature"),
    SLICE("?x-amz-security-token"),
    SLICE("$..password"),
    SLICE("$..secret"),
    SLICE("$..token"),
    SLICE("$..client_secret"),
    SLICE("$..clientSecret"),
    SLICE("$..access_token"),
    SLICE("$..accessToken"),
    SLICE("$..refresh_token"),
    SLICE("$..refreshToken"),
    SLICE("$..id_token"),
    SLICE("$..idToken"),
    SLICE("$..api_key"),
    SLICE("$..apiKey"),
};
const size_t redact_default_count = ARRAY_COUNT(redact_defaults);

struct redact {
    struct slice *headers, *arguments;
    size_t header_count, argument_count;
    const struct json_path **paths;
    size_t path_count;
};

/* ---- rules ----------------------------------------------------------------------------------------------------------- */

static void rule_add(struct redact *r, struct arena *arena, struct slice rule)
{
    if (rule.len > 0 && rule.ptr[0] == '$')
        r->paths[r->path_count++] = json_path_parse(arena, rule);
    else if (rule.len > 0 && rule.ptr[0] == '?')
        r->arguments[r->argument_count++] = arena_copy(arena, slice_after(rule, 1));
    else
        r->headers[r->header_count++] = arena_copy(arena, rule);
}

const struct redact *redact_compile(struct arena *arena, const struct slice_list *rules)
{
    struct redact *r = arena_zalloc(arena, sizeof *r);
    size_t count = redact_default_count + rules->count;
    r->headers = arena_zalloc_array(arena, count, sizeof *r->headers);
    r->arguments = arena_zalloc_array(arena, count, sizeof *r->arguments);
    r->paths = arena_zalloc_array(arena, count, sizeof *r->paths);
    for (size_t i = 0; i < redact_default_count; i++)
        rule_add(r, arena, redact_defaults[i]);
    for (size_t i = 0; i < rules->count; i++)
        rule_add(r, arena, rules->items[i]);
    return r;
}

bool redact_hides_header(const struct redact *r, struct slice name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (slice_equal_nocase(r->headers[i], name))
            return true;
    return false;
}

/* ---- targets --------------------------------------------------------------------------------------------------------- */

/* Names are compared as they are written: who percent-encodes the name of an argument hides it from us, too, so those
   with a '%' are hidden whatever they are. */
static bool hides_argument(const struct redact *r, struct slice name)
{
    if (slice_find(name, '%') < name.len)
        return true;
    for (size_t i = 0; i < r->argument_count; i++)
        if (slice_equal_nocase(r->arguments[i], name))
            return true;
    return false;
}

/* Up to the first of these bytes, or all. */
static size_t length_until(struct slice s, struct slice stops)
{
    size_t len = 0;
    while (len < s.len && slice_find(stops, s.ptr[len]) == stops.len)
        len++;
    return len;
}

/* Behind '?', '&' and ';' there may be an argument, and behind '#', where answers of OAuth put theirs (RFC 6749 4.2.2).
   What ends a value differs from place to place, so a hidden one goes up to the next '&', whatever it takes along. */
static bool write_arguments(const struct redact *r, struct slice rest, struct text *out)
{
    bool has_hidden = false;
    while (rest.len > 0) {
        size_t start = length_until(rest, SLICE("?&;#")) + 1;
        text_add(out, slice_first(rest, start));
        rest = slice_after(rest, start);
        struct slice name = slice_first(rest, length_until(rest, SLICE("=?&;#,<>\"")));
        if (name.len == rest.len || rest.ptr[name.len] != '=' || !hides_argument(r, slice_trim(name)))
            continue;
        text_add(out, name);
        text_add_cstr(out, "=" REDACTED);
        rest = slice_after(rest, slice_find(rest, '&'));
        has_hidden = true;
    }
    return has_hidden;
}

void redact_write_target(const struct redact *r, struct slice target, struct text *out)
{
    size_t query = slice_find(target, '?');
    text_add(out, slice_first(target, query));
    write_arguments(r, slice_after(target, query), out);
}

bool redact_write_header(const struct redact *r, struct slice name, struct slice value, struct text *out)
{
    if (!redact_hides_header(r, name))
        return write_arguments(r, value, out);
    text_add_cstr(out, REDACTED);
    return true;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

struct writer {
    const struct redact *redact;
    struct text *out;
    size_t end; /* of out: what is longer is cut */
    struct json_step *steps;
};

bool redact_hides_place(const struct redact *r, const struct json_step *steps, size_t count)
{
    for (size_t i = 0; i < r->path_count; i++)
        if (json_path_covers(r->paths[i], steps, count))
            return true;
    return false;
}

static void write_string(struct text *out, struct slice s)
{
    text_add_char(out, '"');
    text_add_json(out, s);
    text_add_char(out, '"');
}

/* The shortest of two forms that is read back as the same number: two that differ never look the same. */
static void write_real(struct text *out, double value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.15g", value);
    if (strtod(digits, NULL) != value)
        snprintf(digits, sizeof digits, "%.17g", value);
    text_add_cstr(out, digits);
}

static void write_scalar(struct text *out, const struct json *value)
{
    struct slice s;
    int64_t whole;
    double real;
    if (json_as_string(value, &s))
        write_string(out, s);
    else if (json_as_i64(value, &whole))
        text_printf(out, "%lld", (long long)whole);
    else if (json_as_real(value, &real))
        write_real(out, real);
    else
        json_write(value, out);
}

static void write_value(struct writer *w, const struct json *value, size_t depth);

static bool is_full(const struct writer *w)
{
    return w->out->len > w->end;
}

static void write_object(struct writer *w, const struct json *object, size_t depth)
{
    struct slice key;
    void *cursor = NULL;
    char before = '{';
    for (const struct json *v; !is_full(w) && (v = json_next(object, &cursor, &key)) != NULL; before = ',') {
        text_add_char(w->out, before);
        write_string(w->out, key);
        text_add_char(w->out, ':');
        w->steps[depth] = (struct json_step){ .member = key };
        write_value(w, v, depth + 1);
    }
    text_add_cstr(w->out, before == '{' ? "{}" : "}");
}

static void write_array(struct writer *w, const struct json *array, size_t depth)
{
    size_t count = json_count(array);
    for (size_t i = 0; i < count && !is_full(w); i++) {
        text_add_char(w->out, i == 0 ? '[' : ',');
        w->steps[depth] = (struct json_step){ .index = i };
        write_value(w, json_at(array, i), depth + 1);
    }
    text_add_cstr(w->out, count == 0 ? "[]" : "]");
}

/* Recursion is bounded by JSON_MAX_DEPTH. */
static void write_value(struct writer *w, const struct json *value, size_t depth)
{
    if (redact_hides_place(w->redact, w->steps, depth))
        text_add_cstr(w->out, "\"" REDACTED "\"");
    else if (json_kind(value) == JSON_KIND_OBJECT)
        write_object(w, value, depth);
    else if (json_kind(value) == JSON_KIND_ARRAY)
        write_array(w, value, depth);
    else
        write_scalar(w->out, value);
}

void redact_write_json(const struct redact *r, const struct json *value, struct json_step *steps, size_t count,
                       size_t limit_bytes, struct text *out)
{
    struct writer w = { .redact = r, .out = out, .end = out->len + limit_bytes, .steps = steps };
    if (value == NULL)
        return;
    write_value(&w, value, count);
    if (is_full(&w)) {
        text_cut(out, w.end);
        text_add_cstr(out, "...");
    }
}
