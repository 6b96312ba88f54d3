/* http/fields.c - names to numbers (a perfect hash that gperf makes from fields.def) and back.
 *
 * Every field line of every message passes here, and most are known: a few table look-ups and two or three word
 * comparisons tell which one it is. A new row in fields.def is all that a new name needs. */
#include "http/fields.h"

#include "base/check.h"

const struct slice field_names[FIELD_COUNT] = {
    [FIELD_OTHER] = { "", 0 },
#define FIELD(id, name) [FIELD_##id] = { name, sizeof(name) - 1 },
#include "http/fields.def"
#undef FIELD
};

const struct slice field_lower_names[FIELD_COUNT] = {
    [FIELD_OTHER] = { "", 0 },
#include "http/fields_lower.h"
};

/* Of the generated file only the hash and the table of words are used: its comparison goes byte by byte. */
static const struct field_word *field_word_find(const char *, size_t) __attribute__((unused));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include "http/fields_hash.h"
#pragma GCC diagnostic pop

static uint64_t load8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint32_t load4(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Whether two tokens of `len` bytes differ in nothing but bit 0x20 of some bytes; the last word may overlap the one
   before. `known` holds only letters and '-', so for a token that is equality without regard to case. */
static bool differs_in_case_only(const char *token, const char *known, size_t len)
{
    uint64_t different = 0;
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            different |= load8(token + i) ^ load8(known + i);
        different |= load8(token + len - 8) ^ load8(known + len - 8);
    } else if (len >= 4) {
        different = load4(token) ^ load4(known);
        different |= load4(token + len - 4) ^ load4(known + len - 4);
    } else {
        for (size_t i = 0; i < len; i++)
            different |= (unsigned char)(token[i] ^ known[i]);
    }
    return (different & ~0x2020202020202020u) == 0;
}

enum field_id field_id_from_name(struct slice name)
{
    if (name.len < MIN_WORD_LENGTH || name.len > MAX_WORD_LENGTH)
        return FIELD_OTHER;
    unsigned slot = field_word_hash(name.ptr, name.len);
    if (slot > MAX_HASH_VALUE)
        return FIELD_OTHER;
    enum field_id id = field_words[slot].id;
    struct slice known = field_names[id];
    if (known.len != name.len || !differs_in_case_only(name.ptr, known.ptr, name.len))
        return FIELD_OTHER;
    return id;
}
