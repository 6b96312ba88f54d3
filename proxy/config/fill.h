/* config/fill.h - fills structs from nodes as the table says, and words the problems.
 *
 * The reader of everything: it knows types and tables, but no setting. What it cannot read it reports and leaves at
 * its default, so that one mistake makes one message and the rest of the file is still looked at.
 *
 * Functions that return something for a node that does not suit have told so already. */
#ifndef CONFIG_FILL_H
#define CONFIG_FILL_H

#include "base/arena.h"
#include "base/err.h"

#include "config/fields.h"
#include "config/model.h"
#include "config/yaml.h"

struct config_source;
struct file_set;

/* A value that config_text_masked hides. */
struct secret {
    struct slice value;
    struct secret *next;
};

/* One load. Nodes live elsewhere and go away after it: what is kept is copied into the arena. */
struct fill {
    struct arena *arena; /* the configuration's: what is stored in it is copied here */
    struct err_list *errors;
    const struct config_source *source;
    const struct file_set *files; /* where relative file names start */
    struct secret *secrets;       /* found so far, the last one first */
    size_t secret_count;
};

/* Sets every member that a row of the table names: from the map, else from the row's default. map NULL: defaults
   alone. The struct is all zero before. */
void fill_table(struct fill *f, const struct setting_table *table, const struct node *map, void *target);

/* The node's text, copied. */
struct slice fill_text(struct fill *f, const struct node *node);
struct slice fill_lower(struct fill *f, struct slice text); /* a copy in lower case (ASCII) */
/* The same as printable, short text for a message. */
const char *fill_quote(struct fill *f, struct slice text);
/* A file name made absolute: relative ones start at the folder of the file where they are written. */
struct slice fill_path(struct fill *f, struct slice path, struct place place);

/* Whether the node is a text, a list or a map as wanted; says so when it is not. `key` is for the message. */
bool fill_expect(struct fill *f, const struct node *node, enum node_kind kind, const char *key, const char *noun);
/* One text, or a list of texts, each held against the format (or NULL). */
struct slice_list fill_texts(struct fill *f, const struct node *node, const char *key,
                             const struct text_format *format);
/* One text held against a format; false when refused. */
bool fill_formatted(struct fill *f, const struct node *node, const char *key, const struct text_format *format,
                    struct slice *out);
/* One network or a list of them; returns their count. */
size_t fill_networks(struct fill *f, const struct node *node, const char *key, struct ip_network **out);
/* "did you mean 'X'?" when a known word is near; true when it was. */
bool fill_hint_nearest(struct fill *f, struct err *e, struct slice word, const char *const *known, size_t known_count);

#endif
