/* base/log.c - formats a line and hands it to stderr in one write. */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096u /* with the newline; what is longer ends in "..." */

static _Atomic int lowest_level = LOG_INFO;

void log_set_level(enum log_level lowest)
{
    atomic_store_explicit(&lowest_level, (int)lowest, memory_order_relaxed);
}

static bool is_wanted(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

static size_t line_begin(char *line, enum log_level level)
{
    static const char *const names[] = { "debug", "info ", "warn ", "error" };
    char now[25];
    wall_format(clock_wall(), now);
    return (size_t)snprintf(line, LINE_MAX_BYTES, "%s %s ", now, names[level]);
}

/* One line is one line: control characters, which may come from a peer, become '?'. */
static void line_write(char *line, size_t begin, size_t len)
{
    if (len > LINE_MAX_BYTES - 2) {
        len = LINE_MAX_BYTES - 2;
        memcpy(line + len - 3, "...", 3);
    }
    for (size_t i = begin; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len); /* nowhere to complain to */
    (void)ignored;
}

static void log_vline(enum log_level level, unsigned held_count, const char *format, va_list args) PRINTF_LIKE(3, 0);

/* Formats on the stack, since memory may be what the line is about; errno survives, so that a caller may log and then
   look at it. */
static void log_vline(enum log_level level, unsigned held_count, const char *format, va_list args)
{
    int saved_errno = errno;
    char line[LINE_MAX_BYTES];
    size_t begin = line_begin(line, level);
    int added = vsnprintf(line + begin, sizeof line - begin, format, args);
    size_t len = begin + (added > 0 ? (size_t)added : 0);
    if (held_count != 0 && len < sizeof line) {
        added = snprintf(line + len, sizeof line - len, " (%u more held back)", held_count);
        len += added > 0 ? (size_t)added : 0;
    }
    line_write(line, begin, len);
    errno = saved_errno;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (!is_wanted(level))
        return;
    va_list args;
    va_start(args, format);
    log_vline(level, 0, format, args);
    va_end(args);
}

void log_line_limited(struct log_limit *limit, int64_t interval_ms, enum log_level level, const char *format, ...)
{
    if (!is_wanted(level))
        return;
    int64_t now_us = clock_mono().us;
    if (limit->last_us != 0 && now_us - limit->last_us < interval_ms * 1000) {
        limit->held_count++;
        return;
    }
    va_list args;
    va_start(args, format);
    log_vline(level, limit->held_count, format, args);
    va_end(args);
    limit->last_us = now_us;
    limit->held_count = 0;
}
