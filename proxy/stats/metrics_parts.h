/* stats/metrics_parts.h - the files of /metrics among themselves. */
#ifndef STATS_METRICS_PARTS_H
#define STATS_METRICS_PARTS_H

#include "stats/metrics.h"

void metrics_write_rollouts(struct expose *e, const struct metrics_facts *facts);

#endif
