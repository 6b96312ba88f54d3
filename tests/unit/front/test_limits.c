/* tests/unit/front/test_limits.c - shared limits: exact counts, a rate with a burst, no refusal of innocents. */
#include "front/limits.h"

#include <criterion/criterion.h>
#include <pthread.h>

static struct ip_address address(const char *text)
{
    struct ip_address a;
    cr_assert(ip_parse(slice_from_cstr(text), &a));
    return a;
}

static bool enter(struct limits *l, const struct ip_address *a, uint32_t most, uint32_t most_per_source)
{
    uint32_t place;
    return limits_enter(l, a, most, most_per_source, &place);
}

Test(limits, connections_are_counted_in_all_and_per_source)
{
    struct limits *l = limits_create();
    struct ip_address a = address("192.0.2.1"), b = address("192.0.2.2");
    uint32_t place;
    cr_assert(limits_enter(l, &a, 3, 2, &place));
    cr_assert(enter(l, &a, 3, 2));
    cr_assert_not(enter(l, &a, 3, 2), "two per source");
    cr_assert(enter(l, &b, 3, 2), "a refused one does not count");
    cr_assert_not(enter(l, &b, 3, 2), "three in all");
    limits_leave(l, place);
    cr_assert(enter(l, &b, 3, 2));
    cr_assert_not(enter(l, &a, 0, 1), "whom three in all refused has still one");
    limits_destroy(l);
}

Test(limits, a_refused_connection_leaves_no_trace)
{
    struct limits *l = limits_create();
    struct ip_address a = address("192.0.2.1");
    uint32_t place;
    cr_assert(limits_enter(l, &a, 2, 1, &place));
    for (int i = 0; i < 5; i++)
        cr_assert_not(enter(l, &a, 2, 1));
    limits_leave(l, place);
    for (int i = 0; i < 5; i++) {
        cr_assert(limits_enter(l, &a, 1, 1, &place), "its one place is free again");
        cr_assert_not(enter(l, &a, 1, 9), "one in all");
        limits_leave(l, place);
    }
    limits_destroy(l);
}

Test(limits, a_connection_moves_to_its_real_source)
{
    struct limits *l = limits_create();
    struct ip_address peer = address("192.0.2.1"), client = address("192.0.2.2");
    uint32_t places[3];
    for (int i = 0; i < 3; i++)
        cr_assert(limits_enter(l, &peer, 3, 0, &places[i]), "the peer speaks for many");
    cr_assert(limits_move(l, &client, 1, &places[0]));
    cr_assert_not(limits_move(l, &client, 1, &places[1]), "one per source");
    cr_assert_not(enter(l, &client, 0, 1));
    cr_assert(limits_move(l, &peer, 1, &places[2]), "to itself: counted once");
    cr_assert_not(enter(l, &peer, 0, 1), "and of the others nothing is left");
    cr_assert_not(enter(l, &client, 3, 0), "all three still count");
    for (int i = 0; i < 3; i++)
        limits_leave(l, places[i]);
    cr_assert(limits_enter(l, &client, 1, 1, &places[0]));
    cr_assert(limits_enter(l, &peer, 2, 1, &places[1]));
    limits_destroy(l);
}

Test(limits, zero_means_no_limit)
{
    struct limits *l = limits_create();
    struct ip_address a = address("2001:db8::1");
    for (int i = 0; i < 10000; i++)
        cr_assert(enter(l, &a, 0, 0));
    limits_destroy(l);
}

Test(limits, more_sources_than_slots_are_let_in_and_leave_nothing)
{
    enum { SOURCES = 200000 };
    static uint32_t places[SOURCES];
    struct limits *l = limits_create();
    int nowhere_count = 0;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < SOURCES; i++) {
            struct ip_address a = address("2001:db8::");
            memcpy(a.bytes + 12, &i, sizeof(i));
            cr_assert(limits_enter(l, &a, 0, 1, &places[i]));
            nowhere_count += places[i] == LIMITS_NOWHERE;
        }
        cr_assert_geq(nowhere_count, (SOURCES - 65536) * (round + 1));
        cr_assert_lt(nowhere_count, (SOURCES - 60000) * (round + 1), "the slots are used");
        for (uint32_t i = 0; i < SOURCES; i++)
            limits_leave(l, places[i]);
    }
    limits_destroy(l);
}

static bool take(struct limits *l, const struct rate_limit_config *rate, const char *key, int64_t now_us, int64_t *wait)
{
    return limits_take(l, rate, 7, slice_from_cstr(key), (struct mono_time){ now_us }, wait);
}

Test(limits, a_burst_passes_then_the_rate)
{
    struct limits *l = limits_create();
    struct rate_limit_config rate = { .count = 10, .period_ms = 1000, .burst = 5 };
    int64_t now_us = 1000000, wait_ms = 0;
    for (int i = 0; i < 5; i++)
        cr_assert(take(l, &rate, "alice", now_us, &wait_ms), "request %d of the burst", i);
    cr_assert_not(take(l, &rate, "alice", now_us, &wait_ms));
    cr_assert_eq(wait_ms, 100, "one interval of 10/s");
    cr_assert(take(l, &rate, "bob", now_us, &wait_ms), "another key has its own bucket");
    cr_assert(take(l, &rate, "alice", now_us + 100000, &wait_ms));
    cr_assert_not(take(l, &rate, "alice", now_us + 100000, &wait_ms));
    limits_destroy(l);
}

Test(limits, over_a_minute_the_rate_holds_exactly)
{
    struct limits *l = limits_create();
    struct rate_limit_config rate = { .count = 100, .period_ms = 1000, .burst = 20 };
    int64_t wait_ms;
    int passed = 0;
    for (int64_t us = 0; us < 60000000; us += 1000)
        passed += take(l, &rate, "k", 5000000 + us, &wait_ms);
    cr_assert_geq(passed, 6000);
    cr_assert_leq(passed, 6020);
    limits_destroy(l);
}

Test(limits, rates_beyond_a_million_a_second_are_kept_too)
{
    struct limits *l = limits_create();
    struct rate_limit_config rate = { .count = 4000000, .period_ms = 1000, .burst = 1 };
    int64_t wait_ms;
    int passed = 0;
    for (int i = 0; i < 10; i++)
        passed += take(l, &rate, "k", 8000000, &wait_ms);
    cr_assert_eq(passed, 1, "all at one instant: the burst and no more");
    limits_destroy(l);
}

Test(limits, routes_do_not_share_buckets)
{
    struct limits *l = limits_create();
    struct rate_limit_config rate = { .count = 1, .period_ms = 1000, .burst = 1 };
    struct mono_time now = { 9000000 };
    int64_t wait_ms;
    cr_assert(limits_take(l, &rate, 1, SLICE("k"), now, &wait_ms));
    cr_assert(limits_take(l, &rate, 2, SLICE("k"), now, &wait_ms));
    cr_assert_not(limits_take(l, &rate, 1, SLICE("k"), now, &wait_ms));
    limits_destroy(l);
}

struct hammer {
    struct limits *limits;
    int passed;
};

static void *hammer_run(void *arg)
{
    struct hammer *h = arg;
    struct rate_limit_config rate = { .count = 1000, .period_ms = 1000, .burst = 1000 };
    int64_t wait_ms;
    for (int i = 0; i < 5000; i++)
        h->passed += limits_take(h->limits, &rate, 3, SLICE("shared"), (struct mono_time){ 77000000 }, &wait_ms);
    return NULL;
}

Test(limits, threads_together_get_one_burst)
{
    struct limits *l = limits_create();
    struct hammer hammers[4];
    pthread_t threads[4];
    int passed = 0;
    for (int i = 0; i < 4; i++) {
        hammers[i] = (struct hammer){ l, 0 };
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer_run, &hammers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        passed += hammers[i].passed;
    }
    cr_assert_eq(passed, 1000);
    limits_destroy(l);
}
