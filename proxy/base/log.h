/* base/log.h - the readable error log. The one mutable global of the house.
 *
 * For what an operator did, what changed, and what failed: not for requests, which have the access log
 * (front/access.h), and never once a request, since a line costs a system call. What may happen again and again goes
 * through log_line_limited.
 *
 * The level is one atomic number for all threads; lines of several threads never mix, since each is one write. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include "base/check.h"

/* In the order of severity. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines go to stderr, one write each: "2026-11-23T21:45:13.042Z info  reload: generation 4 applied". Thread-safe.
   Control characters become "?", long lines end in "...". */
void log_set_level(enum log_level lowest);
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* For what may happen again and again. Lets at most one line of a kind through per `interval_ms`; the next one says
   how many were held back. The limit is its caller's, for one thread. */
struct log_limit {
    int64_t last_us; /* monotonic; 0: never */
    unsigned held_count;
};
void log_line_limited(struct log_limit *limit, int64_t interval_ms, enum log_level level, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
