/* server/start.c - brings the process up in order, and takes it down in the reverse one.
 *
 * The order is one of needs. Ports below 1024, the state directory and the database are opened while the process may still
 * be root, and handed to the user it becomes; threads begin after that, so that none ever runs as root. Everything
 * that can fail comes before the first worker: a start that fails has served nobody. server_end follows a start that failed
 * half way too, so it asks of each part whether it is there. */
#include "server/parts.h"

#include "base/log.h"
#include "base/memory.h"
#include "config.h"
#include "crypto/random.h"
#include "front/limits.h"
#include "front/series.h"
#include "front/tls_set.h"
#include "server/privileges.h"
#include "store/audit.h"
#include "store/versions.h"
#include "upstream/places.h"

#include <sched.h>
#include <stdio.h>

/* Those this process may run on: a container or taskset may have left it fewer than the machine has. */
static uint32_t count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (uint32_t)CPU_COUNT(&set);
}

static uint32_t choose_worker_count(const struct server_options *options, const struct config *config)
{
    if (options->worker_count != 0)
        return options->worker_count;
    return config->worker_count != 0 ? config->worker_count : count_cores();
}

static const char *choose_state_dir(const struct server *s, const struct config *config)
{
    return s->options->state_dir != NULL ? s->options->state_dir : config->state_dir.ptr;
}

/* The number goes on where the last run ended; the same configuration keeps the one it had. */
static void choose_generation(struct server *s, struct snapshot *snapshot, bool *is_known)
{
    struct arena arena;
    struct version newest;
    arena_init(&arena, NULL, 0);
    *is_known = false;
    if (versions_newest(s->store, &arena, &newest)) {
        *is_known = slice_equal(newest.digest, snapshot->config->digest);
        snapshot->generation = newest.generation + !*is_known;
    }
    arena_reset(&arena);
}

/* No worker runs yet: they get the snapshot with their options, and no descriptors are mailed. A known configuration is
   stored already. */
static void publish_first(struct server *s, struct snapshot *snapshot)
{
    bool is_known;
    struct text diff = { 0 };
    choose_generation(s, snapshot, &is_known);
    if (!is_known)
        server_tell_config(s, snapshot, SLICE("start"), SLICE("weir"), &diff);
    snapshot->series = series_map_build(&snapshot->arena, snapshot->table, s->stats);
    server_compare_configure(s, snapshot);
    override_set_reconcile(&s->overrides, snapshot);
    server_journal_check(s);
    rollouts_configure(&s->rollouts, snapshot);
    publish_snapshot(&s->publisher, snapshot, server_weights_create(s, snapshot), NULL);
    monitors_configure(s->monitors, snapshot->config);
    server_note_applied(s, SLICE("start"), SLICE("weir"));
    if (!is_known)
        server_store_version(s, text_slice(&diff));
    if (!is_known)
        server_tell_applied(s);
    text_fini(&diff);
}

static void worker_begin(struct server *s, uint32_t index, int *fds)
{
    struct snapshot *snapshot = publisher_snapshot(&s->publisher);
    const struct weights *weights = publisher_weights(&s->publisher);
    sockets_fds(&s->sockets, snapshot->config, index, fds);
    struct worker_options options = {
        .index = index,
        .to_main = &s->inbox,
        .access_writer = s->access_writer,
        .listener_fds = fds,
        .listener_count = (uint32_t)snapshot->config->listener_count,
        .snapshot = snapshot,
        .weights = weights,
        .stats = s->stats->workers[index],
        .limits = s->limits,
        .places = s->places,
        .shadow_places = s->shadow_places,
        .comparer = s->comparer,
        .watchdog = s->watchdog,
        .shared = s->shared,
        .ticket_keys = &s->ticket_keys,
        .pseudonym = slice_from_cstr(s->pseudonym),
        .worker_count = s->worker_count,
    };
    s->publisher.uses[index] = (struct worker_use){
        .worker = worker_start(&options),
        .generation = snapshot->generation,
        .weights_generation = weights->generation,
        .is_accepting = true,
    };
}

static void workers_begin(struct server *s)
{
    const struct config *config = publisher_snapshot(&s->publisher)->config;
    int *fds = memory_alloc((config->listener_count + 1) * sizeof *fds);
    for (uint32_t i = 0; i < s->worker_count; i++)
        worker_begin(s, i, fds);
    memory_free(fds);
}

/* ---- in order ------------------------------------------------------------------------------------------------------------ */

static void print_problems(struct err_list *errors)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    for (const struct err *e = errors->first; e != NULL; e = e->next)
        fprintf(stderr, "%s\n", err_format(&arena, e).ptr);
    arena_reset(&arena);
}

static void loop_begin(struct server *s)
{
    s->loop = loop_create(NULL);
    s->started = clock_wall();
    s->started_mono = clock_mono();
    snprintf(s->pseudonym, sizeof s->pseudonym, "weir-%08x", (unsigned)random_u64());
    arena_init(&s->outcome_arena, NULL, 0);
    server_journal_begin(s);
    timer_init(&s->drain_timer, server_on_drain_timeout, s);
    mailbox_open(&s->inbox, s->loop, server_on_report, s);
    watch_init(&s->watch, s->loop, server_on_file_change, s);
    s->state_dir.lock_fd = -1;
    list_init(&s->sockets.sockets);
}

static void store_begin(struct server *s)
{
    s->store = store_open(s->state_dir.database);
    if (!store_is_usable(s->store))
        log_error("start: traffic is served, but nothing can be stored and changes are refused: %s",
                  store_message(s->store));
    else if (audit_head_fault(s->store) != NULL)
        log_error("start: %s.audit-head: %s; see `weir ctl audit --verify`", s->state_dir.database,
                  audit_head_fault(s->store));
}

/* What may need root. A database that cannot be used stops nobody: weir serves by the file, and refuses changes. */
static bool outside_open(struct server *s, const struct config *config, struct err_list *errors)
{
    sockets_init(&s->sockets, s->worker_count);
    bool is_good = state_dir_open(&s->state_dir, choose_state_dir(s, config), errors);
    is_good &= sockets_open(&s->sockets, config, errors);
    if (!is_good)
        return false;
    store_begin(s);
    struct admin_control control = server_control(s);
    struct admin_options options = {
        .loop = s->loop,
        .control = &control,
        .socket_path = s->state_dir.socket,
        .config = &config->admin,
        .tls = config->tls->admin,
    };
    s->admin = admin_open(&options, errors);
    return s->admin != NULL;
}

/* What root made in the state directory has to be the user's before it is nobody's to give. */
static bool root_drop(struct server *s, const struct config *config, struct err_list *errors)
{
    struct identity identity;
    if (!identity_find(&identity, config, errors))
        return false;
    if (identity.is_wanted && !state_dir_give(&s->state_dir, identity.user, identity.group, errors))
        return false;
    return identity_assume(&identity, errors);
}

static void publisher_begin(struct server *s, const struct config *config)
{
    s->stats = stats_create(s->worker_count);
    s->limits = limits_create();
    s->watchdog = watchdog_create();
    s->shared = shared_map_create(config->limits.shared_memory_bytes);
    s->places = places_create();
    s->shadow_places = places_create();
    publisher_init(&s->publisher, s->loop, s->worker_count);
    s->publisher.on_settled = server_on_settled;
    s->publisher.on_not_accepting = server_on_not_accepting;
    s->publisher.on_drained = server_on_drained;
    s->publisher.arg = s;
    s->has_publisher = true;
}

/* Everything that can fail. The snapshot is the caller's until publish_first. */
static bool prepare(struct server *s, const struct config *config, struct err_list *errors)
{
    s->worker_count = choose_worker_count(s->options, config);
    restart_settings_read(&s->at_start, config);
    log_set_level(config->log.level);
    publisher_begin(s, config);
    if (!fd_limit_raise(config, s->worker_count, errors) || !outside_open(s, config, errors) ||
        !root_drop(s, config, errors))
        return false;
    s->access_writer = access_writer_start();
    server_compare_begin(s);
    return server_open_access_log(s, config, errors);
}

static void log_started(struct server *s)
{
    const struct snapshot *snapshot = publisher_snapshot(&s->publisher);
    const struct config *config = snapshot->config;
    for (size_t i = 0; i < config->listener_count; i++)
        log_info("start: listener %.*s on %s", SLICE_ARG(config->listeners[i].name),
                 sockets_address(&s->sockets, &config->listeners[i]));
    log_info("start: weir %s serves generation %llu of %.*s with %u workers", PACKAGE_VERSION,
             (unsigned long long)snapshot->generation, SLICE_ARG(config->file), s->worker_count);
}

bool server_start(struct server *s)
{
    struct arena arena;
    struct err_list errors;
    struct snapshot *snapshot;
    loop_begin(s);
    if (!server_load_first(s, &snapshot))
        return false;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    bool is_good = prepare(s, snapshot->config, &errors);
    print_problems(&errors);
    arena_reset(&arena);
    if (!is_good) {
        snapshot_destroy(snapshot);
        return false;
    }
    override_set_init(&s->overrides, s->store);
    server_rollouts_begin(s);
    publish_first(s, snapshot);
    server_signals_start(s);
    server_tickets_begin(s);
    workers_begin(s);
    server_watch_names(s);
    rollouts_begin(&s->rollouts);
    slos_configure(&s->slos, publisher_snapshot(&s->publisher));
    s->state = PROCESS_SERVING;
    log_started(s);
    return true;
}

/* ---- the reverse ------------------------------------------------------------------------------------------------------- */

/* All are told before the first is waited for: they end side by side. */
static void workers_end(struct server *s)
{
    s->publisher.is_ending = true;
    for (uint32_t i = 0; i < s->worker_count; i++)
        if (s->publisher.uses[i].worker != NULL)
            worker_order_stop(s->publisher.uses[i].worker);
    for (uint32_t i = 0; i < s->worker_count; i++)
        if (s->publisher.uses[i].worker != NULL)
            worker_join(s->publisher.uses[i].worker);
}

static void serving_end(struct server *s)
{
    workers_end(s);
    server_compare_end(s);
    mailbox_close(&s->inbox);
    if (s->admin != NULL)
        admin_close(s->admin);
    override_set_fini(&s->overrides);
    if (s->courier != NULL) /* it came so far */
        rollouts_save(&s->rollouts);
    publisher_fini(&s->publisher);
    server_rollouts_end(s);
    limits_destroy(s->limits);
    watchdog_destroy(s->watchdog);
    shared_map_destroy(s->shared);
    places_destroy(s->places);
    places_destroy(s->shadow_places);
    stats_destroy(s->stats);
}

static void strings_free(struct server *s)
{
    restart_settings_free(&s->at_start);
    memory_free(s->access_path);
    memory_free(s->applied_source);
    memory_free(s->applied_by);
    arena_reset(&s->outcome_arena);
}

void server_end(struct server *s)
{
    for (size_t i = 0; i < SERVER_SIGNAL_COUNT; i++)
        notify_signal_stop(&s->signals[i]);
    watch_fini(&s->watch);
    timer_stop(s->loop, &s->drain_timer);
    timer_stop(s->loop, &s->journal_timer);
    server_tickets_end(s);
    if (s->has_publisher)
        serving_end(s);
    else
        mailbox_close(&s->inbox);
    if (s->access_writer != NULL)
        access_writer_stop(s->access_writer);
    server_forget_names(s);
    sockets_fini(&s->sockets);
    if (s->store != NULL)
        store_close(s->store);
    state_dir_close(&s->state_dir);
    strings_free(s);
    loop_turn_now(s->loop); /* frees what was closed */
    loop_destroy(s->loop);
    if (s->state != PROCESS_STARTING)
        log_info("stop: done");
}
