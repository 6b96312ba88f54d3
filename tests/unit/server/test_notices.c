/* tests/unit/server/test_notices.c - a notice is tried again, not too often and not for ever, and its end is told once. */
#include "server/notices.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#define MOST 128

/* What the courier was given, and what came back to the sender. */
static struct notices all;
static struct courier_errand sent[MOST];
static unsigned sent_count, ended_count;
static enum notice_end ended;
static char result[200];
static bool is_full;
static struct mono_time now;

static bool take(void *arg, const struct courier_errand *errand)
{
    (void)arg;
    if (is_full)
        return false;
    sent[sent_count++ % MOST] = *errand;
    return true;
}

static void note(void *arg, const struct notice *notice, enum notice_end end, const char *said)
{
    (void)arg;
    (void)notice;
    ended_count++;
    ended = end;
    snprintf(result, sizeof result, "%s", said);
}

static struct mono_time read_now(void *arg)
{
    (void)arg;
    return now;
}

static void fixture_init(void)
{
    all = (struct notices){ .send = take, .told = note, .now = read_now };
    notices_init(&all);
    sent_count = ended_count = 0;
    is_full = false;
    now = (struct mono_time){ 1000000 };
}

static void fixture_fini(void)
{
    notices_fini(&all);
    cr_assert_eq(all.count, 0);
}

TestSuite(notices, .init = fixture_init, .fini = fixture_fini);

static void order(const char *body, bool replaces)
{
    const struct notice_order o = { .target = SLICE("ops"),
                                    .kind = "webhook",
                                    .cause = "breach",
                                    .subject = SLICE("shop"),
                                    .incident = SLICE("shop-1"),
                                    .url = SLICE("http://hook/x"),
                                    .body = slice_from_cstr(body),
                                    .replaces = replaces };
    notices_send(&all, &o);
}

static void answer(unsigned i, const char *failure, uint16_t status)
{
    const struct courier_answer a = { .failure = failure, .status = status };
    sent[i].done(sent[i].arg, sent[i].ticket, &a);
}

/* Time passes second by second, `seconds` of it. */
static void pass(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        now.us += 1000000;
        notices_look(&all);
    }
}

Test(notices, what_was_taken_is_told_once)
{
    order("{}", false);
    cr_assert_eq(sent_count, 1);
    cr_expect(slice_equal(sent[0].body, SLICE("{}")) && slice_equal(sent[0].method, SLICE("POST")));
    answer(0, NULL, 204);
    cr_expect(ended_count == 1 && ended == NOTICE_TOLD);
    cr_expect_str_eq(result, "answered 204");
    answer(0, NULL, 204);
    pass(300);
    cr_expect(sent_count == 1 && ended_count == 1, "the same answer again is nobody's");
}

Test(notices, what_may_work_later_is_tried_later_and_later_and_given_up)
{
    static const unsigned waits[] = { 2, 8, 32, 60 };
    order("{}", false);
    for (unsigned i = 0; i < NOTICE_TRIES - 1; i++) {
        i % 2 == 0 ? answer(i, "connection refused", 0) : answer(i, NULL, 503);
        cr_assert_eq(ended_count, 0, "try %u was not the last", i + 1);
        pass(waits[i] - 1);
        cr_assert_eq(sent_count, i + 1, "try %u is not due yet", i + 2);
        pass(1);
        cr_assert_eq(sent_count, i + 2, "try %u is due", i + 2);
    }
    answer(NOTICE_TRIES - 1, "connection refused", 0);
    cr_expect(ended_count == 1 && ended == NOTICE_FAILED);
    cr_expect_str_eq(result, "connection refused");
    pass(600);
    cr_expect_eq(sent_count, NOTICE_TRIES);
}

Test(notices, a_second_try_may_be_the_good_one)
{
    order("{}", false);
    answer(0, NULL, 500);
    pass(2);
    answer(1, NULL, 200);
    cr_expect(ended_count == 1 && ended == NOTICE_TOLD);
}

Test(notices, what_is_refused_is_not_asked_again)
{
    static const uint16_t final[] = { 301, 400, 401, 404, 410 }, passing[] = { 408, 429, 500, 502, 503 };
    for (unsigned i = 0; i < 5; i++) {
        order("{}", false);
        answer(sent_count - 1, NULL, final[i]);
        cr_expect(ended_count == i + 1 && ended == NOTICE_FAILED, "%u", final[i]);
    }
    for (unsigned i = 0; i < 5; i++) {
        order("{}", false);
        answer(sent_count - 1, NULL, passing[i]);
        cr_expect(ended_count == 5, "%u", passing[i]);
    }
}

Test(notices, a_courier_that_takes_nothing_now_is_asked_again)
{
    is_full = true;
    order("{}", false);
    cr_assert(sent_count == 0 && ended_count == 0);
    is_full = false;
    pass(2);
    cr_assert_eq(sent_count, 1);
    answer(0, NULL, 200);
    cr_expect(ended == NOTICE_TOLD && ended_count == 1);
}

Test(notices, an_old_state_is_not_told_behind_a_newer_one)
{
    order("raised", true);
    answer(0, NULL, 503);
    order("resolved", true);
    cr_expect(ended_count == 1 && ended == NOTICE_REPLACED);
    answer(1, NULL, 200);
    pass(300);
    cr_expect(sent_count == 2 && ended == NOTICE_TOLD);
}

Test(notices, an_old_state_under_way_is_not_sent_again)
{
    order("raised", true);
    order("resolved", true);
    cr_assert_eq(ended_count, 0);
    answer(0, "timed out", 0);
    cr_expect(ended_count == 1 && ended == NOTICE_REPLACED);
    answer(1, NULL, 200);
    cr_expect(ended_count == 2 && ended == NOTICE_TOLD);
}

Test(notices, news_replaces_nothing)
{
    order("one", false);
    answer(0, NULL, 503);
    order("two", false);
    answer(1, NULL, 200);
    pass(2);
    cr_assert_eq(sent_count, 3);
    cr_expect(slice_equal(sent[2].body, SLICE("one")));
}

Test(notices, too_many_fail_at_once_and_the_others_stay)
{
    for (unsigned i = 0; i < NOTICES_MAX; i++)
        order("{}", false);
    cr_assert(sent_count == NOTICES_MAX && ended_count == 0);
    order("{}", false);
    cr_expect(sent_count == NOTICES_MAX && ended_count == 1 && ended == NOTICE_FAILED);
    for (unsigned i = 0; i < NOTICES_MAX; i++)
        answer(i, NULL, 200);
    cr_expect_eq(ended_count, NOTICES_MAX + 1);
}
