/* store/head.c - the file beside the database that knows how the audit log ends. */
#include "store/head.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/slice.h"
#include "store/audit.h"
#include "store/statement.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* One line of a fixed length, so that writing it again needs no room on the disk and replaces all of it at once:
   "00000000000000000042 HASH\n". */
#define DIGITS     20
#define LINE_BYTES (DIGITS + 1 + HEAD_HASH_SIZE)

void head_init(struct audit_head_file *file, const char *database)
{
    size_t size = strlen(database) + sizeof ".audit-head";
    *file = (struct audit_head_file){ .path = memory_alloc(size), .fd = -1 };
    snprintf(file->path, size, "%s.audit-head", database);
}

void head_close(struct audit_head_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    memory_free(file->path);
    *file = (struct audit_head_file){ .fd = -1 };
}

/* Not forced to the disk: what the power takes away leaves an earlier line, which is in the log too. */
void head_write(struct audit_head_file *file, const struct audit_head *head)
{
    char line[LINE_BYTES + 1];
    if (file->fd < 0)
        return;
    snprintf(line, sizeof line, "%020lld %s\n", (long long)head->id, head->hash);
    ssize_t written = pwrite(file->fd, line, LINE_BYTES, 0);
    (void)written;
}

static bool is_hash(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
    return s.len == HEAD_HASH_SIZE - 1;
}

static bool line_parse(struct slice line, struct audit_head *out)
{
    uint64_t id;
    struct slice hash = slice_first(slice_after(line, DIGITS + 1), HEAD_HASH_SIZE - 1);
    if (line.len != LINE_BYTES || !slice_to_u64(slice_first(line, DIGITS), &id) || id > INT64_MAX || !is_hash(hash))
        return false;
    out->id = (int64_t)id;
    memcpy(out->hash, hash.ptr, hash.len);
    out->hash[hash.len] = '\0';
    return true;
}

enum head_finding head_read(const struct audit_head_file *file, struct audit_head *out)
{
    char line[LINE_BYTES + 1];
    *out = (struct audit_head){ 0 };
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? HEAD_MISSING : HEAD_UNREADABLE;
    ssize_t length = read(fd, line, sizeof line);
    close(fd);
    bool is_good = length >= 0 && line_parse(slice_from(line, (size_t)length), out);
    return is_good ? HEAD_AGREES : HEAD_UNREADABLE;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static void file_begin(struct audit_head_file *file, const struct audit_head *head)
{
    file->fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    head_write(file, head);
}

/* Where lines stand already, whoever looks later is told since when the file has known them. */
static bool file_begin_late(struct store *s, const struct audit_head *head)
{
    struct audit_line line = { .at = clock_wall(),
                               .who = SLICE("weir"),
                               .role = SLICE("admin"),
                               .action = SLICE("audit.head_begun"),
                               .target = SLICE("audit"),
                               .reason = SLICE("there was no file with the end of the log") };
    file_begin(&s->head, head);
    if (head->id == 0 || audit_append(s, &line))
        return true;
    /* Without room for the line there is none for anything: the store is open, and the file begins with what is there. */
    return store_problem(s) == STORE_FULL || store_problem(s) == STORE_BUSY;
}

/* A file whose first writing was cut off, before the log had a line, is no contradiction. */
static bool is_agreed(struct store *s, const struct audit_head *known, const struct audit_head *newest, bool *out)
{
    char hash[HEAD_HASH_SIZE];
    if (known->id == 0) {
        *out = true;
        return true;
    }
    *out = false;
    if (known->id > newest->id)
        return true;
    if (!audit_hash_of(s, known->id, hash))
        return false;
    *out = slice_equal(slice_from_cstr(hash), slice_from_cstr(known->hash));
    return true;
}

bool head_open(struct store *s)
{
    struct audit_head known, newest;
    bool has_agreed = false;
    if (!audit_head_read(s, &newest))
        return false;
    s->newest_id = newest.id;
    enum head_finding finding = head_read(&s->head, &known);
    if (finding == HEAD_MISSING)
        return file_begin_late(s, &newest);
    if (finding == HEAD_AGREES && !is_agreed(s, &known, &newest, &has_agreed))
        return false;
    s->head.has_disagreed = !has_agreed;
    if (has_agreed)
        file_begin(&s->head, &newest);
    return true;
}
