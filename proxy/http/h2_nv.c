/* http/h2_nv.c - a message as the list of names and values that nghttp2 takes.
 *
 * nghttp2 copies what it is not told to leave: it writes the head only at h2_send, when message and arena may be gone.
 * Only names from our tables are left where they are. */
#include "http/h2_parts.h"

#include "base/memory.h"

#include "http/validate.h"

#define EXTRA_FIELDS 8 /* pseudo-fields, Content-Length, TE */

/* Written by the codec itself, or never (RFC 9113 8.2.2). */
static const uint64_t codec_fields = 1ull << FIELD_CONNECTION | 1ull << FIELD_CONTENT_LENGTH |
                                     1ull << FIELD_KEEP_ALIVE | 1ull << FIELD_PROXY_CONNECTION | 1ull << FIELD_TE |
                                     1ull << FIELD_TRANSFER_ENCODING | 1ull << FIELD_UPGRADE;

/* Values that are secret or never come twice: no table remembers them. Short Cookies and Authorization nghttp2
   knows. */
static const uint64_t unindexed_fields = 1ull << FIELD_AUTHORIZATION | 1ull << FIELD_PROXY_AUTHORIZATION |
                                         1ull << FIELD_SET_COOKIE | 1ull << FIELD_TRACEPARENT |
                                         1ull << FIELD_TRACESTATE | 1ull << FIELD_X_REQUEST_ID;

/* The list under construction, in the pool's scratch. */
struct nv_list {
    nghttp2_nv *nvs;
    size_t count;
};

static struct nv_list list_begin(struct h2_pool *pool, const struct message *m)
{
    size_t needed = (size_t)m->field_count + EXTRA_FIELDS;
    if (needed > pool->nv_capacity) {
        pool->nvs = memory_resize_array(pool->nvs, needed, sizeof(*pool->nvs));
        pool->nv_capacity = needed;
    }
    return (struct nv_list){ .nvs = pool->nvs };
}

static void add(struct nv_list *l, struct slice name, struct slice value, uint8_t flags)
{
    l->nvs[l->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .valuelen = value.len,
        .flags = flags,
    };
}

static void add_pseudo(struct nv_list *l, struct slice name, struct slice value)
{
    add(l, name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

/* The CHECK: see h1_write_request. */
static void add_fields(struct nv_list *l, const struct message *m, uint64_t left_out)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        if (f->is_dropped || ((left_out >> f->id) & 1) != 0)
            continue;
        CHECK(is_field_value(f->value));
        bool is_known = f->id != FIELD_OTHER;
        uint8_t flags = is_known ? NGHTTP2_NV_FLAG_NO_COPY_NAME : NGHTTP2_NV_FLAG_NONE;
        if ((unindexed_fields >> f->id & 1) != 0)
            flags |= NGHTTP2_NV_FLAG_NO_INDEX;
        add(l, is_known ? field_lower_names[f->id] : f->name, slice_trim(f->value), flags);
    }
}

/* The digits stay in the pool with the list. */
static struct slice number_text(struct h2_pool *pool, uint64_t number)
{
    size_t at = sizeof(pool->digits);
    do {
        pool->digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return slice_from(pool->digits + at, sizeof(pool->digits) - at);
}

static void add_length(struct nv_list *l, struct h2_pool *pool, const struct h1_write *w)
{
    if (w->framing == BODY_LENGTH || (w->framing == BODY_NONE && w->has_content_length))
        add_pseudo(l, field_lower_names[FIELD_CONTENT_LENGTH], number_text(pool, w->content_length));
}

size_t h2_nv_request(struct h2_pool *pool, const struct message *m, struct slice target, struct slice scheme,
                     const struct h1_write *w)
{
    struct nv_list l = list_begin(pool, m);
    bool is_upgrade = w->upgrade.len > 0;
    const struct field *host = message_field(m, FIELD_HOST);
    add_pseudo(&l, SLICE(":method"), is_upgrade ? SLICE("CONNECT") : m->method_name);
    if (is_upgrade) /* RFC 8441 4 */
        add_pseudo(&l, SLICE(":protocol"), w->upgrade);
    add_pseudo(&l, SLICE(":scheme"), scheme);
    add_pseudo(&l, SLICE(":authority"), host != NULL ? host->value : m->authority);
    add_pseudo(&l, SLICE(":path"), target);
    add_fields(&l, m, codec_fields | 1ull << FIELD_HOST);
    add_length(&l, pool, w);
    if (w->wants_trailers)
        add_pseudo(&l, field_lower_names[FIELD_TE], SLICE("trailers"));
    return l.count;
}

size_t h2_nv_response(struct h2_pool *pool, const struct message *m, uint16_t status, const struct h1_write *w)
{
    struct nv_list l = list_begin(pool, m);
    CHECK(status >= 100 && status <= 599);
    pool->status[0] = (char)('0' + status / 100);
    pool->status[1] = (char)('0' + status / 10 % 10);
    pool->status[2] = (char)('0' + status % 10);
    add_pseudo(&l, SLICE(":status"), slice_from(pool->status, 3));
    add_fields(&l, m, codec_fields);
    if (m->status >= 200)
        add_length(&l, pool, w);
    return l.count;
}

size_t h2_nv_trailers(struct h2_pool *pool, const struct message *trailers)
{
    struct nv_list l = list_begin(pool, trailers);
    add_fields(&l, trailers, codec_fields);
    return l.count;
}
