/* rollout/calendar.c - looks at start_at, freezes and windows, and finds when they are out of the way. */
#include "rollout/calendar.h"

#include <stdio.h>

#define DAY_S       86400
#define SEARCH_DAYS 400

static bool window_holds(const struct window_config *window, struct wall_time now)
{
    struct zone_time local = zone_local(window->zone, now.unix_ms / 1000);
    return (window->days >> local.weekday & 1u) && local.second >= window->from_s && local.second < window->to_s;
}

static bool is_in_a_window(const struct rollout_config *r, struct wall_time now)
{
    for (size_t i = 0; i < r->window_count; i++)
        if (window_holds(&r->windows[i], now))
            return true;
    return r->window_count == 0;
}

void calendar_look(const struct rollout_config *r, struct wall_time now, struct calendar_view *out)
{
    *out = (struct calendar_view){ CALENDAR_OPEN, NULL };
    if (now.unix_ms < r->start_at.unix_ms) {
        out->block = CALENDAR_BEFORE_START;
        return;
    }
    for (size_t i = 0; i < r->freeze_count; i++)
        if (now.unix_ms >= r->freezes[i].from.unix_ms && now.unix_ms < r->freezes[i].to.unix_ms) {
            *out = (struct calendar_view){ CALENDAR_FROZEN, &r->freezes[i] };
            return;
        }
    if (!is_in_a_window(r, now))
        out->block = CALENDAR_CLOSED;
}

bool calendar_is_open(const struct rollout_config *r, struct wall_time now)
{
    struct calendar_view view;
    calendar_look(r, now, &view);
    return view.block == CALENDAR_OPEN;
}

/* ---- the next opening -------------------------------------------------------------------------------------------- */

/* Where the offset of a zone becomes the one it has at until_s; it is another at from_s. */
static int64_t change_within(const struct zone *zone, int64_t from_s, int64_t until_s)
{
    int32_t offset = zone_offset_at(zone, until_s);
    while (until_s - from_s > 1) {
        int64_t middle_s = from_s + (until_s - from_s) / 2;
        *(zone_offset_at(zone, middle_s) == offset ? &until_s : &from_s) = middle_s;
    }
    return until_s;
}

/* While local clocks run evenly, at most a day: a window opens where they show its `from`, or is open from the beginning on
   when a change of the clocks has just put them into it: the end of spring's gap, or the hour that autumn has twice. */
static bool opens_within(const struct window_config *window, int64_t from_s, int64_t until_s, int64_t *out_s)
{
    *out_s = from_s;
    if (!window_holds(window, (struct wall_time){ from_s * 1000 }))
        *out_s += (window->from_s - zone_local(window->zone, from_s).second + DAY_S) % DAY_S;
    return *out_s < until_s && window_holds(window, (struct wall_time){ *out_s * 1000 });
}

/* The window is closed now. Day by day, for longer than the week after which its days come again: one opening may be lost
   in a gap that is wider than the window. */
static int64_t next_opening(const struct window_config *window, int64_t now_ms)
{
    int64_t from_s = now_ms / 1000, found_s;
    for (int day = 0; day < 16; day++) {
        int64_t until_s = from_s + DAY_S, even_s = until_s;
        if (zone_offset_at(window->zone, from_s) != zone_offset_at(window->zone, until_s))
            even_s = change_within(window->zone, from_s, until_s);
        if (opens_within(window, from_s, even_s, &found_s) ||
            (even_s < until_s && opens_within(window, even_s, until_s, &found_s)))
            return found_s * 1000;
        from_s = until_s;
    }
    return INT64_MAX;
}

/* The moment to look at after one at which it is not open; always later than that. */
static int64_t next_candidate(const struct rollout_config *r, const struct calendar_view *view, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    if (view->block == CALENDAR_BEFORE_START)
        return r->start_at.unix_ms;
    if (view->block == CALENDAR_FROZEN)
        return view->freeze->to.unix_ms;
    for (size_t i = 0; i < r->window_count; i++) {
        int64_t opening = next_opening(&r->windows[i], now_ms);
        next = opening < next ? opening : next;
    }
    return next;
}

struct wall_time calendar_next_open(const struct rollout_config *r, struct wall_time now)
{
    const int64_t end_ms = now.unix_ms + (int64_t)SEARCH_DAYS * DAY_S * 1000;
    struct calendar_view view;
    int64_t at_ms = now.unix_ms;
    calendar_look(r, now, &view);
    while (view.block != CALENDAR_OPEN) {
        at_ms = next_candidate(r, &view, at_ms);
        if (at_ms > end_ms)
            return (struct wall_time){ INT64_MAX };
        calendar_look(r, (struct wall_time){ at_ms }, &view);
    }
    return (struct wall_time){ at_ms };
}

void calendar_say(const struct calendar_view *view, const struct rollout_config *r, char *out, size_t out_size)
{
    char when[25];
    switch (view->block) {
    case CALENDAR_OPEN:
        snprintf(out, out_size, "open");
        break;
    case CALENDAR_BEFORE_START:
        wall_format(r->start_at, when);
        snprintf(out, out_size, "before start_at, %.16sZ", when);
        break;
    case CALENDAR_FROZEN:
        wall_format(view->freeze->to, when);
        snprintf(out, out_size, "freeze until %.16sZ: %.*s", when, SLICE_ARG(view->freeze->reason));
        break;
    case CALENDAR_CLOSED:
        snprintf(out, out_size, "outside of the windows");
        break;
    }
}
