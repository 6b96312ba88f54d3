/* config/load.h - reads a configuration file and everything it includes into a struct config.
 *
 * From bytes to a checked configuration, in one call. Pure: files, environment and time come from a source, which a
 * test can make up. Costs what the files cost to read, once per reload, on the main thread; workers never load.
 *
 *   include_read -> yaml_parse, expand_values    per file
 *   include_merge                                one tree
 *   fill_table                                   structs, values, finish
 *   check_run                                    names, rules, warnings */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"

#include "config/model.h"

/* What `config restore` appends to the name of the file it keeps. Patterns of `include` pass over such files: a copy beside
   the original would say everything twice. */
#define CONFIG_COPY_SUFFIX ".before-restore"

/* Yields environment variables and files: the process's own for a server, a test's for a test. */
struct config_source {
    const char *(*get_env)(void *arg, const char *name); /* NULL when unset */
    /* Reads a file whole into the arena; returns false with errno set. */
    bool (*read_file)(void *arg, const char *path, struct arena *arena, struct slice *out);
    /* Paths that match a pattern, sorted, in the arena. */
    size_t (*expand_glob)(void *arg, const char *pattern, struct arena *arena, struct slice **out);
    struct wall_time (*get_time)(void *arg); /* NULL: nothing counts as expired */
    /* Adds an error when a regex does not compile, which this folder cannot know; NULL: nobody looks. */
    void (*check_pattern)(struct slice pattern, struct place place, struct err_list *errors);
    /* Makes config->tls and pem_digest of the PEM files that the configuration names, read through this source, and adds
       errors; called also when others were found, so that all are told. NULL: nobody looks into the files. */
    void (*compile_tls)(const struct config_source *source, struct config *config, struct err_list *errors);
    /* Likewise config->scripts and script_digest, of the files of Lua. */
    void (*compile_scripts)(const struct config_source *source, struct config *config, struct err_list *errors);
    /* Reads a file of the system's zone database by the zone's name; false when there is none. NULL: UTC is the only zone. */
    bool (*read_zone)(const char *name, struct arena *arena, struct slice *out);
    bool is_check;         /* `weir check`: a certificate that has expired is an error, not a warning */
    const char *directory; /* absolute: where relative file names start; NULL: the working directory */
    void *arg;
};

/* The process's environment and files, and the system's clock; patterns are not looked at. */
extern const struct config_source config_source_system;

/* Loads, checks every rule within and across fields, and resolves names. All problems are in `errors`; the result
   is NULL when one of them is an error (warnings do not fail it). The config lives in `arena`, as do the errors'
   strings. */
struct config *config_load(struct arena *arena, const char *file, const struct config_source *source,
                           struct err_list *errors);

/* Same from bytes in memory; `file` only names them. */
struct config *config_load_bytes(struct arena *arena, const char *file, struct slice bytes,
                                 const struct config_source *source, struct err_list *errors);

/* All files in their order, each under a line "# NAME" and with a line's end at its own (config->text). Meant to be read by
   people and compared by lines: files cannot be told from it again, since any of them may hold such a line. */
void config_text_write(struct text *out, const struct file_text *files, size_t count);

/* config->text with every secret in it hidden: what people and the API may see. */
void config_text_masked(const struct config *config, struct text *out);

#endif
