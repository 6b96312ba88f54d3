/* stats/seen.c - two probes into one array of bits. */
#include "stats/seen.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

#include <string.h>

void seen_init(struct seen *s, uint32_t bits)
{
    CHECK(bits >= 64 && (bits & (bits - 1)) == 0);
    s->word_count = bits / 64;
    s->words = memory_zalloc(s->word_count * sizeof *s->words);
    s->added_count = 0;
}

void seen_fini(struct seen *s)
{
    memory_free(s->words);
    s->words = NULL;
}

void seen_clear(struct seen *s)
{
    memset(s->words, 0, s->word_count * sizeof *s->words);
    s->added_count = 0;
}

static bool set_bit(struct seen *s, uint32_t hash)
{
    uint64_t *word = &s->words[(hash >> 6) & (s->word_count - 1)];
    uint64_t bit = (uint64_t)1 << (hash & 63);
    bool is_new = (*word & bit) == 0;
    *word |= bit;
    return is_new;
}

bool seen_add(struct seen *s, uint64_t key, uint32_t kind)
{
    uint64_t hash = hash_mix(key ^ hash_mix(kind + 1));
    bool is_first_new = set_bit(s, (uint32_t)hash), is_second_new = set_bit(s, (uint32_t)(hash >> 32));
    bool is_new = is_first_new || is_second_new;
    s->added_count += is_new;
    return is_new;
}
