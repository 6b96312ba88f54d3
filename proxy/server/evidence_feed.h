/* server/evidence_feed.h - brings what the workers count to the evidence of one rollout.
 *
 *   feed_publish --> sheet, with the weights --> workers count in it
 *   feed_collect  <-- sums, and firsts of sticky users <-/          some times a second
 *   feed_retire  : no worker decides by those weights any more; the sheet stays until what began in it has ended
 *
 * Owner: the rollout's driver. Thread: main. The feed of a rollout that is gone collects on until feed_is_over. */
#ifndef SERVER_EVIDENCE_FEED_H
#define SERVER_EVIDENCE_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "rollout/evidence.h"
#include "stats/sheet.h"

struct evidence_feed {
    struct list link;          /* the owner's */
    struct evidence *evidence; /* borrowed; NULL: nobody asks any more */
    bool is_sticky;
    uint32_t worker_count;
    struct tally_lane *lanes; /* NULL: not sticky */
    struct list sheets;       /* struct fed_sheet, oldest first */
};

void feed_init(struct evidence_feed *f, struct evidence *evidence, bool is_sticky, uint32_t worker_count);
/* Whatever workers still count in its sheets: only once it is over, or they have ended. */
void feed_fini(struct evidence_feed *f);

/* Weights with this generation are about to be published; share: the canary's of the pair. Evidence begins a generation.
   The sheet is the feed's; the caller fills in what its contract says. */
struct tally_sheet *feed_publish(struct evidence_feed *f, uint64_t generation, double share);
/* No worker uses those weights any more. */
void feed_retire(struct evidence_feed *f, uint64_t generation);
void feed_collect(struct evidence_feed *f, struct mono_time now);
/* No sheet is left: no worker can touch anything of it. */
bool feed_is_over(const struct evidence_feed *f);

#endif
