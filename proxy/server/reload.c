/* server/reload.c - loads the configuration, and puts it in force without dropping anything.
 *
 * Everything that can fail happens before the workers hear of it: load and compile, open new listeners, open the access log.
 * A reload that fails leaves the process as it was; its problems are kept for the API. */
#include "server/parts.h"
#include "server/source.h"

#include "base/log.h"
#include "base/memory.h"
#include "front/series.h"
#include "front/tls_set.h"
#include "store/versions.h"

#include <stdio.h>

static void duplicate(char **at, struct slice text)
{
    memory_free(*at);
    *at = memory_alloc(text.len + 1);
    memcpy(*at, text.len ? text.ptr : "", text.len);
    (*at)[text.len] = '\0';
}

/* ---- outcomes -------------------------------------------------------------------------------------------------------- */

static void log_problems(const struct err_list *errors)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    for (const struct err *e = errors->first; e != NULL; e = e->next)
        log_line(e->severity == ERR_ERROR ? LOG_ERROR : LOG_WARN, "%s", err_format(&arena, e).ptr);
    arena_reset(&arena);
}

static void keep_problems(struct reload_outcome *outcome, struct arena *arena, const struct err_list *errors)
{
    size_t count = errors->error_count + errors->warning_count;
    outcome->problems = arena_zalloc_array(arena, count, sizeof *outcome->problems);
    for (const struct err *e = errors->first; e != NULL; e = e->next)
        outcome->problems[outcome->problem_count++] = err_format(arena, e);
}

static const struct reload_outcome *finish(struct server *s, enum reload_result result, const struct err_list *errors)
{
    struct reload_outcome *o = &s->last_reload;
    o->result = result;
    o->generation = publisher_snapshot(&s->publisher)->generation;
    keep_problems(o, &s->outcome_arena, errors);
    log_problems(errors);
    s->applied_count += result == RELOAD_APPLIED;
    s->unchanged_count += result == RELOAD_UNCHANGED;
    s->rejected_count += result == RELOAD_REJECTED;
    log_line(result == RELOAD_REJECTED ? LOG_ERROR : LOG_INFO, "reload: %s (%.*s by %.*s), generation %llu is in force",
             reload_result_names[result], SLICE_ARG(o->source), SLICE_ARG(o->by), (unsigned long long)o->generation);
    return o;
}

static void begin(struct server *s, struct slice source, struct slice by)
{
    struct arena *arena = &s->outcome_arena;
    arena_reset(arena);
    s->last_reload =
        (struct reload_outcome){ .at = clock_wall(), .source = arena_copy(arena, source), .by = arena_copy(arena, by) };
}

/* ---- versions -------------------------------------------------------------------------------------------------------- */

void server_note_applied(struct server *s, struct slice source, struct slice by)
{
    s->applied_at = clock_wall();
    duplicate(&s->applied_source, source);
    duplicate(&s->applied_by, by);
}

void server_store_version(struct server *s, struct slice diff)
{
    const struct snapshot *snapshot = publisher_snapshot(&s->publisher);
    struct version version = {
        .generation = snapshot->generation,
        .digest = snapshot->config->digest,
        .applied_at = s->applied_at,
        .source = slice_from_cstr(s->applied_source),
        .applied_by = slice_from_cstr(s->applied_by),
        .file_count = snapshot->config->file_count,
        .text_bytes = snapshot->config->text.len,
        .diff = diff,
    };
    if (!versions_put(s->store, &version, snapshot->config->files))
        log_error("reload: generation %llu could not be stored and cannot be restored later: %s",
                  (unsigned long long)snapshot->generation, store_message(s->store));
}

/* ---- settings that wait for a restart ---------------------------------------------------------------------------------- */

void restart_settings_read(struct restart_settings *r, const struct config *config)
{
    *r = (struct restart_settings){ .worker_count = config->worker_count };
    duplicate(&r->user, config->user);
    duplicate(&r->state_dir, config->state_dir);
    duplicate(&r->admin_bind, config->admin.bind_text);
}

void restart_settings_free(struct restart_settings *r)
{
    memory_free(r->user);
    memory_free(r->state_dir);
    memory_free(r->admin_bind);
}

static void compare(struct slice *list, size_t *count, const char *name, const char *before, struct slice now)
{
    if (!slice_equal(slice_from_cstr(before), now))
        list[(*count)++] = slice_from_cstr(name);
}

size_t server_restart_needed(const struct server *s, struct arena *arena, struct slice **out)
{
    size_t count = 0;
    const struct config *config = publisher_snapshot(&s->publisher)->config;
    *out = arena_zalloc_array(arena, 4, sizeof **out);
    compare(*out, &count, "user", s->at_start.user, config->user);
    compare(*out, &count, "admin.bind", s->at_start.admin_bind, config->admin.bind_text);
    if (s->options->state_dir == NULL)
        compare(*out, &count, "state_dir", s->at_start.state_dir, config->state_dir);
    if (s->options->worker_count == 0 && s->at_start.worker_count != config->worker_count)
        (*out)[count++] = SLICE("workers");
    return count;
}

static void log_restart_needed(const struct server *s)
{
    struct arena arena;
    struct slice *settings;
    arena_init(&arena, NULL, 0);
    size_t count = server_restart_needed(s, &arena, &settings);
    for (size_t i = 0; i < count; i++)
        log_warn("reload: %.*s changed, which needs a restart", SLICE_ARG(settings[i]));
    arena_reset(&arena);
}

/* ---- loading ----------------------------------------------------------------------------------------------------------- */

static void watch_sources(struct server *s, const struct source_recorder *r, const struct config *config)
{
    if (config->is_watched)
        watch_set(&s->watch, r->files, r->file_count, r->patterns, r->pattern_count);
    else
        watch_set(&s->watch, NULL, 0, NULL, 0);
}

static struct snapshot *load(struct server *s, uint64_t generation, struct err_list *errors)
{
    struct source_recorder recorder;
    source_recorder_init(&recorder);
    struct snapshot *snapshot = snapshot_create(s->options->config_file, &recorder.source, generation, errors);
    if (snapshot != NULL)
        watch_sources(s, &recorder, snapshot->config);
    else if (s->state != PROCESS_STARTING)
        watch_sources(s, &recorder, publisher_snapshot(&s->publisher)->config);
    source_recorder_fini(&recorder);
    return snapshot;
}

bool server_load_first(struct server *s, struct snapshot **out)
{
    struct arena arena;
    struct err_list errors;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    *out = load(s, 1, &errors);
    for (const struct err *e = errors.first; e != NULL; e = e->next)
        fprintf(stderr, "%s\n", err_format(&arena, e).ptr);
    arena_reset(&arena);
    return *out != NULL;
}

/* ---- putting in force ---------------------------------------------------------------------------------------------------- */

static int *fds_of_all(struct server *s, const struct config *config)
{
    int *fds = memory_alloc((s->worker_count * config->listener_count + 1) * sizeof *fds);
    for (uint32_t i = 0; i < s->worker_count; i++)
        sockets_fds(&s->sockets, config, i, fds + i * config->listener_count);
    return fds;
}

static void publish(struct server *s, struct snapshot *snapshot)
{
    snapshot->series = series_map_build(&snapshot->arena, snapshot->table, s->stats);
    server_compare_configure(s, snapshot);
    override_set_reconcile(&s->overrides, snapshot);
    server_journal_check(s);
    drills_abort(&s->drills, "the configuration was loaded anew");
    rollouts_configure(&s->rollouts, snapshot);
    struct weights_set *weights = server_weights_create(s, snapshot);
    int *fds = fds_of_all(s, snapshot->config);
    publish_snapshot(&s->publisher, snapshot, weights, fds);
    server_watch_names(s);
    monitors_configure(s->monitors, snapshot->config);
    rollouts_begin(&s->rollouts);
    slos_configure(&s->slos, snapshot);
    memory_free(fds);
    log_set_level(snapshot->config->log.level);
    shared_map_set_limit(s->shared, snapshot->config->limits.shared_memory_bytes);
    admin_configure(s->admin, &snapshot->config->admin, snapshot->config->tls->admin);
}

/* Sockets and files; what was opened for nothing is closed again. */
static bool prepare(struct server *s, const struct config *config, struct err_list *errors)
{
    if (!admin_accepts(s->admin, &config->admin, errors) || !sockets_open(&s->sockets, config, errors))
        return false;
    if (server_open_access_log(s, config, errors))
        return true;
    CHECK(sockets_open(&s->sockets, publisher_snapshot(&s->publisher)->config, errors)); /* all are there */
    if (publisher_is_settled(&s->publisher)) /* else it happens when they settle */
        sockets_close_unwanted(&s->sockets);
    return false;
}

/* A socket that an earlier reload gave up, and whose workers have not all let go of it, is still known: it comes back. */
static enum reload_result apply(struct server *s, struct snapshot *snapshot, struct err_list *errors)
{
    if (!prepare(s, snapshot->config, errors)) {
        snapshot_destroy(snapshot);
        return RELOAD_REJECTED;
    }
    struct text diff = { 0 };
    server_tell_config(s, snapshot, s->last_reload.source, s->last_reload.by, &diff);
    publish(s, snapshot);
    server_note_applied(s, s->last_reload.source, s->last_reload.by);
    server_store_version(s, text_slice(&diff));
    server_tell_applied(s);
    text_fini(&diff);
    log_restart_needed(s);
    return RELOAD_APPLIED;
}

const struct reload_outcome *server_reload(struct server *s, struct slice source, struct slice by)
{
    struct err_list errors;
    struct place nowhere = { 0 };
    begin(s, source, by);
    err_list_init(&errors, &s->outcome_arena);
    if (s->state == PROCESS_DRAINING) {
        err_add(&errors, nowhere, "the process is draining and takes no new configuration");
        return finish(s, RELOAD_REJECTED, &errors);
    }
    const struct snapshot *current = publisher_snapshot(&s->publisher);
    struct snapshot *snapshot = load(s, current->generation + 1, &errors);
    if (snapshot == NULL)
        return finish(s, RELOAD_REJECTED, &errors);
    if (slice_equal(snapshot->config->digest, current->config->digest)) {
        snapshot_destroy(snapshot);
        return finish(s, RELOAD_UNCHANGED, &errors);
    }
    return finish(s, apply(s, snapshot, &errors), &errors);
}
