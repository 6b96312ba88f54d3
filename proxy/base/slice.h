/* base/slice.h - borrowed bytes: a pointer and a length, no NUL, no ownership.
 *
 * The string of the house. Whoever returns or keeps a slice says what holds its bytes: a chunk, an arena, the
 * configuration, a literal. Nothing here allocates or copies.
 *
 *   SLICE("")   an empty text that is there     SLICE_NONE   no text at all: ptr NULL, len 0
 *
 * All functions take both, and slice_equal finds them equal; where "absent" means something else than "empty" (the
 * query of a target, the end of a list) the ptr tells them apart. Letters are ASCII letters; a byte from
 * 0x80 up equals only itself. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr; /* may be NULL only when len is 0 */
    size_t len;      /* bytes */
};

#define SLICE(literal) ((struct slice){ (literal), sizeof(literal) - 1 })
#define SLICE_NONE     ((struct slice){ NULL, 0 })
/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct slice slice_from(const char *ptr, size_t len)
{
    return (struct slice){ ptr, len };
}

/* NULL becomes SLICE_NONE. */
static inline struct slice slice_from_cstr(const char *text)
{
    return (struct slice){ text, text ? strlen(text) : 0 };
}

static inline bool slice_is_empty(struct slice s)
{
    return s.len == 0;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII only: what HTTP calls case-insensitive. */
bool slice_equal_nocase(struct slice a, struct slice b);
/* By bytes as unsigned numbers, a prefix before what it begins: less than, equal to or greater than 0. */
int slice_compare(struct slice a, struct slice b);

static inline bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_has_suffix(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* Every text contains the empty one. */
bool slice_contains(struct slice s, struct slice needle);

/* The bytes from `from` on; from is clipped to the length. */
static inline struct slice slice_after(struct slice s, size_t from)
{
    if (from > s.len)
        from = s.len;
    return (struct slice){ s.ptr + from, s.len - from };
}

/* The first `count` bytes, or all when there are fewer. */
static inline struct slice slice_first(struct slice s, size_t count)
{
    return (struct slice){ s.ptr, count < s.len ? count : s.len };
}

/* Index of the first `c`, or s.len when there is none. */
static inline size_t slice_find(struct slice s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

/* Without leading and trailing SP and HTAB. */
struct slice slice_trim(struct slice s);
/* Takes the next item of a separated list off *rest, trimmed; false at the end, where rest->ptr is NULL. Empty items
   are returned as empty slices, so "" holds one and SLICE_NONE none.

     struct slice rest = value, item;
     while (slice_next_item(&rest, ',', &item))
         ...

   Knows no quotes: for lists whose items cannot hold the separator. */
bool slice_next_item(struct slice *rest, char separator, struct slice *item);
/* Decimal digits only, no sign, no overflow; false otherwise. */
bool slice_to_u64(struct slice s, uint64_t *out);

#endif
