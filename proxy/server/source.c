/* server/source.c - records files and patterns on their way to the system's source. */
#include "server/source.h"

#include "base/memory.h"
#include "front/tls_set.h"
#include "lua/script_set.h"

#include <unistd.h>
#include <limits.h>

/* Absolute, in the recorder's arena. */
static struct slice absolute(struct source_recorder *r, const char *path)
{
    char directory[PATH_MAX];
    if (path[0] == '/' || getcwd(directory, sizeof directory) == NULL)
        return arena_copy(&r->arena, slice_from_cstr(path));
    return arena_printf(&r->arena, "%s/%s", directory, path);
}

static void record(struct slice **list, size_t *count, struct slice path)
{
    *list = memory_resize_array(*list, *count + 1, sizeof **list);
    (*list)[(*count)++] = path;
}

static const char *get_env(void *arg, const char *name)
{
    (void)arg;
    return config_source_system.get_env(config_source_system.arg, name);
}

static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    struct source_recorder *r = arg;
    record(&r->files, &r->file_count, absolute(r, path));
    return config_source_system.read_file(config_source_system.arg, path, arena, out);
}

static size_t expand_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    struct source_recorder *r = arg;
    record(&r->patterns, &r->pattern_count, absolute(r, pattern));
    return config_source_system.expand_glob(config_source_system.arg, pattern, arena, out);
}

static struct wall_time get_time(void *arg)
{
    (void)arg;
    return config_source_system.get_time(config_source_system.arg);
}

struct config_source source_of_process(void)
{
    struct config_source source = config_source_system;
    source.compile_tls = tls_set_compile;
    source.compile_scripts = script_set_compile;
    return source;
}

void source_recorder_init(struct source_recorder *r)
{
    *r = (struct source_recorder){ .source = source_of_process() };
    arena_init(&r->arena, NULL, 0);
    r->source.get_env = get_env;
    r->source.read_file = read_file;
    r->source.expand_glob = expand_glob;
    if (config_source_system.get_time != NULL)
        r->source.get_time = get_time;
    r->source.arg = r;
}

void source_recorder_fini(struct source_recorder *r)
{
    arena_reset(&r->arena);
    memory_free(r->files);
    memory_free(r->patterns);
}
