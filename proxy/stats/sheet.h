/* stats/sheet.h - a rollout in one set of weights, as the workers see it: by what they count for its judge, and into what.
 *
 *   main                                           worker i
 *   sheet_create -> published with the weights --> tallies[i], lanes[i]      (stats/tally.h says what is counted)
 *   sheet_sum, tally_ring_take <-----------------/
 *   sheet_is_settled -> sheet_destroy
 *
 * Owner: the rollout's driver on the main thread. A request keeps to the sheet that it was assigned by, so a sheet outlives
 * its weights until all that began has ended: only then has no worker any use for it. */
#ifndef STATS_SHEET_H
#define STATS_SHEET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"
#include "stats/seen.h"
#include "stats/tally.h"

#define TALLY_RING_COUNT   4096u /* firsts between two looks of the main thread, a worker: 40,000 new users a second */
#define TALLY_STATUS_WORDS 10u   /* a bit for each status below 640 */

/* Firsts on their way to the main thread: one writer, one reader, no locks, and no place for more than it holds. */
struct tally_ring {
    _Alignas(STATS_CACHE_LINE_BYTES) _Atomic uint32_t put_count;  /* written by the worker */
    _Alignas(STATS_CACHE_LINE_BYTES) _Atomic uint32_t take_count; /* written by the main thread */
    struct tally_first items[TALLY_RING_COUNT];
};

/* Of one worker and one sticky rollout, as long as it runs. But for the ring it is the worker's alone. */
struct tally_lane {
    struct tally_ring ring;
    struct seen mailed;
    uint64_t generation;     /* of the newest weights that something was mailed for */
    uint32_t fresh_from_ppm; /* of these */
};

/* Immutable once published, but for the cells. */
struct tally_sheet {
    uint64_t generation; /* of the weights */
    struct tally_rules rules;
    uint32_t stable_entry, canary_entry; /* of the route's split */
    uint64_t error_statuses[TALLY_STATUS_WORDS];
    char *events[TALLY_EVENT_COUNT]; /* owned: values of x-weir-event, by column */
    uint32_t event_count;
    /* What the mark of each exposure says beside the arm and the user (stats/mark.h). */
    char *rollout;      /* owned; NULL: exposures get no mark */
    uint64_t tag;       /* of its revision and pair */
    uint32_t share_ppm; /* the canary's of the pair */
    uint32_t worker_count;
    struct tally *tallies;    /* owned; by worker */
    struct tally_lane *lanes; /* the rollout's, by worker; NULL: not sticky */
};

struct tally_lane *tally_lanes_create(uint32_t worker_count);
void tally_lanes_destroy(struct tally_lane *lanes, uint32_t worker_count); /* NULL is fine */

/* Everything but generation, rules, tallies and worker_count is for the caller to fill in, before it is published. */
struct tally_sheet *sheet_create(uint64_t generation, uint32_t worker_count);
void sheet_destroy(struct tally_sheet *sheet);

static inline void sheet_add_status(struct tally_sheet *sheet, uint16_t status)
{
    CHECK(status < TALLY_STATUS_WORDS * 64);
    sheet->error_statuses[status / 64] |= UINT64_C(1) << (status % 64);
}

/* The next column's; copied. At most TALLY_EVENT_COUNT. */
void sheet_add_event(struct tally_sheet *sheet, struct slice event);

/* Whether an answer with this status is an error. */
static inline bool sheet_is_error(const struct tally_sheet *sheet, uint16_t status)
{
    return status < TALLY_STATUS_WORDS * 64 && (sheet->error_statuses[status / 64] >> (status % 64) & 1) != 0;
}

/* Every exposure gets a mark from now on. The name is copied. */
void sheet_set_mark(struct tally_sheet *sheet, struct slice rollout, uint64_t tag, uint32_t share_ppm);

/* The columns that this value of x-weir-event means; 0: nobody asked for it. */
uint32_t sheet_event_column(const struct tally_sheet *sheet, struct slice event);

/* ---- on the worker ----------------------------------------------------------------------------------------------------- */

/* A sticky user's request has ended: mails it when it is a first of those that count. */
void sheet_note_user(struct tally_sheet *sheet, uint32_t worker_index, enum tally_arm arm, uint64_t user,
                     uint32_t pair_ppm, uint32_t columns);

/* ---- on the main thread ------------------------------------------------------------------------------------------------ */

/* Totals over the workers. */
void sheet_sum(const struct tally_sheet *sheet, struct tally_counts *out);
/* All that began has ended; asked about weights that no worker uses any more. */
bool sheet_is_settled(const struct tally_counts *totals);
/* The oldest first that was not taken yet; false: there is none. */
bool tally_ring_take(struct tally_ring *ring, struct tally_first *out);

#endif
