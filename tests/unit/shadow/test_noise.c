/* tests/unit/shadow/test_noise.c - by simulation: noise is called noise, a difference is found soon, at every look. */
#include "shadow/noise.h"

#include "base/hash.h"

#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>

/* One field of a simulated service: how often, of a million pairs, it differs in both, in the shadow alone, in the
   control alone. */
struct simulated {
    const char *name;
    uint32_t both, shadow, control;
};

static uint32_t draw_marks(struct noise *n, struct rng *rng, const struct simulated *fields, uint32_t count,
                           struct noise_mark *marks)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t draw = rng_below(rng, 1000000);
        bool is_both = draw < fields[i].both;
        bool is_shadow = !is_both && draw < fields[i].both + fields[i].shadow;
        bool is_control = !is_both && !is_shadow && draw < fields[i].both + fields[i].shadow + fields[i].control;
        if (!is_both && !is_shadow && !is_control)
            continue;
        uint32_t field = noise_field_id(n, slice_from_cstr(fields[i].name));
        marks[used++] = (struct noise_mark){ field, true, is_both || is_shadow, is_both || is_control };
    }
    return used;
}

static void simulate(struct noise *n, uint64_t seed, const struct simulated *fields, uint32_t count, uint32_t pairs)
{
    struct noise_mark marks[16];
    struct rng rng;
    rng_init(&rng, seed);
    noise_init(n, true);
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t used = draw_marks(n, &rng, fields, count, marks);
        noise_add_pair(n, true, marks, used);
    }
}

static const struct noise_field *field_of(struct noise *n, const char *name)
{
    return &n->fields[noise_field_id(n, slice_from_cstr(name))];
}

static enum verdict verdict_of(struct noise *n, const char *name)
{
    return noise_field_verdict(n, field_of(n, name));
}

/* The issue's own example. */
Test(noise, a_changed_price_is_found_among_noise_within_200_pairs)
{
    static const struct simulated fields[] = {
        { "$.generated_at", 990000, 5000, 5000 }, { "$.id", 1000000, 0, 0 },    { "$.tags[*]", 600000, 150000, 150000 },
        { "$.cached", 20000, 100000, 100000 },    { "$.price", 0, 1000000, 0 },
    };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct noise n;
        simulate(&n, seed, fields, 5, 200);
        cr_expect_eq(verdict_of(&n, "$.price"), VERDICT_DIFFERENT, "seed %llu", (unsigned long long)seed);
        for (int i = 0; i < 4; i++)
            cr_expect_eq(verdict_of(&n, fields[i].name), VERDICT_NOISE, "%s, seed %llu", fields[i].name,
                         (unsigned long long)seed);
        cr_expect_eq(noise_verdict(&n), VERDICT_DIFFERENT);
        noise_fini(&n);
    }
}

/* A price that is wrong in a fifth of the answers only, while it is sometimes noise. */
Test(noise, a_price_that_is_sometimes_wrong_is_found_within_200_pairs)
{
    static const struct simulated fields[] = { { "$.price", 10000, 200000, 5000 } };
    int found = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct noise n;
        simulate(&n, seed, fields, 1, 200);
        found += verdict_of(&n, "$.price") == VERDICT_DIFFERENT;
        noise_fini(&n);
    }
    cr_expect_geq(found, 195);
}

Test(noise, there_is_no_false_field_in_ten_thousand_pairs)
{
    static const struct simulated fields[] = {
        { "$.generated_at", 900000, 50000, 50000 }, { "$.id", 1000000, 0, 0 },
        { "$.tags[*]", 500000, 250000, 250000 },    { "$.rare", 0, 1000, 1000 },
        { "$.often", 0, 400000, 400000 },           { "header:x-node", 0, 300000, 300000 },
    };
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct noise n;
        simulate(&n, seed, fields, 6, 10000);
        cr_expect_neq(noise_verdict(&n), VERDICT_DIFFERENT, "seed %llu", (unsigned long long)seed);
        cr_expect_eq(n.verdicts[VERDICT_DIFFERENT], 0);
        noise_fini(&n);
    }
}

/* The worst that still is noise: theta = 1.2 in every field, looked at after each pair. At most 1 % may alarm; of 1,000
   releases 30 would be more than a chance of one in a million. */
Test(noise, at_the_margin_alarms_stay_within_alpha)
{
    static const struct simulated fields[] = {
        { "a", 0, 300000, 250000 },
        { "b", 0, 300000, 250000 },
        { "c", 0, 60000, 50000 },
        { "d", 100000, 300000, 250000 },
    };
    int alarms = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct noise n;
        simulate(&n, seed, fields, 4, 3000);
        alarms += noise_verdict(&n) == VERDICT_DIFFERENT;
        noise_fini(&n);
    }
    cr_expect_leq(alarms, 30, "%d of 1000", alarms);
}

/* The evidence is a martingale at the margin: its mean over all outcomes of n tosses is 1, and below 1 for less. */
Test(noise, the_evidence_is_fair_at_the_margin)
{
    const unsigned tosses = 40;
    for (int step = 0; step <= 2; step++) {
        double theta = NOISE_MARGIN - 0.1 * step, q = theta / (1 + theta), mean = 0;
        for (unsigned heads = 0; heads <= tosses; heads++) {
            double ways = lgamma(tosses + 1.0) - lgamma(heads + 1.0) - lgamma(tosses - heads + 1.0);
            double log_chance = ways + heads * log(q) + (tosses - heads) * log(1 - q);
            mean += exp(log_chance + noise_log_evidence(heads, tosses - heads));
        }
        if (step == 0)
            cr_expect_float_eq(mean, 1, 1e-9, "%f", mean);
        else
            cr_expect_lt(mean, 1);
    }
    cr_expect_float_eq(noise_log_evidence(0, 0), 0, 1e-12);
    cr_expect(isfinite(noise_log_evidence(10000000, 10)) && noise_log_evidence(10, 10000000) < -1000);
}

Test(noise, the_shares_of_alpha_never_add_up_to_more_than_alpha)
{
    double sum = 0;
    for (uint32_t rank = 1; rank <= NOISE_FIELDS_MAX + 1; rank++) {
        struct noise_field f = { .rank = rank };
        sum += exp(-noise_log_bound(&f));
    }
    cr_expect_lt(sum, NOISE_ALPHA);
    cr_expect_gt(sum, 0.99 * NOISE_ALPHA);
}

/* Whatever order a pair's fields are looked at in. */
Test(noise, fields_of_one_pair_share_a_rank)
{
    struct noise n;
    noise_init(&n, true);
    uint32_t a = noise_field_id(&n, SLICE("a")), b = noise_field_id(&n, SLICE("b")), c = noise_field_id(&n, SLICE("c"));
    struct noise_mark first[] = { { b, true, true, false }, { a, true, false, true } },
                      second[] = { { a, true, true, true }, { c, true, true, true } };
    noise_add_pair(&n, true, first, 2);
    noise_add_pair(&n, true, second, 2);
    cr_expect_eq(n.fields[a].rank, 2);
    cr_expect_eq(n.fields[b].rank, 2);
    cr_expect_eq(n.fields[c].rank, 3);
    noise_fini(&n);
}

/* Without the least excess, a million pairs would shout of three. */
Test(noise, a_true_difference_in_one_pair_of_ten_thousand_is_not_shouted)
{
    struct noise n;
    noise_init(&n, true);
    uint32_t field = noise_field_id(&n, SLICE("$.x"));
    for (uint32_t i = 0; i < 300000; i++) {
        struct noise_mark mark = { field, true, true, false };
        noise_add_pair(&n, true, &mark, i % 10000 == 0 && i > 0 ? 1 : 0);
    }
    cr_expect_eq(n.fields[field].shadow_only, 29);
    cr_expect_gt(n.fields[field].log_evidence_most, noise_log_bound(&n.fields[field]));
    cr_expect_eq(noise_field_verdict(&n, &n.fields[field]), VERDICT_NOISE);
    noise_fini(&n);
}

Test(noise, a_control_that_differs_more_is_noise)
{
    static const struct simulated fields[] = { { "$.x", 0, 10000, 500000 } };
    struct noise n;
    simulate(&n, 1, fields, 1, 5000);
    cr_expect_eq(verdict_of(&n, "$.x"), VERDICT_NOISE);
    cr_expect(noise_field_is_settled(&n, field_of(&n, "$.x")));
    noise_fini(&n);
}

Test(noise, without_a_control_what_differs_is_different)
{
    struct noise n;
    noise_init(&n, false);
    struct noise_mark mark = { noise_field_id(&n, SLICE("status")), false, true, false };
    cr_expect_eq(noise_add_pair(&n, false, NULL, 0), VERDICT_SAME);
    cr_expect_eq(noise_verdict(&n), VERDICT_SAME);
    cr_expect_eq(noise_add_pair(&n, false, &mark, 1), VERDICT_DIFFERENT);
    cr_expect_eq(noise_verdict(&n), VERDICT_DIFFERENT);
    cr_expect_eq(n.verdicts[VERDICT_SAME], 1);
    cr_expect_eq(n.verdicts[VERDICT_DIFFERENT], 1);
    noise_fini(&n);
}

/* A control that is down: nothing is learnt, and nothing called different that was not before. */
Test(noise, pairs_without_the_controls_answer_teach_nothing)
{
    struct noise n;
    noise_init(&n, true);
    struct noise_mark mark = { noise_field_id(&n, SLICE("$.x")), false, true, false };
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(noise_add_pair(&n, false, &mark, 1), VERDICT_NOISE);
    cr_expect_eq(n.fields[mark.field].unchecked, 1000);
    cr_expect_eq(n.checked_count, 0);
    cr_expect_not(noise_field_is_settled(&n, &n.fields[mark.field]));
    mark.is_checked = true;
    for (int i = 0; i < 40; i++)
        noise_add_pair(&n, true, &mark, 1);
    mark.is_checked = false;
    cr_expect_eq(noise_add_pair(&n, false, &mark, 1), VERDICT_DIFFERENT);
    noise_fini(&n);
}

/* A field that is different and sometimes noise: a pair in which the control differs as well proves nothing. */
Test(noise, a_pair_whose_control_differs_too_is_noise)
{
    struct noise n;
    noise_init(&n, true);
    struct noise_mark mark = { noise_field_id(&n, SLICE("$.x")), true, true, false };
    for (int i = 0; i < 40; i++)
        noise_add_pair(&n, true, &mark, 1);
    cr_expect_eq(noise_verdict(&n), VERDICT_DIFFERENT);
    mark.is_control_different = true;
    cr_expect_eq(noise_add_pair(&n, true, &mark, 1), VERDICT_NOISE);
    noise_fini(&n);
}

Test(noise, fields_past_the_limit_are_counted_together)
{
    struct noise n;
    char name[16];
    noise_init(&n, true);
    for (unsigned i = 0; i < NOISE_FIELDS_MAX + 50; i++) {
        snprintf(name, sizeof name, "$.f%u", i);
        uint32_t id = noise_field_id(&n, slice_from_cstr(name));
        cr_assert_eq(id, i < NOISE_FIELDS_MAX ? i + 1 : NOISE_OTHERS);
        cr_assert_eq(noise_field_id(&n, slice_from_cstr(name)), id);
    }
    struct noise_mark mark = { NOISE_OTHERS, true, true, false };
    for (int i = 0; i < 40; i++)
        noise_add_pair(&n, true, &mark, 1);
    cr_expect_eq(noise_field_verdict(&n, &n.fields[NOISE_OTHERS]), VERDICT_DIFFERENT);
    noise_fini(&n);
}
