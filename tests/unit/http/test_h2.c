/* tests/unit/http/test_h2.c - two sessions back to back: messages, bodies, ends, and how they split. */
#include "http/h2.h"

#include <criterion/criterion.h>

#include "http/h2_pair.h"

static struct pair p;

static void answer_when_ended(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event != EV_END)
        return;
    answer(t, 200, "Content-Type: text/plain|Content-Length: 5", BODY_LENGTH);
    send_text(t, "hello");
    h2_send_end(&t->s, NULL);
}

Test(h2, a_request_and_its_answer)
{
    const size_t steps[] = { SIZE_MAX, 1, 2, 3, 7, 64 };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        pair_open(&p, steps[i]);
        p.server.react = answer_when_ended;
        pair_request(&p, "GET", "/a?b", "Host: example.com|X-One: 1", BODY_NONE);
        pair_run(&p);
        cr_expect_str_eq(side_log(&p.server), "head 1 GET /a?b @example.com none {host: example.com|x-one: 1}; end 1; "
                                              "closed 1 complete 0");
        cr_expect_str_eq(side_log(&p.client),
                         "head 1 200 length=5 {content-type: text/plain|content-length: 5}; data 1; end 1; "
                         "closed 1 complete 0");
        cr_assert_str_eq(p.client.streams[0].body.bytes, "hello");
        pair_close(&p);
    }
}
