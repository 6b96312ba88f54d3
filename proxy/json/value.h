/* json/value.h - JSON documents to read: strict parsing, typed access, no exceptions to remember. */
#ifndef JSON_VALUE_H
#define JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/text.h"

/* A node of a document. The root is owned by who parsed it; everything below it is borrowed from the root. Every reader
   takes NULL for "not there", so that paths can be walked without a test at each step. */
struct value;

/* Any JSON text (RFC 8259) in UTF-8; a key twice in one object is an error. NULL: *error says why, in one line. */
struct value *value_parse(struct slice json, struct text *error);
void value_destroy(struct value *root);

bool value_is_object(const struct value *v);
bool value_is_array(const struct value *v);
bool value_is_null(const struct value *v); /* also what is not there */

/* NULL when v is no object or has no such member. */
const struct value *value_member(const struct value *v, const char *name);
/* Items of an array, members of an object; 0 for everything else. */
size_t value_count(const struct value *v);
/* NULL when v is no array or is shorter. */
const struct value *value_item(const struct value *v, size_t index);
/* Walks an object's members in the order written: start with *cursor NULL, false at the end. */
bool value_next(const struct value *v, void **cursor, struct slice *name,
                const struct value **member);

/* Each is false, and leaves *out alone, when v has another type. */
bool value_text(const struct value *v, struct slice *out);
bool value_integer(const struct value *v, int64_t *out);
bool value_number(const struct value *v, double *out); /* integers too */
bool value_bool(const struct value *v, bool *out);

#endif
