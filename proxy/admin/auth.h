/* admin/auth.h - who asks, and what they may do: design.md, "Who asks". For admin/ only. */
#ifndef ADMIN_AUTH_H
#define ADMIN_AUTH_H

#include "admin/control.h"
#include "http/message.h"

extern const char *const role_names[]; /* by enum role */

/* The user at the other end of a UNIX socket, "unix:alice" or "unix:1000", as admin. The name goes to name[]. */
#define AUTH_NAME_BYTES 64
struct actor auth_unix_peer(int fd, char name[AUTH_NAME_BYTES]);

enum auth_verdict {
    AUTH_KNOWN,    /* actor is set */
    AUTH_ABSENT,   /* tokens are configured and the request has none */
    AUTH_BAD_TOKEN /* it has one that is nobody's, or no bearer token */
};

/* Who sent a request over TCP. Without configured tokens everybody is the viewer "anonymous". Takes the same time whichever
   token it is, and whether it is one. */
enum auth_verdict auth_tcp_request(const struct admin_config *config, const struct message *request, struct actor *out);

/* Without tokens everybody who reaches the socket reads, and that would be any page in a browser of this machine whose name was
   rebound to loopback: so the Host must be an address or "localhost". */
bool auth_host_is_local(const struct message *request);

static inline bool auth_allows(const struct actor *actor, enum role needed)
{
    return actor->role >= needed;
}

#endif
