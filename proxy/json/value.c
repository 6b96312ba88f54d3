/* json/value.c - JSON documents to read: strict parsing, typed access, no exceptions to remember. */
#include "json/value.h"

#include <jansson.h>

/* struct value is jansson's json_t under a name of ours; it is never defined. jansson takes pointers to non-const where it
   only reads, hence one place for each cast. */
static json_t *node(const struct value *v)
{
    union {
        const struct value *in;
        json_t *out;
    } cast = { .in = v };
    return cast.out;
}

static struct value *value(json_t *node)
{
    return (struct value *)(void *)node;
}

struct value *value_parse(struct slice json, struct text *error)
{
    json_error_t problem;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *root = json_loadb(json.len > 0 ? json.ptr : "", json.len, flags, &problem);
    if (root == NULL)
        text_printf(error, "line %d, column %d: %s", problem.line, problem.column, problem.text);
    return value(root);
}

void value_destroy(struct value *root)
{
    json_decref(node(root));
}

bool value_is_object(const struct value *v)
{
    return json_is_object(node(v));
}

bool value_is_array(const struct value *v)
{
    return json_is_array(node(v));
}

bool value_is_null(const struct value *v)
{
    return v == NULL || json_is_null(node(v));
}

const struct value *value_member(const struct value *v, const char *name)
{
    return value(json_object_get(node(v), name));
}

size_t value_count(const struct value *v)
{
    return value_is_object(v) ? json_object_size(node(v)) : json_array_size(node(v));
}

const struct value *value_item(const struct value *v, size_t index)
{
    return value(json_array_get(node(v), index));
}

bool value_next(const struct value *v, void **cursor, struct slice *name,
                const struct value **member)
{
    json_t *object = node(v);
    *cursor = *cursor == NULL ? json_object_iter(object) : json_object_iter_next(object, *cursor);
    if (*cursor == NULL)
        return false;
    *name = slice_from(json_object_iter_key(*cursor), json_object_iter_key_len(*cursor));
    *member = value(json_object_iter_value(*cursor));
    return true;
}

bool value_text(const struct value *v, struct slice *out)
{
    if (!json_is_string(node(v)))
        return false;
    *out = slice_from(json_string_value(node(v)), json_string_length(node(v)));
    return true;
}

bool value_integer(const struct value *v, int64_t *out)
{
    if (!json_is_integer(node(v)))
        return false;
    *out = json_integer_value(node(v));
    return true;
}

bool value_number(const struct value *v, double *out)
{
    if (!json_is_number(node(v)))
        return false;
    *out = json_number_value(node(v));
    return true;
}

bool value_bool(const struct value *v, bool *out)
{
    if (!json_is_boolean(node(v)))
        return false;
    *out = json_is_true(node(v));
    return true;
}
