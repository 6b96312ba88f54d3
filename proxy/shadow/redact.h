/* shadow/redact.h - what of a request and its answers is never stored or shown: credentials, and what rules name. Pure.
 *
 * A rule is one of three:
 *   authorization      a header, of requests and answers      its value is hidden
 *   $.card.number      a place in a body of JSON              the value there, and everything in it
 *   ?token             an argument of a query, of a form,     its value
 *                      or of an address in a header (Location, Referer)
 *
 * Beside the rules that an operator writes stand those of redact_defaults, which cannot be taken away. What is no JSON
 * cannot be redacted by place, so the bodies of others are not stored at all.
 *
 * Owner: the arena it was compiled into; immutable, any thread. */
#ifndef SHADOW_REDACT_H
#define SHADOW_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json_path.h"
#include "config/model.h"
#include "json/json.h"

#define REDACTED "[redacted]"

extern const struct slice redact_defaults[];
extern const size_t redact_default_count;

struct redact;

const struct redact *redact_compile(struct arena *arena, const struct slice_list *rules);

bool redact_hides_header(const struct redact *r, struct slice name);
/* Adds a request target with the arguments of its query hidden. */
void redact_write_target(const struct redact *r, struct slice target, struct text *out);
/* Adds a header's value: REDACTED, or what is left of it when the arguments of addresses in it are hidden. True: it is
   not the value as it was. */
bool redact_write_header(const struct redact *r, struct slice name, struct slice value, struct text *out);
/* Whether the value at a place in JSON is hidden, by itself or with all around it. */
bool redact_hides_place(const struct redact *r, const struct json_step *steps, size_t count);
/* Adds a value as JSON on one line, cut with "..." after about limit_bytes. `steps` say where it is and are used as the
   stack of the walk: room for JSON_MAX_DEPTH more; unchanged afterwards. value NULL: nothing is added. */
void redact_write_json(const struct redact *r, const struct json *value, struct json_step *steps, size_t count,
                       size_t limit_bytes, struct text *out);

#endif
