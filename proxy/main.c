/* main.c - picks the sub-command; nothing else. */
#include "cli/command.h"

#include <stdio.h>

static const struct command *const commands[] = { &command_run,    &command_check,     &command_explain, &command_ctl,
                                                  &command_replay, &command_script,    &command_demo,    &command_top,
                                                  &command_schema, &command_reference, &command_version };

static const struct command weir = {
    .name = "weir",
    .synopsis = "COMMAND [OPTION]...",
    .summary = "splits HTTP traffic between versions of a service",
    .children = commands,
    .child_count = ARRAY_COUNT(commands),
};

/* What was printed must have arrived: a full disk behind a pipe is a failure of the work. */
static enum command_status flushed(enum command_status status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    perror("weir: could not write the output");
    return status == COMMAND_OK ? COMMAND_FAILED : status;
}

int main(int argc, char **argv)
{
    /* "weir --version", as every program has it, is the command "version". */
    char *version_words[] = { argv[0], (char[]){ "version" } };
    if (argc == 2 && slice_equal(slice_from_cstr(argv[1]), SLICE("--version")))
        argv = version_words;
    return flushed(command_main(&weir, argc, argv));
}
