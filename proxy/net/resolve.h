/* net/resolve.h - names of endpoints to addresses, asked again as their TTL ends.
 *
 * Owner and thread: main. Workers never resolve: they are told (server/worker.h, ORDER_ADDRESS). /etc/hosts and the
 * name servers and search list of /etc/resolv.conf are used as libevent's evdns reads them. A name that cannot be
 * resolved keeps its last addresses and is asked for again with a growing pause. Nothing here blocks.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <sys/socket.h>

#include "base/slice.h"
#include "net/loop.h"

struct resolver;

/* One answer: the first address of the name, with the port. Called for each name that was added, whenever its address
   changes; address NULL: it could not be resolved so far, `problem` says why. Never from inside resolver_add. */
typedef void (*resolver_fn)(void *arg, const char *key, const struct sockaddr *address, socklen_t length,
                            const char *problem);

struct resolver *resolver_create(struct loop *loop, resolver_fn on_address, void *arg);
void resolver_destroy(struct resolver *r);

/* A new configuration's names follow: those that are not added again before resolver_end_generation are forgotten. */
void resolver_begin_generation(struct resolver *r);
/* key: how the answers call it (upstream and label); the same key again keeps what is known and tells it again. */
void resolver_add(struct resolver *r, struct slice key, struct slice host, uint16_t port);
void resolver_end_generation(struct resolver *r);

#endif
