/* tests/unit/stats/test_drill.c - what a drill's request is to come to, as text: who does not know the token is nobody's. */
#include <criterion/criterion.h>

#include "stats/drill.h"

static const char token[] = "0123456789abcdef0123456789abcdef";

static bool reads(const char *value)
{
    struct drill_request out;
    return drill_request_read(slice_from_cstr(value), token, &out);
}

Test(drill_request, comes_back_as_it_was_written)
{
    const struct drill_request in = { { { 200, 15000, 1 }, { 503, 250000, 128 } } };
    struct drill_request out;
    struct text text = { 0 };
    drill_request_write(token, &in, &text);
    cr_assert(drill_request_read(text_slice(&text), token, &out));
    cr_assert_eq(memcmp(&in.arms[0].latency_us, &out.arms[0].latency_us, sizeof in.arms[0].latency_us), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(in.arms[i].status, out.arms[i].status);
        cr_assert_eq(in.arms[i].latency_us, out.arms[i].latency_us);
        cr_assert_eq(in.arms[i].events, out.arms[i].events);
    }
    text_fini(&text);
}

Test(drill_request, of_another_token_is_nobodys)
{
    cr_assert(reads("0123456789abcdef0123456789abcdef 200 1 0 0 1 0"));
    cr_assert_not(reads("0123456789abcdef0123456789abcdee 200 1 0 0 1 0"));
    cr_assert_not(reads("1123456789abcdef0123456789abcdef 200 1 0 0 1 0"));
    cr_assert_not(reads("0123456789abcdef 200 1 0 0 1 0"));
    cr_assert_not(reads(""));
}

Test(drill_request, without_a_drill_is_nobodys)
{
    static const char none[DRILL_TOKEN_BYTES + 1] = "";
    struct drill_request out;
    char value[64] = { 0 };
    memcpy(value + DRILL_TOKEN_BYTES, " 200 1 0 200 1 0", 17);
    cr_assert_not(drill_request_read(slice_from(value, DRILL_TOKEN_BYTES + 16), none, &out));
}

Test(drill_request, that_is_not_of_its_form_is_refused)
{
    static const char *const bad[] = {
        "",
        " ",
        " 200",
        " 200 1 0",
        " 200 1 0 200 1",
        " 200 1 0 200 1 0 ",
        " 200 1 0 200 1 0 1",
        " 600 1 0 200 1 0",
        " 100 1 0 200 1 0",
        " 200 1 256 200 1 0",
        " 200 -1 0 200 1 0",
        " 200 600000001 0 200 1 0",
        "200 1 0 200 1 0",
        " 200  1 0 200 1 0",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct text text = { 0 };
        text_add_cstr(&text, token);
        text_add_cstr(&text, bad[i]);
        cr_expect_not(reads(text.bytes), "%s", bad[i]);
        text_fini(&text);
    }
}

Test(drill_request, counts_as_an_error_where_its_status_is_one)
{
    struct tally_sheet *sheet = sheet_create(1, 1);
    sheet_add_status(sheet, 503);
    const struct drill_outcome good = { 200, 1, 2 }, bad = { 503, 1, 0 }, broken = { 0, 1, 0 };
    cr_assert_eq(drill_columns(sheet, &good), 1u << (TALLY_EVENTS + 1));
    cr_assert_eq(drill_columns(sheet, &bad), 1u << TALLY_ERRORS);
    cr_assert_eq(drill_columns(sheet, &broken), 1u << TALLY_ERRORS | 1u << TALLY_CONNECT_FAILURES);
    sheet_destroy(sheet);
}
