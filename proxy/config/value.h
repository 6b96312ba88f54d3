/* config/value.h - one text as a typed value: the same reading for what a user wrote and for defaults, minima and
 * maxima.
 *
 * Defaults and bounds are texts in the table and come through here too: there is one reader per type, a default that
 * would be refused to a user fails the tests, and documents show defaults as a user would write them. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/clock.h"
#include "base/units.h"

#include "config/fields.h"

/* Which members count depends on the type. */
struct value {
    int64_t
        number; /* BOOL, COUNT, DURATION (ms), SIZE (bytes), RATE (count), TIME (unix ms), CHOICE, DECIMAL (millionths) */
    uint32_t period_ms;              /* RATE */
    struct endpoint_address address; /* ADDRESS: borrows from the text */
    struct slice text;               /* TEXT, PATH, ADDRESS: the text itself */
};

/* What a type is called, and how editors check it. Rows of types that are not one text have no `read`. */
struct value_type {
    const char *noun;   /* "a duration" */
    const char *fault;  /* what is wrong with a text that is none: "is not a duration" */
    const char *hint;   /* how to write one */
    const char *schema; /* JSON Schema keywords without braces; NULL: made from the row */
    /* False when the text is not of the type. */
    bool (*read)(const struct setting *row, struct slice text, struct value *out);
};

extern const struct value_type value_types[SETTING_TYPE_COUNT];

/* Why a text is refused, worded for a message: "'KEY': 'TEXT' <fault>". */
struct value_fault {
    const char *fault; /* NULL: the value is good */
    const char *limit; /* completes a fault that ends in "than": the row's min or max */
    const char *hint;  /* or NULL */
};

/* Reads a text of a row whose type has a `read`, and holds it against the row's range, choices and format. */
struct value_fault value_read(const struct setting *row, struct slice text, struct value *out);
/* Writes a value into the row's member (and the one beside) of the struct. Slices are stored as they are. */
void value_store(const struct setting *row, const struct value *value, void *target);

/* Digits, perhaps with a point and up to six more behind it: in millionths. At most 1,000,000,000. */
bool value_read_decimal(struct slice text, int64_t *out_millionths);
/* A date (its 00:00 UTC) or an RFC 3339 time. */
bool value_read_time(struct slice text, struct wall_time *out);
/* The choice of a word, or NULL. */
const struct setting_choice *choice_find(const struct setting_choice *choices, struct slice word);

#endif
