/* cli/options.c - the option parser: rows say what a command takes and where each value goes.
 *
 * Not getopt_long: that knows neither groups nor types, prints errors of its own to standard error, and moves arguments about in
 * argv. The syntax is the same (POSIX XBD 12.2 and GNU's long options), but for abbreviated names: a script that wrote
 * one would break when a longer option joins. */
#include "cli/options.h"

#include "base/err.h"
#include "base/memory.h"
#include "base/units.h"

#include <string.h>

#define KNOWN_MAX 32 /* names looked through for "did you mean" */

/* In every scope, and never stored: meeting it ends the reading. */
static const struct option_row help_row = {
    .letter = 'h', .name = "help", .kind = OPTION_FLAG, .doc = "prints this help"
};

/* ---- finding a row ------------------------------------------------------------------------------------------------ */

/* Inner scopes first, so that a command may give a word of its group another meaning. */
static const struct option_row *row_by_name(const struct option_scope *scope, struct slice name)
{
    if (slice_equal(name, slice_from_cstr(help_row.name)))
        return &help_row;
    for (; scope != NULL; scope = scope->outer) {
        for (size_t i = 0; i < scope->row_count; i++) {
            const struct option_row *row = &scope->rows[i];
            if (row->name != NULL && slice_equal(name, slice_from_cstr(row->name)))
                return row;
        }
    }
    return NULL;
}

static const struct option_row *row_by_letter(const struct option_scope *scope, char letter)
{
    if (letter == help_row.letter)
        return &help_row;
    for (; scope != NULL; scope = scope->outer) {
        for (size_t i = 0; i < scope->row_count; i++) {
            if (scope->rows[i].letter == letter)
                return &scope->rows[i];
        }
    }
    return NULL;
}

/* Looks through outer scopes too: a word of the group may have been meant. */
static enum options_result unknown_name(struct options_reader *r, struct slice name)
{
    const char *known[KNOWN_MAX] = { help_row.name };
    size_t count = 1;
    for (const struct option_scope *s = r->scope; s != NULL; s = s->outer) {
        for (size_t i = 0; i < s->row_count && count < KNOWN_MAX; i++) {
            if (s->rows[i].name != NULL)
                known[count++] = s->rows[i].name;
        }
    }
    text_printf(&r->error, "unknown option \"--%.*s\"", SLICE_ARG(name));
    const char *nearest = err_nearest_word(name, known, count);
    if (nearest != NULL)
        text_printf(&r->error, ", did you mean \"--%s\"?", nearest);
    return OPTIONS_WRONG;
}

/* ---- storing a value ---------------------------------------------------------------------------------------------- */

/* As the messages name it: "--config", or "-H" where there is no long name. */
static void row_label(const struct option_row *row, struct text *out)
{
    if (row->name != NULL)
        text_printf(out, "--%s", row->name);
    else
        text_printf(out, "-%c", row->letter);
}

static enum options_result bad_value(struct options_reader *r, const struct option_row *row, const char *value,
                                     const char *wanted)
{
    row_label(row, &r->error);
    text_printf(&r->error, ": \"%s\" is not %s", value, wanted);
    return OPTIONS_WRONG;
}

/* One by one: as many as a person types. */
static void list_append(struct option_list *list, const char *value)
{
    list->items = memory_resize_array(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = value;
}

static enum options_result store_number(struct options_reader *r, const struct option_row *row, const char *value,
                                        uint32_t *out)
{
    uint64_t number;
    if (!slice_to_u64(slice_from_cstr(value), &number) || number < row->low || number > row->high) {
        bad_value(r, row, value, "a number");
        text_printf(&r->error, " from %u to %u", row->low, row->high);
        return OPTIONS_WRONG;
    }
    *out = (uint32_t)number;
    return OPTIONS_OK;
}

/* row->offset is trusted: it comes from offsetof beside a member of the type that the kind stands for. */
static enum options_result store(struct options_reader *r, const struct option_row *row, const char *value)
{
    void *at = (char *)r->values + row->offset;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)at = true;
        return OPTIONS_OK;
    case OPTION_TEXT:
        *(const char **)at = value;
        return OPTIONS_OK;
    case OPTION_LIST:
        list_append(at, value);
        return OPTIONS_OK;
    case OPTION_NUMBER:
        return store_number(r, row, value, at);
    case OPTION_DURATION:
        if (units_parse_duration(slice_from_cstr(value), at))
            return OPTIONS_OK;
        return bad_value(r, row, value, "a duration such as 250ms, 10s or 5m");
    }
    return OPTIONS_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* The word behind an option that wants a value. */
static const char *next_word(struct options_reader *r, const struct option_row *row)
{
    if (r->at < r->argc)
        return r->argv[r->at++];
    row_label(row, &r->error);
    text_printf(&r->error, " wants a value: %s", row->value_name);
    return NULL;
}

/* `word` stands behind the dashes: "name" or "name=value". An empty value behind "=" is a value. */
static enum options_result read_long(struct options_reader *r, const char *word)
{
    struct slice text = slice_from_cstr(word);
    struct slice name = slice_first(text, slice_find(text, '='));
    const char *value = name.len < text.len ? word + name.len + 1 : NULL;
    const struct option_row *row = row_by_name(r->scope, name);
    if (row == NULL)
        return unknown_name(r, name);
    if (row == &help_row)
        return OPTIONS_HELP;
    if (row->kind == OPTION_FLAG && value != NULL) {
        text_printf(&r->error, "--%s takes no value", row->name);
        return OPTIONS_WRONG;
    }
    if (row->kind != OPTION_FLAG && value == NULL && (value = next_word(r, row)) == NULL)
        return OPTIONS_WRONG;
    return store(r, row, value);
}

/* One word of letters: flags may stand together, a value may stick to its letter. */
static enum options_result read_letters(struct options_reader *r, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct option_row *row = row_by_letter(r->scope, *letters);
        if (row == NULL) {
            text_printf(&r->error, "unknown option \"-%c\"", *letters);
            return OPTIONS_WRONG;
        }
        if (row == &help_row)
            return OPTIONS_HELP;
        if (row->kind == OPTION_FLAG) {
            store(r, row, NULL);
            continue;
        }
        const char *value = letters[1] != '\0' ? letters + 1 : next_word(r, row);
        return value != NULL ? store(r, row, value) : OPTIONS_WRONG;
    }
    return OPTIONS_OK;
}

/* A single "-" is an argument, as it names standard input elsewhere; negative numbers are no option of ours. */
enum options_result options_read(struct options_reader *r)
{
    bool has_ended = false;
    while (r->at < r->argc) {
        const char *word = r->argv[r->at];
        bool is_option = !has_ended && word[0] == '-' && word[1] != '\0';
        if (!is_option && r->stops_at_word)
            return OPTIONS_OK;
        r->at++;
        enum options_result result = OPTIONS_OK;
        if (!is_option)
            r->arguments[r->argument_count++] = word;
        else if (strcmp(word, "--") == 0)
            has_ended = true;
        else
            result = word[1] == '-' ? read_long(r, word + 2) : read_letters(r, word + 1);
        if (result != OPTIONS_OK)
            return result;
    }
    return OPTIONS_OK;
}

/* Only texts can be required: of a number or a flag, absent and 0 are the same. */
enum options_result options_check_required(struct options_reader *r)
{
    for (const struct option_scope *s = r->scope; s != NULL; s = s->outer) {
        for (size_t i = 0; i < s->row_count; i++) {
            const struct option_row *row = &s->rows[i];
            const void *at = (const char *)r->values + row->offset;
            if (row->is_required && row->kind == OPTION_TEXT && *(const char *const *)at == NULL) {
                row_label(row, &r->error);
                text_printf(&r->error, " %s is missing", row->value_name);
                return OPTIONS_WRONG;
            }
        }
    }
    return OPTIONS_OK;
}

/* TAKE leaves NULL behind: an outer level frees once more what an inner one has freed. */
void options_free_values(const struct option_scope *scope, void *values)
{
    for (; scope != NULL; scope = scope->outer) {
        for (size_t i = 0; i < scope->row_count; i++) {
            if (scope->rows[i].kind != OPTION_LIST)
                continue;
            struct option_list *list = (void *)((char *)values + scope->rows[i].offset);
            memory_free(TAKE(&list->items));
        }
    }
}

/* ---- describing --------------------------------------------------------------------------------------------------- */

/* A left side that does not fit its column pushes the doc to the right: nothing is cut. */
static void describe_row(const struct option_row *row, struct text *out)
{
    const char *name = row->name != NULL ? row->name : "";
    const char *value = row->value_name != NULL ? row->value_name : "";
    struct text left = { 0 };
    if (row->letter != '\0')
        text_printf(&left, "-%c%s", row->letter, row->name != NULL ? ", " : " ");
    else
        text_add_cstr(&left, "    ");
    if (row->name != NULL)
        text_printf(&left, "--%s ", name);
    text_add_cstr(&left, value);
    text_printf(out, "  %-26s %s\n", left.bytes, row->doc);
    text_fini(&left);
}

void options_describe(const struct option_scope *scope, struct text *out)
{
    for (; scope != NULL; scope = scope->outer) {
        for (size_t i = 0; i < scope->row_count; i++)
            describe_row(&scope->rows[i], out);
    }
    describe_row(&help_row, out);
}
