/* store/jsonl.h - all that the store keeps as JSON Lines, and back: for backups, other machines and other programs.
 *
 *   {"weir_export":1,"tables":6}                        the form of the lines, and the version of the tables
 *   {"table":"audit","id":1,"at_unix_ms":...}           a row: every column of its table, in the order of the table
 *   ...                                                 tables in the order of jsonl_tables, rows by their keys
 *   {"end":true,"rows":42,"sha256":"..."}               so that a file that was cut off shows, and lines that were changed or moved
 *
 * A column is a whole number or a text; a text that JSON cannot carry as it is (not UTF-8, or with a NUL in it) is
 * {"base64":"..."}. The digest is of all bytes before the line that it stands in; who changes lines on purpose leaves it out, and
 * is believed. The same rows make the same bytes, so an import into an empty store exports what was imported. What is
 * exported holds configurations with whatever secrets stand in them. */
#ifndef STORE_JSONL_H
#define STORE_JSONL_H

#include <stdint.h>

#include "base/slice.h"
#include "store/store.h"

#define JSONL_FORM        1
#define JSONL_COLUMNS_MAX 16

struct jsonl_table {
    const char *name;
    const char *columns[JSONL_COLUMNS_MAX];
    const char *kinds; /* one letter a column: 'i' a whole number, 't' a text */
    const char *select, *insert;
};

extern const struct jsonl_table jsonl_tables[];
extern const size_t jsonl_table_count;

/* What an export names, and an import wants: the version of the tables. */
int64_t jsonl_version(void);

/* Gives out line after line, each with its newline; false from `emit` ends it. False when that happened, or the store failed:
   then store_message says why. The lines are of one moment, whoever writes meanwhile. */
typedef bool jsonl_emit_fn(void *arg, struct slice line);
bool jsonl_export(struct store *s, jsonl_emit_fn *emit, void *arg) MUST_CHECK;

struct jsonl_value {
    int64_t number;    /* of an 'i' */
    struct slice text; /* of a 't' */
};

/* An import is one transaction: begin, a row after the other, and an end. Everything is there after jsonl_commit, which
   verifies the chain of the audit log, or nothing. Begin fails when the store is not empty. */
bool jsonl_begin(struct store *s) MUST_CHECK;
bool jsonl_row(struct store *s, const struct jsonl_table *table, const struct jsonl_value *values) MUST_CHECK;
bool jsonl_commit(struct store *s) MUST_CHECK;
/* After a row or what else failed. */
void jsonl_abandon(struct store *s);

#endif
