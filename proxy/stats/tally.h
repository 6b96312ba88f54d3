/* stats/tally.h - what a worker counts for the judge of a rollout, and what it mails of sticky users.
 *
 * One struct tally for each (rollout, set of weights, worker). The main thread makes them when it publishes the weights
 * and frees them with these; the worker that they are for is their only writer (relaxed cells, stats/counters.h); the
 * main thread reads them ten times a second or so, sums over the workers and hands what has been added since to the evidence
 * (rollout/evidence.h), under the generation of the weights. A request is counted in the tally of the weights that it was
 * assigned by, however long it takes: so the share, and what "slow" means, were fixed before anybody knew its outcome.
 *
 * What is counted (statistics.md, "What makes it invalid"):
 *   - only requests whose upstream the split chose between the pair: none that a rule, a header or a script pinned, no
 *     copies, monitors or drills
 *   - each once, when it has ended, however many tries it took, for the version that it was assigned to first, also when
 *     a fallback or a retry answered in the end
 *   - a request that the client gave up, or that failed by the proxy's own doing (base/reasons.def: counts against), is
 *     discarded: nobody's error and nobody's success. But one that had taken longer than a threshold when the client left
 *     was slow, whatever would have become of it, and counts as that: else nobody would notice a canary that hangs for
 *     longer than its users wait
 *
 *   tally_begin(t, arm)                                     the split has chosen
 *   columns = tally_end(t, rules, arm, columns, us)         it has ended; us: from the request's first byte to the
 *                                                           answer's head (not its last byte, which the client paces)
 *   columns = tally_give_up(t, rules, arm, us)              or the client left after so long, before the answer's head
 *   tally_discard(t, arm)                                   or it is nobody's
 *
 * Sticky routes: requests of one user are no independent draws, so comparisons take each user's first event and first
 * request only. Where rules->is_sticky, and the key's position in the pair is at least rules->fresh_from_ppm (that is, if
 * the canary had this share of the pair, sticky_pick would still say stable; lower ones had the canary before, and are in
 * the absolute counts only), the worker asks tally_is_first, and mails a struct tally_first when it is. What the mailbox
 * cannot take is lost and counted in `unmailed`: that costs power, and proof of "not worse" is withheld. */
#ifndef STATS_TALLY_H
#define STATS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "stats/counters.h"
#include "stats/histogram.h"
#include "stats/seen.h"

enum tally_arm { TALLY_STABLE, TALLY_CANARY, TALLY_ARM_COUNT };

#define TALLY_SLOW_COUNT  12u /* thresholds of one rollout */
#define TALLY_EVENT_COUNT 8u  /* business events of one rollout */

/* What may be said about a request; several may hold. Bit 1 << column in a mask. */
enum tally_column {
    TALLY_ERRORS,           /* the upstream's fault, or a status that the rollout's `errors` names */
    TALLY_CONNECT_FAILURES, /* of these: no connection could be made */
    TALLY_SLOW,             /* TALLY_SLOW_COUNT of them: slower than the arm's threshold */
    TALLY_EVENTS = TALLY_SLOW + TALLY_SLOW_COUNT, /* TALLY_EVENT_COUNT of them, by x-weir-event */
    TALLY_COLUMN_COUNT = TALLY_EVENTS + TALLY_EVENT_COUNT
};

/* One set of weights for a rollout, as workers need it. Immutable once published; made by evidence_rules. */
struct tally_rules {
    bool is_sticky;
    uint32_t fresh_from_ppm; /* sticky: position in the pair from which users count in comparisons */
    uint32_t slow_count;
    uint64_t slow_us[TALLY_SLOW_COUNT][TALLY_ARM_COUNT]; /* slow: takes longer than this. UINT64_MAX: not known yet */
};

struct tally {
    _Alignas(STATS_CACHE_LINE_BYTES) stats_cell begun[TALLY_ARM_COUNT];
    stats_cell requests[TALLY_ARM_COUNT]; /* ended, and somebody's outcome */
    stats_cell discarded[TALLY_ARM_COUNT];
    stats_cell unmailed; /* sticky: firsts that found no room in the mailbox */
    stats_cell columns[TALLY_ARM_COUNT][TALLY_COLUMN_COUNT];
    stats_cell stable_durations[HISTOGRAM_BUCKET_COUNT]; /* what thresholds are learnt from */
};

/* A user's first request, or first request with one of these columns, under a cohort of users. Mailed. */
struct tally_first {
    uint64_t generation; /* of the weights */
    uint64_t key_hash;   /* of the sticky key; any hash that is the same on all workers */
    uint32_t columns;    /* all that hold of this request */
    enum tally_arm arm;
};

static inline void tally_begin(struct tally *t, enum tally_arm arm)
{
    stats_cell_add(&t->begun[arm], 1);
}

/* A request has ended: the last that its worker does to the tally for it, which main may free once all have (stats/sheet.h). */
static inline void tally_add_end(stats_cell *cell)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + 1, memory_order_release);
}

static inline void tally_discard(struct tally *t, enum tally_arm arm)
{
    tally_add_end(&t->discarded[arm]);
}

/* These and the slow ones: what tally_end or, with 0, tally_give_up will count the request in. */
uint32_t tally_columns(const struct tally_rules *rules, enum tally_arm arm, uint32_t columns, uint64_t duration_us);

/* columns: those but the slow ones, which are found here. All that hold, for tally_first. */
uint32_t tally_end(struct tally *t, const struct tally_rules *rules, enum tally_arm arm, uint32_t columns,
                   uint64_t duration_us);

/* Discards the request, unless it was slow by any threshold already. The columns that it counts in, for tally_first; 0: it
   was discarded. */
uint32_t tally_give_up(struct tally *t, const struct tally_rules *rules, enum tally_arm arm, uint64_t duration_us);

/* ---- sticky, on the worker ------------------------------------------------------------------------------------------- */

#define TALLY_SEEN_BITS (1u << 18) /* 32 KiB a worker: some ten thousand users; beyond, more and more are left out */

/* Whether this request must be mailed: the key, or the key with one of the columns, is new here. To be emptied when the
   weights name another fresh_from_ppm. */
bool tally_is_first(struct seen *seen, uint64_t key_hash, uint32_t columns);

/* ---- sums, on the main thread ---------------------------------------------------------------------------------------- */

/* Of one set of weights over all workers: totals, or what has been added since. */
struct tally_counts {
    uint64_t begun[TALLY_ARM_COUNT], requests[TALLY_ARM_COUNT], discarded[TALLY_ARM_COUNT];
    uint64_t unmailed;
    uint64_t columns[TALLY_ARM_COUNT][TALLY_COLUMN_COUNT];
    struct histogram stable_durations; /* sum_us is not counted */
};

/* Adds what one worker has counted so far to a sum that begins as all zero. A request's cells may be read some before and
   some after it was counted; tally_since evens that out. */
void tally_sum(struct tally_counts *into, const struct tally *t);
/* What `now` has more than `before`, which is set to what was taken: no column more than there are requests, since a cell
   that was read too early comes with the next call. */
void tally_since(struct tally_counts *out, const struct tally_counts *now, struct tally_counts *before);

#endif
