/* shadow/record.c - the files that `record:` names: lines are appended, files rotated, and nothing here fails anybody. */
#include "shadow/record.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORDS_MAGIC     0x5245434fu
#define COMPLAIN_EVERY_MS 10000
#define TRY_AGAIN_MS      1000

struct record {
    struct list link;
    char *path;
    uint64_t max_bytes;
    uint32_t keep_count;
    int fd;                    /* -1: closed */
    uint64_t size_bytes;       /* of the open file, without the buffer */
    struct text buffer;        /* whole lines */
    bool is_mid_line;          /* a write failed inside a line: a newline goes first */
    struct mono_time retry_at; /* after a failure: nothing is tried before; 0: there was none */
    struct log_limit complaints;
};

struct records {
    uint32_t magic;
    struct list files;
    size_t file_count;
    atomic_uint asked_generation; /* raised by records_reopen */
    unsigned generation;          /* that the open files belong to */
    atomic_uint_fast64_t written_count, lost_count;
    struct log_limit complaints; /* about what has no file */
};

/* ---- one file ---------------------------------------------------------------------------------------------------- */

/* Nothing is tried for a while. */
static void record_fail(struct records *records, struct record *r, const char *what, int error, uint32_t lost_count)
{
    atomic_fetch_add_explicit(&records->lost_count, lost_count, memory_order_relaxed);
    log_line_limited(&r->complaints, COMPLAIN_EVERY_MS, LOG_WARN, "record: %s could not be %s (%s): lines are lost",
                     r->path, what, strerror(error));
    r->retry_at = mono_add_ms(clock_mono(), TRY_AGAIN_MS);
}

static void record_close(struct record *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

/* Opened without waiting, so that a pipe that nobody reads is refused like anything else that is no file. False with
   errno. */
static bool record_open(struct record *r)
{
    struct stat status;
    r->fd = open(r->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (r->fd < 0)
        return false;
    if (fstat(r->fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        record_close(r);
        errno = EINVAL;
        return false;
    }
    r->size_bytes = (uint64_t)status.st_size;
    r->is_mid_line = false;
    return true;
}

static void name_with_number(const struct record *r, uint32_t number, struct text *out)
{
    text_clear(out);
    text_add_cstr(out, r->path);
    if (number > 0)
        text_printf(out, ".%u", number);
}

/* FILE.n becomes FILE.n+1, from the oldest on, and the oldest falls off the end. A hole in the row is no failure. */
static bool files_shift(const struct record *r)
{
    struct text from = { 0 }, to = { 0 };
    bool is_good = true;
    for (uint32_t number = r->keep_count; number > 0 && is_good; number--) {
        name_with_number(r, number - 1, &from);
        name_with_number(r, number, &to);
        is_good = rename(from.bytes, to.bytes) == 0 || errno == ENOENT;
    }
    if (r->keep_count == 0)
        is_good = unlink(r->path) == 0 || errno == ENOENT;
    int error = errno;
    text_fini(&from);
    text_fini(&to);
    errno = error;
    return is_good;
}

/* Somebody else may have renamed it or begun another, and after a hand-over of the sockets two processes write to it:
   only the file that has the name is renamed. */
static bool still_has_name(const struct record *r)
{
    struct stat named, open;
    return stat(r->path, &named) == 0 && fstat(r->fd, &open) == 0 && named.st_dev == open.st_dev &&
           named.st_ino == open.st_ino;
}

static bool record_rotate(struct record *r)
{
    bool is_good = !still_has_name(r) || files_shift(r);
    int error = errno;
    record_close(r);
    errno = error;
    return is_good && record_open(r);
}

/* How many of the bytes went out; errno when not all. */
static size_t write_all(int fd, struct slice bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static uint32_t count_lines(struct slice bytes)
{
    uint32_t count = 0;
    for (; bytes.len > 0; bytes = slice_after(bytes, slice_find(bytes, '\n') + 1))
        count += slice_find(bytes, '\n') < bytes.len;
    return count;
}

/* The buffer is empty afterwards, whatever happened. */
static void record_flush(struct records *records, struct record *r)
{
    struct slice bytes = text_slice(&r->buffer);
    if (bytes.len == 0)
        return;
    if (r->is_mid_line && write_all(r->fd, SLICE("\n")) == 1) {
        r->is_mid_line = false;
        r->size_bytes++;
    }
    size_t done = r->is_mid_line ? 0 : write_all(r->fd, bytes);
    int error = errno;
    uint32_t written_count = count_lines(slice_first(bytes, done)), all_count = count_lines(bytes);
    r->size_bytes += done;
    atomic_fetch_add_explicit(&records->written_count, written_count, memory_order_relaxed);
    if (done > 0)
        r->is_mid_line = bytes.ptr[done - 1] != '\n';
    if (done < bytes.len)
        record_fail(records, r, "written", error, all_count - written_count);
    text_clear(&r->buffer);
}

/* A file that is open and has room for the line. False: the line is lost, and counted. */
static bool record_prepare(struct records *records, struct record *r, uint64_t line_bytes)
{
    if (r->retry_at.us != 0 && mono_is_before(clock_mono(), r->retry_at)) {
        atomic_fetch_add_explicit(&records->lost_count, 1, memory_order_relaxed);
        return false;
    }
    r->retry_at = (struct mono_time){ 0 };
    if (r->fd < 0 && !record_open(r)) {
        record_fail(records, r, "opened", errno, 1);
        return false;
    }
    uint64_t used_bytes = r->size_bytes + r->buffer.len;
    if (used_bytes == 0 || used_bytes + line_bytes <= r->max_bytes)
        return true;
    record_flush(records, r);
    if (record_rotate(r))
        return true;
    record_fail(records, r, "rotated", errno, 1);
    return false;
}

/* ---- all of them -------------------------------------------------------------------------------------------------- */

struct records *records_create(void)
{
    struct records *records = memory_zalloc(sizeof(*records));
    records->magic = RECORDS_MAGIC;
    list_init(&records->files);
    return records;
}

static void record_destroy(struct records *records, struct record *r)
{
    if (r->fd >= 0)
        record_flush(records, r);
    record_close(r);
    list_remove(&r->link);
    records->file_count--;
    text_fini(&r->buffer);
    memory_free(r->path);
    memory_free(r);
}

static void records_clear(struct records *records)
{
    LIST_FOREACH_SAFE (link, &records->files)
        record_destroy(records, LIST_ITEM(link, struct record, link));
}

void records_destroy(struct records *records)
{
    CHECK_MAGIC(records, RECORDS_MAGIC);
    records_clear(records);
    records->magic = 0;
    memory_free(records);
}

/* NULL when there are too many. */
static struct record *record_find(struct records *records, struct slice path)
{
    LIST_FOREACH_SAFE (link, &records->files) {
        struct record *r = LIST_ITEM(link, struct record, link);
        if (slice_equal(slice_from_cstr(r->path), path))
            return r;
    }
    if (records->file_count == RECORD_FILES_MAX)
        return NULL;
    struct record *r = memory_zalloc(sizeof(*r));
    r->path = memory_alloc(path.len + 1);
    memcpy(r->path, path.ptr, path.len);
    r->path[path.len] = '\0';
    r->fd = -1;
    list_init(&r->link);
    list_append(&records->files, &r->link);
    records->file_count++;
    return r;
}

static void reopen_if_asked(struct records *records)
{
    unsigned asked = atomic_load_explicit(&records->asked_generation, memory_order_relaxed);
    if (asked == records->generation)
        return;
    records->generation = asked;
    records_clear(records);
}

void records_add(struct records *records, const struct record_settings *settings, const struct recorded *recorded)
{
    CHECK_MAGIC(records, RECORDS_MAGIC);
    reopen_if_asked(records);
    struct record *r = record_find(records, settings->path);
    if (r == NULL) {
        atomic_fetch_add_explicit(&records->lost_count, 1, memory_order_relaxed);
        log_line_limited(&records->complaints, COMPLAIN_EVERY_MS, LOG_WARN, "record: more than %u files",
                         RECORD_FILES_MAX);
        return;
    }
    struct text line = { 0 };
    recorded_write(recorded, &line);
    r->max_bytes = settings->max_bytes;
    r->keep_count = settings->keep_count;
    if (record_prepare(records, r, line.len))
        text_add(&r->buffer, text_slice(&line));
    text_fini(&line);
    if (r->buffer.len >= RECORD_BUFFER_BYTES)
        record_flush(records, r);
}

void records_flush(struct records *records)
{
    CHECK_MAGIC(records, RECORDS_MAGIC);
    reopen_if_asked(records);
    LIST_FOREACH_SAFE (link, &records->files) {
        struct record *r = LIST_ITEM(link, struct record, link);
        if (r->fd >= 0)
            record_flush(records, r);
    }
}

void records_reopen(struct records *records)
{
    CHECK_MAGIC(records, RECORDS_MAGIC);
    atomic_fetch_add_explicit(&records->asked_generation, 1, memory_order_relaxed);
}

uint64_t records_written_count(const struct records *records)
{
    CHECK_MAGIC(records, RECORDS_MAGIC);
    return atomic_load_explicit(&records->written_count, memory_order_relaxed);
}

uint64_t records_lost_count(const struct records *records)
{
    CHECK_MAGIC(records, RECORDS_MAGIC);
    return atomic_load_explicit(&records->lost_count, memory_order_relaxed);
}
