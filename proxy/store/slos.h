/* store/slos.h - what objectives counted, in stretches of five minutes: a budget of 30 days outlives the process by them.
 *
 * Not written is lost, and no more: nobody is refused anything because of it. */
#ifndef STORE_SLOS_H
#define STORE_SLOS_H

#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"
#include "store/store.h"

struct slo_row {
    struct slice slo;
    int64_t identity; /* a hash of what is counted: another route or threshold is another objective */
    struct wall_time from;
    uint64_t requests, errors, slow;
};

/* Adds to the row of that stretch, and forgets what is older than `forget`, of this objective and identity and any other. */
bool slo_row_add(struct store *s, const struct slo_row *row, struct wall_time forget) MUST_CHECK;
/* Each row of one objective from `from` on, oldest first; the row is borrowed. */
bool slo_rows_each(struct store *s, struct slice slo, int64_t identity, struct wall_time from,
                   void (*each)(void *arg, const struct slo_row *row), void *arg) MUST_CHECK;

#endif
