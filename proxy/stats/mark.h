/* stats/mark.h - the mark of an exposure: what an upstream is told of a request, so that outcomes can be told of it later. Pure.
 *
 * Goes to upstreams as `x-weir-exposure`, and comes back with POST /api/v1/outcomes. Everything that the judge must know of
 * the request at the moment it was assigned is in it, so that nothing is kept for a request that may or may not have an
 * outcome some day: which version it was given, under which share, and on sticky routes whose request it was. Only
 * requests that count as evidence have one: none that a rule, a header or a script pinned.
 *
 *     1 . c . 100000 . 0 . 5f3a9c21... . 9b2e... . 1795608000000 . checkout-v2                      (without the blanks)
 *     |   |     |      |        |           |             |              '-- the rollout
 *     |   |     |      |        |           |             '-- when it was passed on, in ms of UNIX time
 *     |   |     |      |        |           '-- sticky: a hash of route and user, else "-"
 *     |   |     |      |        '-- its revision and pair
 *     |   |     |      '-- sticky: the share from which users are met for the first time
 *     |   |     '-- the canary's share of the pair, in millionths
 *     |   '-- c: canary, s: stable
 *     '-- version
 *
 * Not signed: it is told to upstreams alone, which may tell outcomes as they like. */
#ifndef STATS_MARK_H
#define STATS_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"
#include "stats/tally.h"

#define MARK_BYTES         192u /* enough for any, and the NUL */
#define MARK_ROLLOUT_BYTES 64u  /* names are no longer */

struct mark {
    enum tally_arm arm;
    uint32_t share_ppm, fresh_from_ppm;
    uint64_t tag;
    bool has_user;
    uint64_t user;
    struct wall_time at;
    struct slice rollout; /* borrowed */
};

/* To MARK_BYTES at `out`; the length, without the NUL. */
size_t mark_write(const struct mark *mark, char *out);
/* False: it is none. `out` borrows the rollout's name. */
bool mark_read(struct slice text, struct mark *out) MUST_CHECK;

#endif
