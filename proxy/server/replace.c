/* server/replace.c - temporaries, copies, renames, and the way back. */
#include "server/replace.h"

#include "base/arena.h"
#include "base/memory.h"
#include "config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file on its way. Its paths tell how far it came: what is not NULL, or renamed, has to be undone. */
struct item {
    const char *target;    /* behind symbolic links; absolute */
    const char *temporary; /* beside it; NULL: not made */
    const char *copy;      /* FILE.before-restore, a link to what was there; NULL: not made, or nothing was there */
    struct slice bytes;    /* borrowed; not looked at after replace_begin */
    struct stat like;      /* whose owner and mode it gets */
    bool is_new;           /* nothing lies there */
    bool is_renamed;       /* the target is the new file */
};

struct replacement {
    struct arena arena;
    struct item *items; /* those that differ from what is there */
    size_t count;
};

static bool fail(struct text *error, const char *what, const char *path)
{
    text_printf(error, "could not %s %s: %s", what, path, strerror(errno));
    return false;
}

/* ---- what has to be written ------------------------------------------------------------------------------------------ */

static bool is_same(const char *path, const struct stat *status, struct slice bytes)
{
    char buffer[16384];
    if (status->st_size < 0 || (size_t)status->st_size != bytes.len)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    while (fd >= 0 && bytes.len > 0 && (n = read(fd, buffer, sizeof buffer)) > 0) {
        struct slice part = slice_from(buffer, (size_t)n);
        if (!slice_has_prefix(bytes, part))
            break;
        bytes = slice_after(bytes, part.len);
    }
    if (fd >= 0)
        close(fd);
    return fd >= 0 && bytes.len == 0;
}

/* A file that is there. The folder alone decides whether a rename works: the file's own mode is asked, since who made it
   read-only meant it. */
static bool old_find(struct item *item, const char *path, struct text *error)
{
    if (stat(item->target, &item->like) != 0)
        return fail(error, "find", path);
    if (!S_ISREG(item->like.st_mode)) {
        text_printf(error, "%s is not a file that can be replaced", path);
        return false;
    }
    return true;
}

/* `first` is NULL for the first file itself. A link to nothing is refused: a rename would replace the link. */
static bool target_find(struct replacement *r, struct item *item, const struct item *first, const char *path,
                        struct text *error)
{
    char target[PATH_MAX];
    struct stat link;
    if (realpath(path, target) != NULL) {
        item->target = arena_copy(&r->arena, slice_from_cstr(target)).ptr;
        return old_find(item, path, error);
    }
    if (errno != ENOENT || first == NULL || lstat(path, &link) == 0)
        return fail(error, "find", path);
    item->target = arena_copy(&r->arena, slice_from_cstr(path)).ptr;
    item->like = first->like;
    item->is_new = true;
    return true;
}

/* Two names of a version may have become one file since. */
static const struct item *item_find(const struct replacement *r, const char *target)
{
    for (const struct item *i = r->items; i < r->items + r->count; i++)
        if (strcmp(i->target, target) == 0)
            return i;
    return NULL;
}

static bool item_add(struct replacement *r, const struct item *item, const char *path, struct text *error)
{
    if (item_find(r, item->target) != NULL) {
        text_printf(error, "%s and another file of that version are one file now", path);
        return false;
    }
    if (!item->is_new && is_same(item->target, &item->like, item->bytes))
        return true;
    if (!item->is_new && faccessat(AT_FDCWD, item->target, W_OK, AT_EACCESS) != 0)
        return fail(error, "write", path);
    r->items[r->count++] = *item;
    return true;
}

static bool items_find(struct replacement *r, const struct file_text *files, size_t count, struct text *error)
{
    struct item first = { 0 };
    r->items = arena_zalloc_array(&r->arena, count, sizeof *r->items);
    for (size_t i = 0; i < count; i++) {
        struct item item = { .bytes = files[i].bytes };
        const char *path = arena_copy(&r->arena, files[i].path).ptr;
        if (!target_find(r, &item, i > 0 ? &first : NULL, path, error) || !item_add(r, &item, path, error))
            return false;
        if (i == 0)
            first = item;
    }
    return true;
}

/* ---- forward --------------------------------------------------------------------------------------------------------- */

static bool bytes_write(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            bytes = slice_after(bytes, (size_t)n);
    }
    return true;
}

/* Owner first: a change of owner clears mode bits. */
static bool temporary_fill(int fd, const struct item *item, struct text *error)
{
    struct stat mine;
    if (fstat(fd, &mine) != 0)
        return fail(error, "write", item->temporary);
    bool is_other = mine.st_uid != item->like.st_uid || mine.st_gid != item->like.st_gid;
    if (is_other && fchown(fd, item->like.st_uid, item->like.st_gid) != 0)
        return fail(error, "keep the owner of", item->target);
    if (fchmod(fd, item->like.st_mode & 07777) != 0 || !bytes_write(fd, item->bytes) || fsync(fd) != 0)
        return fail(error, "write", item->temporary);
    return true;
}

/* ".NAME.XXXXXX": what a crash leaves behind is matched by no pattern of `include`. */
static bool temporary_make(struct replacement *r, struct item *item, struct text *error)
{
    const char *name = strrchr(item->target, '/') + 1;
    struct slice path = arena_printf(&r->arena, "%.*s.%s.XXXXXX", (int)(name - item->target), item->target, name);
    char *template = arena_alloc(&r->arena, path.len + 1);
    memcpy(template, path.ptr, path.len + 1);
    int fd = mkostemp(template, O_CLOEXEC);
    if (fd < 0)
        return fail(error, "write beside", item->target);
    item->temporary = template;
    bool is_good = temporary_fill(fd, item, error);
    close(fd);
    return is_good;
}

/* A link to what is there; an older copy goes. */
static bool copy_make(struct replacement *r, struct item *item, struct text *error)
{
    if (item->is_new)
        return true;
    const char *copy = arena_printf(&r->arena, "%s" CONFIG_COPY_SUFFIX, item->target).ptr;
    if (unlink(copy) != 0 && errno != ENOENT)
        return fail(error, "replace", copy);
    if (link(item->target, copy) != 0)
        return fail(error, "keep a copy as", copy);
    item->copy = copy;
    return true;
}

static bool temporary_rename(struct replacement *r, struct item *item, struct text *error)
{
    (void)r;
    if (rename(item->temporary, item->target) != 0)
        return fail(error, "replace", item->target);
    item->is_renamed = true;
    return true;
}

static bool for_each(struct replacement *r, bool (*step)(struct replacement *, struct item *, struct text *),
                     struct text *error)
{
    for (size_t i = 0; i < r->count; i++)
        if (!step(r, &r->items[i], error))
            return false;
    return true;
}

/* So that the renames themselves survive a crash. */
static void folders_sync(const struct replacement *r)
{
    for (size_t i = 0; i < r->count; i++) {
        char folder[PATH_MAX];
        const char *slash = strrchr(r->items[i].target, '/');
        snprintf(folder, sizeof folder, "%.*s/", (int)(slash - r->items[i].target), r->items[i].target);
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            fsync(fd);
            close(fd);
        }
    }
}

/* ---- back ------------------------------------------------------------------------------------------------------------ */

/* The copy is the old file itself, with all that belongs to it. */
static bool item_put_back(struct item *item, struct text *error)
{
    int result = 0;
    if (item->is_renamed)
        result = item->is_new ? unlink(item->target) : rename(item->copy, item->target);
    else if (item->copy != NULL)
        unlink(item->copy);
    if (item->temporary != NULL && !item->is_renamed)
        unlink(item->temporary);
    if (result == 0)
        return true;
    text_add_cstr(error, error->len > 0 ? "; and " : "");
    fail(error, item->is_new ? "remove" : "put back", item->target);
    if (!item->is_new)
        text_printf(error, " (it lies in %s)", item->copy);
    return false;
}

static bool put_back(struct replacement *r, struct text *error)
{
    bool is_good = true;
    for (size_t i = 0; i < r->count; i++)
        is_good &= item_put_back(&r->items[i], error);
    folders_sync(r);
    return is_good;
}

/* ---- both ------------------------------------------------------------------------------------------------------------ */

struct replacement *replace_begin(const struct file_text *files, size_t count, struct text *error)
{
    struct replacement *r = memory_zalloc(sizeof *r);
    arena_init(&r->arena, NULL, 0);
    if (items_find(r, files, count, error) && for_each(r, temporary_make, error) && for_each(r, copy_make, error) &&
        for_each(r, temporary_rename, error)) {
        folders_sync(r);
        return r;
    }
    replace_end(r, REPLACE_PUT_BACK, error);
    return NULL;
}

bool replace_end(struct replacement *r, enum replace_verdict verdict, struct text *error)
{
    bool is_good = verdict == REPLACE_KEEP || put_back(r, error);
    arena_reset(&r->arena);
    memory_free(r);
    return is_good;
}
