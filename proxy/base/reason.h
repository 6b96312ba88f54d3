/* base/reason.h - why a request ended: the rows of base/reasons.def as an enum and a table.
 *
 * One number per cause, carried by the request (front/request.h) from where it is found to everything that shows it:
 * the status and x-weir-error that the client gets, the access line, the counters. Which code path found it does not
 * matter to any of them. */
#ifndef BASE_REASON_H
#define BASE_REASON_H

#include <stdint.h>

enum reason {
    REASON_NONE, /* the upstream answered, or the route itself did */
#define REASON(name, status, code, blame, sentence) REASON_##name,
#include "base/reasons.def"
#undef REASON
    REASON_COUNT
};

/* Whom a reason counts against. A client that breaks off or a limit of ours is no fault of the upstream. */
enum blame { BLAME_NOBODY, BLAME_CLIENT, BLAME_UPSTREAM, BLAME_PROXY, BLAME_OPERATOR };

struct reason_row {
    const char *name;     /* "NO_ROUTE" */
    const char *code;     /* "no_route"; "" for REASON_NONE */
    const char *sentence; /* what happened; the body of our own answer, and the reference */
    uint16_t status;      /* 0: nothing is sent */
    enum blame blame;
};

/* By enum reason. */
extern const struct reason_row reason_rows[REASON_COUNT];

#endif
