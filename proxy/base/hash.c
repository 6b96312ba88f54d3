/* base/hash.c - hashes and pseudo-random numbers; all results are the same on every host. */
#include "base/hash.h"

#include "base/check.h"

#include <endian.h>
#include <string.h>

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* Little-endian whatever the host, so that splits agree between hosts. */
static uint64_t load_le64(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

/* The last count < 8 bytes, zeros above. */
static uint64_t load_le_tail(const unsigned char *bytes, size_t count)
{
    uint64_t word = 0;
    if (count & 1)
        word = bytes[count - 1];
    if (count & 2) {
        uint16_t pair;
        memcpy(&pair, bytes + (count & 4), sizeof pair);
        word = word << 16 | le16toh(pair);
    }
    if (count & 4) {
        uint32_t quad;
        memcpy(&quad, bytes, sizeof quad);
        word = word << 32 | le32toh(quad);
    }
    return word;
}

/* v0 to v3 and the constants below are those of the paper. */
struct sip_state {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip_state *s)
{
    s->v0 += s->v1;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v2 = rotate_left(s->v2, 32);
}

static inline void sip_absorb(struct sip_state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

uint64_t hash_siphash(struct hash_key key, const void *bytes, size_t len)
{
    struct sip_state s = {
        .v0 = key.k0 ^ 0x736f6d6570736575u, /* "somepseudorandomlygeneratedbytes" */
        .v1 = key.k1 ^ 0x646f72616e646f6du,
        .v2 = key.k0 ^ 0x6c7967656e657261u,
        .v3 = key.k1 ^ 0x7465646279746573u,
    };
    const unsigned char *at = bytes;
    for (size_t left = len; left >= 8; left -= 8, at += 8)
        sip_absorb(&s, load_le64(at));
    /* The last word carries the length modulo 256, so that "a" and "a\0" differ. */
    sip_absorb(&s, load_le_tail(at, len % 8) | (uint64_t)len << 56);
    s.v2 ^= 0xff;
    for (int round = 0; round < 4; round++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* FNV's prime and basis, eight bytes a step. A product moves bits upwards only: the rotation brings them down again. */
uint64_t hash_bytes(const void *bytes, size_t len)
{
    const uint64_t prime = 0x00000100000001b3u;
    const unsigned char *at = bytes;
    uint64_t h = 0xcbf29ce484222325u ^ len;
    for (size_t left = len; left >= 8; left -= 8, at += 8)
        h = rotate_left((h ^ load_le64(at)) * prime, 29);
    return hash_mix((h ^ load_le_tail(at, len % 8)) * prime);
}

/* ---- XXH64: four lanes of eight bytes a round ---------------------------------------------------------------------- */

#define XXH_1 0x9e3779b185ebca87u
#define XXH_2 0xc2b2ae3d27d4eb4fu
#define XXH_3 0x165667b19e3779f9u
#define XXH_4 0x85ebca77c2b2ae63u
#define XXH_5 0x27d4eb2f165667c5u

static uint64_t xxh_round(uint64_t lane, uint64_t word)
{
    return rotate_left(lane + word * XXH_2, 31) * XXH_1;
}

void hash_stream_init(struct hash_stream *s)
{
    *s = (struct hash_stream){ .lanes = { XXH_1 + XXH_2, XXH_2, 0, -XXH_1 } };
}

static void stripe_absorb(struct hash_stream *s, const unsigned char *stripe)
{
    for (size_t i = 0; i < 4; i++)
        s->lanes[i] = xxh_round(s->lanes[i], load_le64(stripe + 8 * i));
}

/* Whole stripes are taken where they lie; only what a piece leaves over is copied. */
void hash_stream_add(struct hash_stream *s, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    size_t held = s->total_bytes % sizeof s->held;
    s->total_bytes += len;
    if (held > 0 && len >= sizeof s->held - held) {
        size_t missing = sizeof s->held - held;
        memcpy(s->held + held, at, missing);
        stripe_absorb(s, s->held);
        at += missing;
        len -= missing;
        held = 0;
    }
    for (; held == 0 && len >= sizeof s->held; at += sizeof s->held, len -= sizeof s->held)
        stripe_absorb(s, at);
    if (len > 0)
        memcpy(s->held + held, at, len);
}

/* The lanes become one number; short inputs never filled them. */
static uint64_t lanes_merge(const struct hash_stream *s)
{
    static const unsigned turns[4] = { 1, 7, 12, 18 };
    uint64_t h = 0;
    if (s->total_bytes < sizeof s->held)
        return XXH_5;
    for (size_t i = 0; i < 4; i++)
        h += rotate_left(s->lanes[i], turns[i]);
    for (size_t i = 0; i < 4; i++)
        h = (h ^ xxh_round(0, s->lanes[i])) * XXH_1 + XXH_4;
    return h;
}

uint64_t hash_stream_value(const struct hash_stream *s)
{
    const unsigned char *at = s->held;
    size_t left = s->total_bytes % sizeof s->held;
    uint64_t h = lanes_merge(s) + s->total_bytes;
    for (; left >= 8; left -= 8, at += 8)
        h = rotate_left(h ^ xxh_round(0, load_le64(at)), 27) * XXH_1 + XXH_4;
    if (left >= 4) {
        h = rotate_left(h ^ load_le_tail(at, 4) * XXH_1, 23) * XXH_2 + XXH_3;
        left -= 4;
        at += 4;
    }
    for (; left > 0; left--, at++)
        h = rotate_left(h ^ *at * XXH_5, 11) * XXH_1;
    h = (h ^ h >> 33) * XXH_2;
    h = (h ^ h >> 29) * XXH_3;
    return h ^ h >> 32;
}

uint64_t hash_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Seeded as its authors advise, by consecutive splitmix64 outputs. */
void rng_init(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        rng->s[i] = hash_mix(seed + i * 0x9e3779b97f4a7c15u);
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The product's upper half is the answer. Of the 2^32 inputs, 2^32 mod bound too many fall on some answers: those,
   found by the product's lower half, are drawn again. The division is needed only when the lower half is below
   `bound`, which is rare. */
uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    CHECK(bound > 0);
    uint64_t product = (rng_next(rng) >> 32) * bound;
    if ((uint32_t)product < bound) {
        uint32_t threshold = -bound % bound; /* 2^32 mod bound */
        while ((uint32_t)product < threshold)
            product = (rng_next(rng) >> 32) * bound;
    }
    return (uint32_t)(product >> 32);
}
