/* net/local_limit.h - which limit of this machine made a connect fail.
 *
 * A connect that fails for want of something of this machine's own (descriptors, ports, memory) says nothing about the
 * peer, and must not be held against it. Thread: any; stateless. */
#ifndef NET_LOCAL_LIMIT_H
#define NET_LOCAL_LIMIT_H

#include <sys/socket.h>

/* `error` is the errno of a connect to that peer. The limit, with what to do about it, for people; NULL: none, it is the
   peer's doing. May make a system call or two. */
const char *local_limit_of(int error, const struct sockaddr *peer, socklen_t length);

#endif
