/* route/snapshot.c - loads a configuration and compiles its routes into one immutable object. */
#include "route/snapshot.h"

#include "base/memory.h"

#include "route/regex.h"

struct snapshot *snapshot_create(const char *file, const struct config_source *source, uint64_t generation,
                                 struct err_list *errors)
{
    struct snapshot *s = memory_zalloc(sizeof *s);
    s->magic = SNAPSHOT_MAGIC;
    s->generation = generation;
    arena_init(&s->arena, NULL, 0);
    /* config/ cannot see PCRE2: it is lent the check, so that bad patterns are told beside all other problems. */
    struct config_source with_patterns = *source;
    with_patterns.check_pattern = regex_check;
    s->config = config_load(&s->arena, file, &with_patterns, errors);
    if (s->config != NULL)
        s->table = route_table_build(&s->arena, s->config, errors);
    err_list_sort(errors);
    if (s->table == NULL) {
        snapshot_destroy(s);
        return NULL;
    }
    return s;
}

void snapshot_destroy(struct snapshot *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SNAPSHOT_MAGIC);
    s->magic = 0;
    arena_reset(&s->arena);
    memory_free(s);
}
