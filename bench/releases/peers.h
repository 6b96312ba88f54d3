/* bench/releases/peers.h - how others judge a canary, written anew from their documentation and sources.
 *
 *   Flagger        docs.flagger.app, "How it works": every `interval` each metric over the last interval must lie in its
 *                  thresholdRange; a failed check is counted, and at `threshold` failed checks the canary is rolled back
 *   Argo Rollouts  argo-rollouts.readthedocs.io, "Analysis": a measurement every `interval`, `count` times; more failed
 *                  ones than `failureLimit` abort
 *   Kayenta        its judge "NetflixACAJudge-v1.0": canary and control are each a series of values; a Mann-Whitney
 *                  confidence interval (0.98) of their shift that lies wholly above 0.25 of the estimated shift is "High"
 *
 * Each sees the value of a metric once a minute. Flagger and Argo get the best threshold there is: half way between the
 * two true values, which nobody who releases knows. */
#ifndef RELEASES_PEERS_H
#define RELEASES_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#define PEER_MINUTES 60u

/* One metric by minutes. */
struct series {
    double canary[PEER_MINUTES], stable[PEER_MINUTES];
};

/* The minute (from 1) at which it gives up on the canary; 0: never. failures: how many bad minutes that takes. */
uint32_t peer_threshold(const struct series *s, double threshold, uint32_t failures);
/* Judged every ten minutes over all there is. */
uint32_t peer_kayenta(const struct series *s);

#endif
