/* cli/replay_input.c - record files line by line, however long they are: what is bad is counted and passed over. */
#include "cli/replay.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536
#define PEEK_LINES 100 /* looked through for a file's first request, to sort by */

/* A file and the part of it that was read:   [0, at) lines given out   [at, buffer.len) to be looked at */
struct line_reader {
    int fd;
    const char *file;
    uint64_t line; /* number of the last line given out */
    struct text buffer;
    size_t at;
    uint64_t read_bytes;
    bool has_ended;
};

enum line_result {
    LINE_WHOLE,
    LINE_LAST, /* the file ended without a newline */
    LINE_LONG, /* more than RECORD_LINE_MAX_BYTES: passed over */
    LINE_END
};

/* ---- one file -------------------------------------------------------------------------------------------------------- */

static bool is_stdin(const char *file)
{
    return strcmp(file, "-") == 0;
}

/* NULL with errno. */
static struct line_reader *reader_open(const char *file)
{
    struct stat status;
    int fd = is_stdin(file) ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(fd);
        errno = EISDIR;
        return NULL;
    }
    struct line_reader *r = memory_zalloc(sizeof(*r));
    r->fd = fd;
    r->file = file;
    return r;
}

static void reader_close(struct line_reader *r)
{
    if (r == NULL)
        return;
    close(r->fd);
    text_fini(&r->buffer);
    memory_free(r);
}

/* Reads on; what was given out makes room first. A file that fails in the middle ends there. */
static void reader_fill(struct line_reader *r)
{
    char bytes[READ_BYTES];
    ssize_t n;
    if (r->at > 0) {
        r->buffer.len -= r->at;
        memmove(r->buffer.bytes, r->buffer.bytes + r->at, r->buffer.len);
        r->at = 0;
    }
    do
        n = read(r->fd, bytes, sizeof(bytes));
    while (n < 0 && errno == EINTR);
    r->has_ended = n <= 0;
    if (n <= 0)
        return;
    r->read_bytes += (uint64_t)n;
    text_add(&r->buffer, slice_from(bytes, (size_t)n));
}

/* Drops the rest of a line that is too long. */
static enum line_result reader_skip(struct line_reader *r)
{
    for (;;) {
        struct slice rest = slice_after(text_slice(&r->buffer), r->at);
        size_t newline = slice_find(rest, '\n');
        r->at += newline < rest.len ? newline + 1 : rest.len;
        if (newline < rest.len || r->has_ended)
            return LINE_LONG;
        reader_fill(r);
    }
}

/* The line, borrowed until the next call. `seen`: what is known to hold no newline is not searched twice. */
static enum line_result reader_next(struct line_reader *r, struct slice *line)
{
    for (size_t seen = 0;;) {
        struct slice rest = slice_after(text_slice(&r->buffer), r->at);
        size_t newline = seen + slice_find(slice_after(rest, seen), '\n');
        *line = slice_first(rest, newline);
        if (newline < rest.len || (r->has_ended && rest.len > 0)) {
            r->line++;
            r->at += newline < rest.len ? newline + 1 : rest.len;
            return newline < rest.len ? LINE_WHOLE : LINE_LAST;
        }
        if (r->has_ended)
            return LINE_END;
        if (rest.len > RECORD_LINE_MAX_BYTES) {
            r->line++;
            return reader_skip(r);
        }
        seen = rest.len;
        reader_fill(r);
    }
}

/* How much of the file was given out. */
static uint64_t reader_done_bytes(const struct line_reader *r)
{
    return r->read_bytes - (r->buffer.len - r->at);
}

/* ---- the files in order ------------------------------------------------------------------------------------------------ */

struct dated_file {
    const char *file;
    struct wall_time first_at;
    size_t index; /* as given */
};

/* When its first request came; a file without one keeps its place in front. */
static struct wall_time first_time(struct line_reader *r)
{
    struct wall_time at = { 0 };
    struct slice line;
    enum line_result result;
    for (int i = 0; i < PEEK_LINES && (result = reader_next(r, &line)) != LINE_END && at.unix_ms == 0; i++) {
        struct arena arena;
        struct recorded recorded;
        struct text error = { 0 };
        arena_init(&arena, NULL, 0);
        if (result != LINE_LONG && recorded_read(line, &arena, &recorded, &error))
            at = recorded.at;
        arena_reset(&arena);
        text_fini(&error);
    }
    return at;
}

static int compare_dated(const void *a, const void *b)
{
    const struct dated_file *x = a, *y = b;
    if (x->first_at.unix_ms != y->first_at.unix_ms)
        return x->first_at.unix_ms < y->first_at.unix_ms ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Opened once before anything is sent, so that a wrong name is told at once. Pipes are read only when it is their turn. */
static bool file_look(struct dated_file *f, bool is_alone, uint64_t *total_bytes, struct text *error)
{
    struct stat status;
    struct line_reader *r = reader_open(f->file);
    if (r == NULL || fstat(r->fd, &status) != 0) {
        text_printf(error, "%s: %s", f->file, strerror(errno));
        reader_close(r);
        return false;
    }
    bool is_file = S_ISREG(status.st_mode);
    *total_bytes += is_file ? (uint64_t)status.st_size : 0;
    if (is_file && !is_alone && !is_stdin(f->file))
        f->first_at = first_time(r);
    reader_close(r);
    return true;
}

bool replay_input_open(struct replay_input *input, struct arena *arena, const char *const *files, size_t file_count,
                       struct text *error)
{
    struct dated_file *dated = arena_zalloc_array(arena, file_count, sizeof(*dated));
    *input = (struct replay_input){ .arena = arena, .file_count = file_count };
    for (size_t i = 0; i < file_count; i++) {
        dated[i] = (struct dated_file){ .file = files[i], .index = i };
        if (!file_look(&dated[i], file_count == 1, &input->total_bytes, error))
            return false;
    }
    qsort(dated, file_count, sizeof(*dated), compare_dated);
    input->files = arena_zalloc_array(arena, file_count, sizeof(*input->files));
    for (size_t i = 0; i < file_count; i++)
        input->files[i] = dated[i].file;
    return true;
}

void replay_input_close(struct replay_input *input)
{
    reader_close(TAKE(&input->reader));
}

/* ---- lines --------------------------------------------------------------------------------------------------------------- */

static void count_bad(struct replay_input *input, struct replay_place place, const char *why)
{
    if (input->bad_count < REPLAY_BAD_SHOWN)
        input->bad[input->bad_count] =
            (struct replay_bad_line){ place, arena_copy(input->arena, slice_from_cstr(why)).ptr };
    input->bad_count++;
}

/* A last line that was cut, as a crash or a copy of a file that is being written leaves it, is no bad line. */
static void count_cut(struct replay_input *input, struct replay_place place)
{
    if (input->cut_count++ == 0)
        input->cut = place;
}

static bool line_take(struct replay_input *input, enum line_result result, struct slice line, struct arena *arena,
                      struct recorded *out, struct replay_place place)
{
    struct text error = { 0 };
    if (result == LINE_LONG) {
        count_bad(input, place, "the line is longer than 32 MiB");
        return false;
    }
    if (slice_is_empty(slice_trim(line)))
        return false;
    bool is_good = recorded_read(line, arena, out, &error);
    if (!is_good)
        arena_reset(arena); /* however many bad lines follow each other, they take no memory */
    if (!is_good && result == LINE_LAST)
        count_cut(input, place);
    else if (!is_good)
        count_bad(input, place, error.bytes);
    text_fini(&error);
    return is_good;
}

/* A file that vanished since it was looked at is passed over. */
static bool file_begin(struct replay_input *input)
{
    while (input->reader == NULL && input->next_file < input->file_count) {
        const char *file = input->files[input->next_file++];
        input->reader = reader_open(file);
        if (input->reader == NULL)
            count_bad(input, (struct replay_place){ file, 0 }, strerror(errno));
    }
    return input->reader != NULL;
}

bool replay_input_next(struct replay_input *input, struct arena *arena, struct recorded *out,
                       struct replay_place *place)
{
    while (file_begin(input)) {
        struct slice line;
        uint64_t before = reader_done_bytes(input->reader);
        enum line_result result = reader_next(input->reader, &line);
        input->done_bytes += reader_done_bytes(input->reader) - before;
        *place = (struct replay_place){ input->reader->file, input->reader->line };
        if (result == LINE_END)
            reader_close(TAKE(&input->reader));
        else if (line_take(input, result, line, arena, out, *place))
            return true;
    }
    return false;
}
