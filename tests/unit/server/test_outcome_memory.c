/* tests/unit/server/test_outcome_memory.c - ids of outcomes are known over restarts, as far as their evidence is stored. */
#include "store/fixture.h"

#include "base/hash.h"
#include "server/outcome_memory.h"
#include "store/deed.h"

TestSuite(outcome_memory, .init = fixture_init_in_memory, .fini = fixture_fini);

static struct recent known;
static struct outcome_pending pending;

static struct store *restart(struct store *s)
{
    if (s != NULL)
        store_close(s);
    recent_fini(&known);
    outcome_pending_fini(&pending);
    s = open_good();
    outcome_memory_init(&known, s);
    return s;
}

static void end(struct store *s)
{
    store_close(s);
    recent_fini(&known);
    outcome_pending_fini(&pending);
}

static bool save(struct store *s)
{
    struct rollout_row row = { .name = SLICE("r"), .state = SLICE("running") };
    struct outcome_ids ids = outcome_pending_ids(&pending);
    bool is_good = rollouts_save_progress(s, &row, &ids);
    if (is_good)
        outcome_pending_stored(&pending);
    return is_good;
}

static void add(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        outcome_memory_add(&known, &pending, hash_mix(i + 1));
}

static uint64_t known_count(uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (uint64_t i = from; i < to; i++)
        count += recent_has(&known, hash_mix(i + 1));
    return count;
}

Test(outcome_memory, what_was_stored_is_known_and_what_was_not_is_not)
{
    struct store *s = restart(NULL);
    add(0, 100);
    cr_assert(save(s), "%s", store_message(s));
    add(100, 130);
    add(0, 100);
    cr_assert_eq(pending.count, 30, "what is known already is not pending again");
    s = restart(s);
    cr_expect_eq(known_count(0, 100), 100);
    cr_expect_eq(known_count(100, 130), 0);
    add(100, 130);
    struct rollout_row row = { .name = SLICE("r"), .state = SLICE("running") };
    struct deed d = { .audit = { .action = SLICE("a") }, .rollout = &row, .outcomes = outcome_pending_ids(&pending) };
    cr_assert(deed_write(s, &d));
    s = restart(s);
    cr_expect_eq(known_count(0, 130), 130);
    end(s);
}

Test(outcome_memory, the_newest_are_kept_and_no_more)
{
    struct store *s = restart(NULL);
    for (uint64_t i = 0; i < 50000; i += 10000) {
        add(i, i + 10000);
        cr_assert(save(s));
    }
    s = restart(s);
    cr_expect_eq(known_count(50000 - OUTCOME_IDS_KEPT, 50000), OUTCOME_IDS_KEPT);
    cr_expect_eq(known_count(0, 50000 - OUTCOME_IDS_KEPT), 0);
    end(s);
}

Test(outcome_memory, while_nothing_can_be_stored_what_waits_is_bounded_and_the_newest)
{
    struct store *s = restart(NULL);
    add(0, 100000);
    cr_expect_leq(pending.count, RECENT_COUNT);
    uint64_t count = pending.count;
    cr_expect_geq(count, RECENT_COUNT / 2);
    cr_assert(save(s));
    s = restart(s);
    cr_expect_eq(known_count(100000 - count, 100000), count);
    end(s);
}

/* A write that fails leaves them pending, and the evidence without them. */
Test(outcome_memory, ids_and_evidence_are_stored_together_or_not)
{
    struct store *s = restart(NULL);
    struct rollout_row row = { .name = SLICE("r"), .state = SLICE("running"), .detail = SLICE("before") };
    struct deed d = { .audit = { .action = SLICE("a") }, .rollout = &row };
    cr_assert(deed_write(s, &d));
    cr_assert_eq(meddle("CREATE TRIGGER no BEFORE INSERT ON outcome_ids BEGIN SELECT RAISE(ABORT, 'no'); END"),
                 SQLITE_OK);
    add(0, 10);
    row.detail = SLICE("behind");
    struct outcome_ids ids = outcome_pending_ids(&pending);
    cr_assert_not(rollouts_save_progress(s, &row, &ids));
    struct rollout_stored *stored;
    cr_assert(rollouts_load(s, &arena, SLICE("r"), &stored));
    cr_assert(stored != NULL && slice_equal(stored->row.detail, SLICE("before")));
    cr_assert_eq(pending.count, 10);
    cr_assert_eq(meddle("DROP TRIGGER no"), SQLITE_OK);
    cr_assert(save(s));
    s = restart(s);
    cr_expect_eq(known_count(0, 10), 10);
    end(s);
}
