/* server/privileges.h - what the kernel lets the process do: open files, and the user it becomes. */
#ifndef SERVER_PRIVILEGES_H
#define SERVER_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "config/model.h"

struct identity {
    bool is_wanted; /* a change of user is needed and possible: started as root with `user:` */
    char name[64];
    uid_t user;
    gid_t group;
};

/* Looks `user:` up. False with an error when there is no such user. */
bool identity_find(struct identity *id, const struct config *config, struct err_list *errors) MUST_CHECK;
/* Becomes that user for good: supplementary groups, group, user, and no way back. Before any thread is made. */
bool identity_assume(const struct identity *id, struct err_list *errors) MUST_CHECK;

/* Raises the soft limit of open files to the hard one and says so when that is too low for limits.connections. */
void fd_limit_raise(const struct config *config, uint32_t worker_count);

#endif
