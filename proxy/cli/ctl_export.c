/* cli/ctl_export.c - `weir ctl export` and `weir ctl import`: all that is stored as JSON Lines, and back.
 *
 * Both work on the files of the state directory and not through the API: an export of any size then costs the running weir
 * nothing, and an import wants a state directory in which none runs. */
#include "cli/ctl.h"

#include "base/memory.h"
#include "cli/problems.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "server/state_dir.h"
#include "store/jsonl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- export -------------------------------------------------------------------------------------------------------------- */

static bool print_line(void *arg, struct slice line)
{
    (void)arg;
    return fwrite(line.ptr, 1, line.len, stdout) == line.len;
}

static enum command_status run_export(struct call *call)
{
    struct store *store = store_open_to_read(ctl_database(call));
    bool is_good = store_is_usable(store) && jsonl_export(store, print_line, NULL);
    int error = errno;
    if (fflush(stdout) != 0 || ferror(stdout))
        command_failed(call, "the export could not be written: %s", strerror(error));
    else if (!is_good)
        command_failed(call, "%s", store_message(store));
    is_good = is_good && !ferror(stdout);
    store_close(store);
    return is_good ? COMMAND_OK : COMMAND_FAILED;
}

const struct command ctl_export = {
    .name = "export",
    .synopsis = "[--state-dir DIR] >FILE",
    .summary = "all that is stored, as JSON Lines",
    .details = "Reads the database in the state directory; a weir that runs there is not disturbed. What comes\n"
               "out holds configurations with whatever secrets stand in them.\n",
    .run = run_export,
};

/* ---- one line of an import ------------------------------------------------------------------------------------------------- */

/* What one import carries along. */
struct import {
    struct store *store;
    uint64_t line_number, row_count;
    bool has_begun, has_ended;
    struct digest_stream *digest; /* of the lines before the one at hand */
    const char *fault;            /* of the line at hand, a static sentence; NULL: the store's message */
};

static const struct jsonl_table *table_find(struct slice name)
{
    for (size_t i = 0; i < jsonl_table_count; i++)
        if (slice_equal(slice_from_cstr(jsonl_tables[i].name), name))
            return &jsonl_tables[i];
    return NULL;
}

static bool text_take(const struct json *value, struct arena *arena, struct slice *out)
{
    struct slice encoded;
    if (json_as_string(value, out))
        return true;
    return json_count(value) == 1 && json_as_string(json_get(value, "base64"), &encoded) &&
           base64_read(arena, encoded, out);
}

/* Exactly the columns of the table: a member too many would be lost in silence. */
static bool values_take(const struct jsonl_table *table, const struct json *row, struct arena *arena,
                        struct jsonl_value *values)
{
    size_t count = strlen(table->kinds);
    for (size_t i = 0; i < count; i++) {
        const struct json *value = json_get(row, table->columns[i]);
        bool is_good =
            table->kinds[i] == 'i' ? json_as_i64(value, &values[i].number) : text_take(value, arena, &values[i].text);
        if (!is_good)
            return false;
    }
    return json_count(row) == count + 1;
}

static bool row_import(struct import *import, struct slice table_name, const struct json *row)
{
    struct arena arena;
    struct jsonl_value values[JSONL_COLUMNS_MAX] = { 0 };
    const struct jsonl_table *table = table_find(table_name);
    arena_init(&arena, NULL, 0);
    import->fault = table == NULL ? "there is no such table" : NULL;
    if (table != NULL && !values_take(table, row, &arena, values))
        import->fault = "it does not have the columns of its table";
    bool is_good = import->fault == NULL && jsonl_row(import->store, table, values);
    arena_reset(&arena);
    import->row_count += is_good;
    return is_good;
}

/* The first line: what this is, and for which tables. */
static bool head_import(struct import *import, const struct json *line)
{
    int64_t form = 0, tables = 0;
    json_as_i64(json_get(line, "weir_export"), &form);
    json_as_i64(json_get(line, "tables"), &tables);
    import->has_begun = true;
    if (form != JSONL_FORM)
        import->fault = "this is not an export of weir";
    else if (tables != jsonl_version())
        import->fault = "it was exported by a weir with other tables: import it with that one, and update afterwards";
    else
        return jsonl_begin(import->store);
    return false;
}

/* Without one, the lines are whatever somebody made of them. */
static bool is_as_exported(struct import *import, const struct json *wanted)
{
    char digest[DIGEST_SHA256_HEX_SIZE];
    struct slice text;
    digest_stream_hex(import->digest, digest);
    return wanted == NULL || (json_as_string(wanted, &text) && slice_equal(text, slice_from_cstr(digest)));
}

static bool end_import(struct import *import, const struct json *line)
{
    uint64_t rows = UINT64_MAX;
    json_as_u64(json_get(line, "rows"), &rows);
    import->has_ended = true;
    if (rows != import->row_count)
        import->fault = "rows are missing, or there are more than were exported";
    else if (!is_as_exported(import, json_get(line, "sha256")))
        import->fault = "the lines before it are not as they were exported: changed, or in another order";
    return import->fault == NULL;
}

static bool document_import(struct import *import, const struct json *line)
{
    struct slice table;
    bool is_end = false;
    if (!import->has_begun)
        return head_import(import, line);
    if (json_as_bool(json_get(line, "end"), &is_end) && is_end)
        return end_import(import, line);
    import->fault = "it is neither a row nor the end";
    return json_as_string(json_get(line, "table"), &table) && row_import(import, table, line);
}

static bool line_import(struct import *import, struct slice bytes)
{
    struct text fault = { 0 };
    import->line_number++;
    import->fault = import->has_ended ? "something follows the end" : NULL;
    if (import->has_ended)
        return false;
    struct json *line = json_parse(bytes, &fault);
    import->fault = line == NULL ? "it is not JSON" : NULL;
    bool is_good = line != NULL && document_import(import, line);
    if (!import->has_ended) {
        digest_stream_add(import->digest, bytes);
        digest_stream_add(import->digest, SLICE("\n"));
    }
    json_destroy(line);
    text_fini(&fault);
    return is_good;
}

/* ---- import -------------------------------------------------------------------------------------------------------------- */

#define READ_BYTES 65536

/* As far as lines have ended; the rest is kept. */
static bool lines_import(struct import *import, struct text *rest, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t end = slice_find(bytes, '\n');
        text_add(rest, slice_first(bytes, end));
        if (end < bytes.len && !line_import(import, text_slice(rest)))
            return false;
        if (end < bytes.len)
            text_clear(rest);
        bytes = slice_after(bytes, end + 1);
    }
    return true;
}

static bool file_import(struct import *import, FILE *file)
{
    char bytes[READ_BYTES];
    struct text rest = { 0 };
    bool is_good = true;
    for (size_t length; is_good && (length = fread(bytes, 1, sizeof bytes, file)) > 0;)
        is_good = lines_import(import, &rest, slice_from(bytes, length));
    if (is_good && (rest.len > 0 || !import->has_ended)) {
        import->line_number++;
        import->fault = import->has_ended ? "something follows the end" : "the file ends before the export does";
        is_good = false;
    }
    text_fini(&rest);
    return is_good && jsonl_commit(import->store); /* not at the line with the end: nothing may follow it */
}

static enum command_status store_import(struct call *call, struct store *store, FILE *file)
{
    struct import import = { .store = store };
    if (!store_is_usable(store))
        return command_failed(call, "%s", store_message(store));
    import.digest = digest_stream_create();
    bool is_good = file_import(&import, file);
    digest_stream_destroy(import.digest);
    if (is_good) {
        printf("%llu rows imported\n", (unsigned long long)import.row_count);
        return COMMAND_OK;
    }
    command_failed(call, "%s, line %llu: %s; nothing was imported", call->arguments[0],
                   (unsigned long long)import.line_number, import.fault != NULL ? import.fault : store_message(store));
    jsonl_abandon(store);
    return COMMAND_FAILED;
}

/* The lock keeps a weir from starting meanwhile. */
static enum command_status dir_import(struct call *call, FILE *file)
{
    struct err_list errors;
    struct state_dir dir;
    enum command_status status = COMMAND_FAILED;
    err_list_init(&errors, &call->arena);
    if (state_dir_open(&dir, ctl_state_dir(call->values), &errors)) {
        struct store *store = store_open(dir.database);
        status = store_import(call, store, file);
        store_close(store);
    }
    problems_print(&errors);
    state_dir_close(&dir);
    return status;
}

static enum command_status run_import(struct call *call)
{
    const char *name = call->arguments[0];
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    if (file == NULL)
        return command_failed(call, "%s: %s", name, strerror(errno));
    enum command_status status = dir_import(call, file);
    if (file != stdin)
        fclose(file);
    return status;
}

const struct command ctl_import = {
    .name = "import",
    .synopsis = "[--state-dir DIR] FILE",
    .summary = "an export into an empty state directory, where no weir runs",
    .details = "All of it or nothing; FILE may be - for standard input. The hash chain of the audit log is verified.\n"
               "Run it as the user that weir runs as.\n",
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run_import,
};
