/* tests/unit/config/fixture.c - files, variables and time from memory. */
#include "config/fixture.h"

#include "base/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

static const struct entry *entry_find(const struct entry *entries, const char *name)
{
    for (; entries != NULL && entries->name != NULL; entries++)
        if (strcmp(entries->name, name) == 0)
            return entries;
    return NULL;
}

static const char *get_env(void *arg, const char *name)
{
    const struct loaded *f = arg;
    const struct entry *found = entry_find(f->variables, name);
    return found ? found->text : NULL;
}

static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    struct loaded *f = arg;
    const struct entry *found = entry_find(f->files, path);
    f->read_count++;
    errno = ENOENT;
    if (found == NULL)
        return false;
    *out = arena_copy(arena, slice_from_cstr(found->text));
    return true;
}

static size_t expand_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    const struct loaded *f = arg;
    size_t count = 0;
    *out = arena_zalloc_array(arena, 100, sizeof **out);
    for (const struct entry *at = f->files; at != NULL && at->name != NULL; at++)
        if (fnmatch(pattern, at->name, FNM_PATHNAME) == 0)
            (*out)[count++] = slice_from_cstr(at->name);
    return count;
}

static struct wall_time get_time(void *arg)
{
    (void)arg;
    return (struct wall_time){ FIXTURE_NOW_UNIX_MS };
}

/* Two zones, without the changes of the past: all there is stands in the rule at the end of the file. */
static bool read_zone(const char *name, struct arena *arena, struct slice *out)
{
    static const char head[44] = { 'T', 'Z', 'i', 'f', '2', [39] = 1, [43] = 1 }, type[7] = { 0 };
    const char *rule = strcmp(name, "Europe/Berlin") == 0      ? "\nCET-1CEST,M3.5.0,M10.5.0/3\n"
                       : strcmp(name, "America/New_York") == 0 ? "\nEST5EDT,M3.2.0,M11.1.0\n"
                                                               : NULL;
    if (rule == NULL)
        return false;
    char *bytes = arena_zalloc(arena, 2 * (sizeof head + sizeof type) + strlen(rule) + 1), *at = bytes;
    for (int i = 0; i < 2; i++) {
        at = mempcpy(at, head, sizeof head);
        at = mempcpy(at, type, sizeof type);
    }
    *out = slice_from(bytes, (size_t)(at - bytes) + strlen(rule));
    memcpy(at, rule, strlen(rule));
    return true;
}

void loaded_init(struct loaded *f)
{
    *f = (struct loaded){ 0 };
    arena_init(&f->arena, NULL, 0);
    arena_init(&f->error_arena, NULL, 0);
    err_list_init(&f->errors, &f->error_arena);
    f->source = (struct config_source){ .get_env = get_env,
                                        .read_file = read_file,
                                        .expand_glob = expand_glob,
                                        .get_time = get_time,
                                        .read_zone = read_zone,
                                        .directory = "/etc/weir",
                                        .arg = f };
}

void loaded_fini(struct loaded *f)
{
    arena_reset(&f->arena);
    arena_reset(&f->error_arena);
}

const char *loaded_read(struct loaded *f, const char *yaml)
{
    f->config = config_load_bytes(&f->arena, "weir.yaml", slice_from_cstr(yaml), &f->source, &f->errors);
    struct slice all = SLICE("");
    for (const struct err *e = f->errors.first; e != NULL; e = e->next)
        all = arena_printf(&f->error_arena, "%s%s\n", all.ptr, err_format(&f->error_arena, e).ptr);
    return all.ptr;
}

const char *problems_of(const char *yaml)
{
    static char kept[65536];
    struct loaded f;
    loaded_init(&f);
    snprintf(kept, sizeof kept, "%s", loaded_read(&f, yaml));
    loaded_fini(&f);
    return kept;
}
