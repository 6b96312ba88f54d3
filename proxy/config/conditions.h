/* config/conditions.h - conditions and keys from nodes, and the words they are written with.
 *
 * Conditions are the one setting with a grammar of its own: a subject with an operator, or all, any, not of others.
 * The words are rows, like settings, so that the schema and the reference list what is read. What a condition means
 * when a request comes is route/condition.h. */
#ifndef CONFIG_CONDITIONS_H
#define CONFIG_CONDITIONS_H

#include "config/fill.h"

/* How a subject is written. */
enum subject_form {
    SUBJECT_WITH_NAME, /* header: NAME; an operator beside it */
    SUBJECT_ALONE,     /* path, host, method: an operator beside it, or as its value */
    SUBJECT_WHOLE      /* source, segment, sample, between: no operator */
};

struct subject_row {
    const char *word;
    enum condition_subject subject;
    enum subject_form form;
    const char *value;  /* what is written after it, for people */
    const char *schema; /* the same as JSON Schema keywords, without braces */
    const char *doc;
};

struct operator_row {
    const char *word;
    enum condition_operator op;
    const char *value;
    const char *schema;
    const char *doc;
};

struct key_row {
    const char *word;
    enum key_kind kind;
    const char *doc;
};

extern const struct subject_row subject_rows[];
extern const size_t subject_row_count;
extern const struct operator_row operator_rows[];
extern const size_t operator_row_count;
extern const struct key_row key_rows[];
extern const size_t key_row_count;

/* NULL when the node is not a condition; the problems are told. `key` is where it stands, for messages. Keys of
   `beside` in the same map are somebody else's (NULL: there are none). segment_index stays CONFIG_NONE until names are
   resolved. */
struct condition_config *condition_read(struct fill *f, const struct node *node, const char *key,
                                        const struct setting_table *beside);
/* Sets KEY_NONE when the node is not a key. */
void key_read(struct fill *f, const struct node *node, const char *key, const struct setting_table *beside,
              struct key_config *out);

#endif
