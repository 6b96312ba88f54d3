/* tests/unit/upstream/test_balance.c - each way to balance keeps to weights and loads, and passes over who cannot serve. */
#include "upstream/balance.h"

#include "upstream/fixture.h"

#include <stdio.h>
#include <string.h>

static struct house h;

static void open_weighted(const char *plan, enum balance_kind balance, const char *weights)
{
    house_open(&h, plan);
    rng_init(&h.loop->rng, 1);
    h.config.balance = balance;
    for (size_t i = 0; i < h.config.endpoint_count; i++)
        h.endpoints[i].weight = (uint32_t)(weights[i] - '0');
    house_apply(&h);
}

/* The letter of the endpoint that is picked: a, b, c... */
static char pick(const struct endpoint *avoid)
{
    struct endpoint *e = balance_pick(h.upstream, avoid);
    for (uint32_t i = 0; i < h.upstream->endpoint_count; i++)
        if (h.upstream->endpoints[i] == e)
            return (char)('a' + i);
    cr_assert_null(e);
    return '-';
}

/* How often each was picked. */
static void pick_many(int count, int counts[HOUSE_ENDPOINTS_MAX])
{
    memset(counts, 0, sizeof(int) * HOUSE_ENDPOINTS_MAX);
    for (int i = 0; i < count; i++)
        counts[pick(NULL) - 'a']++;
}

static void expect_picks(const char *expected)
{
    char got[64] = "";
    for (size_t i = 0; i < strlen(expected); i++)
        got[i] = pick(NULL);
    cr_assert_str_eq(got, expected);
}

static void set_down(uint32_t index)
{
    endpoint_on_connect_failed(house_endpoint(&h, index), "could not connect");
}

#define FOR_EACH_BALANCE(kind)                                                                                         \
    for (enum balance_kind kind = BALANCE_ROUND_ROBIN; kind <= BALANCE_RANDOM; kind = (enum balance_kind)(kind + 1))

/* ---- round robin --------------------------------------------------------------------------------------------------- */

Test(balance, round_robin_spreads_the_turns_of_a_heavy_endpoint)
{
    open_weighted("LLL", BALANCE_ROUND_ROBIN, "511");
    expect_picks("aabacaa"
                 "aabacaa");
    house_close(&h);
}

Test(balance, round_robin_is_exact_in_every_run_as_long_as_the_sum_of_the_weights)
{
    int counts[HOUSE_ENDPOINTS_MAX];
    open_weighted("LLL", BALANCE_ROUND_ROBIN, "321");
    for (int offset = 0; offset < 13; offset++) {
        pick_many(6, counts);
        cr_assert_eq(counts[0], 3);
        cr_assert_eq(counts[1], 2);
        cr_assert_eq(counts[2], 1);
        pick(NULL); /* the next run starts elsewhere */
    }
    house_close(&h);
}

Test(balance, round_robin_shares_the_turns_of_one_that_is_down_by_weight)
{
    open_weighted("LLL", BALANCE_ROUND_ROBIN, "421");
    set_down(0);
    expect_picks("bcbbcbbcb");
    house_close(&h);
}

Test(balance, round_robin_owes_nothing_to_one_that_was_down)
{
    int counts[HOUSE_ENDPOINTS_MAX];
    open_weighted("LL", BALANCE_ROUND_ROBIN, "11");
    set_down(0);
    pick_many(50, counts);
    endpoint_on_connected(house_endpoint(&h, 0));
    pick_many(4, counts);
    cr_assert_eq(counts[0], 2);
    house_close(&h);
}

/* ---- least request --------------------------------------------------------------------------------------------------- */

Test(balance, least_request_takes_the_least_load_for_its_weight)
{
    static const struct {
        const char *weights;
        uint32_t in_flight[3];
        char picked;
    } cases[] = {
        { "111", { 1, 0, 1 }, 'b' },    { "111", { 7, 9, 6 }, 'c' }, { "411", { 2, 0, 0 }, 'a' }, /* 3/4 < 1 */
        { "411", { 4, 0, 1 }, 'b' },                                                              /* 5/4 > 1 */
        { "129", { 0, 0, 8 }, 'b' },                                                              /* 1, 1/2, 1 */
        { "999", { 90, 80, 70 }, 'c' },
    };
    open_weighted("LLL", BALANCE_LEAST_REQUEST, "111");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (uint32_t j = 0; j < 3; j++) {
            house_endpoint(&h, j)->weight = (uint32_t)(cases[i].weights[j] - '0');
            house_endpoint(&h, j)->in_flight_count = cases[i].in_flight[j];
        }
        for (int again = 0; again < 20; again++) /* wherever it starts */
            cr_assert_eq(pick(NULL), cases[i].picked, "case %zu", i);
    }
    for (uint32_t j = 0; j < 3; j++)
        house_endpoint(&h, j)->in_flight_count = 0;
    house_close(&h);
}

Test(balance, least_request_spreads_ties)
{
    int counts[HOUSE_ENDPOINTS_MAX];
    open_weighted("LLL", BALANCE_LEAST_REQUEST, "111");
    pick_many(3000, counts);
    for (int i = 0; i < 3; i++)
        cr_assert(counts[i] > 870 && counts[i] < 1130, "%c: %d", 'a' + i, counts[i]); /* five sigma */
    house_close(&h);
}

/* ---- random ----------------------------------------------------------------------------------------------------------- */

Test(balance, random_keeps_to_the_weights)
{
    int counts[HOUSE_ENDPOINTS_MAX];
    open_weighted("LLL", BALANCE_RANDOM, "631");
    pick_many(10000, counts);
    cr_assert(counts[0] > 5755 && counts[0] < 6245, "a: %d", counts[0]); /* five sigma each */
    cr_assert(counts[1] > 2770 && counts[1] < 3230, "b: %d", counts[1]);
    cr_assert(counts[2] > 850 && counts[2] < 1150, "c: %d", counts[2]);
    house_close(&h);
}

Test(balance, random_knows_nothing_of_the_last_pick)
{
    int repeats = 0;
    open_weighted("LL", BALANCE_RANDOM, "11");
    char last = pick(NULL);
    for (int i = 0; i < 3000; i++) {
        char next = pick(NULL);
        repeats += next == last;
        last = next;
    }
    cr_assert(repeats > 1363 && repeats < 1637, "%d", repeats); /* five sigma */
    house_close(&h);
}

/* ---- who cannot, and who should not ------------------------------------------------------------------------------------- */

Test(balance, who_is_down_is_passed_over)
{
    FOR_EACH_BALANCE(kind)
    {
        int counts[HOUSE_ENDPOINTS_MAX];
        open_weighted("LLL", kind, "911");
        set_down(0);
        pick_many(100, counts);
        cr_assert_eq(counts[0], 0, "balance %d", (int)kind);
        cr_assert(counts[1] > 0 && counts[2] > 0, "balance %d", (int)kind);
        house_close(&h);
    }
}

Test(balance, who_is_avoided_is_picked_only_when_there_is_no_other)
{
    FOR_EACH_BALANCE(kind)
    {
        open_weighted("LL", kind, "91");
        for (int i = 0; i < 50; i++)
            cr_assert_eq(pick(house_endpoint(&h, 0)), 'b', "balance %d", (int)kind);
        set_down(1);
        for (int i = 0; i < 50; i++)
            cr_assert_eq(pick(house_endpoint(&h, 0)), 'a', "balance %d: the other is down", (int)kind);
        house_close(&h);
        open_weighted("L", kind, "1");
        cr_assert_eq(pick(house_endpoint(&h, 0)), 'a', "balance %d: there is no other", (int)kind);
        house_close(&h);
    }
}

Test(balance, when_all_are_down_one_of_them_is_tried)
{
    FOR_EACH_BALANCE(kind)
    {
        int counts[HOUSE_ENDPOINTS_MAX];
        open_weighted("LL", kind, "11");
        set_down(0);
        set_down(1);
        pick_many(100, counts);
        cr_assert(counts[0] > 0 && counts[1] > 0, "balance %d", (int)kind);
        house_close(&h);
    }
}

Test(balance, nobody_is_picked_when_no_name_has_an_address)
{
    FOR_EACH_BALANCE(kind)
    {
        open_weighted("NN", kind, "11");
        cr_assert_eq(pick(NULL), '-');
        house_close(&h);
    }
}
