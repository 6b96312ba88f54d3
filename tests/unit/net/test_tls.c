/* tests/unit/net/test_tls.c - bytes through TLS: whole, in order, with back-pressure, and with an end that can be told
 * from a cut. */
#include "net/tls_fixture.h"

#include "base/text.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct arena arena;
static struct tls_pair pair;

static void set_up(void)
{
    arena_init(&arena, NULL, 0);
    pair = pair_make(&arena, "shop.example.com", "DNS:shop.example.com", MADE_EC, 365);
}

static void tear_down(void)
{
    arena_reset(&arena);
}

TestSuite(tls, .init = set_up, .fini = tear_down);

static void open_good(struct wire *w)
{
    wire_open(w, server_context(&pair, 1), client_context(&pair.certificate, "shop.example.com"));
}

static void open_connected(struct wire *w)
{
    open_good(w);
    wire_run(w, 65536);
    cr_assert(w->server.is_connected && w->client.is_connected);
}

Test(tls, both_sides_learn_what_was_agreed)
{
    struct wire w;
    struct tls_facts facts;
    open_good(&w);
    cr_assert_not(stream_tls_facts(&w.server.stream, &facts), "not before the handshake");
    wire_run(&w, 65536);
    cr_assert(stream_tls_facts(&w.server.stream, &facts));
    cr_assert_str_eq(facts.version, "TLSv1.3");
    cr_assert(slice_equal(facts.server_name, SLICE("shop.example.com")));
    cr_assert(slice_equal(facts.protocol, SLICE("http/1.1")));
    cr_assert_not(facts.is_resumed);
    cr_assert_null(facts.peer);
    cr_assert(stream_tls_facts(&w.client.stream, &facts));
    cr_assert(slice_equal(facts.protocol, SLICE("http/1.1")));
    wire_close(&w);
}

Test(tls, an_idle_connection_holds_no_chunk)
{
    struct wire w;
    open_connected(&w);
    end_send(&w.server, 30000);
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, 30000);
    cr_assert_eq(w.loop->chunks.live_count, 0);
    wire_close(&w);
}

Test(tls, whatever_the_pieces_on_the_wire)
{
    static const size_t steps[] = { 1, 2, 3, 5, 6, 7, 100, 1000, 16384, 16389, 65536 };
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        struct wire w;
        size_t length = steps[i] < 100 ? 700 : 50000;
        open_good(&w);
        wire_run(&w, steps[i]);
        cr_assert(w.server.is_connected && w.client.is_connected, "step %zu", steps[i]);
        end_send(&w.server, length);
        end_send(&w.client, length + 1);
        wire_run(&w, steps[i]);
        cr_assert_eq(w.client.received, length, "step %zu", steps[i]);
        cr_assert_eq(w.client.hash, pattern_hash(length));
        cr_assert_eq(w.server.received, length + 1);
        cr_assert_eq(w.server.hash, pattern_hash(length + 1));
        wire_close(&w);
    }
}

Test(tls, what_was_read_ahead_brings_another_call)
{
    struct wire w;
    open_connected(&w);
    w.client.reads_slowly = true;
    end_send(&w.server, 5000);
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, 5000);
    cr_assert_geq(w.client.readable_count, 50);
    wire_close(&w);
}

Test(tls, what_came_with_the_last_of_the_handshake_is_read_in_the_same_turn)
{
    struct wire w;
    open_good(&w);
    while (!w.client.is_connected)
        wire_step(&w, 65536);
    cr_assert_not(w.server.is_connected, "the client's last flight is on its way");
    end_send(&w.client, 100);
    wire_step(&w, 65536);
    cr_assert(w.server.is_connected);
    cr_assert_eq(w.server.received, 100);
    wire_close(&w);
}

Test(tls, a_turn_ends_even_when_nobody_reads_what_was_read_ahead)
{
    struct wire w;
    open_connected(&w);
    w.client.reads_slowly = true;
    w.client.deaf_after = 300;
    end_send(&w.server, 5000);
    while (w.client.received < 300)
        wire_step(&w, 65536);
    for (int i = 0; i < 3; i++) {
        size_t before = w.client.readable_count;
        wire_step(&w, 65536);
        cr_assert_eq(w.client.readable_count, before + 1, "once a turn: %zu", w.client.readable_count - before);
    }
    w.client.deaf_after = 0;
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, 5000);
    wire_close(&w);
}

/* The wake-up is due in the next turn, when nobody is there to be woken. */
Test(tls, who_pauses_or_closes_is_not_woken)
{
    struct wire w;
    open_connected(&w);
    w.client.reads_slowly = true;
    end_send(&w.server, 5000);
    while (w.client.received < 300)
        wire_step(&w, 65536);
    size_t before = w.client.readable_count;
    stream_pause(&w.client.stream);
    stream_resume(&w.client.stream);
    stream_pause(&w.client.stream);
    wire_step(&w, 65536);
    cr_assert_eq(w.client.readable_count, before);
    stream_resume(&w.client.stream);
    stream_close(&w.client.stream);
    wire_step(&w, 65536);
    cr_assert_eq(w.client.readable_count, before);
    wire_close(&w);
}

Test(tls, a_paused_reader_finds_everything_when_it_resumes)
{
    struct wire w;
    open_connected(&w);
    w.client.reads_slowly = true;
    end_send(&w.server, 5000);
    while (w.client.received == 0)
        wire_step(&w, 65536);
    stream_pause(&w.client.stream);
    size_t received = w.client.received;
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, received, "paused is paused");
    stream_resume(&w.client.stream);
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, 5000);
    wire_close(&w);
}

Test(tls, what_the_kernel_does_not_take_waits_as_plain_text)
{
    struct wire w;
    size_t pushed = 0;
    open_connected(&w);
    while (!stream_is_full(&w.server.stream)) {
        end_send(&w.server, CHUNK_BYTES);
        pushed += CHUNK_BYTES;
    }
    const struct stream *s = &w.server.stream;
    cr_assert_leq(s->tls->cipher.bytes, TLS_CIPHER_BYTES + TLS_RECORD_BYTES + 256);
    cr_assert_eq(s->queued_bytes, s->out.bytes + s->tls->cipher.bytes);
    cr_assert_gt(s->out.bytes, STREAM_HIGH_BYTES / 2);
    cr_assert_eq(w.server.drained_count, 0);
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, pushed);
    cr_assert_geq(w.server.drained_count, 1);
    cr_assert_eq(s->queued_bytes, 0);
    wire_close(&w);
}

Test(tls, much_both_ways_at_once)
{
    struct wire w;
    const size_t length = 4u << 20;
    open_connected(&w);
    end_send(&w.server, length);
    end_send(&w.client, length);
    wire_run(&w, 40000);
    cr_assert_eq(w.client.received, length);
    cr_assert_eq(w.server.received, length);
    cr_assert_eq(w.client.hash, pattern_hash(length));
    cr_assert_eq(w.server.hash, pattern_hash(length));
    wire_close(&w);
}

Test(tls, small_pieces_share_a_record)
{
    struct wire w;
    open_connected(&w);
    for (int i = 0; i < 100; i++)
        stream_push_copy(&w.server.stream, "0123456789", 10);
    cr_assert_eq(stream_flush(&w.server.stream), STREAM_OK);
    char wire[4096];
    ssize_t length = recv(w.server.wire, wire, sizeof(wire), MSG_PEEK);
    cr_assert_leq(length, 1000 + 5 + 17, "one header, one tag: %zd", length);
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, 1000);
    wire_close(&w);
}

Test(tls, an_orderly_end_is_no_cut)
{
    struct wire w;
    open_connected(&w);
    end_send(&w.server, 100);
    stream_shutdown(&w.server.stream);
    wire_run(&w, 65536);
    cr_assert(w.client.is_ended);
    cr_assert_eq(w.client.error, 0);
    cr_assert_eq(w.client.received, 100);
    cr_assert_not(stream_is_cut(&w.client.stream));
    wire_close(&w);
}

Test(tls, a_side_that_has_ended_still_reads)
{
    struct wire w;
    open_connected(&w);
    stream_shutdown(&w.client.stream);
    wire_run(&w, 65536);
    cr_assert(w.server.is_ended);
    end_send(&w.server, 70000);
    stream_shutdown(&w.server.stream);
    wire_run(&w, 65536);
    cr_assert_eq(w.client.received, 70000);
    cr_assert(w.client.is_ended);
    cr_assert_not(stream_is_cut(&w.client.stream));
    wire_close(&w);
}

Test(tls, a_fin_alone_is_a_cut)
{
    struct wire w;
    open_connected(&w);
    end_send(&w.server, 100);
    wire_run(&w, 65536);
    shutdown(w.client.wire, SHUT_WR);
    wire_run(&w, 65536);
    cr_assert(w.client.is_ended);
    cr_assert_eq(w.client.error, 0, "it reads as an end");
    cr_assert(stream_is_cut(&w.client.stream));
    wire_close(&w);
}

Test(tls, closing_with_bytes_queued_is_no_orderly_end)
{
    struct wire w;
    open_connected(&w);
    while (!stream_is_full(&w.server.stream))
        end_send(&w.server, CHUNK_BYTES);
    stream_close(&w.server.stream);
    wire_run(&w, 65536);
    cr_assert(w.client.is_ended);
    cr_assert(stream_is_cut(&w.client.stream) || w.client.error != 0);
    wire_close(&w);
}

Test(tls, a_changed_byte_is_an_error)
{
    struct wire w;
    open_connected(&w);
    end_send(&w.server, 100);
    char bytes[512];
    ssize_t got = recv(w.server.wire, bytes, sizeof(bytes), 0);
    bytes[got - 20] ^= 1;
    cr_assert_eq(send(w.client.wire, bytes, (size_t)got, 0), got);
    wire_run(&w, 65536);
    cr_assert(w.client.is_ended);
    cr_assert_eq(w.client.error, EPROTO);
    cr_assert_eq(w.client.received, 0);
    wire_close(&w);
}

Test(tls, a_name_that_the_certificate_is_not_for)
{
    struct wire w;
    wire_open(&w, server_context(&pair, 1), client_context(&pair.certificate, "other.example.com"));
    wire_run(&w, 65536);
    cr_assert_eq(w.client.error, EPROTO);
    cr_assert_not(w.client.is_connected);
    wire_close(&w);
}

Test(tls, an_authority_that_nobody_trusts)
{
    struct wire w;
    struct tls_pair other = pair_make(&arena, "other", "DNS:shop.example.com", MADE_EC, 365);
    wire_open(&w, server_context(&pair, 1), client_context(&other.certificate, "shop.example.com"));
    wire_run(&w, 65536);
    cr_assert_eq(w.client.error, EPROTO);
    cr_assert_not(w.client.is_connected);
    cr_assert_not(w.server.is_connected);
    cr_assert(w.server.is_ended, "the alert arrived");
    wire_close(&w);
}

/* Raw bytes instead of a client. */
static void send_raw(struct wire *w, const char *bytes)
{
    stream_close(&w->client.stream);
    cr_assert_eq(send(w->server.wire, bytes, strlen(bytes), 0), (ssize_t)strlen(bytes));
    wire_run(w, 65536);
}

static bool failed_as_http;

static void note_failure(struct stream *s, int error)
{
    cr_assert_eq(error, EPROTO);
    cr_assert_not_null(stream_tls_failure(s, &failed_as_http));
    stream_close(s);
}

Test(tls, a_request_in_clear_text_is_known_as_one)
{
    static const struct stream_events noting = { .on_connected = note_failure };
    struct wire w;
    open_good(&w);
    w.server.stream.events = &noting;
    send_raw(&w, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(failed_as_http);
    wire_close(&w);
}

Test(tls, garbage_is_no_request)
{
    static const struct stream_events noting = { .on_connected = note_failure };
    struct wire w;
    open_good(&w);
    w.server.stream.events = &noting;
    send_raw(&w, "no TLS, and longer than a record header is");
    cr_assert_not(failed_as_http);
    wire_close(&w);
}

static void ask_for_new_keys(struct wire *w)
{
    SSL *ssl = w->client.stream.tls->ssl;
    cr_assert_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    cr_assert_eq(SSL_do_handshake(ssl), 1);
    cr_assert_eq(stream_flush(&w->client.stream), STREAM_OK);
    wire_run(w, 65536);
}

Test(tls, new_keys_now_and_then)
{
    struct wire w;
    open_connected(&w);
    for (int i = 0; i < 5; i++) {
        ask_for_new_keys(&w);
        end_send(&w.client, 1000);
        end_send(&w.server, 1000);
        wire_run(&w, 65536);
    }
    cr_assert_eq(w.server.received, 5000);
    cr_assert_eq(w.client.received, 5000);
    wire_close(&w);
}

Test(tls, new_keys_all_the_time_end_the_connection)
{
    struct wire w;
    open_connected(&w);
    for (int i = 0; i < 100 && !w.server.is_ended; i++)
        ask_for_new_keys(&w);
    cr_assert(w.server.is_ended);
    cr_assert_eq(w.server.error, EPROTO);
    wire_close(&w);
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------ */

/* One connection with its own loop and so its own worker; returns whether the session went on. */
static bool visit(struct tls_session_slot *slot, const struct tls_ticket_keys *keys)
{
    struct wire w;
    struct tls_facts facts;
    wire_open_with_slot(&w, server_context(&pair, 1), client_context(&pair.certificate, "shop.example.com"), slot,
                        keys);
    wire_run(&w, 65536);
    end_send(&w.server, 10);
    wire_run(&w, 65536); /* the ticket too */
    cr_assert(stream_tls_facts(&w.server.stream, &facts));
    wire_close(&w);
    return facts.is_resumed;
}

Test(tls, a_session_goes_on_at_another_worker_and_under_older_keys)
{
    struct tls_session_slot slot = { 0 };
    struct tls_ticket_keys keys = { .count = 0 };
    tls_ticket_keys_rotate(&keys);
    cr_assert_not(visit(&slot, &keys));
    cr_assert(visit(&slot, &keys));
    struct tls_ticket_keys before = keys;
    tls_ticket_keys_rotate(&keys);
    cr_assert(visit(&slot, &keys), "one rotation later");
    tls_ticket_keys_rotate(&keys);
    tls_ticket_keys_rotate(&keys);
    cr_assert(visit(&slot, &keys), "two rotations later");
    cr_assert_not(visit(&slot, &before), "keys that are gone");
    tls_session_slot_clear(&slot);
}

Test(tls, without_keys_there_are_no_tickets)
{
    struct tls_session_slot slot = { 0 };
    cr_assert_not(visit(&slot, NULL));
    cr_assert_null(slot.session);
    cr_assert_not(visit(&slot, NULL));
    tls_session_slot_clear(&slot);
}

static size_t drop_count;

/* Reads a little of a record, so that the rest is read ahead; drops from then on. */
static void read_then_drop(struct stream *s)
{
    uint32_t count;
    if (drop_count > 0) {
        cr_assert_lt(++drop_count, 1000, "it is called for ever");
        cr_assert_neq(stream_drop(s), STREAM_ERROR);
        return;
    }
    struct chunk *little = chunk_create_sized(&s->loop->chunks, 100);
    if (stream_read(s, little, &count) == STREAM_OK)
        drop_count = 1;
    cr_assert_eq(tls_has_pending(s->tls), drop_count == 1);
    chunk_unref(little);
}

Test(tls, what_is_dropped_brings_no_other_call)
{
    static const struct stream_events dropping = { .on_readable = read_then_drop };
    struct wire w;
    open_connected(&w);
    w.client.stream.events = &dropping;
    drop_count = 0;
    end_send(&w.server, 5000);
    for (int i = 0; i < 100; i++)
        wire_step(&w, 65536);
    cr_assert_gt(drop_count, 1);
    cr_assert_not(tls_has_pending(w.client.stream.tls));
    wire_close(&w);
}
