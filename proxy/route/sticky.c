/* route/sticky.c - weighted rendezvous hashing in integers, so that every host and compiler picks the same. */
#include "route/sticky.h"

#include "base/check.h"

/* Weighted rendezvous (Thaler, Ravishankar 1998; with the logarithms of Schindelhauer, Schomaker 2005): give entry i a
   uniform u_i that depends on the key and on the entry's name alone; the greatest -w_i / ln u_i wins, and i wins with
   probability w_i / sum. Raising w_i raises only i's score, so users move only towards i.

   It is compared as w_i * L_j > w_j * L_i with L = -ln u in fixed point: libm's log may differ in the last bit
   between hosts, and two proxies that disagree about one user in a billion would still be a bug nobody could find.
   Only ratios of weights matter: 95/5 and 19/1 pick the same. */

__extension__ typedef unsigned __int128 u128;

/* The first halves of the keys of each use of SipHash here: fixed for ever, else users change sides at an upgrade. */
#define KEY_OF_ROUTE  UINT64_C(0x7765697220726f75)
#define KEY_OF_ENTRY  UINT64_C(0x7765697220656e74)
#define KEY_OF_USER   UINT64_C(0x7765697220757365)
#define KEY_OF_PAIR   UINT64_C(0x7765697220706169)
#define KEY_OF_SAMPLE UINT64_C(0x776569722073616d)

static uint64_t hash_slice(uint64_t k0, uint64_t k1, struct slice s)
{
    return hash_siphash((struct hash_key){ k0, k1 }, s.len ? s.ptr : "", s.len);
}

/* A hash of two hashes. */
static uint64_t hash_pair(uint64_t a, uint64_t b)
{
    return hash_siphash((struct hash_key){ a, b }, "", 0);
}

static uint64_t mul_high(uint64_t a, uint64_t b)
{
    return (uint64_t)((u128)a * b >> 64);
}

/* -ln(u / 2^64) in units of 2^-57, u > 0. With m = u shifted up to [1/2, 1): -ln m = 2 artanh z = 2 (z + z^3/3 +
   z^5/5 + ...), z = (1 - m) / (1 + m) <= 1/3; what is left out is below 2^-43 of it. Numbers in [0, 1) are units of
   2^-64. */
static uint64_t log_inverse(uint64_t u)
{
    const uint64_t one = UINT64_MAX, ln2 = UINT64_C(99893036290645747); /* ln 2 in units of 2^-57 */
    unsigned zero_count = (unsigned)__builtin_clzll(u);
    uint64_t m = u << zero_count;
    uint64_t z = (uint64_t)(((u128)((one - m) / 2) << 64) / (one / 2 + m / 2 + 1));
    uint64_t z_squared = mul_high(z, z), tail = 0;
    for (uint64_t n = 25; n >= 3; n -= 2)
        tail = mul_high(tail, z_squared) + one / n;
    uint64_t artanh = z + mul_high(z, mul_high(z_squared, tail));
    return zero_count * ln2 + (artanh >> 6) + 1;
}

/* One competitor: an entry, or a pair under its stable's name. */
struct group {
    uint64_t hash;
    uint64_t weight;
    uint64_t log; /* log_inverse of its number for this key */
};

/* Equal scores (one in billions) go by the name's hash, not by the order of entries. */
static bool group_beats(const struct group *a, const struct group *b)
{
    u128 score_a = (u128)a->weight * b->log;
    u128 score_b = (u128)b->weight * a->log;
    return score_a != score_b ? score_a > score_b : a->hash > b->hash;
}

static bool has_pair(const struct sticky_pair *pair)
{
    return pair != NULL && pair->stable != UINT32_MAX;
}

/* A pair competes as its stable, with both weights: a constant, however its shares move. */
static uint64_t group_weight(uint32_t entry, const uint32_t *weights, const struct sticky_pair *pair)
{
    if (!has_pair(pair) || (entry != pair->stable && entry != pair->canary))
        return weights[entry];
    return entry == pair->stable ? (uint64_t)weights[pair->stable] + weights[pair->canary] : 0;
}

static uint32_t pick_group(uint64_t user, const uint64_t *entry_hashes, const uint32_t *weights, uint32_t entry_count,
                           const struct sticky_pair *pair)
{
    struct group best = { 0 };
    uint32_t picked = UINT32_MAX;
    for (uint32_t i = 0; i < entry_count; i++) {
        struct group g = { entry_hashes[i], group_weight(i, weights, pair), 0 };
        if (g.weight == 0)
            continue;
        g.log = log_inverse(hash_pair(user, g.hash) | 1);
        if (picked == UINT32_MAX || group_beats(&g, &best)) {
            best = g;
            picked = i;
        }
    }
    CHECK(picked != UINT32_MAX);
    return picked;
}

/* hash / 2^64 in millionths, rounded down: below a share exactly when the hash is. */
static uint32_t ppm_of(uint64_t hash)
{
    return (uint32_t)((u128)hash * 1000000 >> 64);
}

static uint32_t pair_ppm(uint64_t user, uint64_t stable_hash, uint64_t canary_hash)
{
    return ppm_of(hash_pair(user ^ KEY_OF_PAIR, hash_pair(stable_hash, canary_hash)));
}

struct sticky_place sticky_place(uint64_t salt, struct slice key, uint64_t stable_hash, uint64_t canary_hash)
{
    uint64_t user = hash_slice(KEY_OF_USER, salt, key);
    return (struct sticky_place){ user, pair_ppm(user, stable_hash, canary_hash) };
}

uint32_t sticky_pick(uint64_t salt, struct slice key, const uint64_t *entry_hashes, const uint32_t *weights,
                     uint32_t entry_count, const struct sticky_pair *pair)
{
    uint64_t user = hash_slice(KEY_OF_USER, salt, key);
    uint32_t picked = pick_group(user, entry_hashes, weights, entry_count, pair);
    if (!has_pair(pair) || picked != pair->stable)
        return picked;
    uint32_t ppm = pair_ppm(user, entry_hashes[pair->stable], entry_hashes[pair->canary]);
    return ppm < pair->canary_ppm ? pair->canary : pair->stable;
}

uint64_t sticky_salt(struct slice route_name)
{
    return hash_slice(KEY_OF_ROUTE, 0, route_name);
}

uint64_t sticky_entry_hash(struct slice upstream_name)
{
    return hash_slice(KEY_OF_ENTRY, 0, upstream_name);
}

double sticky_unit(uint64_t salt, struct slice key)
{
    return (double)(hash_slice(KEY_OF_SAMPLE, salt, key) >> 11) * 0x1p-53;
}

bool sticky_is_within(uint64_t salt, struct slice key, uint32_t share_ppm)
{
    return ppm_of(hash_slice(KEY_OF_SAMPLE, salt, key)) < share_ppm;
}
