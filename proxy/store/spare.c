/* store/spare.c - the file with room for what waits. */
#include "store/spare.h"

#include "base/log.h"
#include "base/memory.h"
#include "crypto/digest.h"
#include "store/deed.h"
#include "store/statement.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "weir-waiting 1 NEWEST LENGTH SHA256\n" and LENGTH bytes of deeds: numbers of a fixed width, so that the head is too. A
   write that the power cut in two does not have the digest that it says. */
#define HEAD_FORMAT "weir-waiting 1 %020lld %08zu %s\n"
#define HEAD_BYTES  (15 + 20 + 1 + 8 + 1 + DIGEST_SHA256_HEX_SIZE)

void spare_init(struct spare_file *file, const char *database)
{
    size_t size = strlen(database) + sizeof ".waiting";
    *file = (struct spare_file){ .path = memory_alloc(size), .fd = -1 };
    snprintf(file->path, size, "%s.waiting", database);
}

void spare_close(struct spare_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    memory_free(file->path);
    *file = (struct spare_file){ .fd = -1 };
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

static void head_make(struct text *out, const struct store *s, struct slice body)
{
    char digest[DIGEST_SHA256_HEX_SIZE];
    digest_sha256_hex(body, digest);
    text_printf(out, HEAD_FORMAT, (long long)s->newest_id, body.len, digest);
    CHECK(out->len == HEAD_BYTES);
}

/* In one write, and on the disk when it returns. A failure leaves what was there, whose digest or line then does not fit. */
void spare_write(struct store *s)
{
    struct text body = { 0 }, all = { 0 };
    if (s->spare.fd < 0)
        return;
    journal_text_write(&s->journal, SPARE_BYTES - HEAD_BYTES, &body);
    head_make(&all, s, text_slice(&body));
    text_add(&all, text_slice(&body));
    ssize_t written = pwrite(s->spare.fd, all.bytes, all.len, 0);
    if (written != (ssize_t)all.len || fdatasync(s->spare.fd) != 0)
        log_error("store: %s: what waits to be stored is in memory alone: %s", s->spare.path, strerror(errno));
    text_fini(&body);
    text_fini(&all);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

/* The deeds of a file whose head is the one that this store would write. */
static bool body_find(const struct store *s, struct slice all, struct slice *body)
{
    uint64_t length;
    struct text expected = { 0 };
    struct slice head = slice_first(all, HEAD_BYTES);
    if (head.len < HEAD_BYTES || !slice_to_u64(slice_first(slice_after(head, 15 + 20 + 1), 8), &length) ||
        length > all.len - HEAD_BYTES)
        return false;
    *body = slice_first(slice_after(all, HEAD_BYTES), (size_t)length);
    head_make(&expected, s, *body);
    bool is_good = slice_equal(text_slice(&expected), head);
    text_fini(&expected);
    return is_good;
}

static void deeds_take(struct store *s, struct slice body)
{
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, NULL, 0);
    while (body.len > 0) {
        const struct deed *d = deed_text_read(&body, &arena);
        if (d == NULL)
            break;
        journal_put(&s->journal, d);
        count++;
    }
    arena_reset(&arena);
    if (count > 0)
        log_warn("store: %zu changes that could not be written before the last process ended are taken up", count);
}

void spare_open(struct store *s)
{
    char bytes[SPARE_BYTES];
    struct slice body;
    struct spare_file *file = &s->spare;
    file->fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = file->fd < 0 ? errno : posix_fallocate(file->fd, 0, SPARE_BYTES);
    if (error != 0)
        log_warn("store: %s: there is no room for what may have to wait: %s", file->path, strerror(error));
    if (file->fd < 0)
        return;
    ssize_t length = pread(file->fd, bytes, sizeof bytes, 0);
    if (length > 0 && body_find(s, slice_from(bytes, (size_t)length), &body))
        deeds_take(s, body);
}
