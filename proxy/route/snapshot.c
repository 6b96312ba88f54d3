/* route/snapshot.c - loads a configuration and compiles its routes into one immutable object. */
#include "route/snapshot.h"

#include "base/memory.h"

#include "route/regex.h"

/* Places name files by strings of the configuration's arena, which a failed load (or a later reload) takes away;
   what the caller keeps must be in the caller's arena. */
static void keep_file_names(struct err_list *errors)
{
    const char *last = NULL, *last_copy = NULL;
    for (struct err *e = errors->first; e != NULL; e = e->next) {
        if (e->place.file != NULL && e->place.file != last) {
            last = e->place.file;
            last_copy = arena_copy(errors->arena, slice_from_cstr(last)).ptr;
        }
        if (e->place.file != NULL)
            e->place.file = last_copy;
    }
}

struct snapshot *snapshot_create(const char *file, const struct config_source *source, uint64_t generation,
                                 struct err_list *errors)
{
    struct snapshot *s = memory_zalloc(sizeof *s);
    s->magic = SNAPSHOT_MAGIC;
    s->generation = generation;
    arena_init(&s->arena, NULL, 0);
    struct config_source with_patterns = *source;
    with_patterns.check_pattern = regex_check;
    s->config = config_load(&s->arena, file, &with_patterns, errors);
    if (s->config != NULL)
        s->table = route_table_build(&s->arena, s->config, errors);
    keep_file_names(errors);
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
