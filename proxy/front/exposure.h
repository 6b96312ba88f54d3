/* front/exposure.h - a request as evidence: which version it was given, and what came of it, for the judge of a rollout.
 *
 * For requests whose upstream the split chose between a rollout's pair; none that a rule, a header or a script pinned
 * (stats/tally.h says what counts, and why). exposure_assign, then the others as it goes on; one of exposure_end and
 * exposure_drop ends it. All but exposure_assign and exposure_mark are for requests with r->exposure.sheet. Thread: the worker's. */
#ifndef FRONT_EXPOSURE_H
#define FRONT_EXPOSURE_H

#include "http/message.h"
#include "stats/sheet.h"

struct request;

/* In the request. */
struct exposure {
    struct tally_sheet *sheet; /* NULL: it is no evidence, or was recorded */
    enum tally_arm arm;
    uint32_t pair_ppm; /* sticky: where the user stands in the pair, ... */
    uint64_t user;     /* ... and a hash of the key */
    bool is_user_known;
    uint32_t columns;    /* so far */
    uint64_t latency_us; /* to the answer's head; 0: none came */
};

/* r->decision has been made. */
void exposure_assign(struct request *r);
/* On its way to the upstream: adds the mark by which outcomes are told afterwards, where events are watched. Whatever the
   client had under that name is gone, also where nothing is watched: for any request. */
void exposure_mark(struct request *r);
/* It was drawn elsewhere, by a drill: r->exposure says where it counts. */
void exposure_begin(struct request *r);
/* The final head of the upstream's answer. */
void exposure_on_head(struct request *r, const struct message *response);
void exposure_on_trailers(struct request *r, const struct message *trailers);
/* The request has ended; r->reason says how. */
void exposure_end(struct request *r);
/* It leaves without an end. */
void exposure_drop(struct request *r);

#endif
