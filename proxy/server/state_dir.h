/* server/state_dir.h - the folder of what outlives a process: there, writable, and ours alone. */
#ifndef SERVER_STATE_DIR_H
#define SERVER_STATE_DIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* Embedded; holds a lock on STATE_DIR/weir.lock for the life of the process. */
struct state_dir {
    char *path;
    char *database;  /* STATE_DIR/weir.db */
    char *socket;    /* STATE_DIR/admin.sock */
    char *lock_file; /* STATE_DIR/weir.lock: the pid of who runs here */
    int lock_fd;     /* -1: not locked */
};

/* Makes the folder (mode 0700) when only it is missing, and takes the lock. False, with an error that says what to do, when it
   cannot be written or another weir runs there. */
bool state_dir_open(struct state_dir *d, const char *path, struct err_list *errors) MUST_CHECK;
/* Gives the folder and what is in it to a user: before root is dropped. */
bool state_dir_give(const struct state_dir *d, uid_t user, gid_t group, struct err_list *errors) MUST_CHECK;
/* Idempotent. */
void state_dir_close(struct state_dir *d);

#endif
