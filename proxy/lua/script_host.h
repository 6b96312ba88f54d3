/* lua/script_host.h - the scripts of a snapshot as one worker runs them: a state, and the hooks in it.
 *
 *   script_host_create -> attach -> script_host_call ... script_host_forget ... -> detach -> script_host_destroy
 *                                      | VM_SUSPENDED: weir.fetch waits            ^
 *                                      +-> script_host_continue, again and again --+
 *                                      | VM_PAUSED: others may go first            |
 *                                      +-> script_host_go_on, again and again -----+
 *                                      +-> script_host_abandon: nobody wants its word any more
 *
 * on_request of a script that ran long lately (script_host_ran_long) runs in stints from its beginning, and pauses between them.
 * A script that keeps short has nothing of it: no count hook, and its time is not read. What such a script may do beside it:
 * at most SCRIPT_PAUSED_MAX calls of one host are paused, and each for SCRIPT_PAUSED_MAX_MS between two answers it waits for: past the first limit the owner lets
 * the next ones begin when others have ended (script_host_is_long, script_host_has_room), and what is called nevertheless, or in a
 * full state, holds its worker for its budget; past the second, they are cut off.
 *
 * Making one runs every script's file, up to SCRIPT_LOAD_BUDGET_US each, and freeing what scripts keep takes its time, too: so
 * both are the main thread's work, and a worker, which must not wait, has it in between.
 *
 * A state that the scripts have filled (what they keep is over limits.script_memory) is thrown away before the next call
 * and made anew: what they kept, also in `ctx`, is gone then, and said so in the log. While hooks wait in it, it stays:
 * weir.fetch then answers nil, "overloaded", so that they become fewer, and what a call may take is bounded all the same.
 * To make one anew takes many milliseconds, so a worker has it done elsewhere (struct script_renewal) and goes on in the full
 * one until then, where a call that finds no memory fails:
 *
 *   full -> on_full -> another thread: script_host_create -> script_host_offer -> next call -> on_used -> destroy
 *
 *
 * Owner: the worker's binding, from the order to swap until it reports the snapshot unused. Calls do not nest. */
#ifndef LUA_SCRIPT_HOST_H
#define LUA_SCRIPT_HOST_H

#include "lua/api.h"
#include "lua/script_set.h"
#include "lua/vm.h"
#include "route/table.h"

#define SCRIPT_LONG_US       250
#define SCRIPT_STINTS_MS     10000
#define SCRIPT_PAUSED_MAX    256
#define SCRIPT_PAUSED_MAX_MS 1000

struct script_host;

/* Everything is borrowed, and outlives it. table->config->scripts must be there. */
struct script_host *script_host_create(const struct route_table *table, struct watchdog *dog, script_fetch_fn fetch,
                                       struct shared_map *shared);
/* No hook may wait. */
void script_host_destroy(struct script_host *h);

/* The same, with the world outside made up: for tests without a server. */
struct script_host *script_host_create_fake(const struct route_table *table, struct watchdog *dog,
                                            const struct script_fakes *fakes);
/* What the last call that failed was about, with a traceback; until the next call. */
const char *script_host_message(const struct script_host *h);
/* Who makes new states for a host, and frees old ones. */
struct script_renewal {
    void (*on_full)(void *arg);                          /* a new one is wanted; once until it is offered */
    void (*on_used)(void *arg, struct script_host *old); /* has the old state, to be destroyed */
    void *arg;
};

/* By the thread that makes the calls, before the first and after the last. `renewal` is borrowed; NULL: a new state is made
   on this thread. */
void script_host_attach(struct script_host *h, const struct script_renewal *renewal);
void script_host_detach(struct script_host *h);

/* Runs a hook that the script has. VM_OK: what it returned is in the call. VM_SUSPENDED, VM_PAUSED: on_request waits, see above;
   the call stays where it is. Else nothing is in it but the edits that the hook had made, and the log has why, with a
   traceback, at most once a second for each script. */
enum vm_result script_host_call(struct script_host *h, uint32_t script, enum script_hook hook, int64_t budget_us,
                                struct script_call *call);

/* Goes on with a hook that waits; `answer` is borrowed for the call. Results as above. */
enum vm_result script_host_continue(struct script_host *h, struct script_call *call,
                                    const struct script_fetch_answer *answer);
/* Gives a paused hook another stint. Results as above. */
enum vm_result script_host_go_on(struct script_host *h, struct script_call *call);
/* The call that is just over, on_request's, took SCRIPT_LONG_US or more by the clock. If that was its own work, and not another
   thread's, calls of its script run in stints for SCRIPT_STINTS_MS. */
void script_host_ran_long(struct script_host *h, const struct script_call *call, enum vm_result result);
/* A call of it runs in stints, while there is room for another that is paused. */
bool script_host_is_long(struct script_host *h, uint32_t script);
bool script_host_has_room(const struct script_host *h);
/* Of a hook that waits or is paused, or none. */
void script_host_abandon(struct script_host *h, struct script_call *call);

/* `fresh`, of the same scripts and attached to no thread, is the host's from now on: its state is for the next call after
   on_full. */
void script_host_offer(struct script_host *h, struct script_host *fresh);

/* For tests: calls of all scripts run in stints from now on, and are left after that many instructions. */
void script_host_force_stints(struct script_host *h, int instructions);

/* What its state holds, garbage included. */
size_t script_host_memory_bytes(const struct script_host *h);

/* The request has ended: its ctx goes. */
void script_host_forget(struct script_host *h, struct script_call *call);

#endif
