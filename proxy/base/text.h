/* base/text.h - a growing byte string, for answers and documents off the data path.
 *
 * For what is made piece by piece and whose length nobody knows before: JSON of the admin API, metrics, masked
 * configurations. Heap memory that doubles as it grows; a request's small texts come from its arena instead. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "base/slice.h"

/* Embedded; all zero is an empty one. bytes[len] is always NUL once anything was added. */
struct text {
    char *bytes;          /* owned; NULL while nothing was added */
    size_t len, capacity; /* bytes; len without the NUL, capacity with it */
};

void text_init(struct text *t);
void text_fini(struct text *t);
void text_clear(struct text *t); /* keeps the memory */
/* What is added may not point into the text itself, which may move. */
void text_add(struct text *t, struct slice s);
void text_add_cstr(struct text *t, const char *s);
void text_add_char(struct text *t, char c);
/* Shortens to at most len bytes, and never inside a character of UTF-8. */
void text_cut(struct text *t, size_t len);
void text_printf(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* Adds s as the inside of a JSON string: quotes, backslash and controls escaped; bytes that are not UTF-8 become
   U+FFFD. */
void text_add_json(struct text *t, struct slice s);
/* Whether text_add_json would keep it as it is: well-formed UTF-8 throughout. */
bool text_is_utf8(struct slice s);

/* Borrowed until the text changes. */
static inline struct slice text_slice(const struct text *t)
{
    return slice_from(t->bytes ? t->bytes : "", t->len);
}

#endif
