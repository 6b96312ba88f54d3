/* unit/http/test_trace.c - traceparent carried on, or begun anew. */
#include "http/trace.h"

#include <criterion/criterion.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"
#define ZEROS  "00000000000000000000000000000000"

static const uint64_t randoms[3] = { 0x1111111111111111, 0x2222222222222222, 0xabcdef };
static struct arena arena;
static struct message message;

static void begin(void)
{
    arena_init(&arena, NULL, 0);
    message_init(&message, &arena, 0);
}

static void finish(void)
{
    arena_reset(&arena);
}

TestSuite(trace, .init = begin, .fini = finish);

static void add(const char *name, const char *value)
{
    struct slice n = slice_from_cstr(name);
    message_add(&message, &arena, field_id_from_name(n), n, slice_from_cstr(value));
}

/* Exactly one traceparent is in the message, and it is this. */
static void expect_traceparent(const char *wanted)
{
    const struct field *f = message_field(&message, FIELD_TRACEPARENT);
    cr_assert_not_null(f);
    cr_expect(slice_equal(f->value, slice_from_cstr(wanted)), "%.*s", SLICE_ARG(f->value));
    cr_expect_null(message_next_field(&message, f));
}

Test(trace, a_valid_parent_keeps_its_trace_and_gets_a_new_parent_id)
{
    static const char *const rows[][2] = {
        { "00-" TRACE "-" PARENT "-01", "00-" TRACE "-0000000000abcdef-01" },
        { "00-" TRACE "-" PARENT "-00", "00-" TRACE "-0000000000abcdef-00" },
        { "00-" TRACE "-" PARENT "-03", "00-" TRACE "-0000000000abcdef-01" },
        { "00-" TRACE "-" PARENT "-fe", "00-" TRACE "-0000000000abcdef-00" },
        { "01-" TRACE "-" PARENT "-01", "00-" TRACE "-0000000000abcdef-01" },
        { "cc-" TRACE "-" PARENT "-01-what-the-future-brings", "00-" TRACE "-0000000000abcdef-01" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trace_context context;
        begin();
        add("Traceparent", rows[i][0]);
        add("tracestate", "vendor=1");
        trace_carry(&message, &arena, randoms, &context);
        expect_traceparent(rows[i][1]);
        cr_expect_str_eq(context.trace_id, TRACE);
        cr_expect_str_eq(context.parent_id, "0000000000abcdef");
        cr_expect_eq(context.flags, rows[i][1][54] == '1');
        cr_expect_not_null(message_field(&message, FIELD_TRACESTATE));
        finish();
    }
}

Test(trace, an_invalid_parent_begins_a_trace_and_drops_its_state)
{
    static const char *const rows[] = {
        "",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-011",
        "00-" TRACE "-" PARENT "-01-more",
        "cc-" TRACE "-" PARENT "-01x",
        "ff-" TRACE "-" PARENT "-01",
        "0x-" TRACE "-" PARENT "-01",
        "00-" TRACE "-" PARENT "-0g",
        "00-" ZEROS "-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-" TRACE "-B7AD6B7169203331-01",
        "00_" TRACE "-" PARENT "-01",
        "00-" TRACE "_" PARENT "-01",
        "00-" TRACE "-" PARENT "_01",
        "00-" TRACE "-b7ad6b716920333-01",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trace_context context;
        begin();
        add("traceparent", rows[i]);
        add("tracestate", "vendor=1");
        trace_carry(&message, &arena, randoms, &context);
        expect_traceparent("00-11111111111111112222222222222222-0000000000abcdef-00");
        cr_expect_eq(context.flags, 0);
        cr_expect_null(message_field(&message, FIELD_TRACESTATE), "%s", rows[i]);
        finish();
    }
}

Test(trace, two_parents_are_none)
{
    struct trace_context context;
    add("traceparent", "00-" TRACE "-" PARENT "-01");
    add("traceparent", "00-" TRACE "-" PARENT "-01");
    trace_carry(&message, &arena, randoms, &context);
    expect_traceparent("00-11111111111111112222222222222222-0000000000abcdef-00");
}

Test(trace, an_id_is_never_all_zeros)
{
    static const uint64_t zeros[3] = { 0, 0, 0 };
    struct trace_context context;
    trace_carry(&message, &arena, zeros, &context);
    expect_traceparent("00-00000000000000000000000000000001-0000000000000001-00");
}

Test(trace, a_child_shares_all_but_the_parent_id)
{
    struct trace_context context;
    add("traceparent", "00-" TRACE "-" PARENT "-01");
    trace_carry(&message, &arena, randoms, &context);
    struct slice child = trace_child(&arena, &context, 0xfedcba);
    cr_expect(slice_equal(child, SLICE("00-" TRACE "-0000000000fedcba-01")), "%.*s", SLICE_ARG(child));
    cr_expect(slice_equal(trace_child(&arena, &context, 0), SLICE("00-" TRACE "-0000000000000001-01")),
              "zeros are invalid");
    expect_traceparent("00-" TRACE "-0000000000abcdef-01");
}
