/* cli/command.c - walks the table of commands by the words of the command line; help, usage and hints.
 *
 * A group reads its options up to the first word, then enters the command of that name, which reads the rest; both write into
 * one values struct, so "weir ctl --json routes" and "weir ctl routes --json" come to the same.
 *
 *   weir         ctl          --json  split         demo  a=1
 *   enter(root)  enter_child  option  enter_child   arguments of the leaf
 *
 * Each level is one enter() on the stack, with its scope of options in that frame: inner scopes point outwards, and are gone before
 * what they point to. Standard output has only what was asked for, help by --help included; what is wrong goes to standard
 * error, so that a pipe never reads a usage text. */
#include "cli/command.h"

#include "base/err.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

/* Candidates for "did you mean": more children than that would only be hinted at less well. */
#define CHILDREN_MAX 32

static enum command_status enter(struct call *call, const struct command *command, int argc, char **argv);

/* ---- what people read --------------------------------------------------------------------------------------------- */

static void path_add(const struct call *call, struct text *out)
{
    for (size_t i = 0; i < call->depth; i++)
        text_printf(out, "%s%s", i > 0 ? " " : "", call->path[i]->name);
}

static const struct command *call_command(const struct call *call)
{
    return call->path[call->depth - 1];
}

static void usage_add(const struct call *call, struct text *out)
{
    const char *synopsis = call_command(call)->synopsis;
    text_add_cstr(out, "usage: ");
    path_add(call, out);
    text_printf(out, "%s%s\n", synopsis[0] != '\0' ? " " : "", synopsis);
}

static void children_add(const struct command *group, struct text *out)
{
    text_add_cstr(out, "\ncommands:\n");
    for (size_t i = 0; i < group->child_count; i++)
        text_printf(out, "  %-12s %s\n", group->children[i]->name, group->children[i]->summary);
}

/* usage, summary, details, commands, options: tests/e2e/test_documents.py reads the last two. */
static void help_add(const struct call *call, struct text *out)
{
    const struct command *command = call_command(call);
    usage_add(call, out);
    text_printf(out, "\n%s\n", command->summary);
    if (command->details != NULL)
        text_printf(out, "\n%s", command->details);
    if (command->children != NULL)
        children_add(command, out);
    text_add_cstr(out, "\noptions:\n");
    options_describe(call->scope, out);
    if (command->children == NULL)
        return;
    text_add_cstr(out, "\n\"");
    path_add(call, out);
    text_add_cstr(out, " COMMAND --help\" says more about a command.\n");
}

/* To standard output when it was asked for, to standard error when a group was called without a command. */
static enum command_status print_help(const struct call *call, FILE *to)
{
    struct text out = { 0 };
    help_add(call, &out);
    fputs(out.bytes, to);
    text_fini(&out);
    return COMMAND_OK;
}

/* What is wrong, how it should be, where more stands: all on standard error. */
static enum command_status print_usage(const struct call *call, struct slice message)
{
    struct text out = { 0 };
    path_add(call, &out);
    text_printf(&out, ": %.*s\n", SLICE_ARG(message));
    usage_add(call, &out);
    text_add_cstr(&out, "\"");
    path_add(call, &out);
    text_add_cstr(&out, " --help\" says more.\n");
    fputs(out.bytes, stderr);
    text_fini(&out);
    return COMMAND_USAGE;
}

enum command_status command_misused(const struct call *call, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return print_usage(call, slice_from_cstr(message));
}

enum command_status command_failed(const struct call *call, const char *format, ...)
{
    struct text out = { 0 };
    path_add(call, &out);
    fprintf(stderr, "%s: ", out.bytes);
    text_fini(&out);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return COMMAND_FAILED;
}

/* ---- groups ------------------------------------------------------------------------------------------------------- */

static const struct command *find_child(const struct command *group, const char *name)
{
    for (size_t i = 0; i < group->child_count; i++) {
        if (slice_equal(slice_from_cstr(name), slice_from_cstr(group->children[i]->name)))
            return group->children[i];
    }
    return NULL;
}

static enum command_status unknown_child(const struct call *call, const char *name)
{
    const struct command *group = call_command(call);
    const char *known[CHILDREN_MAX];
    size_t count = 0;
    while (count < group->child_count && count < CHILDREN_MAX) {
        known[count] = group->children[count]->name;
        count++;
    }
    const char *nearest = err_nearest_word(slice_from_cstr(name), known, count);
    if (nearest != NULL)
        return command_misused(call, "unknown command \"%s\", did you mean \"%s\"?", name, nearest);
    return command_misused(call, "unknown command \"%s\"", name);
}

/* The word at argv[at] names a command of the group, or is "help" in front of one. */
static enum command_status enter_child(struct call *call, int argc, char **argv)
{
    const struct command *group = call_command(call);
    if (slice_equal(slice_from_cstr(argv[0]), SLICE("help"))) {
        const struct command *child = argc > 1 ? find_child(group, argv[1]) : NULL;
        if (argc > 1 && child == NULL)
            return unknown_child(call, argv[1]);
        /* "weir help run" is "weir run --help": one way to print it, and nothing of the command is run. */
        char *words[] = { argv[0], (char[]){ "--help" } };
        return child != NULL ? enter(call, child, ARRAY_COUNT(words), words) : print_help(call, stdout);
    }
    const struct command *child = find_child(group, argv[0]);
    return child != NULL ? enter(call, child, argc, argv) : unknown_child(call, argv[0]);
}

/* ---- one command -------------------------------------------------------------------------------------------------- */

/* Required options and the number of arguments first, so that a command meets only what its row promises. */
static enum command_status run_leaf(struct call *call, struct options_reader *reader)
{
    const struct command *command = call_command(call);
    if (options_check_required(reader) == OPTIONS_WRONG)
        return print_usage(call, text_slice(&reader->error));
    if (reader->argument_count < command->arguments_min)
        return command_misused(call, "an argument is missing");
    if (reader->argument_count > command->arguments_max)
        return command_misused(call, "unexpected argument \"%s\"", reader->arguments[command->arguments_max]);
    call->arguments = reader->arguments;
    call->argument_count = reader->argument_count;
    arena_init(&call->arena, NULL, 0);
    enum command_status status = command->run(call);
    arena_reset(&call->arena);
    return status;
}

static enum command_status act(struct call *call, struct options_reader *reader)
{
    switch (options_read(reader)) {
    case OPTIONS_HELP:
        return print_help(call, stdout);
    case OPTIONS_WRONG:
        return print_usage(call, text_slice(&reader->error));
    case OPTIONS_OK:
        break;
    }
    if (call_command(call)->children == NULL)
        return run_leaf(call, reader);
    if (reader->at == reader->argc) {
        print_help(call, stderr);
        return COMMAND_USAGE;
    }
    return enter_child(call, reader->argc - reader->at, reader->argv + reader->at);
}

/* argv[0] is the command's own name. The first level that has a values struct owns it for all levels below: rows of inner commands
   hold offsets into that same struct. Zeroed, so that an option that was not given is 0, NULL or false. */
static enum command_status enter(struct call *call, const struct command *command, int argc, char **argv)
{
    CHECK(call->depth < COMMAND_DEPTH_MAX);
    call->path[call->depth++] = command;
    struct option_scope scope = { command->options, command->option_count, call->scope };
    call->scope = &scope;
    void *own_values = NULL;
    if (call->values == NULL && command->values_bytes > 0)
        call->values = own_values = memory_zalloc(command->values_bytes);
    struct options_reader reader = { .scope = &scope,
                                     .values = call->values,
                                     .stops_at_word = command->children != NULL,
                                     .argc = argc,
                                     .at = 1,
                                     .argv = argv };
    reader.arguments = memory_resize_array(NULL, (size_t)argc, sizeof(*reader.arguments));
    enum command_status status = act(call, &reader);
    memory_free(reader.arguments);
    text_fini(&reader.error);
    if (call->values != NULL)
        options_free_values(&scope, call->values);
    memory_free(own_values);
    return status;
}

enum command_status command_main(const struct command *root, int argc, char **argv)
{
    struct call call = { 0 };
    /* execve allows an argv without even the program's name. */
    char *no_words[] = { (char[]){ "weir" }, NULL };
    if (argc == 0)
        return enter(&call, root, 1, no_words);
    return enter(&call, root, argc, argv);
}
