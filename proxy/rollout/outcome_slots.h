/* rollout/outcome_slots.h - the outcomes of one guardrail that were told, by the time of their requests, until they are compared. Pure.
 *
 * A comparison asks who is next to have an event, so events may not come in an order that something else than chance has
 * made: one upstream tells its sales every second, the other every ten, and the first seems to sell all there is. So
 * outcomes are gathered by the moment at which their requests were passed on, and those of one moment are compared at
 * once, when `told_us` is over for all of them. What is told later is not compared, on either side alike.
 *
 *     slot n                        is compared
 *   ---[=======]------------------------|---------> time        slots are an eighth of told_us
 *              '------ told_us ---------'
 *
 * Owner: who embeds it; one thread. All zero is an empty one. */
#ifndef ROLLOUT_OUTCOME_SLOTS_H
#define ROLLOUT_OUTCOME_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "stats/tally.h"

/* Ten moments may be open at a time, and each may have several shares. What finds no room is not compared. */
#define OUTCOME_SLOTS 24u

struct outcome_slot {
    int64_t number;
    uint32_t share_ppm, fresh_from_ppm;
    uint64_t counts[TALLY_ARM_COUNT];
};

struct outcome_slots {
    uint32_t count;
    struct outcome_slot items[OUTCOME_SLOTS]; /* in no order */
};

/* One that was told, of requests that were passed on at that time; counts of one arm or both are added. False: it is too late,
   or there is no room. */
bool outcome_slots_add(struct outcome_slots *s, int64_t told_us, struct mono_time now, struct mono_time at,
                       const struct outcome_slot *what);
/* The middle of a slot's time, and a slot that was taken out (or stored) back where that middle is: neighbours stay neighbours,
   whatever clock they are moved to. False: there is no room. */
struct mono_time outcome_slot_middle(const struct outcome_slot *slot, int64_t told_us);
bool outcome_slots_put_back(struct outcome_slots *s, int64_t told_us, struct mono_time middle,
                            const struct outcome_slot *what);
/* Takes one out that is due. False: none is. */
bool outcome_slots_take(struct outcome_slots *s, int64_t told_us, struct mono_time now, struct outcome_slot *out);

#endif
