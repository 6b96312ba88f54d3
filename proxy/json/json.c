/* json/json.c - jansson behind typed calls: every reference it counts is taken and given back here. */
#include "json/json.h"

#include "base/memory.h"

#include <jansson.h>

#include <math.h>
#include <string.h>

/* struct json is never defined: a pointer to it is jansson's pointer in our own name. */
static json_t *to_jansson(struct json *value)
{
    return (json_t *)(void *)value;
}

static const json_t *to_jansson_const(const struct json *value)
{
    return (const json_t *)(const void *)value;
}

static struct json *from_jansson(json_t *value)
{
    CHECK(value != NULL); /* jansson answers NULL when memory is out */
    return (struct json *)(void *)value;
}

static const struct json *from_jansson_const(const json_t *value)
{
    return (const struct json *)(const void *)value;
}

struct json *json_create_object(void)
{
    return from_jansson(json_object());
}

struct json *json_create_array(void)
{
    return from_jansson(json_array());
}

void json_destroy(struct json *root)
{
    json_decref(to_jansson(root));
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* jansson refuses strings that are not UTF-8; ours may hold what a peer or an operator sent. text_add_json replaces the
   faulty bytes, and parsing its output undoes the escapes. */
static json_t *string_repaired(struct slice value)
{
    struct text quoted;
    text_init(&quoted);
    text_add_char(&quoted, '"');
    text_add_json(&quoted, value);
    text_add_char(&quoted, '"');
    json_t *made = json_loadb(quoted.bytes, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    text_fini(&quoted);
    return made;
}

/* Valid UTF-8 is the rule: the repair is for what peers and operators sent. */
static json_t *string_create(struct slice value)
{
    json_t *made = json_stringn(value.len ? value.ptr : "", value.len);
    return made != NULL ? made : string_repaired(value);
}

/* Gives the object its own reference: `value` must be fresh. */
static struct json *put(struct json *object, const char *key, json_t *value)
{
    struct json *made = from_jansson(value);
    CHECK(json_object_set_new(to_jansson(object), key, value) == 0);
    return made;
}

/* jansson wants a NUL behind a key. */
static struct json *put_named(struct json *object, struct slice key, json_t *value)
{
    char *name = memory_alloc(key.len + 1);
    if (key.len != 0)
        memcpy(name, key.ptr, key.len);
    name[key.len] = '\0';
    struct json *made = put(object, name, value);
    memory_free(name);
    return made;
}

static struct json *push(struct json *array, json_t *value)
{
    struct json *made = from_jansson(value);
    CHECK(json_array_append_new(to_jansson(array), value) == 0);
    return made;
}

void json_put_string(struct json *object, const char *key, struct slice value)
{
    put(object, key, string_create(value));
}

void json_put_cstr(struct json *object, const char *key, const char *value)
{
    if (value == NULL)
        json_put_null(object, key);
    else
        json_put_string(object, key, slice_from_cstr(value));
}

void json_put_i64(struct json *object, const char *key, int64_t value)
{
    put(object, key, json_integer(value));
}

void json_put_u64(struct json *object, const char *key, uint64_t value)
{
    CHECK(value <= INT64_MAX);
    put(object, key, json_integer((json_int_t)value));
}

void json_put_real(struct json *object, const char *key, double value)
{
    put(object, key, isfinite(value) ? json_real(value) : json_null());
}

void json_put_bool(struct json *object, const char *key, bool value)
{
    put(object, key, json_boolean(value));
}

void json_put_null(struct json *object, const char *key)
{
    put(object, key, json_null());
}

void json_put_time(struct json *object, const char *key, struct wall_time t)
{
    char text[25];
    if (t.unix_ms == 0) {
        json_put_null(object, key);
        return;
    }
    wall_format(t, text);
    json_put_cstr(object, key, text);
}

struct json *json_put_object(struct json *object, const char *key)
{
    return put(object, key, json_object());
}

struct json *json_put_array(struct json *object, const char *key)
{
    return put(object, key, json_array());
}

void json_put(struct json *object, const char *key, struct json *document)
{
    put(object, key, to_jansson(document));
}

/* Not from_jansson: absent is an answer here, no lack of memory. */
struct json *json_edit(struct json *object, const char *key)
{
    json_t *member = json_object_get(to_jansson(object), key);
    return (struct json *)(void *)member;
}

void json_put_named_u64(struct json *object, struct slice key, uint64_t value)
{
    CHECK(value <= INT64_MAX);
    put_named(object, key, json_integer((json_int_t)value));
}

struct json *json_put_named_object(struct json *object, struct slice key)
{
    return put_named(object, key, json_object());
}

void json_push_string(struct json *array, struct slice value)
{
    push(array, string_create(value));
}

void json_push_i64(struct json *array, int64_t value)
{
    push(array, json_integer(value));
}

struct json *json_push_object(struct json *array)
{
    return push(array, json_object());
}

void json_push(struct json *array, struct json *document)
{
    push(array, to_jansson(document));
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* What a text would cost, seen before jansson is let near it: it recurses up to 2,048 levels, and allocates each value. */
struct shape {
    size_t depth;       /* the deepest */
    size_t value_count; /* at most that many: each begins the document, an array, an object, or follows a comma */
};

/* Brackets and commas inside strings do not count. */
static struct shape measure(struct slice bytes)
{
    struct shape shape = { 0, 1 };
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            shape.value_count++;
            if (++depth > shape.depth)
                shape.depth = depth;
        } else if (c == ',') {
            shape.value_count++;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return shape;
}

struct json *json_parse(struct slice bytes, struct text *error)
{
    return json_parse_limited(bytes, &(struct json_limits){ .value_max = SIZE_MAX }, error);
}

/* What jansson reads from, a KiB at a time. */
struct source {
    struct slice rest;
    const struct json_limits *limits;
};

static size_t read_piece(void *out, size_t size, void *arg)
{
    struct source *s = arg;
    struct slice piece = slice_first(s->rest, size);
    if (s->limits->may_go_on != NULL && !s->limits->may_go_on(s->limits->arg))
        return (size_t)-1;
    if (piece.len > 0)
        memcpy(out, piece.ptr, piece.len);
    s->rest = slice_after(s->rest, piece.len);
    return piece.len;
}

struct json *json_parse_limited(struct slice bytes, const struct json_limits *limits, struct text *error)
{
    /* Duplicate keys are refused because two readers of one document may each take another of them. */
    struct shape shape = measure(bytes);
    if (shape.depth > JSON_MAX_DEPTH || shape.value_count > limits->value_max) {
        if (shape.depth > JSON_MAX_DEPTH)
            text_printf(error, "nested deeper than %d levels", JSON_MAX_DEPTH);
        else
            text_printf(error, "more than %zu values", limits->value_max);
        return NULL;
    }
    json_error_t fault;
    struct source source = { bytes, limits };
    json_t *parsed = json_load_callback(read_piece, &source, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &fault);
    if (parsed == NULL) {
        text_printf(error, "line %d, column %d: %s", fault.line, fault.column, fault.text);
        return NULL;
    }
    return from_jansson(parsed);
}

/* jansson answers NULL for what is no object, and for NULL: look-ups can be chained without a check in between. */
const struct json *json_get(const struct json *object, const char *key)
{
    return from_jansson_const(json_object_get(to_jansson_const(object), key));
}

enum json_kind json_kind(const struct json *value)
{
    static const enum json_kind kinds[] = {
        [JSON_OBJECT] = JSON_KIND_OBJECT,  [JSON_ARRAY] = JSON_KIND_ARRAY, [JSON_STRING] = JSON_KIND_STRING,
        [JSON_INTEGER] = JSON_KIND_NUMBER, [JSON_REAL] = JSON_KIND_NUMBER, [JSON_TRUE] = JSON_KIND_BOOL,
        [JSON_FALSE] = JSON_KIND_BOOL,     [JSON_NULL] = JSON_KIND_NULL,
    };
    return value == NULL ? JSON_KIND_ABSENT : kinds[json_typeof(to_jansson_const(value))];
}

bool json_as_string(const struct json *value, struct slice *out)
{
    if (json_kind(value) != JSON_KIND_STRING)
        return false;
    const json_t *string = to_jansson_const(value);
    *out = slice_from(json_string_value(string), json_string_length(string));
    return true;
}

bool json_as_i64(const struct json *value, int64_t *out)
{
    if (value == NULL || !json_is_integer(to_jansson_const(value)))
        return false;
    *out = json_integer_value(to_jansson_const(value));
    return true;
}

bool json_as_u64(const struct json *value, uint64_t *out)
{
    int64_t number;
    if (!json_as_i64(value, &number) || number < 0)
        return false;
    *out = (uint64_t)number;
    return true;
}

bool json_as_real(const struct json *value, double *out)
{
    if (json_kind(value) != JSON_KIND_NUMBER)
        return false;
    *out = json_number_value(to_jansson_const(value));
    return true;
}

bool json_as_bool(const struct json *value, bool *out)
{
    if (json_kind(value) != JSON_KIND_BOOL)
        return false;
    *out = json_is_true(to_jansson_const(value));
    return true;
}

/* json_array_size answers 0 for what is no array, and for NULL. */
size_t json_count(const struct json *value)
{
    const json_t *v = to_jansson_const(value);
    return json_kind(value) == JSON_KIND_OBJECT ? json_object_size(v) : json_array_size(v);
}

const struct json *json_at(const struct json *array, size_t index)
{
    return from_jansson_const(json_array_get(to_jansson_const(array), index));
}

/* jansson's iterators take the object without const, though they only read it. */
static json_t *to_jansson_unconst(const struct json *value)
{
    union {
        const struct json *in;
        json_t *out;
    } pointer = { .in = value };
    return pointer.out;
}

const struct json *json_next(const struct json *object, void **cursor, struct slice *key)
{
    json_t *o = to_jansson_unconst(object);
    *cursor = *cursor == NULL ? json_object_iter(o) : json_object_iter_next(o, *cursor);
    if (*cursor == NULL)
        return NULL;
    const char *name = json_object_iter_key(*cursor);
    *key = slice_from_cstr(name);
    return from_jansson_const(json_object_iter_value(*cursor));
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int append(const char *bytes, size_t len, void *arg)
{
    text_add((struct text *)arg, slice_from(bytes, len));
    return 0;
}

/* Reals with the 15 digits that every double keeps (DBL_DIG): 0.1 is written as 0.1. */
void json_write(const struct json *value, struct text *out)
{
    CHECK(json_dump_callback(to_jansson_const(value), append, out,
                             JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) == 0);
}

void json_write_pretty(const struct json *value, struct text *out)
{
    CHECK(json_dump_callback(to_jansson_const(value), append, out,
                             JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) == 0);
    text_add_char(out, '\n');
}

/* 17 digits tell any two doubles apart, where 15 would call neighbours the same. */
void json_write_canonical(const struct json *value, struct text *out)
{
    CHECK(json_dump_callback(to_jansson_const(value), append, out,
                             JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) == 0);
}
