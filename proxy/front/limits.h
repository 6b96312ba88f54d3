/* front/limits.h - limits that all workers share: connections, connections per source, request rates.
 *
 * One of the few places where workers meet (design.md, Threads): fixed tables of atomics, no locks, no waiting. A limit
 * that each worker kept for itself would depend on how the kernel spreads connections.
 */
#ifndef FRONT_LIMITS_H
#define FRONT_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"
#include "base/units.h"
#include "config/model.h"

struct limits; /* about 1.5 MiB, whatever the traffic */

/* One for the process, on the main thread, before the workers start. */
struct limits *limits_create(void);
void limits_destroy(struct limits *l);

#define LIMITS_NOWHERE UINT32_MAX /* no slot was free: counted in all, but not for its source */

/* A connection wants in: false when limits.connections or connections_per_source (0: none) is used up. True must be
   followed by limits_leave with *place, which is where it is counted for its source. */
bool limits_enter(struct limits *l, const struct ip_address *source, uint32_t most, uint32_t most_per_source,
                  uint32_t *place);
/* A connection that was counted for one source turns out to be another's: false when connections_per_source is used up for
   that one. Either way limits_leave follows, with the new *place. */
bool limits_move(struct limits *l, const struct ip_address *source, uint32_t most_per_source, uint32_t *place);
void limits_leave(struct limits *l, uint32_t place);

/* May a request of this route and key go on? Generic cell rate: `count` per period with `burst` at once. On refusal
   *retry_after_ms tells when the next would pass. */
bool limits_take(struct limits *l, const struct rate_limit_config *rate, uint64_t route_salt, struct slice key,
                 struct mono_time now, int64_t *retry_after_ms);

#endif
