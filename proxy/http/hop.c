/* http/hop.c - the fields that end at this hop, and those that may not stand in trailers.
 *
 * Three lists: what Connection may not name away, what never goes on, what may not come late. A field that is new to
 * one of them is one row; whether a name needs an id first depends on fields.def only. */
#include "http/validate.h"

/* What Connection may not take away: with it a client could strip what upstreams trust the proxy for. */
static const bool is_protected[FIELD_COUNT] = {
    [FIELD_AUTHORIZATION] = true,
    [FIELD_CONTENT_LENGTH] = true,
    [FIELD_CONTENT_TYPE] = true,
    [FIELD_COOKIE] = true,
    [FIELD_EXPECT] = true,
    [FIELD_FORWARDED] = true,
    [FIELD_HOST] = true,
    [FIELD_SET_COOKIE] = true,
    [FIELD_TRACEPARENT] = true,
    [FIELD_TRACESTATE] = true,
    [FIELD_VIA] = true,
    [FIELD_X_FORWARDED_FOR] = true,
    [FIELD_X_FORWARDED_HOST] = true,
    [FIELD_X_FORWARDED_PROTO] = true,
    [FIELD_X_REQUEST_ID] = true,
    [FIELD_X_WEIR_ERROR] = true,
    [FIELD_X_WEIR_EXPOSURE] = true,
    [FIELD_X_WEIR_UPSTREAM] = true,
};

/* They say something about this connection, whether Connection names them or not (RFC 9110 7.6.1). */
static const enum field_id hop_ids[] = {
    FIELD_CONNECTION, FIELD_KEEP_ALIVE, FIELD_PROXY_CONNECTION, FIELD_TE, FIELD_TRANSFER_ENCODING, FIELD_UPGRADE,
};

/* Trailers come when all decisions are made: framing, routing, rights and instructions to caches would be read by one
   party and not by another (RFC 9110 6.5.1). The ids first, then the names that have none. */
static const enum field_id trailer_ids[] = {
    FIELD_AUTHORIZATION,
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_COOKIE,
    FIELD_DATE,
    FIELD_EXPECT,
    FIELD_FORWARDED,
    FIELD_HOST,
    FIELD_KEEP_ALIVE,
    FIELD_LOCATION,
    FIELD_MAX_FORWARDS,
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_SET_COOKIE,
    FIELD_TE,
    FIELD_TRACEPARENT,
    FIELD_TRACESTATE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_VIA,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_REQUEST_ID,
    FIELD_X_WEIR_ERROR,
    FIELD_X_WEIR_EXPOSURE,
    FIELD_X_WEIR_UPSTREAM,
};

static const char *const trailer_names[] = {
    "age",      "cache-control", "content-encoding",  "content-range", "expires",
    "if-match", "if-none-match", "if-modified-since", "if-range",      "if-unmodified-since",
    "pragma",   "range",         "retry-after",       "vary",          "www-authenticate",
};

static void drop_named_by_connection(struct message *m)
{
    for (const struct field *f = message_field(m, FIELD_CONNECTION); f != NULL; f = message_next_field(m, f)) {
        struct slice rest = f->value, name;
        while (slice_next_item(&rest, ',', &name))
            if (is_token(name) && !is_protected[field_id_from_name(name)])
                message_drop_named(m, name);
    }
}

void hop_by_hop_drop(struct message *m)
{
    drop_named_by_connection(m);
    for (size_t i = 0; i < ARRAY_COUNT(hop_ids); i++)
        if (message_field(m, hop_ids[i]) != NULL)
            message_drop(m, hop_ids[i]);
}

/* RFC 2068 19.7.1.1: long obsolete, and sent by most servers. */
uint64_t hop_keep_alive_s(const struct message *m)
{
    const struct field *f = message_field(m, FIELD_KEEP_ALIVE);
    uint64_t seconds;
    struct slice rest = f != NULL ? f->value : SLICE_NONE, item;
    while (slice_next_item(&rest, ',', &item)) {
        size_t name = slice_find(item, '=');
        if (slice_equal_nocase(slice_trim(slice_first(item, name)), SLICE("timeout")) &&
            slice_to_u64(slice_trim(slice_after(item, name + 1)), &seconds))
            return seconds;
    }
    return UINT64_MAX;
}

void trailers_filter(struct message *trailers)
{
    for (size_t i = 0; i < ARRAY_COUNT(trailer_ids); i++)
        message_drop(trailers, trailer_ids[i]);
    for (size_t i = 0; i < ARRAY_COUNT(trailer_names); i++)
        message_drop_named(trailers, slice_from_cstr(trailer_names[i]));
}
