/* stats/window.h - requests and events of the last so many seconds. Pure: time is a parameter.
 *
 * A ring of time slices, each a sixtieth of the window; the newest is being filled, so a sum covers the window and up to
 * one slice more. What is older falls out slice by slice. Owner: who embeds it; one thread. */
#ifndef STATS_WINDOW_H
#define STATS_WINDOW_H

#include <stdint.h>

#include "base/clock.h"

#define WINDOW_SLICE_COUNT 61u /* sixty whole ones and the newest */

struct window_slice {
    uint64_t requests, events;
};

struct window {
    int64_t slice_us; /* > 0 */
    int64_t newest;   /* its slice's number: time / slice_us. INT64_MIN: nothing was added yet */
    struct window_slice slices[WINDOW_SLICE_COUNT];
};

void window_init(struct window *w, int64_t length_us);
/* A time before the newest slice (reports that overtook each other) is counted in the newest. */
void window_add(struct window *w, struct mono_time now, uint64_t requests, uint64_t events);
struct window_slice window_sum(const struct window *w, struct mono_time now);
/* Another length: what was counted stays, as far as it is not older than that, to the nearest slice of both lengths. */
void window_resize(struct window *w, int64_t length_us);
/* Moves everything in time: a window that was stored under another clock begins again under this one. */
void window_shift(struct window *w, int64_t by_us);

#endif
