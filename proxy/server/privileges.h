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

/* Raises the soft limit of open files to the hard one, and logs how many clients that allows: a warning when it is fewer than
   limits.connections, or than a few hundred. False with an error when not one could be served: each connection, and each thing
   that is opened later, would fail on its own. */
bool fd_limit_raise(const struct config *config, uint32_t worker_count, struct err_list *errors) MUST_CHECK;

#endif
