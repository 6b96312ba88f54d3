/* net/resolve.h - names of endpoints to addresses, asked again as their TTL ends.
 *
 * Owner and thread: main. Workers never resolve: they are told (server/worker.h, ORDER_ADDRESSES). /etc/hosts and the
 * name servers and search list of /etc/resolv.conf are used as libevent's evdns reads them. A name that cannot be
 * resolved keeps its last addresses and is asked for again with a growing pause. Nothing here blocks.
 *
 * Of a name all addresses are told, sorted, so that answers which only rotate are the same answer. Of one that has both
 * kinds only the IPv4 addresses are: the two kinds are two ways to the same servers, not twice as many.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/slice.h"
#include "net/loop.h"

struct resolver;

#define RESOLVED_MOST 64 /* addresses of one name; of more the lowest are taken */

/* Where to connect to; with the port, zero behind the length. */
struct resolved_address {
    struct sockaddr_storage bytes;
    socklen_t length;
};

static inline bool resolved_address_is_same(const struct resolved_address *a, const struct resolved_address *b)
{
    return a->length == b->length && memcmp(&a->bytes, &b->bytes, a->length) == 0;
}

/* One answer. Called for each name that was added, whenever its addresses change; count 0: it could not be resolved so
   far, `problem` says why. Never from inside resolver_add. */
typedef void (*resolver_fn)(void *arg, const char *key, const struct resolved_address *addresses, size_t count,
                            const char *problem);

/* name_servers: the path of a resolv.conf. */
struct resolver *resolver_create(struct loop *loop, const char *name_servers, resolver_fn on_addresses, void *arg);
/* Cancels what is under way, which takes a turn of the loop: not from inside a callback, and when nothing else on the
   loop minds. */
void resolver_destroy(struct resolver *r);

/* A new configuration's names follow: those that are not added again before resolver_end_generation are forgotten. */
void resolver_begin_generation(struct resolver *r);
/* key: how the answers call it (upstream and label); the same key again keeps what is known and tells it again. */
void resolver_add(struct resolver *r, struct slice key, struct slice host, uint16_t port);
void resolver_end_generation(struct resolver *r);

#endif
