/* rollout/calendar.h - when the weight of a rollout may rise: start_at, freezes, windows. Pure.
 *
 * By the wall clock, as people mean it; holds run on the other one (rollout/plan.h). A wall clock that jumps opens or closes
 * a window, and shortens no hold. */
#ifndef ROLLOUT_CALENDAR_H
#define ROLLOUT_CALENDAR_H

#include "config/model_rollout.h"

enum calendar_block { CALENDAR_OPEN, CALENDAR_BEFORE_START, CALENDAR_FROZEN, CALENDAR_CLOSED };

struct calendar_view {
    enum calendar_block block;
    const struct freeze_config *freeze; /* FROZEN */
};

void calendar_look(const struct rollout_config *rollout, struct wall_time now, struct calendar_view *out);
bool calendar_is_open(const struct rollout_config *rollout, struct wall_time now);

/* The first moment from `now` on at which it is open, to the second; unix_ms INT64_MAX when there is none within 400 days. */
struct wall_time calendar_next_open(const struct rollout_config *rollout, struct wall_time now);

/* "freeze until 2027-01-03T00:00Z: holidays", "outside of the windows": why it is not open. Into out, cut off at its end. */
void calendar_say(const struct calendar_view *view, const struct rollout_config *rollout, char *out, size_t out_size);

#endif
