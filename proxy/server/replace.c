/* server/replace.c - temporary file, sync, rename. */
#include "server/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES (PATH_MAX + 32)

static bool fail(struct text *error, const char *what, const char *path)
{
    text_printf(error, "could not %s %s: %s", what, path, strerror(errno));
    return false;
}

static bool bytes_write(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            bytes = slice_after(bytes, (size_t)n);
    }
    return true;
}

/* A link to what is there; an older copy goes. */
static bool copy_keep(const char *path, struct text *error)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s.before-restore", path);
    if (unlink(name) != 0 && errno != ENOENT)
        return fail(error, "replace", name);
    if (link(path, name) != 0)
        return fail(error, "keep a copy as", name);
    return true;
}

/* So that the rename itself survives a crash. */
static void folder_sync(const char *path)
{
    char folder[NAME_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    int fd = open(folder[0] != '\0' ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* Owner first: a change of owner clears mode bits. A stranger's file keeps at least its mode. */
static bool temporary_fill(int fd, const struct stat *like, struct slice bytes)
{
    if (fchown(fd, like->st_uid, like->st_gid) != 0 && errno != EPERM)
        return false;
    return fchmod(fd, like->st_mode & 07777) == 0 && bytes_write(fd, bytes) && fsync(fd) == 0;
}

bool replace_file(const char *path, struct slice bytes, struct text *error)
{
    char target[PATH_MAX], temporary[NAME_BYTES];
    struct stat status;
    if (realpath(path, target) == NULL || stat(target, &status) != 0)
        return fail(error, "find", path);
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", target);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail(error, "write beside", target);
    bool is_good = temporary_fill(fd, &status, bytes);
    if (!is_good)
        fail(error, "write", temporary);
    close(fd);
    is_good = is_good && copy_keep(target, error);
    if (is_good && rename(temporary, target) != 0)
        is_good = fail(error, "replace", target);
    if (is_good)
        folder_sync(target);
    else
        unlink(temporary);
    return is_good;
}
