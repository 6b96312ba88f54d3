/* stats/drill.h - a drill as the workers see it: whose requests are synthetic, and what each is to come to. Pure.
 *
 * A drill's requests come from the process itself, through a listener like anybody's, and carry
 *
 *   x-weir-drill: TOKEN STATUS LATENCY EVENTS STATUS LATENCY EVENTS         (stable's outcome, then the canary's)
 *
 * The token is a drill's own secret, and travels with the weights; what carries another one is an ordinary request. A worker
 * that knows it draws the arm by the rehearsal's weight, counts the outcome of that arm for the rehearsal's judge, and
 * answers itself: no request of a drill reaches an upstream.
 *
 * Owner: the weights that it stands in, immutable once published. Threads: main writes, workers read. */
#ifndef STATS_DRILL_H
#define STATS_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"
#include "base/text.h"
#include "stats/sheet.h"

#define DRILL_TOKEN_BYTES  32u       /* hexadecimal digits of 128 random bits */
#define DRILL_LATENCY_MOST 600000000 /* us; longer ones are not believed */

/* What one request is to come to. */
struct drill_outcome {
    uint16_t status;     /* of the answer, 200..599; 0: no connection could be made */
    uint64_t latency_us; /* told, not waited for */
    uint32_t events;     /* bits by the sheet's events */
};

struct drill_request {
    struct drill_outcome arms[TALLY_ARM_COUNT];
};

struct drill_order {
    const struct drill_order *next; /* of another rollout's drill, or NULL */
    char token[DRILL_TOKEN_BYTES +
               1]; /* "": no request is a drill's; of one that was cut short: until its last request is back */
    struct tally_sheet *sheet;   /* the rehearsal's; NULL: nobody judges it now */
    uint32_t canary_ppm;         /* the rehearsal's weight */
    uint32_t live_route;         /* index of the route whose real canary fails, ... */
    uint32_t live_ppm;           /* ... for so many of its requests; 0: for none; ... */
    struct mono_time live_until; /* ... and until then, whether or not main comes to take it off */
};

/* The value of the field. */
void drill_request_write(const char token[DRILL_TOKEN_BYTES + 1], const struct drill_request *request,
                         struct text *out);
/* False when it is not with this token, or not of that form. How long that takes does not tell how much of a token was right. */
bool drill_request_read(struct slice value, const char token[DRILL_TOKEN_BYTES + 1], struct drill_request *out);

/* The columns that an outcome means for the sheet. */
uint32_t drill_columns(const struct tally_sheet *sheet, const struct drill_outcome *outcome);

#endif
