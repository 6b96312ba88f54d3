/* admin/describe.h - conditions, keys, matches and owners of the configuration in a person's words. Pure. */
#ifndef ADMIN_DESCRIBE_H
#define ADMIN_DESCRIBE_H

#include "base/text.h"
#include "config/model.h"
#include "json/json.h"

/* `header x-staff equals "1"`, `all of (...)`; NULL: "always". */
void describe_condition(struct text *out, const struct condition_config *condition);
/* `cookie weir_id`; "" for KEY_NONE. */
void describe_key(struct text *out, const struct key_config *key);
/* `host shop.example.com, path prefix /checkout, method GET POST`; "any request" when empty. */
void describe_match(struct text *out, const struct match_config *match);
/* Adds owner, kind, expires, doc and runbook, null where unset. */
void put_ownership(struct json *object, const struct ownership_config *ownership);

#endif
