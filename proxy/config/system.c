/* config/system.c - the source of a real load: the process's environment, its files and the system's time.
 *
 * All that this folder sees of the system, but for the working directory (include.c): everything else works on what is
 * handed in. */
#include "config/load.h"

#include "config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *system_get_env(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

/* Reads up to `capacity` bytes; returns how many, or -1 with errno set. */
static ssize_t read_fully(int fd, char *bytes, size_t capacity)
{
    size_t used = 0;
    while (used < capacity) {
        ssize_t count = read(fd, bytes + used, capacity - used);
        if (count == 0)
            break;
        if (count < 0 && errno != EINTR)
            return -1;
        used += count > 0 ? (size_t)count : 0;
    }
    return (ssize_t)used;
}

/* One byte more than a configuration may have: longer files are refused by yaml_parse, which sees that it is there.
   Pipes have no size, and are read into the full capacity. */
static bool read_regular(int fd, struct arena *arena, struct slice *out)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return false;
    }
    size_t capacity = YAML_BYTES_MAX + 1;
    if (S_ISREG(status.st_mode) && (size_t)status.st_size < capacity)
        capacity = (size_t)status.st_size;
    char *bytes = arena_alloc(arena, capacity + 1);
    ssize_t len = read_fully(fd, bytes, capacity);
    if (len < 0)
        return false;
    bytes[len] = '\0';
    *out = slice_from(bytes, (size_t)len);
    return true;
}

static bool system_read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    (void)arg;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_read = read_regular(fd, arena, out);
    int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return is_read;
}

/* No match, and a folder that cannot be read, are both an empty list: the pattern's own message says that nothing
   matched. */
static size_t system_expand_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    (void)arg;
    glob_t found;
    size_t count = 0;
    if (glob(pattern, 0, NULL, &found) == 0) { /* sorts, in the C locale by bytes */
        count = found.gl_pathc;
        *out = arena_zalloc_array(arena, count, sizeof **out);
        for (size_t i = 0; i < count; i++)
            (*out)[i] = arena_copy(arena, slice_from_cstr(found.gl_pathv[i]));
        globfree(&found);
    }
    return count;
}

static bool system_read_zone(const char *name, struct arena *arena, struct slice *out)
{
    return system_read_file(NULL, arena_printf(arena, "/usr/share/zoneinfo/%s", name).ptr, arena, out);
}

static struct wall_time system_get_time(void *arg)
{
    (void)arg;
    return clock_wall();
}

const struct config_source config_source_system = {
    .get_env = system_get_env,
    .read_file = system_read_file,
    .expand_glob = system_expand_glob,
    .get_time = system_get_time,
    .read_zone = system_read_zone,
};
