/* http/validate.h - what must be true of a message before it goes on, whatever version it came in; and what a hop
 * removes.
 *
 * The codecs check what their wire format says; here stands what holds for HTTP as such and is asked again when a
 * message changes: header edits, rewrites and answers of the proxy's own pass the same functions. All are pure and
 * allocate nothing but path_normalise. */
#ifndef HTTP_VALIDATE_H
#define HTTP_VALIDATE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/reason.h"
#include "base/slice.h"

#include "http/message.h"

/* RFC 9110 5.6.2: methods, names of fields and cookies. Not empty. */
bool is_token(struct slice s);
bool is_field_value(struct slice s); /* no NUL, CR, LF; no other control but HTAB */

/* host[:port] as RFC 3986 3.2.2 has it: a reg-name of unreserved, sub-delims and %XX, an IPv4 or a bracketed IPv6
   literal; no userinfo, port decimal 0..65535. */
bool authority_is_valid(struct slice authority);
/* For comparing: lower case, without port and one final dot. Into out (capacity >= authority.len); returns the host. */
struct slice host_normalise(struct slice authority, char *out);

enum path_verdict { PATH_OK, PATH_INVALID };
/* The one normal form in which paths are matched (design.md, "Paths"): dot-segments removed, unreserved %XX decoded,
   other %XX in upper case, `//` kept, %2F never a separator. %00, a backslash (raw or %5C), a broken %-sequence and
   climbing above the root are PATH_INVALID. *out borrows from raw when raw is in normal form already, else it is in
   the arena. *has_encoded_slash tells whether %2F occurs. */
enum path_verdict path_normalise(struct slice raw, struct arena *arena, struct slice *out, bool *has_encoded_slash);

/* Drops what belongs to this hop alone (RFC 9110 7.6.1): Connection and what it names, Keep-Alive, Proxy-Connection,
   TE, Transfer-Encoding and Upgrade. Connection cannot name away what upstreams rely on: Host, Content-Length, Cookie,
   Authorization, X-Forwarded-*, Forwarded, Via and what weir adds itself (the table in hop.c). Proxy-Authenticate and
   Proxy-Authorization go on: weir asks for no such credentials, so they are meant for somebody else. */
void hop_by_hop_drop(struct message *m);
/* The seconds for which the sender says it keeps an unused connection (Keep-Alive: timeout=N); UINT64_MAX when it does
   not say. */
uint64_t hop_keep_alive_s(const struct message *m);

/* Trailers that may not be forwarded (framing, routing, authentication, content control: RFC 9110 6.5.1). */
void trailers_filter(struct message *trailers);

#endif
