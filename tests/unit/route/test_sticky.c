/* tests/unit/route/test_sticky.c - sticky splits: who moves when weights do, and values that hold for ever. */
#include "route/sticky.h"

#include <criterion/criterion.h>

#include <stdio.h>

#define USERS 20000

static const struct sticky_pair no_pair = { UINT32_MAX, UINT32_MAX, 0 };

static uint64_t hash_of(const char *name)
{
    return sticky_entry_hash(slice_from_cstr(name));
}

/* The i-th digit of a row of picks. */
static uint32_t digit(const char *digits, unsigned i)
{
    return (uint32_t)(digits[i] - '0');
}

static uint32_t pick(const char *route, unsigned user, const uint64_t *hashes, const uint32_t *weights, uint32_t count,
                     const struct sticky_pair *pair)
{
    char key[32];
    int len = snprintf(key, sizeof key, "user-%u", user);
    return sticky_pick(sticky_salt(slice_from_cstr(route)), slice_from(key, (size_t)len), hashes, weights, count, pair);
}

/* From another implementation, with floating logarithms, in another language. A change here moves real users and is
   never right. */
Test(sticky, golden_values_hold_for_ever)
{
    static const char *const names[] = { "checkout-v1", "checkout-v2", "checkout-v3" };
    const uint64_t hashes[] = { hash_of(names[0]), hash_of(names[1]), hash_of(names[2]) };
    static const char thirds[] = "101201220010010120120002100022210020200112022212";
    static const char ninety[] = "001000000000000000000000000000000000000000000012";
    static const char paired[] = "111202221011000020020002101022221021210002122212";
    const struct sticky_pair pair = { 0, 1, 300000 };
    cr_assert_eq(sticky_salt(SLICE("checkout")), UINT64_C(0xf1edebc6f926419e), "%llx",
                 (unsigned long long)sticky_salt(SLICE("checkout")));
    cr_assert_eq(hashes[0], UINT64_C(0xad369611e7ce5c59), "%llx", (unsigned long long)hashes[0]);
    for (unsigned i = 0; i < sizeof thirds - 1; i++) {
        const uint32_t even[] = { 1, 1, 1 }, uneven[] = { 90, 9, 1 }, three[] = { 2, 2, 4 };
        cr_assert_eq(pick("checkout", i, hashes, even, 3, &no_pair), digit(thirds, i), "user %u", i);
        cr_assert_eq(pick("checkout", i, hashes, uneven, 3, NULL), digit(ninety, i), "user %u", i);
        cr_assert_eq(pick("checkout", i, hashes, three, 3, &pair), digit(paired, i), "user %u", i);
    }
}

Test(sticky, shares_are_met_within_chance)
{
    const uint64_t hashes[] = { hash_of("a"), hash_of("b"), hash_of("c"), hash_of("d") };
    const uint32_t weights[] = { 9000, 900, 90, 10 };
    uint32_t counts[4] = { 0 };
    for (unsigned user = 0; user < 10 * USERS; user++)
        counts[pick("r", user, hashes, weights, 4, &no_pair)]++;
    for (int i = 0; i < 4; i++) {
        double expected = 10.0 * USERS * weights[i] / 10000;
        double off = counts[i] - expected;
        cr_assert_lt(off * off, 16 * expected, "entry %d: %u instead of %.0f", i, counts[i], expected);
    }
}

Test(sticky, raising_a_weight_moves_users_only_towards_it)
{
    const uint64_t hashes[] = { hash_of("a"), hash_of("b"), hash_of("c") };
    const uint32_t before[] = { 80, 15, 5 }, after[] = { 80, 15, 20 };
    uint32_t moved = 0;
    for (unsigned user = 0; user < USERS; user++) {
        uint32_t old = pick("r", user, hashes, before, 3, &no_pair);
        uint32_t new = pick("r", user, hashes, after, 3, &no_pair);
        cr_assert(old == new || new == 2, "user %u went from %u to %u", user, old, new);
        moved += old != new;
    }
    double expected = USERS * (20.0 / 115 - 5.0 / 100);
    cr_assert(moved > expected * 0.9 && moved < expected * 1.1, "%u moved", moved);
}

Test(sticky, only_ratios_of_weights_matter)
{
    const uint64_t hashes[] = { hash_of("a"), hash_of("b") };
    const uint32_t small[] = { 19, 1 }, large[] = { 9500, 500 };
    for (unsigned user = 0; user < USERS; user++)
        cr_assert_eq(pick("r", user, hashes, small, 2, &no_pair), pick("r", user, hashes, large, 2, &no_pair));
}

Test(sticky, adding_an_upstream_moves_users_only_to_it)
{
    const uint64_t before[] = { hash_of("a"), hash_of("b") };
    const uint64_t after[] = { hash_of("new"), hash_of("a"), hash_of("b") };
    const uint32_t weights[] = { 3, 3, 3 };
    for (unsigned user = 0; user < USERS; user++) {
        uint32_t old = pick("r", user, before, weights, 2, &no_pair);
        uint32_t new = pick("r", user, after, weights, 3, &no_pair);
        cr_assert(new == 0 || new == old + 1, "user %u", user);
    }
}

Test(sticky, the_order_of_entries_does_not_matter)
{
    const uint64_t forward[] = { hash_of("a"), hash_of("b"), hash_of("c") };
    const uint64_t backward[] = { hash_of("c"), hash_of("b"), hash_of("a") };
    const uint32_t weights[] = { 1, 5, 2 }, reversed[] = { 2, 5, 1 };
    for (unsigned user = 0; user < USERS; user++)
        cr_assert_eq(pick("r", user, forward, weights, 3, &no_pair),
                     2 - pick("r", user, backward, reversed, 3, &no_pair));
}

Test(sticky, an_entry_without_weight_gets_nobody)
{
    const uint64_t hashes[] = { hash_of("a"), hash_of("b") };
    const uint32_t weights[] = { 0, 1 };
    for (unsigned user = 0; user < USERS; user++)
        cr_assert_eq(pick("r", user, hashes, weights, 2, &no_pair), 1);
}

Test(sticky, raising_the_canary_moves_users_only_from_its_stable)
{
    const uint64_t hashes[] = { hash_of("stable"), hash_of("third"), hash_of("canary") };
    /* The pair holds 60 of 100, however it is shared out: the weights in force follow the step. */
    const uint32_t steps[][3] = { { 60, 40, 0 }, { 54, 40, 6 }, { 30, 40, 30 }, { 0, 40, 60 } };
    const uint32_t shares_ppm[] = { 0, 100000, 500000, 1000000 };
    uint32_t on_canary[4] = { 0 };
    for (unsigned user = 0; user < USERS; user++) {
        uint32_t last = 0;
        for (int step = 0; step < 4; step++) {
            const struct sticky_pair pair = { 0, 2, shares_ppm[step] };
            uint32_t now = pick("r", user, hashes, steps[step], 3, &pair);
            cr_assert(step == 0 || now == last || (last == 0 && now == 2), "user %u", user);
            cr_assert(step != 0 || now != 2, "nobody meets the canary before the start");
            cr_assert(step != 3 || now != 0, "nobody is left on stable at 100 %%");
            on_canary[step] += now == 2;
            last = now;
        }
    }
    double at_ten = 0.6 * 0.1 * USERS, at_all = 0.6 * USERS;
    cr_assert(on_canary[1] > at_ten * 0.88 && on_canary[1] < at_ten * 1.12, "%u", on_canary[1]);
    cr_assert(on_canary[3] > at_all * 0.97 && on_canary[3] < at_all * 1.03, "%u", on_canary[3]);
}

Test(sticky, a_pair_at_zero_leaves_everybody_where_the_plain_split_had_them)
{
    const uint64_t hashes[] = { hash_of("stable"), hash_of("third"), hash_of("canary") };
    const uint32_t weights[] = { 60, 40, 0 };
    const struct sticky_pair pair = { 0, 2, 0 };
    for (unsigned user = 0; user < USERS; user++)
        cr_assert_eq(pick("r", user, hashes, weights, 3, &pair), pick("r", user, hashes, weights, 3, &no_pair));
}

Test(sticky, routes_choose_independently)
{
    const uint64_t hashes[] = { hash_of("a"), hash_of("b") };
    const uint32_t weights[] = { 1, 1 };
    uint32_t same = 0;
    for (unsigned user = 0; user < USERS; user++)
        same += pick("one", user, hashes, weights, 2, NULL) == pick("two", user, hashes, weights, 2, NULL);
    cr_assert(same > USERS * 0.48 && same < USERS * 0.52, "%u agree", same);
}

Test(sticky, samples_nest_as_their_share_grows)
{
    uint64_t salt = sticky_salt(SLICE("beta"));
    uint32_t within[3] = { 0 };
    const uint32_t shares_ppm[] = { 10000, 50000, 500000 };
    for (unsigned user = 0; user < USERS; user++) {
        char key[16];
        struct slice k = slice_from(key, (size_t)snprintf(key, sizeof key, "%u", user));
        bool was_within = false;
        for (int i = 0; i < 3; i++) {
            bool is_within = sticky_is_within(salt, k, shares_ppm[i]);
            cr_assert(is_within || !was_within);
            cr_assert_eq(is_within, sticky_unit(salt, k) < shares_ppm[i] / 1e6);
            within[i] += is_within;
            was_within = is_within;
        }
    }
    cr_assert(within[1] > USERS * 0.043 && within[1] < USERS * 0.057, "%u", within[1]);
    cr_assert(within[2] > USERS * 0.48 && within[2] < USERS * 0.52, "%u", within[2]);
}

/* So many keys that some lie in the first and in the last millionth. */
Test(sticky, shares_of_none_and_all_have_no_exception)
{
    for (unsigned user = 0; user < 3000000; user++) {
        struct slice key = slice_from((const char *)&user, sizeof user);
        if (sticky_is_within(1, key, 0) || !sticky_is_within(1, key, 1000000))
            cr_assert_fail("user %u", user);
    }
}
