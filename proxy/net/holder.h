/* net/holder.h - which process holds a TCP port, for the message when binding fails.
 *
 * "Address already in use" leaves an operator searching; /proc knows which process it is. For error messages only:
 * slow (it walks all processes) and best effort. */
#ifndef NET_HOLDER_H
#define NET_HOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/units.h"

/* Reads /proc: "nginx (pid 812)" into out. false when it cannot be known (another user's process, no /proc). */
bool holder_of_port(const struct endpoint_address *bind, char *out, size_t out_size);
/* "127.0.0.1:8080", "[::1]:80", "unix:/run/x" into out, NUL-terminated. */
void endpoint_address_format(const struct endpoint_address *a, char *out, size_t out_size);

#endif
