/* server/access_writer.c - the queue and the thread behind the access log.
 *
 * The mutex guards pointers and counts only; no system call is made while it is held. */
#include "server/access_writer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS           100  /* how often a blocked writer looks whether it should stop */
#define STOP_MS           1000 /* for what is queued when the process ends */
#define REPORT_INTERVAL_S 10

struct access_writer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct access_lines *first, **last; /* the queue, oldest first; guarded */
    size_t queued_bytes;                /* whole buffers; guarded */
    uint64_t dropped_count;             /* lines; guarded */
    int next_fd;                        /* to be used from the next buffer on; -1: none; guarded */
    bool is_stopping;                   /* guarded */
    struct mono_time stop_at;           /* with is_stopping; guarded */

    /* The thread's own. */
    int fd;
    bool is_pipe;      /* written in pieces that a ready pipe takes without blocking */
    bool is_mid_line;  /* a write failed inside a line: a newline goes first */
    int failure;       /* errno of the last failed write; 0: the queue was full */
    uint64_t reported; /* of dropped_count */
    struct mono_time reported_at;
};

struct access_lines *access_lines_create(void)
{
    struct access_lines *lines = memory_alloc(sizeof *lines);
    lines->next = NULL;
    lines->used = lines->line_count = 0;
    return lines;
}

void access_lines_destroy(struct access_lines *lines)
{
    memory_free(lines);
}

/* ---- any thread ---------------------------------------------------------------------------------------------------- */

void access_writer_submit(struct access_writer *w, struct access_lines *lines)
{
    lines->next = NULL;
    pthread_mutex_lock(&w->mutex);
    bool fits = w->queued_bytes + sizeof *lines <= ACCESS_QUEUE_BYTES;
    if (fits) {
        *w->last = lines;
        w->last = &lines->next;
        w->queued_bytes += sizeof *lines;
    } else {
        w->dropped_count += lines->line_count;
    }
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    if (!fits)
        access_lines_destroy(lines);
}

uint64_t access_writer_dropped_count(struct access_writer *w)
{
    pthread_mutex_lock(&w->mutex);
    uint64_t count = w->dropped_count;
    pthread_mutex_unlock(&w->mutex);
    return count;
}

bool access_writer_open(struct access_writer *w, const char *path)
{
    int fd = path == NULL ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return false;
    pthread_mutex_lock(&w->mutex);
    int unused = w->next_fd;
    w->next_fd = fd;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    if (unused >= 0)
        close(unused);
    return true;
}

/* ---- the thread ---------------------------------------------------------------------------------------------------- */

static void fd_use(struct access_writer *w, int fd)
{
    struct stat status;
    if (w->fd != STDOUT_FILENO)
        close(w->fd);
    w->fd = fd;
    w->is_pipe = fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
    w->is_mid_line = false;
}

static bool has_to_stop(struct access_writer *w)
{
    pthread_mutex_lock(&w->mutex);
    bool is_late = w->is_stopping && mono_is_before(w->stop_at, clock_mono());
    pthread_mutex_unlock(&w->mutex);
    return is_late;
}

/* False when there is no time left to wait for a reader. Regular files are always ready. */
static bool wait_until_ready(struct access_writer *w)
{
    struct pollfd p = { .fd = w->fd, .events = POLLOUT };
    while (poll(&p, 1, POLL_MS) == 0)
        if (has_to_stop(w))
            return false;
    return true;
}

/* Writes from `bytes`; returns how many went out. */
static size_t write_all(struct access_writer *w, const char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count && wait_until_ready(w)) {
        size_t piece = count - done;
        if (w->is_pipe && piece > PIPE_BUF)
            piece = PIPE_BUF;
        ssize_t n = write(w->fd, bytes + done, piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            w->failure = n < 0 ? errno : EIO;
            break;
        }
        done += (size_t)n;
    }
    return done;
}

static uint32_t count_lines(const char *bytes, size_t count)
{
    uint32_t lines = 0;
    for (const char *at = bytes; (at = memchr(at, '\n', count - (size_t)(at - bytes))) != NULL; at++)
        lines++;
    return lines;
}

static void lines_write(struct access_writer *w, const struct access_lines *lines)
{
    if (w->is_mid_line && write_all(w, "\n", 1) == 1)
        w->is_mid_line = false;
    size_t done = w->is_mid_line ? 0 : write_all(w, lines->bytes, lines->used);
    if (done == lines->used)
        return;
    if (done > 0)
        w->is_mid_line = lines->bytes[done - 1] != '\n';
    pthread_mutex_lock(&w->mutex);
    w->dropped_count += count_lines(lines->bytes + done, lines->used - done);
    pthread_mutex_unlock(&w->mutex);
}

/* At most one line per interval, however much is lost. */
static void drops_report(struct access_writer *w)
{
    struct mono_time now = clock_mono();
    uint64_t dropped = access_writer_dropped_count(w);
    if (dropped == w->reported ||
        (w->reported != 0 && mono_diff_us(now, w->reported_at) < REPORT_INTERVAL_S * 1000000LL))
        return;
    log_warn("access log: %llu lines dropped (%s)", (unsigned long long)(dropped - w->reported),
             w->failure != 0 ? strerror(w->failure) : "it is written slower than lines come in");
    w->reported = dropped;
    w->reported_at = now;
    w->failure = 0;
}

/* Waits for work, at most an interval; takes the oldest buffer and a new descriptor. False at the end. */
static bool work_take(struct access_writer *w, struct access_lines **lines, int *next_fd)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REPORT_INTERVAL_S;
    pthread_mutex_lock(&w->mutex);
    int error = 0;
    while (w->first == NULL && w->next_fd < 0 && !w->is_stopping && error == 0)
        error = pthread_cond_timedwait(&w->wake, &w->mutex, &until);
    bool is_late = w->is_stopping && mono_is_before(w->stop_at, clock_mono());
    *lines = is_late ? NULL : w->first;
    if (*lines != NULL) {
        w->first = (*lines)->next;
        if (w->first == NULL)
            w->last = &w->first;
        w->queued_bytes -= sizeof **lines;
    }
    *next_fd = w->next_fd;
    w->next_fd = -1;
    bool goes_on = *lines != NULL || !w->is_stopping;
    pthread_mutex_unlock(&w->mutex);
    return goes_on;
}

static void *access_writer_run(void *arg)
{
    struct access_writer *w = arg;
    struct access_lines *lines;
    int next_fd;
    pthread_setname_np(pthread_self(), "access-log");
    while (work_take(w, &lines, &next_fd)) {
        if (next_fd >= 0)
            fd_use(w, next_fd);
        if (lines != NULL) {
            lines_write(w, lines);
            access_lines_destroy(lines);
        }
        drops_report(w);
    }
    if (next_fd >= 0)
        close(next_fd);
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------------------------------ */

struct access_writer *access_writer_start(void)
{
    struct access_writer *w = memory_zalloc(sizeof *w);
    pthread_condattr_t monotonic;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->last = &w->first;
    w->next_fd = -1;
    w->fd = STDOUT_FILENO;
    fd_use(w, STDOUT_FILENO);
    CHECK(pthread_create(&w->thread, NULL, access_writer_run, w) == 0);
    return w;
}

/* What a stuck disk left behind. */
static void queue_discard(struct access_writer *w)
{
    while (w->first != NULL) {
        struct access_lines *lines = w->first;
        w->first = lines->next;
        access_lines_destroy(lines);
    }
}

void access_writer_stop(struct access_writer *w)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2 * STOP_MS / 1000;
    pthread_mutex_lock(&w->mutex);
    w->is_stopping = true;
    w->stop_at = mono_add_ms(clock_mono(), STOP_MS);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    if (pthread_timedjoin_np(w->thread, NULL, &until) != 0) {
        log_warn("access log: the disk does not answer; what is queued is lost");
        pthread_detach(w->thread); /* it sleeps in the kernel with our memory in hand: left to it */
        return;
    }
    queue_discard(w);
    if (w->fd != STDOUT_FILENO)
        close(w->fd);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    memory_free(w);
}
