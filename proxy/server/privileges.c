/* server/privileges.c - user, groups and the limit of open files. */
#include "server/privileges.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define OTHER_FDS   64  /* database, logs, admin, event loops */
#define CLIENTS_FEW 256 /* allowing fewer is worth a warning, whatever limits.connections says */

bool identity_find(struct identity *id, const struct config *config, struct err_list *errors)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;
    struct place place = { .file = config->file.ptr };
    *id = (struct identity){ .is_wanted = !slice_is_empty(config->user) && geteuid() == 0 };
    if (slice_is_empty(config->user))
        return true;
    snprintf(id->name, sizeof id->name, "%.*s", SLICE_ARG(config->user));
    if (!id->is_wanted) {
        log_info("start: not started as root, so user: %s changes nothing", id->name);
        return true;
    }
    if (getpwnam_r(id->name, &entry, buffer, sizeof buffer, &found) != 0 || found == NULL) {
        struct err *e = err_add(errors, place, "there is no user '%s' to become", id->name);
        err_hint(errors, e, "create it with useradd --system, or leave user: out");
        return false;
    }
    id->user = found->pw_uid;
    id->group = found->pw_gid;
    return true;
}

/* Groups first, the user last: who is not root any more may not change the others. The saved ids go as well, so that there
   is no way back. */
bool identity_assume(const struct identity *id, struct err_list *errors)
{
    struct place nowhere = { 0 };
    if (!id->is_wanted)
        return true;
    if (initgroups(id->name, id->group) != 0 || setresgid(id->group, id->group, id->group) != 0 ||
        setresuid(id->user, id->user, id->user) != 0) {
        err_add(errors, nowhere, "could not become user '%s': %s", id->name, strerror(errno));
        return false;
    }
    log_info("start: running as user %s", id->name);
    return true;
}

/* A client and the connection it is forwarded on, at once. */
static uint64_t fds_needed(const struct config *config, uint32_t worker_count)
{
    return 2ull * config->limits.connections + config->listener_count * worker_count + OTHER_FDS;
}

static uint64_t clients_possible(uint64_t fds, const struct config *config, uint32_t worker_count)
{
    uint64_t fixed = config->listener_count * worker_count + OTHER_FDS;
    return fds > fixed ? (fds - fixed) / 2 : 0;
}

static void fd_limit_tell(const struct config *config, uint64_t fds, uint64_t clients, bool is_below_limit)
{
    unsigned long long limit = fds, possible = clients;
    if (config->limits.connections != 0 && is_below_limit)
        log_warn("start: RLIMIT_NOFILE is %llu, which allows about %llu clients at once; limits.connections is %u: "
                 "raise it with LimitNOFILE= or ulimit -Hn",
                 limit, possible, config->limits.connections);
    else if (possible < CLIENTS_FEW)
        log_warn("start: RLIMIT_NOFILE is %llu, which allows about %llu clients at once: raise it with LimitNOFILE= "
                 "or ulimit -Hn",
                 limit, possible);
    else
        log_info("start: RLIMIT_NOFILE is %llu, which allows about %llu clients at once", limit, possible);
}

void fd_limit_raise(const struct config *config, uint32_t worker_count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("start: the limit of open files could not be raised: %s", strerror(errno));
    getrlimit(RLIMIT_NOFILE, &limit);
    fd_limit_tell(config, limit.rlim_cur, clients_possible(limit.rlim_cur, config, worker_count),
                  limit.rlim_cur < fds_needed(config, worker_count));
}
