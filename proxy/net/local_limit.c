/* net/local_limit.c - which limit of this machine made a connect fail. */
#include "net/local_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

/* Has this machine an address to reach that one from? UDP is asked, whose ports are others: nothing is sent. */
static bool has_address_towards(const struct sockaddr *peer, socklen_t length)
{
    int fd = socket(peer->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool has = connect(fd, peer, length) == 0;
    close(fd);
    return has;
}

const char *local_limit_of(int error, const struct sockaddr *peer, socklen_t length)
{
    switch (error) {
    case EMFILE:
        return "raise the open files limit (RLIMIT_NOFILE)";
    case ENFILE:
        return "raise the machine's open files limit (fs.file-max)";
    case ENOBUFS:
    case ENOMEM:
        return "the kernel has no memory left for sockets";
    case EADDRNOTAVAIL: /* also said when there is no address of that kind, as of ::1 without IPv6 */
        return has_address_towards(peer, length) ? "local ports are used up (net.ipv4.ip_local_port_range)" : NULL;
    default:
        return NULL;
    }
}
