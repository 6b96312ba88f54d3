/* front/drill.h - requests of a drill: a rehearsal's synthetic ones, and the real ones that a live drill fails.
 *
 * stats/drill.h says what a drill is to a worker. Thread: the worker's. */
#ifndef FRONT_DRILL_H
#define FRONT_DRILL_H

#include <stdbool.h>

#include "stats/drill.h"

struct request;

/* In the arena of a request of a rehearsal. */
struct drill_part {
    enum tally_arm arm;
    struct drill_outcome outcome;
};

/* The head is complete and valid. True: it is the running drill's; its arm is drawn and counted, r->drill says what it comes
   to, and neither route nor upstream is looked for. */
bool drill_take(struct request *r);
/* The split has chosen. True: it is one of the canary's requests that a live drill fails. */
bool drill_fails(struct request *r);

#endif
