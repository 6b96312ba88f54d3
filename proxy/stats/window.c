/* stats/window.c - a ring of slices, found by the number of the time they are for. */
#include "stats/window.h"

#include "base/check.h"

#include <string.h>

void window_init(struct window *w, int64_t length_us)
{
    CHECK(length_us > 0);
    memset(w, 0, sizeof *w);
    int64_t slice_us = length_us / (WINDOW_SLICE_COUNT - 1);
    w->slice_us = slice_us > 0 ? slice_us : 1;
    w->newest = INT64_MIN;
}

/* Rounded down below zero too: monotonic time may begin anywhere, and a shift may lead before its beginning. */
static int64_t slice_number(const struct window *w, int64_t us)
{
    return us / w->slice_us - (us % w->slice_us < 0);
}

static struct window_slice *slice_of(struct window *w, int64_t number)
{
    int64_t place = number % (int64_t)WINDOW_SLICE_COUNT;
    return &w->slices[place < 0 ? place + (int64_t)WINDOW_SLICE_COUNT : place];
}

static void advance(struct window *w, int64_t number)
{
    if (w->newest == INT64_MIN || number - w->newest >= (int64_t)WINDOW_SLICE_COUNT) {
        memset(w->slices, 0, sizeof w->slices);
        w->newest = number;
    }
    while (w->newest < number)
        *slice_of(w, ++w->newest) = (struct window_slice){ 0, 0 };
}

void window_add(struct window *w, struct mono_time now, uint64_t requests, uint64_t events)
{
    advance(w, slice_number(w, now.us));
    struct window_slice *slice = slice_of(w, w->newest);
    slice->requests += requests;
    slice->events += events;
}

void window_resize(struct window *w, int64_t length_us)
{
    struct window old = *w, resized;
    window_init(&resized, length_us);
    if (resized.slice_us == old.slice_us)
        return;
    *w = resized;
    for (int64_t back = WINDOW_SLICE_COUNT - 1; back >= 0 && old.newest != INT64_MIN; back--) {
        const struct window_slice *slice = slice_of(&old, old.newest - back);
        struct mono_time begun = { (old.newest - back) * old.slice_us };
        if (slice->requests > 0 || back == 0)
            window_add(w, begun, slice->requests, slice->events);
    }
}

struct window_slice window_sum(const struct window *w, struct mono_time now)
{
    struct window_slice sum = { 0, 0 };
    if (w->newest == INT64_MIN)
        return sum;
    struct window copy = *w;
    advance(&copy, slice_number(w, now.us));
    for (uint32_t i = 0; i < WINDOW_SLICE_COUNT; i++) {
        sum.requests += copy.slices[i].requests;
        sum.events += copy.slices[i].events;
    }
    return sum;
}

void window_shift(struct window *w, int64_t by_us)
{
    if (w->newest == INT64_MIN)
        return;
    struct window old = *w;
    w->newest += slice_number(w, by_us);
    for (int64_t age = 0; age < (int64_t)WINDOW_SLICE_COUNT; age++)
        *slice_of(w, w->newest - age) = *slice_of(&old, old.newest - age);
}
