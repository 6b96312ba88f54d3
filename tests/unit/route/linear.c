/* tests/unit/route/linear.c - when a host and a path fit, defined without an index: what tables are compared with. */
#include "route/linear.h"

#include <criterion/criterion.h>

#include <regex.h>
#include <string.h>

static bool one_host_is(const char *pattern, size_t len, const char *host, size_t host_len)
{
    if (len == 1 && pattern[0] == '*')
        return true;
    if (len < 2 || pattern[0] != '*')
        return len == host_len && memcmp(pattern, host, len) == 0;
    size_t tail = len - 1; /* with the dot */
    return host_len > tail && memcmp(host + host_len - tail, pattern + 1, tail) == 0;
}

bool linear_host_is(const char *patterns, const char *host)
{
    if (patterns == NULL)
        return true;
    size_t host_len = strlen(host), len;
    for (const char *at = patterns;; at += len + 1) {
        len = strcspn(at, " ");
        if (one_host_is(at, len, host, host_len))
            return true;
        if (at[len] == '\0')
            return false;
    }
}

static bool regex_is(const char *pattern, const char *path)
{
    regex_t regex;
    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0, "%s", pattern);
    bool fits = regexec(&regex, path, 0, NULL, 0) == 0;
    regfree(&regex);
    return fits;
}

bool linear_path_is(const char *pattern, const char *path)
{
    if (pattern == NULL || strcmp(pattern, "/") == 0)
        return true;
    if (pattern[0] == '=')
        return strcmp(pattern + 1, path) == 0;
    if (pattern[0] == '~')
        return regex_is(pattern + 1, path);
    size_t len = strlen(pattern);
    return strncmp(path, pattern, len) == 0 && (path[len] == '\0' || path[len] == '/' || pattern[len - 1] == '/');
}
