/* front/access.h - the access log: one line per request or refused connection, into a buffer the worker hands on.
 *
 * Owner: the worker, which gives the buffers and takes them away when they are full or old (server/worker.c). Adding a
 * line is copying bytes; a full buffer is handed on and replaced. That the log is slow or full is the business of
 * server/access_writer.h, not of the request. */
#ifndef FRONT_ACCESS_H
#define FRONT_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"
#include "base/units.h"
#include "config/model.h"

struct front_listener;
struct request;

/* Lines collect in bytes[0, used); hand_on takes the buffer away and puts another one in its place. */
struct access_log {
    char *bytes;
    uint32_t used, capacity, line_count;
    void (*hand_on)(struct access_log *log, void *arg);
    void *arg;
};

/* Adds the line of a finished request, in the configured format. A line longer than a buffer is cut to its main
   fields. */
void access_add(struct access_log *log, const struct request *r);
/* Adds the line of a connection that was refused before it was a client: no request of it was read. */
void access_add_refusal(struct access_log *log, const struct front_listener *listener, const struct ip_address *source,
                        uint16_t status, enum reason reason);
/* Hands on what is there. */
void access_flush(struct access_log *log);

#endif
