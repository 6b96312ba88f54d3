/* rollout/calendar.c - looks at start_at, freezes and windows, and finds when they are out of the way. */
#include "rollout/calendar.h"

#include <stdio.h>

#define MINUTE_MS   INT64_C(60000)
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

/* Where a window may open next: its `from` on one of the days to come, by the offset of that day's morning. At most an hour
   or so off where clocks are changed on that day, so who asks looks again. */
static int64_t next_opening(const struct window_config *window, int64_t now_ms)
{
    int64_t now_s = now_ms / 1000;
    struct zone_time local = zone_local(window->zone, now_s);
    int64_t midnight_s = now_s - local.second;
    for (int ahead = 0; ahead <= 8; ahead++) {
        int64_t at_s = midnight_s + (int64_t)ahead * DAY_S + window->from_s;
        int32_t moved_s = zone_offset_at(window->zone, at_s) - zone_offset_at(window->zone, now_s);
        bool is_day = window->days >> ((local.weekday + ahead) % 7) & 1u;
        if (is_day && (at_s - moved_s) * 1000 > now_ms)
            return (at_s - moved_s) * 1000;
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

/* An opening that lies in a gap of local time, where clocks are put forward over it, is the end of that gap: looked for
   minute by minute, for as long as such gaps are. */
static int64_t opening_behind(const struct rollout_config *r, int64_t at_ms)
{
    for (int64_t minute = 1; minute <= 180; minute++)
        if (calendar_is_open(r, (struct wall_time){ at_ms + minute * MINUTE_MS }))
            return at_ms + minute * MINUTE_MS;
    return INT64_MAX;
}

struct wall_time calendar_next_open(const struct rollout_config *r, struct wall_time now)
{
    const int64_t end_ms = now.unix_ms + (int64_t)SEARCH_DAYS * DAY_S * 1000;
    struct calendar_view view, before;
    int64_t at_ms = now.unix_ms;
    calendar_look(r, now, &view);
    while (view.block != CALENDAR_OPEN) {
        before = view;
        at_ms = next_candidate(r, &before, at_ms);
        if (at_ms > end_ms)
            return (struct wall_time){ INT64_MAX };
        calendar_look(r, (struct wall_time){ at_ms }, &view);
        if (before.block != CALENDAR_CLOSED || view.block != CALENDAR_CLOSED)
            continue;
        int64_t behind_ms = opening_behind(r, at_ms);
        if (behind_ms != INT64_MAX)
            return (struct wall_time){ behind_ms };
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
