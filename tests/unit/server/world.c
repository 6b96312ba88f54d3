/* tests/unit/server/world.c - a world for the driver of rollouts. */
#include "server/world.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "front/series.h"
#include "store/rollouts.h"
#include "store/statement.h"

/* ---- what the driver is given ---------------------------------------------------------------------------------------- */

static void publish(void *arg)
{
    struct world *w = arg;
    struct weights_set *set = weights_set_create(&w->publisher);
    rollouts_apply(&w->all, publisher_snapshot(&w->publisher), &set->arena, &set->weights);
    publish_weights(&w->publisher, set);
    w->publish_count++;
    if (w->on_publish != NULL)
        w->on_publish(w->arg);
}

static void be_at_instant(struct world *w)
{
    if (w->on_instant != NULL)
        w->on_instant(w->arg);
}

static bool send_errand(void *arg, const struct courier_errand *errand)
{
    struct world *w = arg;
    be_at_instant(w);
    bool is_notice = slice_equal(errand->url, SLICE("http://127.0.0.1:9/told"));
    if (w->is_courier_full || w->errand_count == WORLD_ERRANDS_MAX)
        return false;
    if (is_notice) {
        text_clear(&w->notice);
        text_add(&w->notice, errand->body);
    }
    if (is_notice && w->errand_count > WORLD_ERRANDS_MAX / 4)
        return true; /* nobody answers it in this life */
    w->errands[w->errand_count++] = (struct world_errand){ errand->done, errand->arg, errand->ticket,
                                                           slice_equal(errand->url, SLICE("http://127.0.0.1:9/gate")) };
    return true;
}

static struct wall_time read_wall(void *arg)
{
    be_at_instant(arg);
    return ((struct world *)arg)->wall;
}

static void on_weights_unused(void *arg, uint64_t generation)
{
    rollouts_on_weights_unused(&((struct world *)arg)->all, generation);
}

static void pass_over(void *arg)
{
    (void)arg;
}

static bool read_yaml(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    const struct world *w = arg;
    (void)path;
    *out = arena_copy(arena, text_slice(&w->yaml));
    return true;
}

static struct snapshot *load(struct world *w)
{
    struct arena arena;
    struct err_list errors;
    struct config_source source = config_source_system;
    source.read_file = read_yaml;
    source.arg = w;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    struct snapshot *s = snapshot_create("r.yaml", &source, ++w->generation, &errors);
    cr_assert_not_null(s, "%s\n%s", errors.first != NULL ? errors.first->message : "", w->yaml.bytes);
    arena_reset(&arena);
    s->series = series_map_build(&s->arena, s->table, w->stats);
    return s;
}

/* ---- databases --------------------------------------------------------------------------------------------------------- */

/* Tables are made once: that takes as long as half a life. */
static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    cr_assert(in != NULL && out != NULL);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, in)) > 0;)
        cr_assert_eq(fwrite(bytes, 1, n, out), n);
    fclose(in);
    cr_assert_eq(fclose(out), 0);
}

static void database_remove(const struct world *w)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", ".audit-head", ".waiting" };
    char path[100];
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        snprintf(path, sizeof path, "%s%s", w->database, suffixes[i]);
        unlink(path);
    }
}

/* In memory where the system has such a place: what an fsync costs there is nothing. */
void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){ .wall = { WORLD_NOON_MS } };
    snprintf(w->folder, sizeof w->folder, "%s/weir-release-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert_not_null(mkdtemp(w->folder));
    snprintf(w->database, sizeof w->database, "%s/weir.db", w->folder);
    rng_init(&w->rng, seed);
    w->loop = loop_create(NULL);
    w->loop->now = (struct mono_time){ 1000000 };
    w->loop->is_now_known = true;
    w->stats = stats_create(WORLD_WORKERS);
    snprintf(w->empty, sizeof w->empty, "%s/empty.db", w->folder);
    store_close(store_open(w->database));
    copy_file(w->database, w->empty);
    database_remove(w);
}

void world_fini(struct world *w)
{
    loop_destroy(w->loop);
    stats_destroy(w->stats);
    text_fini(&w->yaml);
    text_fini(&w->notice);
    unlink(w->empty);
    rmdir(w->folder);
}

void world_database_begin(struct world *w)
{
    copy_file(w->empty, w->database);
    sqlite3 **const both[] = { &w->locker, &w->reader };
    for (size_t i = 0; i < ARRAY_COUNT(both); i++)
        cr_assert_eq(sqlite3_open(w->database, both[i]), SQLITE_OK);
}

void world_database_end(struct world *w)
{
    sqlite3_close(w->locker);
    sqlite3_close(w->reader);
    database_remove(w);
}

int64_t world_query(struct world *w, const char *sql)
{
    sqlite3_stmt *st;
    cr_assert_eq(sqlite3_prepare_v2(w->reader, sql, -1, &st, NULL), SQLITE_OK, "%s", sqlite3_errmsg(w->reader));
    int64_t value = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    return value;
}

bool world_newest_transition(struct world *w, const char *rollout, struct text *state, uint32_t *weight_ppm)
{
    const struct rollout_row *waiting = NULL, *row;
    for (size_t place = 0; (row = journal_rollout(&w->store->journal, &place)) != NULL;)
        waiting = slice_equal(row->name, slice_from_cstr(rollout)) ? row : waiting;
    text_clear(state);
    if (waiting != NULL) {
        text_add(state, waiting->state);
        *weight_ppm = waiting->weight_ppm;
        return true;
    }
    sqlite3_stmt *st;
    cr_assert_eq(
        sqlite3_prepare_v2(w->reader,
                           "SELECT t.to_state, t.weight_ppm FROM transitions t JOIN audit a ON a.id = t.audit_id"
                           " WHERE a.target = t.rollout AND t.rollout = ?1 ORDER BY t.id DESC LIMIT 1",
                           -1, &st, NULL),
        SQLITE_OK, "%s", sqlite3_errmsg(w->reader));
    sqlite3_bind_text(st, 1, rollout, -1, SQLITE_STATIC);
    bool is_found = sqlite3_step(st) == SQLITE_ROW;
    if (is_found) {
        text_add_cstr(state, (const char *)sqlite3_column_text(st, 0));
        *weight_ppm = (uint32_t)sqlite3_column_int64(st, 1);
    }
    sqlite3_finalize(st);
    return is_found;
}

/* ---- faults ------------------------------------------------------------------------------------------------------------ */

static int refuse(void *arg, int what, const char *a, const char *b, const char *c, const char *d)
{
    struct world *w = arg;
    (void)what, (void)a, (void)b, (void)c, (void)d;
    w->write_attempts++;
    return SQLITE_DENY;
}

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

static void unbreak(struct world *w)
{
    if (w->fault == WORLD_LOCKED)
        run(w->locker, "ROLLBACK");
    if (w->fault == WORLD_UNREADABLE)
        sqlite3_set_authorizer(w->store->db, NULL, NULL);
    if (w->fault == WORLD_FULL)
        run(w->store->db, "PRAGMA max_page_count = 1000000");
    w->fault = WORLD_WELL;
}

void world_break(struct world *w, enum world_fault fault)
{
    unbreak(w);
    if (fault == WORLD_LOCKED)
        run(w->locker, "BEGIN IMMEDIATE");
    if (fault == WORLD_UNREADABLE)
        sqlite3_set_authorizer(w->store->db, refuse, w);
    if (fault == WORLD_FULL)
        run(w->store->db, "PRAGMA max_page_count = 1"); /* as many as there are */
    w->fault = fault;
}

/* ---- processes --------------------------------------------------------------------------------------------------------- */

void world_boot(struct world *w, enum world_fault fault)
{
    w->store = store_open(w->database);
    cr_assert(store_is_usable(w->store), "%s", store_message(w->store));
    sqlite3_busy_timeout(w->store->db, 0);
    world_break(w, fault);
    publisher_init(&w->publisher, w->loop, WORLD_WORKERS);
    w->publisher.on_settled = w->publisher.on_not_accepting = w->publisher.on_drained = pass_over;
    w->publisher.on_weights_unused = on_weights_unused;
    w->publisher.arg = w;
    w->all = (struct rollouts){ .loop = w->loop,
                                .publisher = &w->publisher,
                                .store = w->store,
                                .stats = w->stats,
                                .worker_count = WORLD_WORKERS,
                                .publish = publish,
                                .send = send_errand,
                                .wall = read_wall,
                                .arg = w };
    rollouts_init(&w->all);
    struct snapshot *snapshot = load(w);
    rollouts_configure(&w->all, snapshot);
    struct weights_set *set = weights_set_create(&w->publisher);
    rollouts_apply(&w->all, snapshot, &set->arena, &set->weights);
    publish_snapshot(&w->publisher, snapshot, set, NULL);
    for (uint32_t i = 0; i < WORLD_WORKERS; i++) {
        w->publisher.uses[i] =
            (struct worker_use){ .generation = snapshot->generation, .weights_generation = set->weights.generation };
        w->used[i] = &set->weights;
    }
    w->running_count = w->errand_count = 0;
    memset(w->ended, 0, sizeof w->ended);
    w->errors = 0;
}

void world_begin(struct world *w)
{
    rollouts_begin(&w->all);
}

static void end(struct world *w)
{
    unbreak(w);
    w->publisher.is_ending = true;
    publisher_fini(&w->publisher);
    rollouts_fini(&w->all);
    store_close(w->store);
}

/* What waits in memory is gone. */
void world_kill(struct world *w)
{
    journal_fini(&w->store->journal);
    end(w);
}

void world_stop(struct world *w)
{
    rollouts_save(&w->all);
    end(w);
}

void world_reload(struct world *w)
{
    struct snapshot *snapshot = load(w);
    rollouts_configure(&w->all, snapshot);
    struct weights_set *set = weights_set_create(&w->publisher);
    rollouts_apply(&w->all, snapshot, &set->arena, &set->weights);
    publish_snapshot(&w->publisher, snapshot, set, NULL);
    rollouts_begin(&w->all);
}

struct rollout *world_rollout(struct world *w)
{
    return rollouts_find(&w->all, SLICE("r"));
}

struct rollout *world_beside(struct world *w)
{
    return rollouts_find(&w->all, SLICE("q"));
}

/* ---- time and workers -------------------------------------------------------------------------------------------------- */

void world_pass(struct world *w, int64_t ms)
{
    w->loop->now = mono_add_ms(w->loop->now, ms);
    w->wall.unix_ms += ms;
}

static bool fire(struct world *w, struct timer *t)
{
    if (!timer_is_armed(t))
        return false;
    timer_stop(w->loop, t);
    t->fire(t->arg);
    return true;
}

bool world_look(struct world *w)
{
    return fire(w, &w->all.timer);
}

static void report(struct world *w, uint32_t worker, enum worker_report kind, uint64_t generation)
{
    const struct worker_report_mail mail = { .mail.kind = kind, .worker_index = worker, .generation = generation };
    publisher_on_report(&w->publisher, &mail);
}

void world_take(struct world *w, uint32_t worker)
{
    const struct worker_use *use = &w->publisher.uses[worker];
    uint64_t old = use->generation, new = publisher_snapshot(&w->publisher)->generation;
    const struct weights *weights = publisher_weights(&w->publisher);
    w->used[worker] = weights;
    if (old != new)
        report(w, worker, REPORT_SWAPPED, new);
    if (use->weights_generation != weights->generation)
        report(w, worker, REPORT_WEIGHTS_SET, weights->generation);
    for (; old < new &&old != 0; old++)
        report(w, worker, REPORT_SNAPSHOT_UNUSED, old);
}

/* What comes of it may publish anew. */
void world_take_all(struct world *w)
{
    do {
        for (uint32_t i = 0; i < WORLD_WORKERS; i++)
            world_take(w, i);
    } while (fire(w, &w->publisher.settled_timer) || !world_is_taken(w));
}

bool world_is_taken(const struct world *w)
{
    return publisher_is_settled(&w->publisher);
}

/* ---- traffic ----------------------------------------------------------------------------------------------------------- */

static const struct compiled_route *route_of(const struct world *w)
{
    return &publisher_snapshot(&w->publisher)->table->routes[0];
}

static void request_end(struct world *w, const struct world_request *q, bool is_failing)
{
    bool is_error = q->arm == TALLY_CANARY && is_failing;
    tally_end(&q->sheet->tallies[q->worker], &q->sheet->rules, q->arm, is_error ? 1u << TALLY_ERRORS : 0, 1000);
    w->ended[q->arm]++;
    w->errors += is_error;
}

/* Some take until others have begun. */
static void request_run(struct world *w, const struct world_request *q, bool is_failing)
{
    tally_begin(&q->sheet->tallies[q->worker], q->arm);
    if (w->running_count < WORLD_RUNNING_MAX && rng_below(&w->rng, 10) == 0) {
        w->running[w->running_count++] = *q;
        return;
    }
    request_end(w, q, is_failing);
    if (w->running_count > 0 && rng_below(&w->rng, 8) == 0)
        request_end(w, &w->running[--w->running_count], is_failing);
}

void world_serve(struct world *w, unsigned count, unsigned failing_percent)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t worker = i % WORLD_WORKERS, sum = 0, entry = 0;
        struct tally_sheet *sheet = weights_sheet_of(w->used[worker], route_of(w));
        const uint32_t *weights = weights_of(w->used[worker], route_of(w));
        for (uint32_t e = 0; e < route_of(w)->config->split_count; e++)
            sum += weights[e];
        for (uint32_t left = rng_below(&w->rng, sum); left >= weights[entry]; entry++)
            left -= weights[entry];
        if (sheet == NULL || (entry != sheet->stable_entry && entry != sheet->canary_entry))
            continue;
        enum tally_arm arm = entry == sheet->canary_entry ? TALLY_CANARY : TALLY_STABLE;
        const struct world_request q = { sheet, worker, arm };
        request_run(w, &q, rng_below(&w->rng, 100) < failing_percent);
    }
}

void world_burst(struct world *w, unsigned count)
{
    struct tally_sheet *sheet = weights_sheet_of(w->used[0], route_of(w));
    for (unsigned i = 0; sheet != NULL && i < count; i++) {
        const struct world_request q = { sheet, 0, TALLY_CANARY };
        tally_begin(&sheet->tallies[0], TALLY_CANARY);
        request_end(w, &q, true);
    }
}

/* ---- people and gates -------------------------------------------------------------------------------------------------- */

void world_answer(struct world *w, uint32_t i, unsigned status)
{
    const struct world_errand e = w->errands[i];
    struct courier_answer answer = { .failure = status == 0 ? "nobody is there" : NULL,
                                     .status = (uint16_t)status,
                                     .body = SLICE("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\","
                                                   "\"result\":[{\"value\":[1,\"1\"]}]}}") };
    w->errands[i] = w->errands[--w->errand_count];
    e.done(e.arg, e.ticket, &answer);
}

static enum rollout_answer say(struct rollout *r, enum plan_event_kind kind, const char *who)
{
    const struct rollout_word word = { kind, slice_from_cstr(who), SLICE("operator"), SLICE("a reason") };
    struct text error = { 0 };
    enum rollout_answer answer = rollout_say(r, &word, &error);
    cr_assert_eq(answer == ROLLOUT_DONE, error.len == 0, "who is refused is told why");
    text_fini(&error);
    return answer;
}

enum rollout_answer world_say(struct world *w, enum plan_event_kind kind, const char *who)
{
    return say(world_rollout(w), kind, who);
}

enum rollout_answer world_say_beside(struct world *w, enum plan_event_kind kind, const char *who)
{
    return say(world_beside(w), kind, who);
}

/* ---- weights ----------------------------------------------------------------------------------------------------------- */

static double share_of(const struct rollout *r, const struct weights *used, double *pair_share)
{
    double sum = 0, pair = 0;
    if (r == NULL)
        return -1;
    const uint32_t *weights = weights_of(used, r->route);
    for (uint32_t e = 0; e < r->route->config->split_count; e++)
        sum += weights[e];
    pair = weights[r->config->stable_entry] + (double)weights[r->config->canary_entry];
    *pair_share = pair / sum;
    return 1e6 * weights[r->config->canary_entry] / pair;
}

double world_canary_share(struct world *w, double *pair_share)
{
    return share_of(world_rollout(w), publisher_weights(&w->publisher), pair_share);
}

double world_beside_share(struct world *w, double *pair_share)
{
    return share_of(world_beside(w), publisher_weights(&w->publisher), pair_share);
}

bool world_is_in_force(struct world *w)
{
    double pair, newest = world_canary_share(w, &pair);
    bool is_so = true;
    for (uint32_t i = 0; i < WORLD_WORKERS; i++)
        is_so &= share_of(world_rollout(w), w->used[i], &pair) == newest;
    return is_so;
}
