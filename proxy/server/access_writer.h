/* server/access_writer.h - a thread that writes access log lines, so that a slow or full disk stops nobody else.
 *
 * Owner: the main thread. Workers fill a buffer of their own and submit it; the queue between them and the thread is bounded
 * by ACCESS_QUEUE_BYTES, and what does not fit is dropped, counted and reported once per interval. Nobody ever waits. */
#ifndef SERVER_ACCESS_WRITER_H
#define SERVER_ACCESS_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCESS_LINES_BYTES 32768u               /* capacity of one buffer */
#define ACCESS_QUEUE_BYTES (8u * 1024u * 1024u) /* waiting for the thread; beyond: dropped */

/* Whole lines, each ending in a newline. Written by one worker until it is submitted. */
struct access_lines {
    struct access_lines *next;
    uint32_t used, line_count; /* bytes [0, used) are written */
    char bytes[ACCESS_LINES_BYTES];
};

struct access_lines *access_lines_create(void);
void access_lines_destroy(struct access_lines *lines);

struct access_writer;

/* Writes to standard output until access_writer_open names a file. */
struct access_writer *access_writer_start(void);
/* Where the next lines go: a file, created and appended to (opened again even when it is the same path: USR1), or standard
   output (path NULL). From the main thread. False with errno set when it cannot be opened; nothing changes then. */
bool access_writer_open(struct access_writer *w, const char *path);
/* From any thread, at once; takes the buffer over. */
void access_writer_submit(struct access_writer *w, struct access_lines *lines);
/* Lines dropped since the start: the queue was full or the write failed. */
uint64_t access_writer_dropped_count(struct access_writer *w);
/* Writes what is queued, waiting at most a second for a stuck disk, and ends the thread. No worker may submit any more. */
void access_writer_stop(struct access_writer *w);

#endif
