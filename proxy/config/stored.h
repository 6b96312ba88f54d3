/* config/stored.h - the files of a stored version as a source to load it from, before any of them is written.
 *
 * Answers two questions of a restore: does that version still validate, and would writing its files bring it back? The
 * second is no when a pattern of its `include` would find files today that it did not have. Files come from memory;
 * environment and time from the system's source, and so do the names that patterns find, and certificates and keys, which
 * are no part of a version. Writes nothing.
 *
 *   struct stored_source stored;
 *   stored_source_init(&stored, &arena, &config_source_system, files, count);
 *   ... load with &stored.source ...
 *   if (stored.stranger_count > 0) ... */
#ifndef CONFIG_STORED_H
#define CONFIG_STORED_H

#include "config/load.h"

/* More are counted, but not named. */
#define STORED_STRANGERS_MAX 16u

/* Lives where the caller puts it, as long as the load; strings are in the arena. */
struct stored_source {
    struct config_source source;        /* to load with; its arg is this struct */
    const struct config_source *system; /* borrowed */
    struct arena *arena;
    struct slice directory;        /* absolute: where relative names start */
    const struct file_text *files; /* borrowed; all with a path */
    size_t file_count;
    struct slice strangers[STORED_STRANGERS_MAX]; /* absolute: files that would be read and are not among `files` */
    size_t stranger_count;                        /* grows while loading */
};

void stored_source_init(struct stored_source *s, struct arena *arena, const struct config_source *system,
                        const struct file_text *files, size_t count);

#endif
