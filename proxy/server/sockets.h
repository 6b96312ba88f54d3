/* server/sockets.h - the listening sockets of all workers: opened once, kept as long as a configuration names their address.
 *
 * Owner and thread: main. Workers borrow the descriptors. A socket is one address with one descriptor per worker; a listener
 * that is renamed, or moves to another place of the file, keeps it, and with it what waits in its accept queue. */
#ifndef SERVER_SOCKETS_H
#define SERVER_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "config/model.h"

struct socket_set {
    struct list sockets;
    uint32_t worker_count;
};

void sockets_init(struct socket_set *set, uint32_t worker_count);
/* Closes everything and removes the files of UNIX sockets. */
void sockets_fini(struct socket_set *set);

/* Opens what the configuration names and is not open yet. All or nothing: false, with every problem in errors, changes
   nothing. The configuration's listeners are the wanted ones from then on. */
bool sockets_open(struct socket_set *set, const struct config *config, struct err_list *errors) MUST_CHECK;
/* This worker's descriptors, one per listener in the order of the configuration, which must be open. */
void sockets_fds(const struct socket_set *set, const struct config *config, uint32_t worker, int *out);
/* The address as bound, with the port the kernel chose. */
const char *sockets_address(const struct socket_set *set, const struct listener_config *listener);
/* No listener is wanted any more. */
void sockets_forget(struct socket_set *set);
/* Closes what no listener wants: once every worker has let go of it. */
void sockets_close_unwanted(struct socket_set *set);

#endif
