/* shadow/compare.h - in which fields the answers to one request differ. Pure.
 *
 * Fields, and what is compared of each:
 *   answer                  whether one came at all
 *   status
 *   header:NAME             all lines of that name, in their order; of Set-Cookie names and attributes, no values
 *   body                    length and hash, where it cannot be compared as JSON
 *   $.items[*].price        a value of JSON; (type) and (presence) behind it are fields of their own, so that a time
 *                           stamp whose value is noise is still found when it becomes a number or is left out
 *
 * JSON is looked into when both answers say application/json (or text/json, or +json), without a content-encoding, and
 * both are kept whole and valid: no duplicate members, no numbers or nesting past JSON_MAX_DEPTH that json/ refuses.
 * Members have no order; numbers are compared as numbers (1, 1.0 and 1e0 are one), strings as the characters they stand
 * for ("\u00e9" is "é", composed and decomposed forms are two). Arrays are compared item by item, by the key that an
 * operator named for them, or as a bag.
 *
 * One thing at a time: an answer that did not come has no status; answers with another status are not compared further.
 * So of each field it is known whether shadow and control were both looked at (difference.is_checked): only then is it a
 * toss in the sense of shadow/noise.h.
 *
 * Bounds: COMPARE_FIELDS_MAX fields of a pair, further ones together as one; names and values are cut. The work grows
 * with the bytes that the pair kept, which the pair bounds. Values are redacted before they are put here.
 *
 * Owner: a plan the arena it was built in, immutable, any thread; a comparison who compares, one thread at a time. What it
 * found borrows from its own arena alone and lives until comparison_clear, also when the pair is gone. */
#ifndef SHADOW_COMPARE_H
#define SHADOW_COMPARE_H

#include "base/map.h"
#include "json/json.h"
#include "shadow/pair.h"
#include "shadow/redact.h"

#define COMPARE_FIELDS_MAX  128u /* of one pair; the others count as the field "" */
#define COMPARE_NAME_BYTES  200u /* of a field's name, without what stands in brackets */
#define COMPARE_VALUE_BYTES 200u /* of a value as it is shown */

/* What an operator wants compared, compiled. Immutable. */
struct compare_plan {
    const struct compare_config *config;
    const struct redact *redact;
    const struct json_path **ignored, **unordered, **keyed;
    size_t ignored_count, unordered_count, keyed_count;
    struct slice *key_members; /* of `keyed` */
};

/* Everything is copied into the arena, so that it outlives the configuration. */
const struct compare_plan *compare_plan_build(struct arena *arena, const struct compare_config *config);

/* Names of headers that are not compared unless `headers` names them. */
extern const struct slice compare_ignored_headers[];
extern const size_t compare_ignored_header_count;

/* Whether a header of answers is compared: what `headers` and `ignore_headers` say, else the list above. */
bool compare_wants_header(const struct compare_plan *plan, struct slice name);

/* How far an answer was looked at: each includes those before. */
enum compare_reach {
    REACH_NONE,   /* it was not asked for */
    REACH_ANSWER, /* whether there is one */
    REACH_STATUS,
    REACH_BODY, /* headers, and the body as bytes */
    REACH_JSON  /* the body by structure, or found equal as bytes */
};

/* One field in which the shadow or the control differs from the primary. */
struct difference {
    struct slice field;                   /* "" for those past COMPARE_FIELDS_MAX */
    struct slice place;                   /* the first of its places: $.items[3].price */
    enum compare_reach level;             /* what must have been looked at to see it */
    bool is_checked;                      /* shadow and control were both looked at that far */
    bool is_different[PAIR_SIDE_COUNT];   /* from the primary */
    struct slice values[PAIR_SIDE_COUNT]; /* at `place`; ptr NULL: absent, or not known */
};

/* Embedded. Empty, then filled by one compare_pair, then cleared. */
struct comparison {
    struct arena arena;
    struct map ids; /* field to difference */
    struct difference items[COMPARE_FIELDS_MAX + 1];
    uint32_t count;
    enum compare_reach reach[PAIR_SIDE_COUNT];
};

void comparison_init(struct comparison *c);
void comparison_clear(struct comparison *c);

/* Whether there is something to compare: the primary answered, the shadow was asked. */
bool compare_is_possible(const struct pair *p);
void compare_pair(const struct compare_plan *plan, const struct pair *p, struct comparison *out);

/* A side's document against the primary's. Used by compare_pair. */
void compare_json(const struct compare_plan *plan, const struct json *primary, const struct json *other,
                  enum pair_side side, struct comparison *out);

#endif
