/* base/json_path.h - places in JSON documents: as an operator writes them, and as a walk through a document meets them.
 *
 *   $              the document               $.items[*]       every item of an array
 *   $.user.name    a member of a member       $.items[0]       the first one
 *   $["a.b"]       a member of any name       $..password      a member of that name at any depth
 *   $.*.id         of every member
 *
 * A pattern stands for the value it names and everything in it. Pure, libc only, since config/ reads patterns and
 * shadow/ uses them. Owner of a parsed pattern: the arena it was parsed into. */
#ifndef BASE_JSON_PATH_H
#define BASE_JSON_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

#define JSON_PATH_STEPS_MAX    32 /* of a pattern */
#define JSON_PATH_ANYWHERE_MAX 2  /* of `..` in a pattern: each costs a match as much as the document is deep */

/* Where a walk is, from the document down: a member or an item of the value before. */
struct json_step {
    struct slice member; /* its name; ptr NULL: an item of an array */
    size_t index;        /* of an item */
    struct slice label;  /* of an item that is known by something else than its index: `id=7`; or empty */
};

struct json_path;

/* NULL when the text is a pattern, else what is wrong with it as the end of a sentence about it. */
const char *json_path_fault(struct slice text);
/* The text must be a pattern. */
const struct json_path *json_path_parse(struct arena *arena, struct slice text);

/* Whether the pattern names exactly the place. */
bool json_path_is(const struct json_path *path, const struct json_step *steps, size_t count);
/* Whether it names the place or something that the place is in. */
bool json_path_covers(const struct json_path *path, const struct json_step *steps, size_t count);

/* Adds the place: $.items[3].price, $.items[id=7].price. */
void json_steps_write(struct text *out, const struct json_step *steps, size_t count);
/* Adds what places that differ in items only have in common: $.items[*].price. */
void json_steps_write_general(struct text *out, const struct json_step *steps, size_t count);

#endif
