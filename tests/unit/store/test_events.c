/* tests/unit/store/test_events.c - events are found by what they are tied to, and amended. */
#include "store/fixture.h"

#include "store/events.h"

TestSuite(events, .init = fixture_init, .fini = fixture_fini);

static int64_t put_event(struct store *s, int64_t at, const char *kind, const char *subject, const char *detail)
{
    struct event_row event = { .at = { at },
                               .kind = slice_from_cstr(kind),
                               .subject = slice_from_cstr(subject),
                               .detail = slice_from_cstr(detail) };
    cr_assert(events_append(s, &event));
    return event.id;
}

Test(events, they_are_found_by_what_they_are_tied_to)
{
    struct store *s = open_good();
    put_event(s, 10, "deploy", "v2", "{\"route\":\"shop\"}");
    put_event(s, 20, "deploy", "v2", "{\"route\":\"cart\",\"rollout\":\"r\"}");
    put_event(s, 30, "split.set", "shop", "");
    put_event(s, 40, "rollout.started", "r", "no JSON");
    const struct {
        struct event_filter filter;
        size_t count;
        int64_t newest;
    } rows[] = { { { .limit = 9 }, 4, 4 },
                 { { .limit = 9, .kind = SLICE("deploy") }, 2, 2 },
                 { { .limit = 9, .route = SLICE("shop") }, 2, 3 },
                 { { .limit = 9, .rollout = SLICE("r") }, 2, 4 },
                 { { .limit = 9, .rollout = SLICE("none") }, 0, 0 },
                 { { .limit = 9, .since = { 20 } }, 3, 4 },
                 { { .limit = 9, .since = { 20 }, .until = { 30 } }, 2, 3 },
                 { { .limit = 9, .is_told = true }, 2, 2 },
                 { { .limit = 1, .before_id = 3 }, 1, 2 } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct event_row *list;
        size_t count;
        cr_assert(events_find(s, &arena, &rows[i].filter, &list, &count));
        cr_expect_eq(count, rows[i].count, "row %zu: %zu", i, count);
        cr_expect(count == 0 || list[0].id == rows[i].newest, "row %zu", i);
    }
    store_close(s);
}

Test(events, one_can_be_amended_and_one_that_is_gone_cannot)
{
    struct store *s = open_good();
    struct event_row *event;
    int64_t id = put_event(s, 10, "deploy", "v2", "{}");
    cr_assert(events_amend(s, id, SLICE("{\"metrics\":1}")));
    cr_assert(events_get(s, &arena, id, &event));
    cr_assert(event != NULL && slice_equal(event->detail, SLICE("{\"metrics\":1}")) && event->at.unix_ms == 10);
    cr_assert(events_amend(s, id + 1, SLICE("{}")));
    cr_assert(events_get(s, &arena, id + 1, &event));
    cr_assert_null(event);
    store_close(s);
}
