/* fuzz/round_trip.h - whatever a reader accepts is written again and must read as the same message. */
#ifndef TESTS_FUZZ_ROUND_TRIP_H
#define TESTS_FUZZ_ROUND_TRIP_H

#include "base/slice.h"

#include "http/feed.h"
#include "http/message.h"

/* Reads the input in three ways (whole, byte by byte, cut in two places) and aborts unless all transcripts agree. */
void check_splits(const struct feed *feed, struct slice input);

/* Reads message after message up to the first fault; each is sent through the writer and read again, and aborts unless method,
   target, authority, framing, connection, forwarded fields, body and trailers are the same. */
void check_round_trip(const struct feed *feed, struct slice input);

/* A head that came in another version, written as HTTP/1.1 with an empty body where it has one: aborts unless it reads as the
   same message, with nothing behind it. `m` loses its hop-by-hop fields. */
void check_downgrade(struct message *m, struct arena *arena);

#endif
