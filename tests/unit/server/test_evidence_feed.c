/* tests/unit/server/test_evidence_feed.c - what workers count reaches the evidence once, and sheets stay while they are used. */
#include "server/evidence_feed.h"

#include <criterion/criterion.h>

#include "base/memory.h"

#define WORKER_COUNT 2u

static const struct guardrail guardrails[] = { { .kind = GUARDRAIL_RATIO,
                                                 .identity = 1,
                                                 .name = "error_rate",
                                                 .column = TALLY_ERRORS,
                                                 .margin = 1.5,
                                                 .confidence = 0.99 } };
static struct evidence *evidence;
static struct evidence_feed feed;
static const struct mono_time now = { 1000000 };

static void begin(bool is_sticky)
{
    evidence = memory_zalloc(sizeof *evidence);
    evidence_init(evidence, guardrails, 1, is_sticky);
    feed_init(&feed, evidence, is_sticky, WORKER_COUNT);
}

static void end(void)
{
    feed_fini(&feed);
    evidence_fini(evidence);
    memory_free(evidence);
}

/* So many whole requests of a worker. */
static void serve(struct tally_sheet *sheet, uint32_t worker, enum tally_arm arm, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        tally_begin(&sheet->tallies[worker], arm);
        tally_end(&sheet->tallies[worker], &sheet->rules, arm, 0, 1000);
    }
}

static unsigned sheet_count(void)
{
    unsigned count = 0;
    LIST_FOREACH_SAFE (link, &feed.sheets)
        count++;
    return count;
}

Test(evidence_feed, collects_of_all_workers_and_nothing_twice)
{
    begin(false);
    struct tally_sheet *sheet = feed_publish(&feed, 7, 0.1);
    cr_assert_eq(sheet->generation, 7);
    cr_assert_null(sheet->lanes);
    serve(sheet, 0, TALLY_STABLE, 5);
    serve(sheet, 1, TALLY_STABLE, 4);
    serve(sheet, 1, TALLY_CANARY, 3);
    tally_begin(&sheet->tallies[0], TALLY_CANARY);
    for (int look = 0; look < 3; look++) {
        feed_collect(&feed, now);
        cr_expect_eq(evidence->requests[TALLY_STABLE], 9);
        cr_expect_eq(evidence->requests[TALLY_CANARY], 3);
        cr_expect_eq(evidence->begun[TALLY_CANARY], 4);
    }
    tally_discard(&sheet->tallies[0], TALLY_CANARY);
    feed_collect(&feed, now);
    cr_expect_eq(evidence->requests[TALLY_CANARY], 3);
    cr_expect_eq(evidence->discarded[TALLY_CANARY], 1);
    end();
}

Test(evidence_feed, each_set_of_weights_counts_under_its_own_generation)
{
    begin(false);
    struct tally_sheet *old = feed_publish(&feed, 1, 0.1), *new = feed_publish(&feed, 2, 0.5);
    cr_assert_neq(old, new);
    serve(old, 0, TALLY_CANARY, 2);
    serve(new, 0, TALLY_CANARY, 3);
    feed_collect(&feed, now);
    cr_expect_eq(evidence->generation_count, 2);
    cr_expect_float_eq(evidence->generations[0].share, 0.1, 1e-9);
    cr_expect_float_eq(evidence->generations[1].share, 0.5, 1e-9);
    cr_expect_eq(evidence->requests[TALLY_CANARY], 5, "requests of older weights are not lost");
    cr_expect_eq(evidence->late, 0);
    end();
}

Test(evidence_feed, a_sheet_stays_until_what_began_in_it_has_ended)
{
    begin(false);
    struct tally_sheet *old = feed_publish(&feed, 1, 0.1);
    feed_publish(&feed, 2, 0.5);
    tally_begin(&old->tallies[1], TALLY_CANARY);
    feed_retire(&feed, 1);
    for (int look = 0; look < 5; look++)
        feed_collect(&feed, now);
    cr_assert_eq(sheet_count(), 2, "a request is under way in it");
    tally_end(&old->tallies[1], &old->rules, TALLY_CANARY, 1u << TALLY_ERRORS, 1000);
    feed_collect(&feed, now);
    cr_expect_eq(evidence->requests[TALLY_CANARY], 1);
    cr_assert_eq(sheet_count(), 2, "one look may have come between two cells of a request");
    feed_collect(&feed, now);
    cr_assert_eq(sheet_count(), 1);
    for (int look = 0; look < 5; look++)
        feed_collect(&feed, now);
    cr_assert_eq(sheet_count(), 1, "the weights of the other are in use");
    cr_assert_not(feed_is_over(&feed));
    end();
}

Test(evidence_feed, looks_that_found_it_settled_do_not_add_up_over_one_that_did_not)
{
    begin(false);
    struct tally_sheet *sheet = feed_publish(&feed, 1, 0.1);
    feed_retire(&feed, 1);
    feed_collect(&feed, now);
    tally_begin(&sheet->tallies[0], TALLY_STABLE);
    feed_collect(&feed, now);
    tally_discard(&sheet->tallies[0], TALLY_STABLE);
    feed_collect(&feed, now);
    cr_assert_eq(sheet_count(), 1);
    feed_collect(&feed, now);
    cr_assert(feed_is_over(&feed));
    end();
}

Test(evidence_feed, one_that_nobody_asks_any_more_ends_by_itself)
{
    begin(true);
    struct tally_sheet *sheet = feed_publish(&feed, 1, 0.1);
    tally_begin(&sheet->tallies[0], TALLY_CANARY);
    feed.evidence = NULL;
    feed_retire(&feed, 1);
    feed_collect(&feed, now);
    sheet_note_user(sheet, 0, TALLY_CANARY, 7, 999999, 0);
    tally_end(&sheet->tallies[0], &sheet->rules, TALLY_CANARY, 0, 1000);
    feed_collect(&feed, now);
    feed_collect(&feed, now);
    cr_expect(feed_is_over(&feed));
    cr_expect_eq(evidence->requests[TALLY_CANARY], 0);
    end();
}

Test(evidence_feed, firsts_of_sticky_users_come_from_every_worker_once)
{
    begin(true);
    struct tally_sheet *sheet = feed_publish(&feed, 1, 0.5);
    cr_assert_not_null(sheet->lanes);
    cr_assert(sheet->rules.is_sticky);
    sheet_note_user(sheet, 0, TALLY_STABLE, 11, 600000, 0);
    sheet_note_user(sheet, 1, TALLY_CANARY, 12, 100000, 0);
    sheet_note_user(sheet, 1, TALLY_CANARY, 12, 100000, 0);
    for (int look = 0; look < 3; look++) {
        feed_collect(&feed, now);
        cr_expect_eq(evidence->compared[TALLY_STABLE], 1);
        cr_expect_eq(evidence->compared[TALLY_CANARY], 1);
    }
    end();
}
