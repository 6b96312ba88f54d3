/* tests/unit/shadow/test_comparer.c - the thread: what comes in is judged, bounded, kept over a reload, and let go. */
#include "shadow/comparer.h"

#include "shadow/fixture.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* A hook that can be made to wait, so that the queue fills. */
struct watched {
    pthread_mutex_t gate; /* held by the test: the thread stands still */
    _Atomic unsigned verdicts[VERDICT_COUNT], recorded, idle;
};

static void on_verdict(void *arg, uint32_t shadow_id, enum verdict verdict)
{
    struct watched *w = arg;
    pthread_mutex_lock(&w->gate);
    pthread_mutex_unlock(&w->gate);
    cr_assert_eq(shadow_id, 1);
    w->verdicts[verdict]++;
}

static void on_record(void *arg, const struct pair *p)
{
    struct watched *w = arg;
    w->recorded += (p->uses & PAIR_FOR_RECORD) != 0;
}

static void on_idle(void *arg)
{
    struct watched *w = arg;
    w->idle++;
}

static struct watched watched = { .gate = PTHREAD_MUTEX_INITIALIZER };
static struct compare_config config = { .is_on = true };
static struct comparer *comparer;

static void configure(uint32_t shadow_id)
{
    struct compared_shadow shadow = { shadow_id, SLICE("shop"), SLICE("dark"), &config };
    comparer_configure(comparer, &shadow, 1);
}

static void setup(void)
{
    struct comparer_hooks hooks = { &watched, on_verdict, on_record, on_idle };
    comparer = comparer_start(&hooks);
    configure(1);
}

static void teardown(void)
{
    comparer_stop(comparer);
}

TestSuite(comparer, .init = setup, .fini = teardown);

static void settle(void)
{
    while (!comparer_is_idle(comparer))
        sched_yield();
}

static struct slice written(struct arena *arena, enum comparer_part part)
{
    struct text out = { 0 };
    struct json *list = json_create_array();
    comparer_write(comparer, SLICE("shop"), part, list);
    json_write(list, &out);
    json_destroy(list);
    struct slice copy = arena_copy(arena, text_slice(&out));
    text_fini(&out);
    return copy;
}

static void expect_has(enum comparer_part part, const char *wanted)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct slice text = written(&arena, part);
    cr_expect(slice_contains(text, slice_from_cstr(wanted)), "no %s in %.*s", wanted, SLICE_ARG(text));
    arena_reset(&arena);
}

Test(comparer, judges_records_and_shows)
{
    struct pair *recorded = json_pair("1", "1", NULL),
                *unasked = told_pair(&(struct told){ .status = 200 }, NULL, NULL);
    recorded->uses |= PAIR_FOR_RECORD;
    cr_assert(comparer_submit(comparer, json_pair("1", "2", NULL)));
    cr_assert(comparer_submit(comparer, recorded));
    cr_assert(comparer_submit(comparer, unasked));
    settle();
    cr_expect_eq(watched.verdicts[VERDICT_DIFFERENT], 1);
    cr_expect_eq(watched.verdicts[VERDICT_SAME], 1);
    cr_expect_eq(watched.recorded, 1);
    expect_has(COMPARER_FINDINGS, "\"pairs\":{\"same\":1,\"different\":1,\"noise\":0,\"checked\":0,\"skipped\":1}");
    expect_has(COMPARER_DIFFS, "\"shadow\":\"2\"");
    struct json *none = json_create_array();
    cr_expect_eq(comparer_write(comparer, SLICE("other"), COMPARER_FINDINGS, none), 0);
    json_destroy(none);
    while (watched.idle == 0)
        sched_yield();
}

Test(comparer, drops_what_is_past_its_limit_and_goes_on)
{
    unsigned taken = 0, dropped = 0;
    pthread_mutex_lock(&watched.gate);
    for (unsigned i = 0; i < COMPARER_PAIRS_MAX + 100; i++) {
        bool is_taken = comparer_submit(comparer, json_pair("1", "1", NULL));
        taken += is_taken;
        dropped += !is_taken;
    }
    cr_expect_not(comparer_has_room(comparer));
    pthread_mutex_unlock(&watched.gate);
    settle();
    cr_expect_eq(taken, COMPARER_PAIRS_MAX);
    cr_expect_eq(dropped, 100);
    cr_expect_eq(watched.verdicts[VERDICT_SAME], COMPARER_PAIRS_MAX);
    cr_expect(comparer_has_room(comparer));
    cr_expect(comparer_submit(comparer, json_pair("1", "1", NULL)));
}

/* Who stops the proxy wants the requests of its last moments in the file, too. */
Test(comparer, records_what_is_queued_when_it_stops)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < COMPARER_PAIRS_MAX / 2; i++) {
        struct pair *p = json_pair("1", "1", NULL);
        p->uses |= PAIR_FOR_RECORD;
        taken += comparer_submit(comparer, p);
    }
    comparer_stop(comparer);
    cr_expect_eq(watched.recorded, taken);
    setup();
}

Test(comparer, keeps_findings_over_a_reload_and_drops_them_with_other_settings)
{
    struct slice path = SLICE("$.x");
    cr_assert(comparer_submit(comparer, json_pair("1", "2", NULL)));
    settle();
    configure(1);
    cr_assert(comparer_submit(comparer, json_pair("1", "2", NULL)));
    settle();
    expect_has(COMPARER_FINDINGS, "\"different\":2");
    config.ignore_json = (struct slice_list){ &path, 1 };
    configure(1);
    cr_assert(comparer_submit(comparer, json_pair("1", "2", NULL)));
    settle();
    expect_has(COMPARER_FINDINGS, "\"different\":1");
    config.ignore_json = (struct slice_list){ NULL, 0 };
}

Test(comparer, lets_pairs_of_a_shadow_that_is_gone_go)
{
    comparer_configure(comparer, NULL, 0);
    cr_assert(comparer_submit(comparer, json_pair("1", "2", NULL)));
    settle();
    cr_expect_eq(watched.verdicts[VERDICT_DIFFERENT], 0);
}

/* Though the thread has not looked at anything yet. */
Test(comparer, shows_what_is_configured_at_once)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    cr_assert(comparer_submit(comparer, json_pair("1", "2", NULL)));
    pthread_mutex_lock(&watched.gate);
    configure(1);
    expect_has(COMPARER_FINDINGS, "\"upstream\":\"dark\"");
    comparer_configure(comparer, NULL, 0);
    cr_expect(slice_equal(written(&arena, COMPARER_FINDINGS), SLICE("[]")));
    pthread_mutex_unlock(&watched.gate);
    arena_reset(&arena);
}

/* The teardown stops with a full queue. */
Test(comparer, stops_with_a_full_queue)
{
    pthread_mutex_lock(&watched.gate);
    while (comparer_has_room(comparer))
        cr_assert(comparer_submit(comparer, json_pair("1", "1", NULL)));
    pthread_mutex_unlock(&watched.gate);
}
