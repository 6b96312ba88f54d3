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

/* What the process has open when nobody is connected; tests/e2e/test_admin.py compares it with a running one. */
/* Standard streams, database and lock, logs, admin sockets, the loops of the main thread and the comparer with their pipes,
   the courier's eventfds. What the courier connects to comes out of what is kept. */
#define FDS_OF_PROCESS 25u
#define FDS_OF_WORKER  4u /* epoll, a pipe and an eventfd; and one socket of each listener, which is counted apart */
#define FDS_OF_CLIENT  2u /* itself, and the connection that its request is forwarded on */
/* Kept for operators, reloads, name look-ups and probes: as much where there is plenty, else half of what there is. */
#define FDS_SPARE      46u
#define FDS_ROOM_LEAST 4u  /* one client, one operator, and a file to read */
#define CLIENTS_FEW    256 /* allowing fewer is worth a warning, whatever limits.connections says */

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

static uint64_t fds_of_idle(const struct config *config, uint32_t worker_count)
{
    return FDS_OF_PROCESS + (FDS_OF_WORKER + (uint64_t)config->listener_count) * worker_count;
}

static uint64_t fds_for_clients(const struct config *config, uint32_t worker_count, uint64_t client_count)
{
    return fds_of_idle(config, worker_count) + FDS_SPARE + FDS_OF_CLIENT * client_count;
}

/* `room`: what is left beside fds_of_idle. */
static uint64_t clients_in(uint64_t room)
{
    uint64_t spare = room / 2 < FDS_SPARE ? room / 2 : FDS_SPARE;
    return (room - spare) / FDS_OF_CLIENT;
}

static void fd_limit_tell(const struct config *config, uint32_t worker_count, uint64_t limit)
{
    unsigned long long fds = limit, possible = clients_in(limit - fds_of_idle(config, worker_count));
    uint32_t wanted = config->limits.connections;
    unsigned long long needed = fds_for_clients(config, worker_count, wanted != 0 ? wanted : CLIENTS_FEW);
    const char *plural = possible == 1 ? "" : "s";
    if (wanted > possible)
        log_warn("start: RLIMIT_NOFILE is %llu, which allows about %llu client%s at once; limits.connections is %u: "
                 "raise it to %llu with LimitNOFILE= or ulimit -Hn",
                 fds, possible, plural, wanted, needed);
    else if (wanted == 0 && possible < CLIENTS_FEW)
        log_warn("start: RLIMIT_NOFILE is %llu, which allows about %llu client%s at once: raise it to %llu or more "
                 "with LimitNOFILE= or ulimit -Hn",
                 fds, possible, plural, needed);
    else
        log_info("start: RLIMIT_NOFILE is %llu, which allows about %llu client%s at once", fds, possible, plural);
}

static bool fd_limit_suffices(const struct config *config, uint32_t worker_count, uint64_t limit,
                              struct err_list *errors)
{
    unsigned long long fds = limit, idle = fds_of_idle(config, worker_count);
    if (fds >= idle + FDS_ROOM_LEAST)
        return true;
    struct err *e = err_add(errors, (struct place){ 0 },
                            "RLIMIT_NOFILE is %llu, but with %u worker%s the process alone opens %llu files: no client "
                            "could be served",
                            fds, worker_count, worker_count == 1 ? "" : "s", idle);
    err_hint(errors, e, "raise it to %llu or more with LimitNOFILE= or ulimit -Hn, or set fewer workers:",
             (unsigned long long)fds_for_clients(config, worker_count, CLIENTS_FEW));
    return false;
}

bool fd_limit_raise(const struct config *config, uint32_t worker_count, struct err_list *errors)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("start: the limit of open files could not be raised: %s", strerror(errno));
    getrlimit(RLIMIT_NOFILE, &limit);
    if (!fd_limit_suffices(config, worker_count, limit.rlim_cur, errors))
        return false;
    fd_limit_tell(config, worker_count, limit.rlim_cur);
    return true;
}
