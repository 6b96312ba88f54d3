/* config/yaml.h - YAML text as a tree of nodes that know their line and column.
 *
 * Numbers and booleans are not told apart here: every scalar is the text that was written, and the type of its setting
 * decides what it means. So "0x10", "1e3", "yes" and "012" surprise nobody, and a name may be "true". */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "base/arena.h"
#include "base/err.h"

/* libyaml would take more; a configuration never needs it, and what reads the tree may recurse. What a file may cost.
   Past each: an error, and the file is not read further. */
#define YAML_BYTES_MAX ((size_t)32 << 20)
#define YAML_DEPTH_MAX 32u
#define YAML_NODES_MAX ((size_t)1 << 20)

enum node_kind {
    NODE_TEXT, /* a scalar; "" when nothing was written */
    NODE_LIST,
    NODE_MAP,
    NODE_BROKEN /* an error was reported for it: readers pass over it in silence */
};

/* Lives in the arena it was parsed into, text included. A map's children are its keys, in order, each with its value
   hanging on it; no two of them are equal. */
struct node {
    enum node_kind kind;
    bool is_quoted;            /* NODE_TEXT in quotes or as a block: never null */
    struct place place;        /* file borrowed from yaml_parse's caller */
    struct slice text;         /* NODE_TEXT; ends in a NUL that it does not count, and holds no other */
    struct node *value;        /* of a key */
    struct node *first, *last; /* children of NODE_LIST and NODE_MAP */
    struct node *next;         /* sibling */
    size_t child_count;
};

/* The document's root; NULL when the text is empty, which is no error here, or when a problem ended the reading. The
   subset of YAML is the one that cannot surprise: one document, no anchors, aliases, tags or merge keys, and plain
   words as keys. */
struct node *yaml_parse(struct arena *arena, const char *file, struct slice bytes, struct err_list *errors);

/* Reports every key of a map that was there before, with both places, and drops it. */
void node_drop_repeated(struct node *map, struct err_list *errors);
void node_append(struct node *parent, struct node *child);
/* The value of a key, or NULL. */
struct node *node_get(const struct node *map, const char *key);
/* Nothing, "~" or "null", not in quotes. */
bool node_is_null(const struct node *node);
/* "a map", "a list", "a text": what stands there, for messages. */
const char *node_kind_name(const struct node *node);

#endif
