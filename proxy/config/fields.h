/* config/fields.h - the shape of THE table: what one row says about one setting.
 *
 * One row is all that the program knows about a setting, and everything that deals with settings walks rows: the
 * reader (config/fill.c), the JSON Schema and the reference (config/describe_*.c), the hints for unknown keys, the
 * masking of secrets, the tests. None of them has a case for a particular setting; what one setting means with another
 * is the table's `finish` or a rule of config/check.c. */
#ifndef CONFIG_FIELDS_H
#define CONFIG_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* How a value is written, and the C type of the member it goes to. "beside" is a second member that the type fills. */
enum setting_type {
    SETTING_BOOL,      /* bool */
    SETTING_COUNT,     /* uint32_t or uint16_t */
    SETTING_DURATION,  /* int64_t, milliseconds */
    SETTING_SIZE,      /* uint64_t, bytes */
    SETTING_SHARE,     /* uint32_t, parts per million */
    SETTING_DECIMAL,   /* double, never negative; bounds are compared in millionths */
    SETTING_RATE,      /* uint32_t count; beside it uint32_t, the period in milliseconds */
    SETTING_TIME,      /* struct wall_time */
    SETTING_CHOICE,    /* an enum or uint16_t */
    SETTING_TEXT,      /* struct slice */
    SETTING_PATH,      /* struct slice: a file or folder, made absolute */
    SETTING_ADDRESS,   /* struct endpoint_address; beside it struct slice, as written */
    SETTING_TEXTS,     /* struct slice_list: one text or a list of them */
    SETTING_NETWORKS,  /* struct ip_network *; beside it size_t, their count */
    SETTING_CONDITION, /* struct condition_config * */
    SETTING_KEY,       /* struct key_config */
    SETTING_TABLE,     /* a struct of its own table, in place */
    SETTING_LIST,      /* pointer to structs of a table; beside it size_t, their count */
    SETTING_MAP,       /* the same by name; the struct's first member is a struct slice for the name */
    SETTING_TYPE_COUNT
};

enum setting_flag {
    SETTING_REQUIRED = 1, /* told when the key is missing */
    SETTING_SECRET = 2,   /* never quoted in messages; hidden by config_text_masked */
    SETTING_INLINE =
        4 /* a condition or key whose own keys stand in the same map as this table's; `name` is for people only */
};

/* What it takes until a changed value is in force. */
enum setting_change { CHANGE_RELOAD, CHANGE_RESTART };

struct setting_choice {
    const char *word;
    int value; /* CHOICE_LATER: known, but not in this version */
    const char *doc;
};
#define CHOICE_LATER (-1)

/* What a text must look like: names, header names, paths. */
struct text_format {
    const char *noun;    /* "a header name" */
    const char *pattern; /* for editors: an ECMA 262 regex that every valid text matches; may accept more */
    const char *hint;    /* what to write; NULL: nothing to add */
    /* NULL when valid, else what is wrong as the end of a sentence about it: "is not a header name". */
    const char *(*fault)(struct slice text);
};

/* One row: one setting. Texts for default, min and max are read by the same parser as the user's. */
struct setting {
    const char *name; /* the YAML key */
    enum setting_type type;
    unsigned flags;
    size_t offset;        /* of the member in its table's struct */
    size_t size_bytes;    /* of the member */
    size_t beside_offset; /* of the member beside; 0: none */
    size_t place_offset;  /* of a struct place that gets the value's; 0: none */
    const char *default_text, *min_text, *max_text;
    /* default_text NULL: all zero. min_text, max_text NULL: whatever the member can hold. */
    const struct setting_choice *choices; /* CHOICE; ends in a NULL word */
    const struct setting_table *table;    /* TABLE, LIST, MAP */
    const struct text_format *format;     /* TEXT, each of TEXTS, the names of MAP, the text of ADDRESS; or NULL */
    enum setting_change change;
    const char *unit; /* what a bare number or 0 means, or NULL */
    const char *doc;  /* one sentence */
};

/* How a table may be written: an item of a list or map in each of these, a table of its own never as its first row only. */
enum table_form {
    TABLE_AS_MAP,
    TABLE_AS_MAP_OR_FIRST, /* as a map, or as just the value of its first row */
    TABLE_AS_FIRST         /* only as the value of its first row */
};

struct fill;
struct node;

struct setting_table {
    const char *name; /* as a type: "upstream" */
    const char *doc;  /* one sentence */
    size_t struct_bytes;
    size_t place_offset; /* of the struct place of the whole; 0: none */
    const struct setting *rows;
    size_t row_count; /* at most 64 */
    enum table_form form;
    /* Keys of capabilities that are not in this version, refused as such and not as unknown; ends in NULL, or NULL. */
    const char *const *later;
    const char *rule; /* what `finish` sees to, as one sentence, or NULL */
    /* What the rows mean together: runs once all of a map are read, before names are resolved. */
    void (*finish)(struct fill *fill, const struct node *map, void *target);
};

/* The whole configuration; every other table hangs on its rows. */
extern const struct setting_table config_table;

/* For documents and tests. Every table once, a table before those its rows name; returns how many. */
#define SETTING_TABLES_MAX 64u
size_t setting_tables(const struct setting_table *out[SETTING_TABLES_MAX]);

/* The row of a key, or NULL. Inline rows have no key. */
const struct setting *setting_find(const struct setting_table *table, struct slice name);

#endif
