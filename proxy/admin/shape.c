/* admin/shape.c - the short notation of answers as JSON Schema. Pure.
 *
 * A text of the program itself: what it does not understand is a bug, so it CHECKs. */
#include "admin/answers.h"

#include <ctype.h>
#include <string.h>

#include "base/check.h"

static bool skip(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static void skip_blanks(const char **at)
{
    while (skip(at, ' ')) {
    }
}

/* Letters, digits, "_" and "/". */
static struct slice word_take(const char **at)
{
    const char *from = *at;
    while (isalnum((unsigned char)**at) || **at == '_' || **at == '/')
        (*at)++;
    CHECK(*at > from);
    return slice_from(from, (size_t)(*at - from));
}

static void put_kind(struct json *schema, struct slice kind, bool is_nullable)
{
    if (!is_nullable) {
        json_put_string(schema, "type", kind);
        return;
    }
    struct json *kinds = json_put_array(schema, "type");
    json_push_string(kinds, kind);
    json_push_string(kinds, SLICE("null"));
}

static void write_word(struct json *schema, struct slice word, bool is_nullable)
{
    if (slice_contains(word, SLICE("/"))) {
        struct json *words = json_put_array(schema, "enum");
        for (struct slice one; slice_next_item(&word, '/', &one);)
            json_push_string(words, one);
        CHECK(!is_nullable);
    } else if (slice_equal(word, SLICE("time"))) {
        put_kind(schema, SLICE("string"), is_nullable);
        json_put_cstr(schema, "format", "date-time");
    } else if (!slice_equal(word, SLICE("any"))) {
        put_kind(schema, word, is_nullable);
    }
}

static void write_reference(struct json *schema, struct slice name, bool is_nullable)
{
    struct text path = { 0 };
    struct json *options = is_nullable ? json_put_array(schema, "anyOf") : NULL;
    text_printf(&path, "#/components/schemas/%.*s", SLICE_ARG(name));
    json_put_string(is_nullable ? json_push_object(options) : schema, "$ref", text_slice(&path));
    if (is_nullable)
        json_put_cstr(json_push_object(options), "type", "null");
    text_fini(&path);
}

static void write_members(struct json *schema, const char **at);

static void write_type(struct json *schema, const char **at)
{
    if (skip(at, '[')) {
        json_put_cstr(schema, "type", "array");
        write_type(json_put_object(schema, "items"), at);
        CHECK(skip(at, ']'));
    } else if (skip(at, '<')) {
        json_put_cstr(schema, "type", "object");
        write_type(json_put_object(schema, "additionalProperties"), at);
        CHECK(skip(at, '>'));
    } else if (skip(at, '{')) {
        write_members(schema, at);
        CHECK(skip(at, '}'));
    } else if (skip(at, '@')) {
        struct slice name = word_take(at);
        write_reference(schema, name, skip(at, '?'));
    } else {
        struct slice word = word_take(at);
        write_word(schema, word, skip(at, '?'));
    }
}

static void write_members(struct json *schema, const char **at)
{
    json_put_cstr(schema, "type", "object");
    struct json *properties = json_put_object(schema, "properties"), *required = json_put_array(schema, "required");
    for (skip_blanks(at); **at != '\0' && **at != '}'; skip_blanks(at)) {
        struct slice name = word_take(at);
        if (!skip(at, '?'))
            json_push_string(required, name);
        CHECK(skip(at, ':'));
        write_type(json_put_named_object(properties, name), at);
    }
}

void shape_write(struct json *schema, const char *members)
{
    write_members(schema, &members);
    CHECK(*members == '\0');
}
