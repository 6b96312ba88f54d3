/* cli/command.h - what a sub-command is: a row with its words, its options and its function; groups hold further rows. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/arena.h"

#include "cli/options.h"

/* Exit statuses: a promise to scripts. */
enum command_status {
    COMMAND_OK = 0,
    COMMAND_FAILED = 1, /* the work failed */
    COMMAND_USAGE = 2,  /* the command line is wrong: nothing was tried */
    /* Of commands that wait for something. */
    COMMAND_OTHER_END = 3, /* it came to another end */
    COMMAND_TIMED_OUT = 4, /* it has not come in time, or was cut short */
    COMMAND_NO_SUCH = 5    /* there is nothing of that name to wait for */
};

#define COMMAND_DEPTH_MAX 4 /* "weir ctl config diff" */

/* What a command's function is given. Lives on the stack of command_main; everything in it is borrowed for the time of the run, argv
   included. One thread. */
struct call {
    const struct command *path[COMMAND_DEPTH_MAX]; /* from `weir` to the command */
    size_t depth;                                  /* levels in path: 1 and more */
    const struct option_scope *scope;              /* innermost; for --help */
    void *values;                                  /* the struct the option rows fill in */
    const char **arguments;                        /* between arguments_min and arguments_max of the row */
    size_t argument_count;
    struct arena arena; /* for the command's own use, gone when it returns */
};

/* A row: static, written once, read by the walk, by --help and by the tests that compare man page and completions with it. */
struct command {
    const char *name;
    const char *synopsis; /* behind the name, "" when there is nothing: "-c FILE" */
    const char *summary;  /* one line, lower-case: "validates a configuration" */
    const char *details;  /* paragraphs and examples for --help, or NULL */
    const struct option_row *options;
    size_t option_count;
    size_t values_bytes; /* of the values struct; a group's serves the commands in it */
    size_t arguments_min, arguments_max;
    const struct command *const *children; /* a group; `run` is NULL then */
    size_t child_count;
    enum command_status (*run)(struct call *call);
};

/* Walks down from the root by the words of the command line, reads the options and runs the command. */
enum command_status command_main(const struct command *root, int argc, char **argv);

/* For what only the command itself can tell is wrong: prints it with the usage line to stderr. */
enum command_status command_misused(const struct call *call, const char *format, ...) PRINTF_LIKE(2, 3);
/* "weir ctl split: message" to stderr. */
enum command_status command_failed(const struct call *call, const char *format, ...) PRINTF_LIKE(2, 3);

extern const struct command command_run, command_check, command_explain, command_schema, command_reference,
    command_demo, command_top, command_replay, command_ctl, command_script, command_version;

#endif
