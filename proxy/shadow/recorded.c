/* shadow/recorded.c - lines of a record file: written piece by piece, read as a document and then checked. */
#include "shadow/recorded.h"

#include "crypto/base64.h"
#include "http/validate.h"
#include "json/json.h"

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* What escaping adds is bounded by what base64 would: a body of control characters takes 4/3 of its size, not six times. */
static bool is_text(struct slice bytes)
{
    size_t escaped_count = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '\0')
            return false;
        escaped_count += (unsigned char)bytes.ptr[i] < 0x20;
    }
    return escaped_count <= bytes.len / 4 + 16 && text_is_utf8(bytes);
}

static void bytes_add(struct text *out, struct slice bytes)
{
    if (is_text(bytes)) {
        text_add_char(out, '"');
        text_add_json(out, bytes);
        text_add_char(out, '"');
        return;
    }
    text_add_cstr(out, "{\"base64\":\"");
    base64_add(out, bytes);
    text_add_cstr(out, "\"}");
}

static void member_add(struct text *out, const char *name, struct slice bytes)
{
    text_printf(out, "\"%s\":", name);
    bytes_add(out, bytes);
    text_add_char(out, ',');
}

static void headers_add(struct text *out, const struct recorded_header *headers, size_t count)
{
    text_add_cstr(out, "\"headers\":[");
    for (size_t i = 0; i < count; i++) {
        text_add_cstr(out, i > 0 ? ",[" : "[");
        bytes_add(out, headers[i].name);
        text_add_char(out, ',');
        if (headers[i].is_redacted)
            text_add_cstr(out, "null");
        else
            bytes_add(out, headers[i].value);
        text_add_char(out, ']');
    }
    text_add_cstr(out, "],");
}

static void answer_add(struct text *out, const struct recorded_answer *a)
{
    if (a->status == 0) {
        text_add_cstr(out, "\"answer\":null");
        return;
    }
    text_printf(out, "\"answer\":{\"status\":%u,", a->status);
    headers_add(out, a->headers, a->header_count);
    text_printf(out, "\"body_bytes\":%llu,", (unsigned long long)a->body_bytes);
    if (a->body_sha256[0] != '\0')
        text_printf(out, "\"body_sha256\":\"%s\",", a->body_sha256);
    if (a->json_sha256[0] != '\0')
        text_printf(out, "\"json_sha256\":\"%s\",", a->json_sha256);
    text_printf(out, "\"latency_us\":%lld}", (long long)a->latency_us);
}

void recorded_write(const struct recorded *r, struct text *out)
{
    char at[25];
    wall_format(r->at, at);
    text_printf(out, "{\"weir_record\":%d,\"at\":\"%s\",", RECORD_VERSION, at);
    member_add(out, "route", r->route);
    member_add(out, "upstream", r->upstream);
    member_add(out, "shadow", r->shadow);
    text_add_cstr(out, "\"request\":{");
    member_add(out, "method", r->method);
    member_add(out, "scheme", r->scheme);
    member_add(out, "host", r->host);
    member_add(out, "target", r->target);
    headers_add(out, r->headers, r->header_count);
    member_add(out, "body", r->body);
    text_printf(out, "\"truncated\":%s},", r->is_truncated ? "true" : "false");
    answer_add(out, &r->answer);
    text_add_cstr(out, "}\n");
}

void recorded_json_digest(struct slice body, char out[DIGEST_SHA256_HEX_SIZE])
{
    struct text error = { 0 }, canonical = { 0 };
    struct json *document = json_parse(body, &error);
    enum json_kind kind = json_kind(document);
    out[0] = '\0';
    if (kind == JSON_KIND_OBJECT || kind == JSON_KIND_ARRAY) {
        json_write_canonical(document, &canonical);
        digest_sha256_hex(text_slice(&canonical), out);
    }
    if (document != NULL)
        json_destroy(document);
    text_fini(&error);
    text_fini(&canonical);
}

bool recorded_is_volatile(struct slice name)
{
    static const char *const names[] = { "age",        "connection",    "content-length",    "date",
                                         "keep-alive", "server-timing", "transfer-encoding", "via" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (slice_equal_nocase(name, slice_from_cstr(names[i])))
            return true;
    return false;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct reading {
    struct arena *arena;
    struct text *error;
};

static bool wrong(struct reading *r, const char *name, const char *what)
{
    text_printf(r->error, "'%s' %s", name, what);
    return false;
}

/* A copy, since the document is gone when the caller looks at it. */
static bool bytes_read(struct reading *r, const struct json *value, const char *name, struct slice *out)
{
    struct slice text;
    if (json_as_string(value, &text)) {
        *out = arena_copy(r->arena, text);
        return true;
    }
    if (!json_as_string(json_get(value, "base64"), &text))
        return wrong(r, name, json_kind(value) == JSON_KIND_ABSENT ? "is missing" : "is neither text nor base64");
    return base64_read(r->arena, text, out) || wrong(r, name, "is not base64");
}

static bool member_read(struct reading *r, const struct json *object, const char *name, struct slice *out)
{
    return bytes_read(r, json_get(object, name), name, out);
}

static bool header_read(struct reading *r, const struct json *pair, struct recorded_header *out)
{
    const struct json *value = json_at(pair, 1);
    *out = (struct recorded_header){ .value = SLICE("") };
    if (json_kind(pair) != JSON_KIND_ARRAY || json_count(pair) != 2)
        return wrong(r, "headers", "holds something else than pairs of name and value");
    if (!bytes_read(r, json_at(pair, 0), "headers", &out->name))
        return false;
    if (!is_token(out->name))
        return wrong(r, "headers", "holds a name that is no header name");
    out->is_redacted = json_kind(value) == JSON_KIND_NULL;
    if (out->is_redacted)
        return true;
    if (!bytes_read(r, value, "headers", &out->value))
        return false;
    return is_field_value(out->value) || wrong(r, "headers", "holds a value with control characters");
}

static bool headers_read(struct reading *r, const struct json *object, const struct recorded_header **out,
                         size_t *count)
{
    const struct json *list = json_get(object, "headers");
    if (json_kind(list) != JSON_KIND_ARRAY)
        return wrong(r, "headers", "is missing or no list");
    *count = json_count(list);
    if (*count > RECORD_HEADERS_MAX)
        return wrong(r, "headers", "is too long a list");
    struct recorded_header *headers = arena_zalloc_array(r->arena, *count, sizeof(*headers));
    *out = headers;
    for (size_t i = 0; i < *count; i++)
        if (!header_read(r, json_at(list, i), &headers[i]))
            return false;
    return true;
}

/* Origin form or asterisk (RFC 9112 3.2): one word of a request line, so that a line of a file cannot smuggle another
   request past whoever reads what we send. */
static bool is_target(struct slice target)
{
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= 0x20 || target.ptr[i] == 0x7f)
            return false;
    return slice_has_prefix(target, SLICE("/")) || slice_equal(target, SLICE("*"));
}

static bool request_read(struct reading *r, const struct json *request, struct recorded *out)
{
    if (json_kind(request) != JSON_KIND_OBJECT)
        return wrong(r, "request", "is missing or no object");
    if (!member_read(r, request, "method", &out->method) || !member_read(r, request, "scheme", &out->scheme) ||
        !member_read(r, request, "host", &out->host) || !member_read(r, request, "target", &out->target) ||
        !headers_read(r, request, &out->headers, &out->header_count) || !member_read(r, request, "body", &out->body))
        return false;
    if (!is_token(out->method))
        return wrong(r, "method", "is no method");
    if (!slice_equal(out->scheme, SLICE("http")) && !slice_equal(out->scheme, SLICE("https")))
        return wrong(r, "scheme", "is neither http nor https");
    if (out->host.len > 0 && !authority_is_valid(out->host))
        return wrong(r, "host", "is no host");
    if (!is_target(out->target))
        return wrong(r, "target", "is no request target");
    return json_as_bool(json_get(request, "truncated"), &out->is_truncated) ||
           wrong(r, "truncated", "is neither true nor false");
}

/* 64 digits of lower case, or absent. */
static bool sha256_read(struct reading *r, const struct json *object, const char *name,
                        char out[DIGEST_SHA256_HEX_SIZE])
{
    struct slice text = SLICE("");
    const struct json *value = json_get(object, name);
    bool is_digest = json_as_string(value, &text) && text.len == DIGEST_SHA256_HEX_SIZE - 1;
    for (size_t i = 0; is_digest && i < text.len; i++)
        is_digest = strchr("0123456789abcdef", text.ptr[i]) != NULL;
    if (!is_digest && value != NULL)
        return wrong(r, name, "is no SHA-256");
    if (is_digest)
        memcpy(out, text.ptr, text.len);
    out[is_digest ? text.len : 0] = '\0';
    return true;
}

static bool answer_read(struct reading *r, const struct json *answer, struct recorded_answer *out)
{
    int64_t status;
    if (json_kind(answer) == JSON_KIND_NULL)
        return true;
    if (!json_as_i64(json_get(answer, "status"), &status) || status < 100 || status > 999)
        return wrong(r, "status", "is no status of an answer");
    if (!headers_read(r, answer, &out->headers, &out->header_count))
        return false;
    if (!json_as_u64(json_get(answer, "body_bytes"), &out->body_bytes))
        return wrong(r, "body_bytes", "is no length");
    if (!sha256_read(r, answer, "body_sha256", out->body_sha256) ||
        !sha256_read(r, answer, "json_sha256", out->json_sha256))
        return false;
    if (!json_as_i64(json_get(answer, "latency_us"), &out->latency_us) || out->latency_us < 0)
        return wrong(r, "latency_us", "is no duration");
    out->status = (uint16_t)status;
    return true;
}

static bool version_read(struct reading *r, const struct json *line)
{
    int64_t version;
    if (!json_as_i64(json_get(line, "weir_record"), &version))
        return wrong(r, "weir_record", "is missing: this is no line of a record");
    return version == RECORD_VERSION || wrong(r, "weir_record", "is a version that this weir does not know");
}

static bool line_read(struct reading *r, const struct json *line, struct recorded *out)
{
    struct slice at = SLICE("");
    if (!version_read(r, line))
        return false;
    if (!json_as_string(json_get(line, "at"), &at) || !wall_parse(at.ptr, at.len, &out->at))
        return wrong(r, "at", "is no time as RFC 3339 has it");
    return member_read(r, line, "route", &out->route) && member_read(r, line, "upstream", &out->upstream) &&
           member_read(r, line, "shadow", &out->shadow) && request_read(r, json_get(line, "request"), out) &&
           answer_read(r, json_get(line, "answer"), &out->answer);
}

bool recorded_read(struct slice line, struct arena *arena, struct recorded *out, struct text *error)
{
    *out = (struct recorded){ 0 };
    struct reading r = { arena, error };
    struct json *document = json_parse(line, error);
    if (document == NULL)
        return false;
    bool is_good = line_read(&r, document, out);
    json_destroy(document);
    return is_good;
}
