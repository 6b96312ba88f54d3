/* config/stored.c - serves a stored version's files from memory, and notices what the disk would add to them. */
#include "config/stored.h"

#include "config/include.h"

#include <errno.h>
#include <fnmatch.h>

/* By path and not by name: names change with how the file was spelled on the command line, paths do not. */
static const struct file_text *file_find(const struct stored_source *s, struct slice path)
{
    for (const struct file_text *f = s->files; f < s->files + s->file_count; f++)
        if (slice_equal(f->path, path))
            return f;
    return NULL;
}

static void stranger_add(struct stored_source *s, struct slice path)
{
    if (s->stranger_count < STORED_STRANGERS_MAX)
        s->strangers[s->stranger_count] = path;
    s->stranger_count++;
}

static const char *get_env(void *arg, const char *name)
{
    const struct stored_source *s = arg;
    return s->system->get_env(s->system->arg, name);
}

static struct wall_time get_time(void *arg)
{
    const struct stored_source *s = arg;
    return s->system->get_time(s->system->arg);
}

/* A file that the version did not have is asked for when a variable in `include` has changed since. */
static bool read_file(void *arg, const char *name, struct arena *arena, struct slice *out)
{
    struct stored_source *s = arg;
    struct slice path = include_path(arena, s->directory, name);
    const struct file_text *file = file_find(s, path);
    if (file == NULL) {
        stranger_add(s, arena_copy(s->arena, path));
        errno = ENOENT;
        return false;
    }
    *out = file->bytes;
    return true;
}

static void note_strangers(struct stored_source *s, const char *pattern)
{
    struct slice *found = NULL;
    size_t count = s->system->expand_glob(s->system->arg, pattern, s->arena, &found);
    for (size_t i = 0; i < count; i++) {
        struct slice path = include_path(s->arena, s->directory, found[i].ptr);
        if (!slice_has_suffix(path, SLICE(CONFIG_COPY_SUFFIX)) && file_find(s, path) == NULL)
            stranger_add(s, path);
    }
}

/* The version's own files, whether they still lie there or not. They were read in the order of glob(3), so that they need
   no sorting; what was found by a pattern matches it by fnmatch(3) with these flags. */
static size_t expand_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    struct stored_source *s = arg;
    size_t count = 0;
    note_strangers(s, pattern);
    struct slice absolute = include_path(arena, s->directory, pattern);
    *out = arena_zalloc_array(arena, s->file_count, sizeof **out);
    for (const struct file_text *f = s->files; f < s->files + s->file_count; f++)
        if (fnmatch(absolute.ptr, f->path.ptr, FNM_PATHNAME | FNM_PERIOD) == 0)
            (*out)[count++] = f->path;
    return count;
}

/* PEM files are those of today. */
static void compile_tls(const struct config_source *source, struct config *config, struct err_list *errors)
{
    const struct stored_source *s = source->arg;
    s->system->compile_tls(s->system, config, errors);
}

/* As are scripts. */
static void compile_scripts(const struct config_source *source, struct config *config, struct err_list *errors)
{
    const struct stored_source *s = source->arg;
    s->system->compile_scripts(s->system, config, errors);
}

void stored_source_init(struct stored_source *s, struct arena *arena, const struct config_source *system,
                        const struct file_text *files, size_t count)
{
    *s = (struct stored_source){ .system = system, .arena = arena, .files = files, .file_count = count };
    s->directory = include_directory(system, arena);
    s->source = (struct config_source){
        .get_env = get_env,
        .read_file = read_file,
        .expand_glob = expand_glob,
        .get_time = system->get_time != NULL ? get_time : NULL,
        .check_pattern = system->check_pattern,
        .compile_tls = system->compile_tls != NULL ? compile_tls : NULL,
        .compile_scripts = system->compile_scripts != NULL ? compile_scripts : NULL,
        .read_zone = system->read_zone,
        .is_check = system->is_check,
        .directory = system->directory,
        .arg = s,
    };
}
