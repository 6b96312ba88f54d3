/* server/status.h - the process as the kernel sees it, for the process_* metrics. */
#ifndef SERVER_STATUS_H
#define SERVER_STATUS_H

#include "stats/metrics.h"

/* Reads /proc/self; what cannot be read is 0. `started` is the caller's. */
void status_read_process(struct metrics_process *out);

#endif
