/* front/binding.h - a snapshot as one worker uses it: its upstreams, blocks and pins.
 *
 *   snapshot (main's) <-- binding (this worker's) <-- pin -- request
 *                           |-- upstreams of the worker, found again by name: pools outlive reloads
 *                           \-- draw: what is left of each split's block
 *
 * Owner: the front. A request pins the binding it was decided with, by a plain count; when the count of an outdated
 * binding reaches zero it is destroyed after the turn and the main thread is told.
 */
#ifndef FRONT_BINDING_H
#define FRONT_BINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "front/series.h"
#include "http/codec.h"
#include "lua/script_host.h"
#include "net/loop.h"
#include "route/decide.h"
#include "route/snapshot.h"
#include "route/weights.h"
#include "shadow/lane.h"
#include "upstream/upstream.h"

struct front;

struct binding {
    uint32_t magic;
    struct list link;
    struct front *front;
    struct snapshot *snapshot;     /* borrowed until on_binding_unused */
    const struct weights *weights; /* in force for it; replaced by front_set_weights while it is current */
    struct upstream **upstreams;   /* by index of config->upstreams */
    struct shadow_binding shadows;
    struct script_host *scripts; /* NULL: no route has any. Made by the main thread, and given back to it */
    struct script_renewal script_renewal;
    struct list hooks_to_begin; /* chores of front/script.c's: as many as may be are paused */
    struct draw draw;
    struct h1_limits request_limits; /* readers of requests point to it */
    uint32_t pin_count;              /* requests that began with it and are not finished */
    bool is_current;                 /* new requests pin it */
    bool is_leaving;                 /* destroyed at the end of this turn */
    struct deferred deferred;
};

/* For a worker, by the main thread, whom running the scripts' files may keep; NULL: the snapshot has none. */
struct script_host *binding_make_scripts(const struct snapshot *snapshot, struct watchdog *dog,
                                         struct shared_map *shared);
/* `scripts` becomes the binding's, until on_binding_unused. */
struct binding *binding_create(struct front *f, struct snapshot *snapshot, const struct weights *weights,
                               struct script_host *scripts);
struct binding *binding_pin(struct binding *b);
void binding_unpin(struct binding *b);
/* Another one is current now: goes when nothing pins it. */
void binding_retire(struct binding *b);

/* This listener in the binding's configuration, or NULL when a reload took it away. */
const struct listener_config *binding_listener(const struct binding *b, struct slice name);

#endif
