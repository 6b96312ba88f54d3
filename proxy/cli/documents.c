/* cli/documents.c - `weir schema` and `weir reference`: the configuration described from the parser's own table.
 *
 * Both read no file and take no option, so their output depends on the binary alone: docs/ holds a copy, and .ci/run compares. */
#include "cli/command.h"

#include "config/describe.h"

#include <stdio.h>

static enum command_status print_document(void (*describe)(struct text *out))
{
    struct text out = { 0 };
    describe(&out);
    fwrite(out.bytes, 1, out.len, stdout);
    text_fini(&out);
    return COMMAND_OK;
}

static enum command_status run_schema(struct call *call)
{
    (void)call;
    return print_document(describe_schema);
}

static enum command_status run_reference(struct call *call)
{
    (void)call;
    return print_document(describe_reference);
}

const struct command command_schema = {
    .name = "schema",
    .synopsis = "",
    .summary = "prints the JSON Schema of the configuration",
    .details = "Editors complete and check a configuration from it. For editors with a YAML "
               "language server:\n"
               "  weir schema > weir.schema.json\n"
               "and as the first line of the configuration:\n"
               "  # yaml-language-server: $schema=weir.schema.json\n",
    .run = run_schema,
};

const struct command command_reference = {
    .name = "reference",
    .synopsis = "",
    .summary = "prints the reference of the configuration as Markdown",
    .run = run_reference,
};
