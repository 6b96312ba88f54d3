/* server/state_dir.c - makes, locks and hands over the state directory. */
#include "server/state_dir.h"

#include "base/memory.h"
#include "base/slice.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_in(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = memory_alloc(size);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static bool add_fault(const struct state_dir *d, int error, struct err_list *errors)
{
    struct place place = { .file = d->path };
    struct err *e = err_add(errors, place, "the state directory cannot be used: %s", strerror(error));
    if (error == EROFS || error == ENOSPC)
        err_hint(errors, e, "its disk is %s", error == EROFS ? "read-only" : "full");
    else
        err_hint(errors, e, "create it for the user that weir runs as, or choose another by state_dir: or --state-dir");
    return false;
}

/* The pid is what the holder wrote, for people; the lock is what counts. */
static bool add_holder(struct state_dir *d, struct err_list *errors)
{
    char pid[16] = "";
    struct place place = { .file = d->path };
    ssize_t n = pread(d->lock_fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    struct err *e = err_add(errors, place, "another weir (pid %s) runs with this state directory",
                            pid[0] != '\0' ? pid : "unknown");
    err_hint(errors, e, "stop it, or give this one another by --state-dir");
    return false;
}

/* flock and not the file's existence: the kernel drops it with the process, however that ends. O_NOFOLLOW: root must not
   be led to a file of somebody else's choice. */
static bool lock_take(struct state_dir *d, struct err_list *errors)
{
    d->lock_fd = open(d->lock_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return add_fault(d, errno, errors);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? add_holder(d, errors) : add_fault(d, errno, errors);
    /* For people and for the message above; a disk too full for eight bytes shows when the database is opened. */
    if (ftruncate(d->lock_fd, 0) == 0)
        dprintf(d->lock_fd, "%d\n", (int)getpid());
    return true;
}

bool state_dir_open(struct state_dir *d, const char *path, struct err_list *errors)
{
    *d = (struct state_dir){ .path = memory_strdup(path),
                             .database = path_in(path, "weir.db"),
                             .socket = path_in(path, "admin.sock"),
                             .lock_file = path_in(path, "weir.lock"),
                             .lock_fd = -1 };
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return add_fault(d, errno, errors);
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return add_fault(d, errno, errors);
    return lock_take(d, errors);
}

/* What we made there: names that begin with ours. */
static bool is_ours(const char *name)
{
    struct slice s = slice_from_cstr(name);
    return slice_has_prefix(s, SLICE("weir.")) || slice_equal(s, SLICE("admin.sock"));
}

bool state_dir_give(const struct state_dir *d, uid_t user, gid_t group, struct err_list *errors)
{
    DIR *folder = opendir(d->path);
    if (folder == NULL || fchown(dirfd(folder), user, group) != 0) {
        add_fault(d, errno, errors);
        if (folder != NULL)
            closedir(folder);
        return false;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (is_ours(entry->d_name) && fchownat(dirfd(folder), entry->d_name, user, group, AT_SYMLINK_NOFOLLOW) != 0)
            add_fault(d, errno, errors);
    closedir(folder);
    return errors->error_count == 0;
}

void state_dir_close(struct state_dir *d)
{
    if (d->lock_fd >= 0)
        close(d->lock_fd); /* the file stays: removing it would let two instances lock two files */
    memory_free(d->path);
    memory_free(d->database);
    memory_free(d->socket);
    memory_free(d->lock_file);
    *d = (struct state_dir){ .lock_fd = -1 };
}
