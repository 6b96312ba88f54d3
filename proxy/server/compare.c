/* server/compare.c - starts the comparer, and tells it what each configuration wants compared. */
#include "server/parts.h"

#include "base/memory.h"

_Static_assert(STATS_VERDICT_COUNT == VERDICT_COUNT, "a cell for each verdict");

/* The comparer's thread is the one writer of its block of counters. */
static void on_verdict(void *arg, uint32_t shadow_id, enum verdict verdict)
{
    struct server *s = arg;
    stats_shadow_add(s->stats->comparer, shadow_id, STATS_SHADOW_COMPARED + (unsigned)verdict);
}

void server_compare_begin(struct server *s)
{
    struct comparer_hooks hooks = { .arg = s, .on_verdict = on_verdict };
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

void server_compare_configure(struct server *s, const struct snapshot *snapshot)
{
    size_t count = shadows_of(snapshot->table, NULL);
    struct compared_shadow *shadows = memory_resize_array(NULL, count + 1, sizeof *shadows);
    shadows_of(snapshot->table, shadows);
    comparer_configure(s->comparer, shadows, count);
    memory_free(shadows);
}
