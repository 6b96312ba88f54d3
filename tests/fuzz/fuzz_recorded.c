/* fuzz/fuzz_recorded.c - any bytes as a line of a record: refused with a sentence, or safe to send, and the same when written
 * and read again. */
#include "base/check.h"
#include "http/validate.h"
#include "shadow/recorded.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What whoever sends it relies on: nothing in it ends a line of a head. */
static void check_headers(const struct recorded_header *headers, size_t count)
{
    CHECK(count <= RECORD_HEADERS_MAX);
    for (size_t i = 0; i < count; i++)
        CHECK(is_token(headers[i].name) && is_field_value(headers[i].value));
}

static void check_sendable(const struct recorded *r)
{
    CHECK(is_token(r->method));
    CHECK(r->target.len > 0 && (r->target.ptr[0] == '/' || r->target.ptr[0] == '*'));
    for (size_t i = 0; i < r->target.len; i++)
        CHECK((unsigned char)r->target.ptr[i] > 0x20);
    CHECK(r->host.len == 0 || authority_is_valid(r->host));
    CHECK(r->answer.status == 0 || (r->answer.status >= 100 && r->answer.status <= 999));
    check_headers(r->headers, r->header_count);
    check_headers(r->answer.headers, r->answer.header_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena;
    struct text error = { 0 }, once = { 0 }, twice = { 0 };
    struct recorded r, back;
    arena_init(&arena, NULL, 0);
    if (recorded_read(slice_from((const char *)bytes, length), &arena, &r, &error)) {
        check_sendable(&r);
        recorded_write(&r, &once);
        CHECK(slice_find(text_slice(&once), '\n') == once.len - 1);
        CHECK(recorded_read(slice_first(text_slice(&once), once.len - 1), &arena, &back, &error));
        recorded_write(&back, &twice);
        CHECK(slice_equal(text_slice(&once), text_slice(&twice)));
    } else {
        CHECK(error.len > 0);
    }
    arena_reset(&arena);
    text_fini(&error);
    text_fini(&once);
    text_fini(&twice);
    return 0;
}
