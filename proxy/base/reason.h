/* base/reason.h - why a request ended: the rows of base/reasons.def as an enum and a table. */
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

enum blame { BLAME_NOBODY, BLAME_CLIENT, BLAME_UPSTREAM, BLAME_PROXY, BLAME_OPERATOR };

struct reason_row {
    const char *name; /* "NO_ROUTE" */
    const char *code; /* "no_route"; "" for REASON_NONE */
    const char *sentence;
    uint16_t status; /* 0: nothing is sent */
    enum blame blame;
};

extern const struct reason_row reason_rows[REASON_COUNT];

#endif
