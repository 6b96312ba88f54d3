/* config/finish_parts.h - what the hooks of rollouts share: keys that exclude each other, and keys without effect. For
 * config/ only.
 *
 * A key that has no effect where it stands is a misunderstanding, and is told as one. */
#ifndef CONFIG_FINISH_PARTS_H
#define CONFIG_FINISH_PARTS_H

#include "base/check.h"
#include "config/fill.h"
#include "config/model_rollout.h"

/* The place of a key's value, or of the map when it is not written. */
struct place finish_place(const struct node *map, const char *key);
/* "'KEY' FAULT (HINT)"; hint may be NULL. */
void finish_refuse(struct fill *f, const struct node *map, const char *key, const char *fault, const char *hint);
/* Tells each of `keys` that is written though it belongs to something else: "has no effect OWNER". */
void finish_refuse_strangers(struct fill *f, const struct node *map, const char *const *keys, size_t count,
                             const char *owner);
/* The only one of `keys` that is written, as the pointer in `keys`; NULL when it is none or several, which is told. */
const char *finish_find_only(struct fill *f, const struct node *map, const char *const *keys, size_t count,
                             const char *fault, const char *hint);
/* Makes names for guardrails that were given none, and refuses names that stand twice. */
void guardrail_names_finish(struct fill *f, struct rollout_config *r);

#endif
