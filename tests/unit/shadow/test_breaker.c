/* tests/unit/shadow/test_breaker.c - a shadow that fails is left alone, tried from time to time, and taken back. */
#include "shadow/breaker.h"

#include <criterion/criterion.h>

static struct breaker breaker;
static struct mono_time now;

static void setup(void)
{
    breaker = (struct breaker){ 0 };
    now = (struct mono_time){ 1000000 };
}

TestSuite(breaker, .init = setup);

static bool allows(bool *is_probe)
{
    bool is_probe_unused;
    return breaker_allows(&breaker, now, is_probe != NULL ? is_probe : &is_probe_unused);
}

static void fail(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        breaker_on_failure(&breaker, now, false);
}

/* The next probe is due after exactly so long; it is begun. */
static void expect_pause(int64_t pause_ms)
{
    bool is_probe;
    struct mono_time opened = now;
    now = mono_add_ms(opened, pause_ms - 1);
    cr_expect_not(allows(NULL), "not yet after %lld ms", (long long)pause_ms);
    now = mono_add_ms(opened, pause_ms);
    cr_expect(allows(&is_probe), "due after %lld ms", (long long)pause_ms);
    cr_expect(is_probe);
}

Test(breaker, some_failures_change_nothing)
{
    bool is_probe;
    fail(BREAKER_FAILURES - 1);
    cr_expect(allows(&is_probe));
    cr_expect_not(is_probe);
}

Test(breaker, an_answer_in_between_starts_anew)
{
    fail(BREAKER_FAILURES - 1);
    cr_expect_not(breaker_on_answer(&breaker), "it was not open");
    fail(BREAKER_FAILURES - 1);
    cr_expect(allows(NULL));
}

Test(breaker, it_opens_once_and_says_so)
{
    fail(BREAKER_FAILURES - 1);
    cr_expect(breaker_on_failure(&breaker, now, false));
    cr_expect_not(breaker_on_failure(&breaker, now, false), "one that was under way");
    cr_expect_not(allows(NULL));
}

Test(breaker, one_probe_at_a_time)
{
    fail(BREAKER_FAILURES);
    expect_pause(BREAKER_PAUSE_FIRST_MS);
    cr_expect_not(allows(NULL));
    breaker_on_nothing(&breaker, true);
    cr_expect(allows(NULL), "the first one told nothing");
}

/* The copy of an upload that a client draws out ends when the client likes. */
Test(breaker, a_probe_that_does_not_end_makes_way)
{
    bool is_probe;
    fail(BREAKER_FAILURES);
    expect_pause(BREAKER_PAUSE_FIRST_MS);
    now = mono_add_ms(now, BREAKER_PAUSE_MAX_MS - 1);
    cr_expect_not(allows(NULL));
    now = mono_add_ms(now, 1);
    cr_expect(allows(&is_probe) && is_probe);
    cr_expect_not(allows(NULL), "one at a time all the same");
    cr_expect(breaker_on_answer(&breaker));
    breaker_on_nothing(&breaker, true); /* the first one, at last */
    cr_expect(allows(&is_probe));
    cr_expect_not(is_probe);
}

Test(breaker, pauses_double_up_to_the_longest)
{
    int64_t pause_ms = BREAKER_PAUSE_FIRST_MS;
    fail(BREAKER_FAILURES);
    for (int i = 0; i < 8; i++) {
        expect_pause(pause_ms);
        cr_expect_not(breaker_on_failure(&breaker, now, true));
        pause_ms = 2 * pause_ms < BREAKER_PAUSE_MAX_MS ? 2 * pause_ms : BREAKER_PAUSE_MAX_MS;
    }
    cr_expect_eq(breaker.pause_ms, BREAKER_PAUSE_MAX_MS);
}

Test(breaker, those_that_began_before_lengthen_no_pause)
{
    fail(BREAKER_FAILURES);
    now = mono_add_ms(now, BREAKER_PAUSE_FIRST_MS / 2);
    fail(10);
    cr_expect_eq(breaker.pause_ms, BREAKER_PAUSE_FIRST_MS);
    now = mono_add_ms(now, BREAKER_PAUSE_FIRST_MS / 2);
    cr_expect(allows(NULL));
}

Test(breaker, any_answer_closes_it)
{
    fail(BREAKER_FAILURES);
    expect_pause(BREAKER_PAUSE_FIRST_MS);
    cr_expect(breaker_on_answer(&breaker));
    cr_expect(allows(NULL));
    fail(BREAKER_FAILURES);
    expect_pause(BREAKER_PAUSE_FIRST_MS);
}
