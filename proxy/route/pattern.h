/* route/pattern.h - when a host or a path fits what an operator wrote. All arguments are in normal form. */
#ifndef ROUTE_PATTERN_H
#define ROUTE_PATTERN_H

#include <stdbool.h>

#include "base/slice.h"

#define WILDCARD_PREFIX SLICE("*.")

/* Prefixes end at segment borders: "/a" holds "/a", "/a/" and "/a/b" but not "/ab"; "/a/" holds "/a/" and "/a/b" but
   not "/a"; "/" holds everything, also the "*" of OPTIONS. */
static inline bool path_has_prefix(struct slice path, struct slice prefix)
{
    if (slice_equal(prefix, SLICE("/")))
        return true;
    if (prefix.len == 0 || !slice_has_prefix(path, prefix))
        return false;
    return path.len == prefix.len || prefix.ptr[prefix.len - 1] == '/' || path.ptr[prefix.len] == '/';
}

static inline bool host_is_wildcard(struct slice pattern)
{
    return slice_has_prefix(pattern, WILDCARD_PREFIX);
}

/* "*.example.com" stands for one label or more in front of example.com, not for example.com itself; "*" for every
   host. */
static inline bool host_fits(struct slice host, struct slice pattern)
{
    if (slice_equal(pattern, SLICE("*")))
        return true;
    if (!host_is_wildcard(pattern))
        return slice_equal(host, pattern);
    struct slice suffix = slice_after(pattern, 1);
    return host.len > suffix.len && slice_has_suffix(host, suffix);
}

#endif
