/* tests/unit/stats/test_sheet.c - what workers count for a judge comes over whole, and each user once. */
#include "stats/sheet.h"

#include <criterion/criterion.h>
#include <pthread.h>

static struct tally_sheet *sheet_of(uint64_t generation, uint32_t fresh_from_ppm, struct tally_lane *lanes)
{
    struct tally_sheet *sheet = sheet_create(generation, 1);
    sheet->rules.is_sticky = true;
    sheet->rules.fresh_from_ppm = fresh_from_ppm;
    sheet->lanes = lanes;
    return sheet;
}

static unsigned take_all(struct tally_lane *lane, struct tally_first *last)
{
    unsigned count = 0;
    while (tally_ring_take(&lane->ring, last))
        count++;
    return count;
}

Test(sheet, statuses_and_events_are_what_was_asked_for)
{
    struct tally_sheet *sheet = sheet_create(1, 2);
    sheet_add_status(sheet, 429);
    sheet_add_status(sheet, 599);
    sheet_add_event(sheet, SLICE("purchase"));
    sheet_add_event(sheet, SLICE("signup"));
    cr_assert(sheet_is_error(sheet, 429) && sheet_is_error(sheet, 599));
    cr_assert_not(sheet_is_error(sheet, 428) || sheet_is_error(sheet, 430) || sheet_is_error(sheet, 65535));
    cr_assert_eq(sheet_event_column(sheet, SLICE("signup")), 1u << (TALLY_EVENTS + 1));
    cr_assert_eq(sheet_event_column(sheet, SLICE("Signup")), 0);
    sheet_destroy(sheet);
}

Test(sheet, is_settled_when_all_that_began_has_ended)
{
    struct tally_sheet *sheet = sheet_create(1, 2);
    struct tally_counts totals;
    tally_begin(&sheet->tallies[0], TALLY_CANARY);
    tally_begin(&sheet->tallies[1], TALLY_STABLE);
    tally_end(&sheet->tallies[0], &sheet->rules, TALLY_CANARY, 1u << TALLY_ERRORS, 100);
    sheet_sum(sheet, &totals);
    cr_assert_not(sheet_is_settled(&totals));
    cr_assert_eq(totals.columns[TALLY_CANARY][TALLY_ERRORS], 1);
    tally_discard(&sheet->tallies[1], TALLY_STABLE);
    sheet_sum(sheet, &totals);
    cr_assert(sheet_is_settled(&totals));
    sheet_destroy(sheet);
}

Test(sheet, a_user_is_mailed_at_the_first_request_and_the_first_of_each_kind)
{
    struct tally_lane *lanes = tally_lanes_create(1);
    struct tally_sheet *sheet = sheet_of(1, 50000, lanes);
    struct tally_first first;
    sheet_note_user(sheet, 0, TALLY_CANARY, 7, 60000, 0);
    cr_assert_eq(take_all(lanes, &first), 1);
    cr_assert(first.generation == 1 && first.key_hash == 7 && first.arm == TALLY_CANARY && first.columns == 0);
    sheet_note_user(sheet, 0, TALLY_CANARY, 7, 60000, 0);
    cr_assert_eq(take_all(lanes, &first), 0);
    sheet_note_user(sheet, 0, TALLY_CANARY, 7, 60000, 1u << TALLY_ERRORS);
    sheet_note_user(sheet, 0, TALLY_CANARY, 7, 60000, 1u << TALLY_ERRORS);
    cr_assert_eq(take_all(lanes, &first), 1);
    cr_assert_eq(first.columns, 1u << TALLY_ERRORS);
    sheet_note_user(sheet, 0, TALLY_CANARY, 8, 49999, 0);
    cr_assert_eq(take_all(lanes, &first), 0, "had the canary before");
    sheet_destroy(sheet);
    tally_lanes_destroy(lanes, 1);
}

Test(sheet, a_higher_share_meets_everybody_anew_and_older_requests_do_not_disturb_it)
{
    struct tally_lane *lanes = tally_lanes_create(1);
    struct tally_sheet *old = sheet_of(1, 0, lanes), *new = sheet_of(2, 10000, lanes);
    struct tally_first first;
    sheet_note_user(old, 0, TALLY_STABLE, 7, 60000, 0);
    sheet_note_user(new, 0, TALLY_CANARY, 7, 60000, 0);
    cr_assert_eq(take_all(lanes, &first), 2);
    cr_assert_eq(first.generation, 2);
    sheet_note_user(old, 0, TALLY_STABLE, 9, 60000, 0);
    sheet_note_user(new, 0, TALLY_CANARY, 7, 60000, 0);
    cr_assert_eq(take_all(lanes, &first), 0);
    cr_assert_eq(old->tallies[0].unmailed, 1, "said, so that nothing is proven without it");
    sheet_destroy(old);
    sheet_destroy(new);
    tally_lanes_destroy(lanes, 1);
}

Test(sheet, who_finds_the_ring_full_is_mailed_later)
{
    struct tally_lane *lanes = tally_lanes_create(1);
    struct tally_sheet *sheet = sheet_of(1, 0, lanes);
    struct tally_first first;
    unsigned sent = 0;
    for (uint64_t user = 1; lanes->ring.put_count < TALLY_RING_COUNT; user++, sent++)
        sheet_note_user(sheet, 0, TALLY_STABLE, user, 1, 0);
    uint64_t late = UINT64_MAX / 3;
    sheet_note_user(sheet, 0, TALLY_STABLE, late, 1, 0);
    cr_assert_eq(sheet->tallies[0].unmailed, 1);
    cr_assert_eq(take_all(lanes, &first), TALLY_RING_COUNT);
    sheet_note_user(sheet, 0, TALLY_STABLE, late, 1, 0);
    cr_assert_eq(take_all(lanes, &first), 1);
    cr_assert_eq(first.key_hash, late);
    sheet_destroy(sheet);
    tally_lanes_destroy(lanes, 1);
}

enum { SENT_COUNT = 200000 };

static void *send_many(void *arg)
{
    struct tally_sheet *sheet = arg;
    for (uint64_t i = 1; i <= SENT_COUNT; i++)
        sheet_note_user(sheet, 0, TALLY_CANARY, i, 1, 0);
    stats_cell_add(&sheet->tallies[0].begun[TALLY_CANARY], 1); /* the end */
    return NULL;
}

Test(sheet, between_two_threads_firsts_come_whole_and_in_order)
{
    struct tally_lane *lanes = tally_lanes_create(1);
    struct tally_sheet *sheet = sheet_of(1, 0, lanes);
    struct tally_first first;
    pthread_t thread;
    uint64_t taken = 0, last = 0;
    cr_assert_eq(pthread_create(&thread, NULL, send_many, sheet), 0);
    for (bool is_over = false; !is_over;) {
        is_over = sheet->tallies[0].begun[TALLY_CANARY] != 0;
        while (tally_ring_take(&lanes->ring, &first)) {
            cr_assert(first.key_hash > last && first.key_hash <= SENT_COUNT && first.generation == 1);
            last = first.key_hash;
            taken++;
        }
    }
    pthread_join(thread, NULL);
    taken += take_all(lanes, &first);
    cr_assert_geq(taken, TALLY_RING_COUNT / 2);
    cr_assert_leq(taken + sheet->tallies[0].unmailed, SENT_COUNT);
    sheet_destroy(sheet);
    tally_lanes_destroy(lanes, 1);
}
