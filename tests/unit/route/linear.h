/* tests/unit/route/linear.h - when a host and a path fit, defined without an index: what tables are compared with. */
#ifndef TESTS_ROUTE_LINEAR_H
#define TESTS_ROUTE_LINEAR_H

#include <stdbool.h>

/* Written apart from the code under test, and from its libraries: strings compared from the definition in contract and
   reference, regexes by the C library. Patterns as fixture_route takes them, NULL fits everything. */
bool linear_host_is(const char *patterns, const char *host);
bool linear_path_is(const char *pattern, const char *path);

#endif
