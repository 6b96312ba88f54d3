/* http/trace.c - reads traceparent, gives it a new parent id, or starts a trace.
 *
 *   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *   [0 version  [3 trace id, 16 bytes   [36 parent id, 8  [53 flags, 1 */
#include "http/trace.h"

#include "base/hex.h"

#define TRACE_ID_DIGITS   32
#define PARENT_ID_DIGITS  16
#define TRACEPARENT_BYTES 55 /* version 00: "00-" trace id "-" parent id "-" flags */
#define FLAG_SAMPLED      0x01

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_lower_hex(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (digit_value(s.ptr[i]) < 0)
            return false;
    return true;
}

static bool is_all_zero(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '0')
            return false;
    return true;
}

/* Trace Context 3.2: version "-" trace-id "-" parent-id "-" flags; a higher version may have more behind another
   dash. */
static bool traceparent_parse(struct slice value, struct trace_context *out)
{
    if (value.len < TRACEPARENT_BYTES || value.ptr[2] != '-' || value.ptr[35] != '-' || value.ptr[52] != '-')
        return false;
    struct slice version = slice_from(value.ptr, 2);
    struct slice trace_id = slice_from(value.ptr + 3, TRACE_ID_DIGITS);
    struct slice parent_id = slice_from(value.ptr + 36, PARENT_ID_DIGITS);
    struct slice flags = slice_from(value.ptr + 53, 2);
    if (!is_lower_hex(version) || !is_lower_hex(trace_id) || !is_lower_hex(parent_id) || !is_lower_hex(flags))
        return false;
    if (slice_equal(version, SLICE("ff")) || is_all_zero(trace_id) || is_all_zero(parent_id))
        return false;
    if (value.len > TRACEPARENT_BYTES && (slice_equal(version, SLICE("00")) || value.ptr[TRACEPARENT_BYTES] != '-'))
        return false;
    memcpy(out->trace_id, trace_id.ptr, TRACE_ID_DIGITS);
    out->flags = (uint8_t)(digit_value(flags.ptr[0]) << 4 | digit_value(flags.ptr[1]));
    out->flags &= FLAG_SAMPLED; /* all others are reserved and set to zero on the way out (3.2.2.5) */
    return true;
}

static void trace_begin(struct trace_context *out, uint64_t high, uint64_t low)
{
    hex_put_u64(high, out->trace_id);
    hex_put_u64(low != 0 ? low : 1, out->trace_id + 16); /* an id of zeros is invalid */
    out->flags = 0;
}

/* "00-" trace id "-" parent id "-" flags, by hand: every request has one. */
static struct slice traceparent_text(struct arena *arena, const struct trace_context *t)
{
    char *text = arena_alloc(arena, TRACEPARENT_BYTES);
    memcpy(text, "00-", 3);
    memcpy(text + 3, t->trace_id, TRACE_ID_DIGITS);
    text[35] = '-';
    memcpy(text + 36, t->parent_id, PARENT_ID_DIGITS);
    text[52] = '-';
    text[53] = '0';
    text[54] = (t->flags & FLAG_SAMPLED) != 0 ? '1' : '0';
    return slice_from(text, TRACEPARENT_BYTES);
}

void trace_carry(struct message *m, struct arena *arena, const uint64_t random[3], struct trace_context *out)
{
    const struct field *f = message_field(m, FIELD_TRACEPARENT);
    bool is_single = f != NULL && message_next_field(m, f) == NULL;
    if (!is_single || !traceparent_parse(f->value, out)) {
        trace_begin(out, random[0], random[1]);
        message_drop(m, FIELD_TRACESTATE);
    }
    out->trace_id[TRACE_ID_DIGITS] = '\0';
    hex_put_u64(random[2] != 0 ? random[2] : 1, out->parent_id);
    out->parent_id[PARENT_ID_DIGITS] = '\0';
    message_drop(m, FIELD_TRACEPARENT);
    message_add(m, arena, FIELD_TRACEPARENT, field_names[FIELD_TRACEPARENT], traceparent_text(arena, out));
}

struct slice trace_child(struct arena *arena, const struct trace_context *of, uint64_t random)
{
    struct trace_context child = *of;
    hex_put_u64(random != 0 ? random : 1, child.parent_id);
    return traceparent_text(arena, &child);
}
