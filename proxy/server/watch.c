/* server/watch.c - inotify on folders, with a pause for breath. */
#include "server/watch.h"

#include "base/log.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB)

/* A file name or a pattern of names in one folder. */
struct watched_name {
    struct watched_name *next;
    const char *name;
    bool is_pattern;
};

struct watched_folder {
    struct watched_folder *next;
    int id; /* inotify's */
    const char *path;
    struct watched_name *names;
};

/* ---- events ---------------------------------------------------------------------------------------------------------- */

static void on_quiet(void *arg)
{
    struct watch *w = arg;
    w->first_event = (struct mono_time){ 0 };
    w->on_change(w->arg);
}

/* Writers seldom do it in one step: each event waits for another, but not for ever. */
static void changed(struct watch *w)
{
    struct mono_time now = loop_now(w->loop);
    if (w->first_event.us == 0)
        w->first_event = now;
    int64_t left_ms = WATCH_LONGEST_MS - mono_diff_us(now, w->first_event) / 1000;
    timer_start(w->loop, &w->quiet, left_ms < WATCH_QUIET_MS ? left_ms : WATCH_QUIET_MS);
}

/* Names that begin with ".." are the links by which a mounted volume switches all its files at once. */
static bool is_of_interest(const struct watch *w, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW)
        return true;
    for (const struct watched_folder *f = w->folders; f != NULL; f = f->next) {
        if (f->id != event->wd || event->len == 0)
            continue;
        if (strncmp(event->name, "..", 2) == 0)
            return true;
        for (const struct watched_name *n = f->names; n != NULL; n = n->next)
            if (strcmp(n->name, event->name) == 0 || (n->is_pattern && fnmatch(n->name, event->name, 0) == 0))
                return true;
    }
    return false;
}

static void on_readable(void *arg, int fd)
{
    struct watch *w = arg;
    _Alignas(struct inotify_event) char buffer[8192];
    ssize_t length;
    while ((length = read(fd, buffer, sizeof buffer)) > 0)
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;
            if (is_of_interest(w, event))
                changed(w);
            at += sizeof *event + event->len;
        }
}

/* ---- what is watched --------------------------------------------------------------------------------------------------- */

static struct watched_folder *folder_find(struct watch *w, struct slice path)
{
    for (struct watched_folder *f = w->folders; f != NULL; f = f->next)
        if (slice_equal(slice_from_cstr(f->path), path))
            return f;
    return NULL;
}

static struct watched_folder *folder_add(struct watch *w, struct slice path)
{
    struct watched_folder *f = arena_zalloc(&w->arena, sizeof *f);
    f->path = arena_copy(&w->arena, path).ptr;
    f->id = inotify_add_watch(w->fd, f->path, EVENTS | IN_ONLYDIR);
    if (f->id < 0)
        log_warn("watch: %s cannot be watched: %s", f->path, strerror(errno));
    f->next = w->folders;
    w->folders = f;
    return f;
}

/* The last component of an absolute path in its folder. Folders that are patterns themselves are not watched. */
static void path_add(struct watch *w, struct slice path, bool is_pattern)
{
    size_t slash = path.len;
    while (slash > 0 && path.ptr[slash - 1] != '/')
        slash--;
    struct slice folder_path = slice_first(path, slash > 1 ? slash - 1 : 1);
    if (slash == 0 || (is_pattern && strcspn(path.ptr, "*?[") < slash))
        return;
    struct watched_folder *folder = folder_find(w, folder_path);
    if (folder == NULL)
        folder = folder_add(w, folder_path);
    struct watched_name *name = arena_zalloc(&w->arena, sizeof *name);
    name->name = arena_copy(&w->arena, slice_after(path, slash)).ptr;
    name->is_pattern = is_pattern;
    name->next = folder->names;
    folder->names = name;
}

/* A link and what it leads to: either may be replaced. */
static void file_add(struct watch *w, struct slice file)
{
    char target[PATH_MAX];
    struct slice path = arena_copy(&w->arena, file);
    path_add(w, path, false);
    if (realpath(path.ptr, target) != NULL && !slice_equal(slice_from_cstr(target), path))
        path_add(w, slice_from_cstr(target), false);
}

/* inotify has one id per folder, so a folder that stays keeps its id and the events that wait. */
static void folders_drop(struct watch *w, const struct watched_folder *old)
{
    for (; old != NULL; old = old->next) {
        const struct watched_folder *f = w->folders;
        while (f != NULL && f->id != old->id)
            f = f->next;
        if (f == NULL && old->id >= 0)
            inotify_rm_watch(w->fd, old->id);
    }
}

void watch_set(struct watch *w, const struct slice *files, size_t file_count, const struct slice *patterns,
               size_t pattern_count)
{
    if (w->fd < 0)
        return;
    struct arena old_arena = w->arena;
    const struct watched_folder *old = w->folders;
    arena_init(&w->arena, NULL, 0);
    w->folders = NULL;
    for (size_t i = 0; i < file_count; i++)
        file_add(w, files[i]);
    for (size_t i = 0; i < pattern_count; i++)
        path_add(w, arena_copy(&w->arena, patterns[i]), true);
    folders_drop(w, old);
    arena_reset(&old_arena);
}

void watch_init(struct watch *w, struct loop *loop, void (*on_change)(void *arg), void *arg)
{
    *w = (struct watch){ .loop = loop, .on_change = on_change, .arg = arg };
    arena_init(&w->arena, NULL, 0);
    timer_init(&w->quiet, on_quiet, w);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0)
        log_warn("watch: files cannot be watched, reload by HUP or ctl: %s", strerror(errno));
    else
        notify_fd_start(&w->notify, loop, w->fd, on_readable, w);
}

void watch_fini(struct watch *w)
{
    timer_stop(w->loop, &w->quiet);
    watch_set(w, NULL, 0, NULL, 0);
    if (w->fd < 0)
        return;
    notify_fd_stop(&w->notify);
    close(w->fd);
    w->fd = -1;
}
