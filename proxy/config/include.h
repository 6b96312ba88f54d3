/* config/include.h - the files of a configuration: read, parsed, expanded and merged into one tree.
 *
 * Files add to each other, they never override: what stands twice is an error with both places, so that the order of
 * files means nothing but the order of routes. */
#ifndef CONFIG_INCLUDE_H
#define CONFIG_INCLUDE_H

#include "config/load.h"
#include "config/yaml.h"

#define INCLUDE_DEPTH_MAX 16u
#define INCLUDE_FILES_MAX 1000u
#define INCLUDE_BYTES_MAX ((size_t)64 << 20) /* of all files together */

/* One file. Name, absolute and bytes live in the configuration's arena, the nodes in the scratch arena. */
struct config_file {
    const char *name;       /* as messages show it; places point here */
    struct slice absolute;  /* its path */
    struct slice directory; /* absolute, without a final slash; "" is the root */
    struct slice bytes;
    struct node *root; /* a map; NULL: could not be parsed */
    struct config_file *next;
};

struct file_set {
    struct config_file *first, **last; /* in the order read: a file before those it includes */
    size_t count;
    size_t bytes;
};

/* Reads a file and all it includes. Problems go to errors; the files that could be read are in the set all the same. */
void include_read(struct file_set *set, struct arena *arena, struct arena *scratch, const char *file,
                  const struct config_source *source, struct err_list *errors);
/* The same, the first file's bytes being given. */
void include_read_bytes(struct file_set *set, struct arena *arena, struct arena *scratch, const char *file,
                        struct slice bytes, const struct config_source *source, struct err_list *errors);

/* The absolute form of a name, in the arena: relative ones start at `directory`, which is absolute; without "." segments and
   doubled slashes. It tells whether two names mean one file, as far as no symbolic link is in between. */
struct slice include_path(struct arena *arena, struct slice directory, const char *name);
/* Where relative names of a source start: its own directory, or the process's; "" when that is gone. */
struct slice include_directory(const struct config_source *source, struct arena *arena);

/* One tree of all files' trees, or NULL when none has one. Maps of further files add their keys, lists their items; a
   key that stands twice is reported with both places. Nodes are moved, not copied. */
struct node *include_merge(struct file_set *set, struct arena *scratch, struct err_list *errors);

/* The file a place is in. */
const struct config_file *file_set_find(const struct file_set *set, const char *name);

#endif
