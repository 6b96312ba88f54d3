/* cli/options.h - the option parser: rows say what a command takes and where each value goes.
 *
 *   { .name = "reason", .kind = OPTION_TEXT, .offset = offsetof(struct ctl_values, reason) }
 *        --reason 'errors are flat'   -->   values->reason
 *
 * Pure: it prints nothing and ends nothing; what it found wrong is one line of text for its caller. Nothing is copied: values point
 * into argv, which outlives every command. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum option_kind {
    OPTION_FLAG,    /* bool; takes no value */
    OPTION_TEXT,    /* const char *; given twice, the last one counts */
    OPTION_LIST,    /* struct option_list; may be given again and again */
    OPTION_NUMBER,  /* uint32_t between low and high */
    OPTION_DURATION /* int64_t, milliseconds: "10s" */
};

struct option_list {
    const char **items; /* borrowed from argv; the array belongs to the values */
    size_t count;
};

struct option_row {
    char letter;            /* 0: none */
    const char *name;       /* without dashes; NULL: only the letter */
    const char *value_name; /* NULL for flags: "FILE" */
    enum option_kind kind;
    bool is_required;   /* OPTION_TEXT only */
    size_t offset;      /* of the value in the command's values struct, a member of the type that `kind` names */
    uint32_t low, high; /* OPTION_NUMBER: the range, both inclusive */
    const char *doc;    /* one line for --help */
};

/* `-c FILE` of the commands that read a configuration, into the member `config` of their values. */
#define CONFIG_OPTION(type)                                                                                            \
    {                                                                                                                  \
        .letter = 'c', .name = "config", .value_name = "FILE", .kind = OPTION_TEXT, .is_required = true,               \
        .offset = offsetof(type, config), .doc = "the configuration"                                                   \
    }

/* The rows a command sees: its own, then those of the group around it. On the stack of the level that it belongs to.

     split's rows --outer--> ctl's rows --outer--> weir's rows --> NULL

   A name is looked for from the left, so an inner row hides an outer one of the same name. */
struct option_scope {
    const struct option_row *rows;
    size_t row_count;
    const struct option_scope *outer; /* NULL: none */
};

/* OPTIONS_WRONG: `error` says what, and what was stored before it stays stored. */
enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG };

/* Where in the command line the parser stands, and what it found. Values and arguments borrow from argv. */
struct options_reader {
    const struct option_scope *scope;
    void *values;       /* zeroed by the caller; defaults are set before */
    bool stops_at_word; /* a group: the first word that is no option begins the inner command */
    int argc, at;       /* the next word to read */
    char **argv;
    const char **arguments; /* room for argc of them */
    size_t argument_count;
    struct text error; /* OPTIONS_WRONG: one line for people */
};

/* Reads options and arguments: "--name VALUE", "--name=VALUE", "-x VALUE", "-xVALUE", "-abc" for flags; "--" ends the options.
   OPTIONS_HELP as soon as -h or --help is met. */
enum options_result options_read(struct options_reader *reader);
/* After the last read: names the first required option that was not given. */
enum options_result options_check_required(struct options_reader *reader);
/* Gives back what option_list values hold, in this scope and around it. */
void options_free_values(const struct option_scope *scope, void *values);

/* Adds "  -c, --config FILE   doc" lines, aligned. */
void options_describe(const struct option_scope *scope, struct text *out);

#endif
