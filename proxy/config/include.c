/* config/include.c - reads a file and those it includes, and merges their trees.
 *
 * Names are kept as an operator would type them (the first as given, others relative to the file that includes them),
 * so that messages are short; the absolute path tells whether two names mean one file.
 *
 *   include_read   first.yaml --yaml_parse--> tree --expand_values (${NAME})--> file->root
 *                    `include: [conf.d/<any>.yaml]` --glob--> each of them likewise, depth first
 *   include_merge  upstreams: {a}   +   upstreams: {b}   =   upstreams: {a, b}        maps and lists are joined,
 *                  workers: 2       +   workers: 4       =   error at the second      single values have one place
 *
 * So the order of routes over all files is that of the reading: the first file, then what it includes, in the order written, matches
 * of a pattern sorted by name. Nodes are moved and not copied, and keep the file, line and column they were read at; the
 * checks behind it need not know that there were several files.
 *
 * A directory with wrong permissions or a pattern that is too wide cannot make a load endless: depth, number of files and their bytes
 * have limits, and a file is read once. */
#include "config/include.h"

#include "base/map.h"
#include "config/expand.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

/* One reading of a whole set. */
struct reading {
    struct file_set *set;
    struct arena *arena, *scratch;
    const struct config_source *source;
    struct err_list *errors;
    struct map by_path;                          /* absolute path -> struct config_file */
    struct slice directory;                      /* where relative names start; absolute */
    struct config_file *open[INCLUDE_DEPTH_MAX]; /* files being read, outermost first */
    unsigned depth;
};

/* ---- paths ------------------------------------------------------------------------------------------------------- */

/* "a/b.yaml" -> "a/"; "b.yaml" -> "". */
static struct slice folder_of(struct slice path)
{
    const char *slash = path.len ? memrchr(path.ptr, '/', path.len) : NULL;
    return slice_first(path, slash ? (size_t)(slash - path.ptr) + 1 : 0);
}

/* Without "." segments and doubled slashes. ".." stays: behind a symbolic link it does not mean the folder before. */
static struct slice tidy_path(struct arena *arena, struct slice path)
{
    char *out = arena_alloc(arena, path.len + 2);
    size_t len = 0;
    struct slice rest = path;
    while (rest.len > 0) {
        size_t slash = slice_find(rest, '/');
        struct slice segment = slice_first(rest, slash);
        rest = slice_after(rest, slash + 1);
        if (segment.len == 0 || slice_equal(segment, SLICE(".")))
            continue;
        out[len++] = '/';
        memcpy(out + len, segment.ptr, segment.len);
        len += segment.len;
    }
    out[len] = '\0';
    return slice_from(out, len);
}

struct slice include_path(struct arena *arena, struct slice directory, const char *name)
{
    struct slice path = slice_from_cstr(name);
    if (!slice_has_prefix(path, SLICE("/")))
        path = arena_printf(arena, "%.*s/%s", SLICE_ARG(directory), name);
    return tidy_path(arena, path);
}

static struct slice absolute_path(struct reading *r, const char *name)
{
    return include_path(r->arena, r->directory, name);
}

/* Asked for once a load: the process does not change its directory while it runs, tests have their own. */
struct slice include_directory(const struct config_source *source, struct arena *arena)
{
    const char *directory = source->directory;
    if (directory == NULL)
        directory = getcwd(arena_alloc(arena, PATH_MAX), PATH_MAX);
    return slice_from_cstr(directory ? directory : "");
}

const struct config_file *file_set_find(const struct file_set *set, const char *name)
{
    const struct config_file *file = set->first;
    while (file != NULL && file->name != name)
        file = file->next;
    CHECK(file != NULL);
    return file;
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

/* The file's bytes stay with it, as they were read: that is what is stored, shown by `ctl config` and restored, comments and all. */
static struct config_file *file_add(struct reading *r, const char *name, struct slice absolute, struct slice bytes)
{
    struct config_file *file = arena_zalloc(r->arena, sizeof *file);
    struct slice folder = folder_of(absolute);
    file->name = name;
    file->absolute = absolute;
    file->directory = arena_copy(r->arena, slice_first(folder, folder.len ? folder.len - 1 : 0));
    file->bytes = bytes;
    *r->set->last = file;
    r->set->last = &file->next;
    r->set->count++;
    r->set->bytes += bytes.len;
    map_put(&r->by_path, absolute, file);
    return file;
}

/* A file that cannot be parsed still counts as read: the others are checked all the same. */
static void parse_file(struct reading *r, struct config_file *file)
{
    struct place whole = { file->name, 0, 0 };
    size_t errors_before = r->errors->error_count;
    file->root = yaml_parse(r->scratch, file->name, file->bytes, r->errors);
    if (file->root == NULL || node_is_null(file->root)) {
        file->root = NULL;
        if (r->errors->error_count == errors_before && r->set->count == 1)
            err_add(r->errors, whole, "the file is empty");
        else if (r->errors->error_count == errors_before)
            err_add_warning(r->errors, whole, "the file is empty");
    } else if (file->root->kind != NODE_MAP) {
        err_add(r->errors, file->root->place, "a configuration is a map of settings, not %s",
                node_kind_name(file->root));
        file->root = NULL;
    } else {
        expand_values(file->root, r->source, r->scratch, r->errors);
    }
}

/* ---- what it includes -------------------------------------------------------------------------------------------- */

static void follow_includes(struct reading *r, struct config_file *file);

/* A file that is being read further out: to name it again would be a circle, anything else named twice is just a mistake. */
static bool is_open(const struct reading *r, const struct config_file *file)
{
    for (unsigned i = 0; i < r->depth; i++)
        if (r->open[i] == file)
            return true;
    return false;
}

/* Whether a file may still be read; says why not. */
static bool may_read(struct reading *r, const char *name, struct slice absolute, struct place from)
{
    const struct config_file *before = map_get(&r->by_path, absolute);
    struct err *e = NULL;
    if (before != NULL && is_open(r, before)) {
        e = err_add(r->errors, from, "'%s' includes itself", name);
        err_hint(r->errors, e, "remove it here, or make the pattern narrower");
    } else if (before != NULL) {
        e = err_add(r->errors, from, "'%s' is included twice", name);
        err_hint(r->errors, e, "include each file once");
    } else if (r->depth == INCLUDE_DEPTH_MAX || r->set->count == INCLUDE_FILES_MAX ||
               r->set->bytes > INCLUDE_BYTES_MAX) {
        e = err_add(r->errors, from, "'%s' is one file too many", name);
        err_hint(r->errors, e, "at most %u files, %u deep, %zu MiB together", INCLUDE_FILES_MAX, INCLUDE_DEPTH_MAX,
                 INCLUDE_BYTES_MAX >> 20);
    }
    return e == NULL;
}

static void read_file_from(struct reading *r, const char *name, struct place from)
{
    struct slice bytes, absolute = absolute_path(r, name);
    if (!may_read(r, name, absolute, from))
        return;
    errno = 0; /* sources of tests may not set it */
    if (!r->source->read_file(r->source->arg, name, r->arena, &bytes)) {
        err_add(r->errors, from, "could not read '%s': %s", name, strerror(errno));
        return;
    }
    struct config_file *file = file_add(r, name, absolute, bytes);
    parse_file(r, file);
    follow_includes(r, file);
}

/* Without the copies that a restore kept, or the next load would read everything twice; returns how many stay. */
static size_t drop_copies(struct slice *found, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!slice_has_suffix(found[i], SLICE(CONFIG_COPY_SUFFIX)))
            found[kept++] = found[i];
    return kept;
}

/* `written` is relative to the file that includes it. A name without wildcards has to exist; a pattern that matches nothing is a warning,
   so that an empty conf.d is possible. */
static void include_pattern(struct reading *r, const struct config_file *file, const struct node *item)
{
    struct slice written = item->text, *found = NULL;
    struct slice folder = slice_has_prefix(written, SLICE("/")) ? SLICE_NONE : folder_of(slice_from_cstr(file->name));
    struct slice pattern = arena_printf(r->arena, "%.*s%.*s", SLICE_ARG(folder), SLICE_ARG(written));
    if (strpbrk(written.ptr, "*?[") == NULL) {
        read_file_from(r, pattern.ptr, item->place);
        return;
    }
    size_t count = r->source->expand_glob(r->source->arg, pattern.ptr, r->arena, &found);
    count = drop_copies(found, count);
    if (count == 0)
        err_add_warning(r->errors, item->place, "no file matches '%s'", pattern.ptr);
    for (size_t i = 0; i < count; i++)
        read_file_from(r, found[i].ptr, item->place);
}

/* A wrong item is told here, for files whose `include` is not looked at again when the table is filled. */
static void follow_item(struct reading *r, const struct config_file *file, struct node *item)
{
    if (item->kind == NODE_TEXT && item->text.len > 0) {
        include_pattern(r, file, item);
        return;
    }
    if (node_is_null(item))
        err_add(r->errors, item->place, "'include' has no value");
    else if (item->kind != NODE_BROKEN)
        err_add(r->errors, item->place, "'include' takes a file name or a list of them, not %s", node_kind_name(item));
    item->kind = NODE_BROKEN;
}

static void follow_includes(struct reading *r, struct config_file *file)
{
    struct node *include = file->root ? node_get(file->root, "include") : NULL;
    if (include == NULL || r->depth == INCLUDE_DEPTH_MAX)
        return;
    r->open[r->depth++] = file;
    struct node *item = include->kind == NODE_LIST ? include->first : include;
    for (; item != NULL; item = item->next)
        follow_item(r, file, item);
    r->depth--;
}

/* ---- the set ----------------------------------------------------------------------------------------------------- */

static void reading_begin(struct reading *r, struct file_set *set)
{
    *set = (struct file_set){ .last = &set->first };
    r->set = set;
    map_init(&r->by_path);
    r->directory = include_directory(r->source, r->scratch);
}

void include_read(struct file_set *set, struct arena *arena, struct arena *scratch, const char *file,
                  const struct config_source *source, struct err_list *errors)
{
    struct reading r = { .arena = arena, .scratch = scratch, .source = source, .errors = errors };
    struct slice bytes;
    reading_begin(&r, set);
    const char *name = arena_copy(arena, slice_from_cstr(file)).ptr;
    errno = 0;
    if (source->read_file(source->arg, name, arena, &bytes)) {
        struct config_file *first = file_add(&r, name, absolute_path(&r, name), bytes);
        parse_file(&r, first);
        follow_includes(&r, first);
    } else {
        err_add(errors, (struct place){ name, 0, 0 }, "could not read the file: %s", strerror(errno));
    }
    map_fini(&r.by_path);
}

/* For tests and fuzzers, which have no file: what it includes still goes through the source. */
void include_read_bytes(struct file_set *set, struct arena *arena, struct arena *scratch, const char *file,
                        struct slice bytes, const struct config_source *source, struct err_list *errors)
{
    struct reading r = { .arena = arena, .scratch = scratch, .source = source, .errors = errors };
    reading_begin(&r, set);
    const char *name = arena_copy(arena, slice_from_cstr(file)).ptr;
    struct config_file *first = file_add(&r, name, absolute_path(&r, name), arena_copy(arena, bytes));
    parse_file(&r, first);
    follow_includes(&r, first);
    map_fini(&r.by_path);
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* Moves the children of one container behind those of another of its kind. */
static void append_children(struct node *into, struct node *from)
{
    if (from->first == NULL)
        return;
    if (into->last != NULL)
        into->last->next = from->first;
    else
        into->first = from->first;
    into->last = from->last;
    into->child_count += from->child_count;
}

/* Two files may both add upstreams or routes; a single value has one place. */
static void merge_key(struct node *into, struct node *key, struct err_list *errors)
{
    bool is_container = key->value->kind == NODE_MAP || key->value->kind == NODE_LIST;
    if (is_container && into->value->kind == key->value->kind) {
        append_children(into->value, key->value);
        return;
    }
    struct err *e = err_add(errors, key->place, "'%.*s' is given twice", SLICE_ARG(key->text));
    err_hint(errors, e, "the first is at %s:%u:%u", into->place.file, into->place.line, into->place.column);
}

/* The first file's `include` is the one that is kept: the others' were followed, and mean nothing more. */
static void merge_root(struct node *into, struct map *keys, struct node *root, struct err_list *errors)
{
    struct node *next;
    for (struct node *key = root->first; key != NULL; key = next) {
        next = key->next;
        struct node *first = map_get(keys, key->text);
        if (first == NULL) {
            node_append(into, key);
            map_put(keys, key->text, key);
        } else if (!slice_equal(key->text, SLICE("include"))) {
            merge_key(first, key, errors);
        }
    }
}

/* Only maps of two files can have the same key twice unseen: within one file yaml_parse has looked. */
struct node *include_merge(struct file_set *set, struct arena *scratch, struct err_list *errors)
{
    struct map keys;
    struct node *merged = NULL;
    map_init(&keys);
    for (struct config_file *file = set->first; file != NULL; file = file->next) {
        if (file->root == NULL)
            continue;
        if (merged == NULL) {
            merged = arena_zalloc(scratch, sizeof *merged);
            merged->kind = NODE_MAP;
            merged->place = file->root->place;
        }
        merge_root(merged, &keys, file->root, errors);
    }
    map_fini(&keys);
    for (struct node *key = merged ? merged->first : NULL; key != NULL; key = key->next)
        if (key->value->kind == NODE_MAP && set->count > 1)
            node_drop_repeated(key->value, errors);
    return merged;
}
