/* server/prometheus.h - the one number in an answer to a query of Prometheus. Pure.
 *
 * The answer is another program's: whatever is wrong with it is a number that nobody knows, which the guardrail's on_unknown
 * is about. Nothing that is no number may look like a good one, such as 0. */
#ifndef SERVER_PROMETHEUS_H
#define SERVER_PROMETHEUS_H

#include "base/slice.h"

/* Of a body as /api/v1/query writes it, a scalar or a vector of one series; NAN when it holds none. +Inf and -Inf are
   numbers: a limit is above or below them. */
double prometheus_number(struct slice body);

#endif
