/* admin/control.h - what the admin API may ask of the process: functions it is given at construction.
 *
 * All of them run on the main thread and answer at once. What they return is borrowed until the next turn of the loop. */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "route/snapshot.h"
#include "route/weights.h"
#include "shadow/comparer.h"
#include "stats/metrics.h"
#include "stats/stats.h"
#include "store/events.h"
#include "store/overrides.h"
#include "store/store.h"

struct drill_row; /* store/drills.h */

enum reload_result { RELOAD_NONE, RELOAD_APPLIED, RELOAD_UNCHANGED, RELOAD_REJECTED };

extern const char *const reload_result_names[];

/* How an attempt to load the configuration ended. */
struct reload_outcome {
    enum reload_result result;
    uint64_t generation; /* in force afterwards */
    struct wall_time at;
    struct slice source;    /* start | hup | watch | api | restore */
    struct slice by;        /* "signal", or who asked by the API */
    struct slice *problems; /* errors and warnings, "FILE:LINE:COL: message" */
    size_t problem_count;
};

enum process_state { PROCESS_STARTING, PROCESS_SERVING, PROCESS_DRAINING };

struct listener_status {
    struct slice name, bind; /* bind: as written */
    struct slice address;    /* as bound: the port the kernel chose */
};

/* One worker as it last reported, and its live objects now. */
struct worker_status {
    uint64_t generation, weights_generation; /* in use */
    uint32_t last_swap_us;
    bool is_drained;
    uint64_t clients, requests, exchanges, shadows, chunks;
};

struct process_status {
    const char *version;
    enum process_state state;
    struct wall_time started;
    int64_t uptime_ms;
    const char *admin_address; /* of TCP, as bound; "" without */
    struct listener_status *listeners;
    size_t listener_count;
    struct worker_status *workers;
    size_t worker_count;
    size_t snapshot_count;       /* in memory: the current one, and those that requests still use */
    struct wall_time applied_at; /* of the configuration in force */
    struct slice source, by;     /* that brought it */
    const struct reload_outcome *last_reload;
    uint64_t applied_count, unchanged_count, rejected_count; /* reloads */
    uint64_t access_dropped_count;
    struct slice *restart_needed; /* settings that changed in the file and wait for a restart */
    size_t restart_needed_count;
};

/* Who asks: for the audit log and the log. */
struct actor {
    struct slice who; /* "unix:alice", a token's name, "anonymous" */
    enum role role;
};

/* REFUSED: it cannot be done now. NOT_STORED: it could be, and the store failed. Nothing changed then. */
enum rollout_reply { ROLLOUT_REPLY_DONE, ROLLOUT_REPLY_REFUSED, ROLLOUT_REPLY_NOT_STORED, ROLLOUT_REPLY_UNKNOWN };

/* A business outcome, as somebody tells it afterwards: by the mark of its exposure, or else by rollout or route, side, and
   the time at which the request was passed on. Borrowed; empty: not said. */
struct outcome_item {
    struct slice event, id;
    uint64_t count;        /* requests with it, 1 or more */
    struct slice exposure; /* x-weir-exposure of the request */
    struct slice rollout, route, upstream, key;
    struct wall_time at; /* unix_ms 0: not said */
};

struct outcome_summary {
    uint64_t counted, compared; /* in absolute rules at least; of these in comparisons, too */
    uint64_t repeated;          /* their id was known */
    uint64_t
        left_out; /* of another revision, of before the weight's last change, or of a rollout that is not watched now */
};

/* Why nothing was counted. */
struct outcome_failure {
    size_t index; /* of the item */
    uint16_t status;
    const char *code;
    struct text message; /* the caller's to free */
};

/* A drill as it is asked for: server/drills.h. Slices "" and numbers 0 where nothing is said. */
struct drill_asked {
    struct slice guardrail, fault;
    bool is_live, is_all_steps;
    uint32_t step, weight_ppm, rate, share_ppm;
    int64_t delay_ms, timeout_ms;
};

/* An event that is tied to metrics: of what, and how long before and after. "": any route, any upstream. */
struct deployment_asked {
    struct wall_time at;
    int64_t window_ms;
    struct slice route, upstream;
};

struct admin_control {
    void *arg;
    const struct stats *stats;
    struct store *store;
    struct config_source
        source; /* what a reload reads from and checks with: to try a configuration before it is written */
    const struct snapshot *(*snapshot)(void *arg);
    const struct weights *(*weights)(void *arg);
    /* The weights set at run time that are in force, with who and why; *count of them. */
    const struct override *(*overrides)(void *arg, size_t *count);
    void (*status)(void *arg, struct arena *arena, struct process_status *out);
    enum process_state (*state)(void *arg);
    /* Adds an object for each compared shadow of the route. */
    void (*shadows)(void *arg, struct slice route, enum comparer_part part, struct json *array);
    /* An object for each monitor that asks the upstream. */
    void (*monitors)(void *arg, struct slice upstream, struct json *array);
    /* An object for each endpoint that fails one. */
    void (*failing_monitors)(void *arg, struct json *array);
    /* Does a monitor say that clients should go elsewhere? Then with a line why. */
    bool (*is_unready)(void *arg, struct text *why);
    void (*metrics)(void *arg, struct arena *arena, struct metrics_facts *out);
    /* Loads the file again. The workers may still be switching when it returns: when_settled. */
    const struct reload_outcome *(*reload)(void *arg, struct slice source, struct slice by);
    /* Writes the files of a version, all or none, and loads them; when they are rejected, what was there before is put
       back. NULL with a sentence when they could not be written. A sentence beside an outcome tells what could not be put
       back. Waits for the disk. */
    const struct reload_outcome *(*restore)(void *arg, const struct file_text *files, size_t count, struct slice by,
                                            struct text *error);
    /* Sets the weights of one route (per split entry), or gives them back to the file (weights NULL). False with a sentence
       in `error` when they could not be stored: then nothing changed. */
    bool (*set_weights)(void *arg, const struct compiled_route *route, const uint32_t *weights,
                        const struct actor *actor, struct slice reason, struct text *error);
    /* Sends a stored event to who follows them. */
    void (*publish_event)(void *arg, const struct event_row *event);
    /* What the traffic was like before an event, and after it as far as is known: "metrics" of its detail. Then, in the same turn,
       that it was stored with this detail, of which "metrics" are no part; or NULL, not. */
    void (*deployment_begin)(void *arg, const struct deployment_asked *asked, struct json *metrics);
    void (*deployment_stored)(void *arg, const struct event_row *event, struct slice detail);
    /* The same of one by now, while what comes after it grows; false: it does not. */
    bool (*deployment)(void *arg, int64_t id, struct json *metrics);
    /* An object for each rollout; or one, false: there is none of that name (object may be NULL). */
    void (*rollouts)(void *arg, struct json *array);
    bool (*rollout)(void *arg, struct slice name, struct json *object);
    /* What it would do if it were started now. */
    bool (*rollout_plan)(void *arg, struct slice name, struct json *object);
    /* The rollout that owns weights of the route. */
    bool (*rollout_owner)(void *arg, struct slice route, struct slice *name);
    /* A person's word: "start", "approve", "promote", "pause", "resume", "rollback", "abort". With a sentence in `error` unless
       it is DONE. It writes its audit line itself. */
    enum rollout_reply (*rollout_act)(void *arg, struct slice name, const char *action, const struct actor *actor,
                                      struct slice reason, struct text *error);
    /* An object for each objective: what it counted, how fast its budget burns, what is left. */
    void (*slos)(void *arg, struct json *array);
    /* Counts them, all or none; false with a failure. It writes its audit lines itself, one a minute for who tells whom why. */
    bool (*outcomes)(void *arg, const struct outcome_item *items, size_t count, const struct actor *actor,
                     struct slice reason, struct outcome_summary *out, struct outcome_failure *failure);
    /* Begins a drill of that rollout, as rollout_act; or tells of the one of it that is under way: false, none is. What
       *row holds is in the arena or borrowed. */
    enum rollout_reply (*drill_start)(void *arg, struct slice name, const struct drill_asked *asked,
                                      const struct actor *actor, struct slice reason, struct text *error);
    bool (*drill)(void *arg, struct slice name, struct arena *arena, struct drill_row *row);
    /* Ends the one of that rollout that is under way. It writes its audit line itself. */
    enum rollout_reply (*drill_stop)(void *arg, struct slice name, const struct actor *actor, struct slice reason,
                                     struct text *error);
    /* Accepts no more clients and lets the present ones finish; the process goes on until it is told to end. */
    void (*drain)(void *arg, const struct actor *actor);
    /* done(done_arg, ticket) runs once, not before this returns, when every worker uses what was published last. */
    void (*when_settled)(void *arg, void (*done)(void *done_arg, uint64_t ticket), void *done_arg, uint64_t ticket);
};

#endif
