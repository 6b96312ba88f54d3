/* json/json.h - JSON documents, built and read by typed calls; the only folder that sees jansson.
 *
 * Only the root of a document is owned by its maker (json_destroy); everything below belongs to its parent, so no
 * caller counts references. Pointers into a document live as long as its root, or until their key is put again.
 * Single-threaded. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/slice.h"
#include "base/text.h"

struct json; /* any value; reading functions take NULL for "absent", so that look-ups can be chained */

enum json_kind {
    JSON_KIND_ABSENT, /* a NULL pointer: no such member */
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_NUMBER,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* The maker's own until json_put hands it over. */
struct json *json_create_object(void);
struct json *json_create_array(void);
void json_destroy(struct json *root); /* NULL is harmless */

/* Into an object; a key that is there is replaced. Bytes that are not UTF-8 become U+FFFD. Objects and arrays are
   returned empty, to be filled. */
void json_put_string(struct json *object, const char *key, struct slice value);
void json_put_cstr(struct json *object, const char *key, const char *value); /* NULL: null */
void json_put_i64(struct json *object, const char *key, int64_t value);
void json_put_u64(struct json *object, const char *key, uint64_t value); /* at most INT64_MAX */
void json_put_real(struct json *object, const char *key, double value);  /* not finite: null */
void json_put_bool(struct json *object, const char *key, bool value);
void json_put_null(struct json *object, const char *key);
/* As RFC 3339 in UTC; null when it is 0. */
void json_put_time(struct json *object, const char *key, struct wall_time t);
struct json *json_put_object(struct json *object, const char *key);
struct json *json_put_array(struct json *object, const char *key);
/* Takes a whole document over. */
void json_put(struct json *object, const char *key, struct json *document);
/* A member that is there already, to be filled further; NULL when absent. */
struct json *json_edit(struct json *object, const char *key);
/* A key that is not a C string. */
void json_put_named_u64(struct json *object, struct slice key, uint64_t value);
struct json *json_put_named_object(struct json *object, struct slice key);

/* Behind the last item of an array. */
void json_push_string(struct json *array, struct slice value);
void json_push_i64(struct json *array, int64_t value);
struct json *json_push_object(struct json *array);
/* Takes a whole document over. */
void json_push(struct json *array, struct json *document);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Parses one document (any value); NULL with a sentence that says where otherwise. Refuses duplicate keys, NUL in
   strings and nesting deeper than JSON_MAX_DEPTH. */
#define JSON_MAX_DEPTH 64
struct json *json_parse(struct slice bytes, struct text *error) MUST_CHECK;
/* The same for texts whose cost has to stay small. Values, members and items included, are what it costs more than bytes. */
struct json_limits {
    size_t value_max;
    bool (*may_go_on)(void *arg); /* asked at each KiB: false ends the parse as a fault does; NULL: nobody asks */
    void *arg;
};
struct json *json_parse_limited(struct slice bytes, const struct json_limits *limits, struct text *error) MUST_CHECK;

/* The member, or NULL when it is absent or `object` is no object (also NULL). */
const struct json *json_get(const struct json *object, const char *key);
enum json_kind json_kind(const struct json *value);

/* Conversions none: "5" is no number, 1 is no boolean. False, *out untouched, when the value is NULL or of another
   type. */
bool json_as_string(const struct json *value, struct slice *out);
bool json_as_i64(const struct json *value, int64_t *out);
bool json_as_u64(const struct json *value, uint64_t *out); /* false for negative numbers too */
bool json_as_real(const struct json *value, double *out);  /* whole numbers too */
bool json_as_bool(const struct json *value, bool *out);

/* Items of an array or members of an object; 0 for anything else. */
size_t json_count(const struct json *value);
/* NULL past the end, or when it is no array. */
const struct json *json_at(const struct json *array, size_t index);
/* Walks an object in the order written: start with *cursor = NULL; NULL at the end. */
const struct json *json_next(const struct json *object, void **cursor, struct slice *key);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Members in the order they were put. */
void json_write(const struct json *value, struct text *out);        /* one line, no newline */
void json_write_pretty(const struct json *value, struct text *out); /* indented by two, newline at the end */
/* One form for documents that mean the same: members sorted by name at every depth, no blanks, numbers in full. 1 and
   1.0 stay apart, as a whole number and a fraction. For digests. */
void json_write_canonical(const struct json *value, struct text *out);

#endif
