/* http/fields.h - small numbers for the well-known field names, by perfect hash (gperf).
 *
 * What the proxy asks for on every request (Host, Connection, Content-Length, ...) is found by comparing a number,
 * once its name was looked up when the line was parsed. A name without a row is FIELD_OTHER and is compared as text. */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include "base/slice.h"

/* In the order of the rows, which means nothing and may change; no id is ever stored. One row each in http/fields.def:
   FIELD(ID, "Name-as-we-write-it"). */
enum field_id {
    FIELD_OTHER,
#define FIELD(id, name) FIELD_##id,
#include "http/fields.def"
#undef FIELD
    FIELD_COUNT
};

extern const struct slice field_names[FIELD_COUNT];       /* as HTTP/1.1 likes them, "Content-Length" */
extern const struct slice field_lower_names[FIELD_COUNT]; /* as HTTP/2 has them, "content-length" */

/* ASCII case-insensitive. `name` is a token (validate.h): what is none may be taken for a known name. */
enum field_id field_id_from_name(struct slice name);

#endif
