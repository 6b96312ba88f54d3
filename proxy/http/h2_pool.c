/* http/h2_pool.c - what the HTTP/2 sessions of a worker share: nghttp2's memory, callbacks and options. */
#include "http/h2_parts.h"

#include "base/memory.h"

#define FREE_BYTES_MAX (4u << 20) /* blocks kept for reuse, per worker: what a thousand streams take */
#define OUTBOUND_ACKS  256        /* SETTINGS and PING answers that may wait; more: the peer does not read them */
#define SETTINGS_MAX   32         /* entries of a SETTINGS frame */
#define FIRST_NV_COUNT 64

static void *mem_malloc(size_t size, void *arg)
{
    return blocks_alloc(arg, size);
}

static void mem_free(void *pointer, void *arg)
{
    blocks_free(arg, pointer);
}

static void *mem_calloc(size_t count, size_t size, void *arg)
{
    return blocks_zalloc(arg, count, size);
}

static void *mem_realloc(void *pointer, size_t size, void *arg)
{
    return blocks_resize(arg, pointer, size);
}

static nghttp2_session_callbacks *callbacks_create(void)
{
    nghttp2_session_callbacks *c;
    CHECK(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, h2_on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, h2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, h2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, h2_on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, h2_on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, h2_on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, h2_on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(c, h2_send_data_cb);
    return c;
}

static nghttp2_option *option_create(enum h2_role role)
{
    nghttp2_option *o;
    CHECK(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_no_auto_window_update(o, 1); /* h2_consume gives the window back */
    nghttp2_option_set_no_http_messaging(o, 1);     /* h2_head.c checks heads */
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, OUTBOUND_ACKS);
    nghttp2_option_set_max_settings(o, SETTINGS_MAX);
    /* Ours is the guard: it knows all kinds of vain frames, and a clock that tests can set. */
    nghttp2_option_set_stream_reset_rate_limit(o, UINT64_MAX, 1);
    if (role == H2_CLIENT)
        nghttp2_option_set_peer_max_concurrent_streams(o, 100); /* until its SETTINGS say */
    return o;
}

struct h2_pool *h2_pool_create(struct pieces_pool *pieces, struct chunk_pool *chunks)
{
    struct h2_pool *pool = memory_zalloc(sizeof(*pool));
    blocks_init(&pool->blocks, FREE_BYTES_MAX);
    pool->mem = (nghttp2_mem){ &pool->blocks, mem_malloc, mem_free, mem_calloc, mem_realloc };
    pool->callbacks = callbacks_create();
    pool->options[H2_SERVER] = option_create(H2_SERVER);
    pool->options[H2_CLIENT] = option_create(H2_CLIENT);
    pool->pieces = pieces;
    pool->chunks = chunks;
    pool->nv_capacity = FIRST_NV_COUNT;
    pool->nvs = memory_resize_array(NULL, pool->nv_capacity, sizeof(*pool->nvs));
    return pool;
}

void h2_pool_destroy(struct h2_pool *pool)
{
    CHECK(pool->live_count == 0);
    nghttp2_session_callbacks_del(pool->callbacks);
    nghttp2_option_del(pool->options[H2_SERVER]);
    nghttp2_option_del(pool->options[H2_CLIENT]);
    blocks_fini(&pool->blocks);
    memory_free(pool->nvs);
    memory_free(pool);
}

uint32_t h2_pool_live_count(const struct h2_pool *pool)
{
    return pool->live_count;
}
