/* server/parts.h - the process as its own files see it. For server/ only.
 *
 * Owner and thread: main.
 *
 *   start:  load, state directory, sockets, user, store, access log, workers, admin, watch, signals
 *   stop:   signals, watch, drain, admin, workers, access log, sockets, store, state directory */
#ifndef SERVER_PARTS_H
#define SERVER_PARTS_H

#include "admin/admin.h"
#include "net/notify.h"
#include "net/tls_tickets.h"
#include "server/access_writer.h"
#include "server/deployments.h"
#include "server/drills.h"
#include "server/master.h"
#include "server/outcomes.h"
#include "server/overrides.h"
#include "server/monitors.h"
#include "server/publisher.h"
#include "server/rollouts.h"
#include "server/slos.h"
#include "server/sockets.h"
#include "server/state_dir.h"
#include "server/watch.h"
#include "lua/shared_map.h"
#include "lua/watchdog.h"
#include "shadow/comparer.h"
#include "shadow/recorder.h"
#include "store/events.h"

#define SERVER_SIGNAL_COUNT 4

struct limits;
struct places;
struct resolver;

/* What a restart would read differently: compared at each reload. */
struct restart_settings {
    uint32_t worker_count; /* as written; 0: one per core */
    char *user, *state_dir, *admin_bind;
};

struct server {
    const struct server_options *options;
    struct loop *loop;
    struct mailbox inbox; /* reports of the workers */
    struct stats *stats;
    struct limits *limits;
    struct places *places, *shadow_places; /* upstream/places.h: waiting requests, copies under way */
    struct comparer *comparer;
    struct recorder *recorder; /* works on the comparer's thread */
    struct watchdog *watchdog; /* of the workers' calls into scripts */
    struct shared_map *shared; /* what scripts have in common */
    struct state_dir state_dir;
    struct socket_set sockets;
    struct store *store;
    struct timer journal_timer; /* armed while something waits to be stored */
    struct override_set overrides;
    struct courier *courier;
    struct monitors *monitors;
    struct rollouts rollouts;
    struct outcome_desk outcomes;
    struct slos slos;
    struct deployments deployments;
    struct drills drills;
    struct access_writer *access_writer;
    char *access_path; /* in use; NULL: standard output or off */
    struct publisher publisher;
    bool has_publisher; /* a start that failed early has none to end */
    struct admin *admin;
    struct watch watch;
    struct resolver *resolver; /* NULL while every endpoint is an address */
    struct notify_signal signals[SERVER_SIGNAL_COUNT];
    struct timer drain_timer;           /* armed once is_stopping, for drain_timeout */
    struct tls_ticket_keys ticket_keys; /* count 0: not begun */
    struct timer ticket_timer;

    enum process_state state;
    bool is_stopping; /* TERM or INT came: the loop ends when drained */
    uint32_t worker_count;
    char pseudonym[24]; /* "weir-5f3a9c21": this process, in Via */
    struct wall_time started;
    struct mono_time started_mono;

    /* Of the configuration in force. */
    struct wall_time applied_at;
    char *applied_source, *applied_by; /* owned: start | hup | watch | api | restore, and who */
    struct restart_settings at_start;  /* as the running process uses them, whatever was loaded since */

    /* Reloads. */
    struct arena outcome_arena; /* of last_reload */
    struct reload_outcome last_reload;
    uint64_t applied_count, rejected_count, unchanged_count;
};

/* ---- reload.c ---------------------------------------------------------------------------------------------------------- */

/* The first load: prints every problem to standard error; false then. Nothing is opened or published. */
bool server_load_first(struct server *s, struct snapshot **out) MUST_CHECK;
/* Loads the file again and, when it validates and differs, publishes it. */
const struct reload_outcome *server_reload(struct server *s, struct slice source, struct slice by);
/* What brought the configuration that is in force from now on. */
void server_note_applied(struct server *s, struct slice source, struct slice by);
/* Stores it as a version, with what it changed; a failure is logged and stops nothing. */
void server_store_version(struct server *s, struct slice diff);
/* The settings that a restart would change, in the arena. */
size_t server_restart_needed(const struct server *s, struct arena *arena, struct slice **out);
void restart_settings_read(struct restart_settings *r, const struct config *config);
void restart_settings_free(struct restart_settings *r);

/* ---- control.c --------------------------------------------------------------------------------------------------------- */

struct admin_control server_control(struct server *s);

/* ---- changes.c ----------------------------------------------------------------------------------------------------------- */

#define CHANGES_DIFF_BYTES (16u * 1024) /* of a configuration's diff in the audit log; the rest is cut off */

void server_journal_begin(struct server *s);
/* After something may have been left waiting in the store: sees to it that it is tried again. */
void server_journal_check(struct server *s);
/* Stores an event and sends it to who follows them; a failure is logged and stops nothing. */
void server_tell(struct server *s, struct event_row *e);
/* Before a configuration comes into force: its line in the audit log, and what it changes, added to `diff`. */
void server_tell_config(struct server *s, const struct snapshot *next, struct slice source, struct slice by,
                        struct text *diff);
/* Afterwards: its event. */
void server_tell_applied(struct server *s);

/* ---- access_log.c -------------------------------------------------------------------------------------------------------- */

/* Opens the access log the configuration names, when it is another one than now. False with an error. */
bool server_open_access_log(struct server *s, const struct config *config, struct err_list *errors) MUST_CHECK;
void server_reopen_logs(struct server *s);

/* ---- weights.c ----------------------------------------------------------------------------------------------------------- */

/* Before the first snapshot is published, and after the workers have ended. */
void server_rollouts_begin(struct server *s);
void server_rollouts_end(struct server *s);
/* The weights of this snapshot, for its publication: those set at run time, and those of rollouts over them. */
struct weights_set *server_weights_create(struct server *s, const struct snapshot *snapshot);
/* Those of the current snapshot anew. */
void server_publish_weights(void *arg);

/* ---- names.c ------------------------------------------------------------------------------------------------------------- */

/* Watches the names of the current snapshot; the workers hear of addresses by and by. After each publication. */
void server_watch_names(struct server *s);
void server_forget_names(struct server *s);

/* ---- compare.c ----------------------------------------------------------------------------------------------------------- */

/* Before the first publication. */
void server_compare_begin(struct server *s);
/* After the workers ended. */
void server_compare_end(struct server *s);
/* What this snapshot wants compared and recorded: after its series are known, before the workers see it. */
void server_compare_configure(struct server *s, const struct snapshot *snapshot);

/* ---- tickets.c ----------------------------------------------------------------------------------------------------------- */

/* Before the workers start: the first keys. */
void server_tickets_begin(struct server *s);
/* Harmless when they were not begun. */
void server_tickets_end(struct server *s);

/* ---- start.c ------------------------------------------------------------------------------------------------------------- */

/* False when something is missing; every problem was printed. server_end follows in either case. */
bool server_start(struct server *s) MUST_CHECK;
void server_end(struct server *s);

/* ---- master.c ------------------------------------------------------------------------------------------------------------ */

/* Accepts no more clients; harmless when it does so already. */
void server_drain(struct server *s, struct slice cause);
void server_signals_start(struct server *s);
void server_on_report(void *arg, struct mail *mail);
void server_on_settled(void *arg);
void server_on_not_accepting(void *arg);
void server_on_drained(void *arg);
void server_on_drain_timeout(void *arg);
void server_on_file_change(void *arg);

#endif
