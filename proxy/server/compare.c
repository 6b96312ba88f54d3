/* server/compare.c - starts the comparer and the recorder, and tells them what each configuration wants of them. */
#include "server/parts.h"

#include "base/memory.h"

_Static_assert(STATS_VERDICT_COUNT == VERDICT_COUNT, "a cell for each verdict");

/* The comparer's thread is the one writer of its block of counters. */
static void on_verdict(void *arg, uint32_t shadow_id, enum verdict verdict)
{
    struct server *s = arg;
    stats_shadow_add(s->stats->comparer, shadow_id, STATS_SHADOW_COMPARED + (unsigned)verdict);
}

static void on_record(void *arg, const struct pair *p)
{
    struct server *s = arg;
    recorder_write(s->recorder, p);
}

static void on_idle(void *arg)
{
    struct server *s = arg;
    recorder_flush(s->recorder);
}

void server_compare_begin(struct server *s)
{
    struct comparer_hooks hooks = { .arg = s, .on_verdict = on_verdict, .on_record = on_record, .on_idle = on_idle };
    s->recorder = recorder_create();
    s->comparer = comparer_start(&hooks);
}

static size_t shadows_of(const struct route_table *table, struct compared_shadow *out)
{
    size_t count = 0;
    for (uint32_t r = 0; r < table->route_count; r++) {
        const struct compiled_route *route = &table->routes[r];
        for (size_t i = 0; i < route->config->shadow_count; i++) {
            const struct shadow_config *config = &route->config->shadows[i];
            if (!config->compare.is_on)
                continue;
            if (out != NULL)
                out[count] = (struct compared_shadow){ route->shadows[i].series, route->config->name, config->to,
                                                       &config->compare };
            count++;
        }
    }
    return count;
}

static size_t recorded_of(const struct route_table *table, struct recorded_shadow *out)
{
    size_t count = 0;
    for (uint32_t r = 0; r < table->route_count; r++) {
        const struct compiled_route *route = &table->routes[r];
        for (size_t i = 0; i < route->config->shadow_count; i++) {
            const struct shadow_config *config = &route->config->shadows[i];
            const struct record_config *record = &config->record;
            if (record->file.len == 0)
                continue;
            if (out != NULL)
                out[count] = (struct recorded_shadow){ route->shadows[i].series,
                                                       { record->file, record->max_bytes, record->keep_count },
                                                       &config->compare,
                                                       &config->headers.remove };
            count++;
        }
    }
    return count;
}

static void record_configure(struct server *s, const struct snapshot *snapshot)
{
    size_t count = recorded_of(snapshot->table, NULL);
    struct recorded_shadow *shadows = memory_resize_array(NULL, count + 1, sizeof *shadows);
    recorded_of(snapshot->table, shadows);
    recorder_configure(s->recorder, shadows, count);
    memory_free(shadows);
}

void server_compare_end(struct server *s)
{
    if (s->comparer == NULL)
        return;
    comparer_stop(s->comparer);
    recorder_destroy(s->recorder);
}

void server_compare_configure(struct server *s, const struct snapshot *snapshot)
{
    record_configure(s, snapshot);
    size_t count = shadows_of(snapshot->table, NULL);
    struct compared_shadow *shadows = memory_resize_array(NULL, count + 1, sizeof *shadows);
    shadows_of(snapshot->table, shadows);
    comparer_configure(s->comparer, shadows, count);
    memory_free(shadows);
}
