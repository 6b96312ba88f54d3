/* tests/unit/base/test_log.c - what reaches stderr, read through a pipe. */
#include "base/log.h"
#include "base/clock.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int pipe_fd = -1, saved_stderr = -1;

static void capture_begin(void)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    pipe_fd = fds[0];
}

/* Everything written since the start; one read of the pipe is one write of the logger. */
static const char *capture_end(void)
{
    static char bytes[16384];
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t len = read(pipe_fd, bytes, sizeof bytes - 1);
    bytes[len > 0 ? len : 0] = '\0';
    close(pipe_fd);
    return bytes;
}

Test(log, a_line_is_time_level_and_message)
{
    capture_begin();
    log_info("reload: generation %d applied", 4);
    const char *line = capture_end();
    struct wall_time t;
    cr_assert(wall_parse(line, 24, &t), "%s", line);
    cr_assert_str_eq(line + 24, " info  reload: generation 4 applied\n");
}

Test(log, levels_below_the_lowest_are_silent)
{
    capture_begin();
    log_debug("hidden");
    log_set_level(LOG_ERROR);
    log_warn("hidden too");
    log_error("shown");
    const char *lines = capture_end();
    cr_assert_null(strstr(lines, "hidden"));
    cr_assert_not_null(strstr(lines, " error shown\n"));
}

Test(log, a_peer_cannot_forge_a_line)
{
    capture_begin();
    log_info("path %s", "/a\n2026-01-01T00:00:00.000Z error fake\x1b[2J");
    const char *line = capture_end();
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1, "%s", line);
    cr_assert_null(strchr(line, '\x1b'));
}

Test(log, a_long_line_is_cut_and_says_so)
{
    char message[10000];
    memset(message, 'x', sizeof message);
    message[sizeof message - 1] = '\0';
    capture_begin();
    log_info("%s", message);
    const char *line = capture_end();
    cr_assert_lt(strlen(line), 4096);
    cr_assert_str_eq(line + strlen(line) - 4, "...\n");
}

Test(log, errno_survives)
{
    capture_begin();
    errno = ENOSPC;
    log_info("x");
    int after = errno;
    capture_end();
    cr_assert_eq(after, ENOSPC);
}

Test(log, a_limited_line_counts_what_it_held_back)
{
    struct log_limit limit = { 0 };
    capture_begin();
    for (int i = 0; i < 5; i++)
        log_line_limited(&limit, 3600000, LOG_WARN, "accept: %s", "no descriptors left");
    cr_assert_eq(limit.held_count, 4);
    limit.last_us -= (int64_t)3600000 * 1000; /* the interval is over */
    log_line_limited(&limit, 3600000, LOG_WARN, "accept: %s", "no descriptors left");
    const char *lines = capture_end();
    const char *second = strchr(lines, '\n') + 1;
    cr_assert_null(strstr(second, "\n2"), "two lines in all: %s", lines);
    cr_assert_not_null(strstr(second, "accept: no descriptors left (4 more held back)\n"));
    cr_assert_eq(limit.held_count, 0);
}
