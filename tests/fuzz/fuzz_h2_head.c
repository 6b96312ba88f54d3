/* fuzz/fuzz_h2_head.c - blocks of HTTP/2 fields: whatever is accepted is, written as HTTP/1.1, the same message.
 *
 * Input: a byte that says what the block is, then for each field a length and a name, a length and a value. */
#include "round_trip.h"

#include <nghttp2/nghttp2.h>

#include "base/check.h"

#include "http/h2_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { IS_RESPONSE = 1, IS_TRAILERS = 2, IS_END = 4, IS_HEAD_METHOD = 8, IS_UPGRADE = 16 };

/* A byte of length, and as much of it as there is; in memory of its own, so that a read past its end is found. */
static struct slice take_text(struct slice *input, struct text *copy)
{
    size_t wanted = input->len > 0 ? (unsigned char)input->ptr[0] : 0;
    *input = slice_after(*input, 1);
    struct slice s = slice_first(*input, wanted);
    *input = slice_after(*input, s.len);
    text_init(copy);
    text_add(copy, s);
    return text_slice(copy);
}

/* What nghttp2 would have refused, we have refused: its own checks are switched off. */
static void check_as_nghttp2(const struct message *m)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        CHECK(nghttp2_check_header_name((const uint8_t *)f->name.ptr, f->name.len));
        CHECK(nghttp2_check_header_value_rfc9113((const uint8_t *)f->value.ptr, f->value.len));
    }
    if (m->is_response || m->method_name.ptr == NULL)
        return;
    CHECK(nghttp2_check_method((const uint8_t *)m->method_name.ptr, m->method_name.len));
    CHECK(nghttp2_check_path((const uint8_t *)m->target.ptr, m->target.len));
    CHECK(nghttp2_check_authority((const uint8_t *)m->authority.ptr, m->authority.len));
}

static void read_block(struct h2_head *r, struct slice input)
{
    while (input.len > 0) {
        struct text name_copy, value_copy;
        struct slice name = take_text(&input, &name_copy), value = take_text(&input, &value_copy);
        h2_head_field(r, name, value);
        text_fini(&name_copy);
        text_fini(&value_copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const struct h1_limits limits = { .request_line_bytes = 600, .head_bytes = 2000, .field_count = 20 };
    if (length == 0)
        return 0;
    enum h2_block block = H2_BLOCK_REQUEST;
    if ((bytes[0] & (IS_RESPONSE | IS_TRAILERS)) != 0)
        block = (bytes[0] & IS_TRAILERS) != 0 ? H2_BLOCK_TRAILERS : H2_BLOCK_RESPONSE;
    struct arena arena;
    struct message m = {
        .method = (bytes[0] & IS_HEAD_METHOD) != 0 ? METHOD_HEAD : METHOD_GET,
        .upgrade = (bytes[0] & IS_UPGRADE) != 0 ? SLICE("websocket") : SLICE_NONE,
    };
    struct h2_head r;
    arena_init(&arena, NULL, 64 * 1024);
    h2_head_begin(&r, block, &limits, 0, &arena, &m);
    read_block(&r, slice_from((const char *)bytes + 1, length - 1));
    bool is_accepted = h2_head_end(&r, (bytes[0] & IS_END) != 0);
    CHECK(is_accepted == (r.reason == REASON_NONE) && (is_accepted || r.error_detail != NULL));
    CHECK(!arena.has_overflowed);
    if (is_accepted)
        check_as_nghttp2(&m);
    if (is_accepted && block != H2_BLOCK_TRAILERS)
        check_downgrade(&m, &arena);
    arena_reset(&arena);
    return 0;
}
