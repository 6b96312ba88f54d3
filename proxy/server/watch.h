/* server/watch.h - tells when configuration files change on disk, however an editor or an orchestrator replaces them.
 *
 * Owner and thread: main. Folders are watched, not files: a rename over a file, or a symbolic link that moves (as Kubernetes
 * does with ..data), leaves no event on the file itself. */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "net/notify.h"

#define WATCH_QUIET_MS   100  /* after the last event */
#define WATCH_LONGEST_MS 1000 /* after the first, when events never cease */

struct watched_folder;

struct watch {
    struct loop *loop;
    int fd; /* -1: inotify is not available */
    struct notify_fd notify;
    struct arena arena; /* of folders and their names */
    struct watched_folder *folders;
    struct timer quiet;
    struct mono_time first_event; /* us 0: none waits */
    void (*on_change)(void *arg);
    void *arg;
};

/* on_change runs from the loop, once for a burst of events. */
void watch_init(struct watch *w, struct loop *loop, void (*on_change)(void *arg), void *arg);
void watch_fini(struct watch *w);
/* From now on these files (absolute; their targets too, when they are links) and whatever appears or vanishes beside a
   pattern. Both may be empty: then nothing is watched. */
void watch_set(struct watch *w, const struct slice *files, size_t file_count, const struct slice *patterns,
               size_t pattern_count);

#endif
