/* unit/http/h2_pair.h - two sessions of ours, wired back to back in memory, and what each of them was told. */
#ifndef TESTS_UNIT_HTTP_H2_PAIR_H
#define TESTS_UNIT_HTTP_H2_PAIR_H

#include <stdbool.h>

#include "base/text.h"

#include "http/h2.h"

#define SIDE_STREAMS 300

struct side;

/* What a request or an exchange would be. */
struct side_stream {
    struct h2_stream s;
    struct arena arena;
    struct message message;
    struct side *side;
    bool is_used, is_over; /* on_closed came */
    bool keeps_window;     /* on_data does not consume */
    struct text body;      /* what arrived */
    struct h2_closing how; /* with is_over */
};

/* An event that was logged; `t` NULL for those of the session. A test reacts to it. */
enum side_event {
    EV_BEGIN,
    EV_HEAD,
    EV_REFUSED,
    EV_DATA,
    EV_TRAILERS,
    EV_END,
    EV_CLOSED,
    EV_ROOM,
    EV_GOAWAY,
    EV_SETTINGS,
    EV_PONG
};

struct side {
    struct h2 *h;
    struct pair *pair;
    struct text log;  /* events, joined by "; " */
    struct text wire; /* bytes that left and were not delivered */
    struct side_stream streams[SIDE_STREAMS];
    size_t stream_count;
    void (*react)(struct side *side, enum side_event event, struct side_stream *t);
    bool refuses;      /* on_begin answers NULL */
    bool is_over;      /* H2_OVER was said */
    bool is_data_last; /* the log ends in data of data_id: more of it joins */
    int32_t data_id;
    size_t write_count, push_count;
};

struct pair {
    struct chunk_pool chunks;
    struct pieces_pool pieces;
    struct arena_pool arenas;
    struct h2_pool *pool;
    struct h2_limits limits;
    struct side server, client;
    size_t step_bytes, budget_bytes; /* how bytes arrive; how much leaves at once */
    struct mono_time now;
};

extern const struct h1_limits pair_head_limits;

void pair_open(struct pair *p, size_t step_bytes);
/* Only the server; the test writes frames to it by hand. The client's preface and SETTINGS have arrived. */
void pair_open_server(struct pair *p);
void pair_open_client(struct pair *p);
/* Asserts that nothing leaked. */
void pair_close(struct pair *p);

/* Delivers everything both ways until nothing moves. */
void pair_run(struct pair *p);
/* What the side has to send goes to its wire. */
void side_flush(struct side *side);
/* Bytes by hand, in steps. */
void side_feed(struct side *side, struct slice bytes);

/* Frames by hand (RFC 9113 6). A block is "name=value|name=value", as it stands. */
enum {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST,
    FRAME_SETTINGS,
    FRAME_PUSH,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION
};
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4, FLAG_PADDED = 8, FLAG_PRIORITY = 32 };
void put_frame(struct text *t, uint8_t type, uint8_t flags, uint32_t id, struct slice payload);
void put_block(struct text *block, const char *fields);
void feed_frame(struct side *side, uint8_t type, uint8_t flags, uint32_t id, struct slice payload);
void feed_head(struct side *side, uint8_t flags, uint32_t id, const char *fields);
/* Flushes, and names what left: "HEADERS 1 end; DATA 1 5; RST 3 8; WINDOW_UPDATE 0 100; GOAWAY 0 LAST CODE". */
const char *side_frames(struct side *side);

struct side_stream *side_stream(struct side *side);
/* A request, begun by the client: fields as "name: value|name: value". */
struct side_stream *pair_request(struct pair *p, const char *method, const char *path, const char *fields,
                                 enum body_framing framing);
/* Fills a message in the arena. */
void fill_fields(struct message *m, struct arena *arena, const char *fields);
void answer(struct side_stream *t, uint16_t status, const char *fields, enum body_framing framing);
void send_text(struct side_stream *t, const char *text);
/* `count` bytes in chunks of CHUNK_BYTES, that tell their place. */
void send_pattern(struct side_stream *t, size_t count);
bool is_pattern(struct slice bytes);

/* The log so far, emptied. */
const char *side_log(struct side *side);

#endif
