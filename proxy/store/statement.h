/* store/statement.h - one SQL statement at a time: bind in order, step, read columns. For store/ only.
 *
 * The shape of every query here:
 *
 *   statement_begin(&st, store, "SELECT ... WHERE a = ? AND b = ?");
 *   statement_bind_text(&st, a);
 *   statement_bind_i64(&st, b);
 *   while (statement_step(&st))
 *       ... statement_text(&st, 0, arena) ...
 *   return statement_end(&st);
 *
 * No call in between needs to be looked at: after a failure binding and stepping do nothing, and the end says so. */
#ifndef STORE_STATEMENT_H
#define STORE_STATEMENT_H

#include <stdarg.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/head.h"
#include "store/journal.h"
#include "store/spare.h"
#include "store/store.h"

#define STORE_MAGIC     0x53544f52u
#define STATEMENTS_KEPT 96 /* prepared once and kept; beyond it they are prepared for each use */

/* A statement between two uses. */
struct kept_statement {
    const char *sql;        /* the literal it was made of: compared by address */
    sqlite3_stmt *prepared; /* NULL: in use now */
};

struct store {
    uint32_t magic;
    char *path;
    sqlite3 *db;                 /* NULL: could not be opened, or the database is not one to touch */
    bool is_damaged;             /* found so on the way: nothing more is tried */
    bool is_read_only;           /* store_open_to_read */
    enum store_problem problem;  /* of the last failure */
    char message[512];           /* of the last failure; "" before the first */
    struct audit_head_file head; /* the end of the audit log, as the file beside the database knows it */
    int64_t newest_id;           /* of the audit log, as far as this process knows */
    struct journal journal;      /* what waits to be written */
    struct spare_file spare;     /* what of it would survive a kill */
    struct kept_statement kept[STATEMENTS_KEPT];
    size_t kept_count;
};

/* Lives on the stack between begin and end. A failure is sticky: later calls do nothing, end answers false. */
struct statement {
    struct store *store;
    sqlite3_stmt *prepared;      /* NULL after a failed begin */
    struct kept_statement *kept; /* where it goes back to; NULL: nowhere */
    int bound_count;             /* parameters bound so far: they count from 1 */
    bool has_failed;
};

/* `sql` is a string literal: it is what a kept statement is found by. */
void statement_begin(struct statement *st, struct store *store, const char *sql);
/* Bind the next parameter. The bytes must live until the end. */
void statement_bind_text(struct statement *st, struct slice value);
void statement_bind_i64(struct statement *st, int64_t value);
/* True: a row is there. False: no more rows, or a failure. */
bool statement_step(struct statement *st);
/* Columns from 0; text is copied into the arena. */
struct slice statement_text(struct statement *st, int column, struct arena *arena);
int64_t statement_i64(struct statement *st, int column);
/* Always: gives back what begin took. False after a failure anywhere since. */
bool statement_end(struct statement *st) MUST_CHECK;

/* Begin, step once, end: for statements without rows. */
bool statement_run(struct store *store, const char *sql);
/* The same with one number: what "forget all beyond the newest N" and "forget what is older" look like. */
bool statement_run_i64(struct store *store, const char *sql, int64_t value);

/* A row at hand into *row, which is zero. */
typedef void statement_read_fn(struct statement *st, struct arena *arena, void *row);
/* The end of a query whose last parameter is its LIMIT, all others bound: at most so many rows into an array in the arena.
   Returns the array, of *count rows; whether all went well is what statement_end says. */
void *statement_rows(struct statement *st, struct arena *arena, size_t limit, size_t row_bytes, statement_read_fn *read,
                     size_t *count);

/* BEGIN IMMEDIATE; commit or roll back with finish. Transactions do not nest. */
bool transaction_begin(struct store *store) MUST_CHECK;
/* Commits when `is_good`, else rolls back, keeping the message; true when it was committed. */
bool transaction_finish(struct store *store, bool is_good) MUST_CHECK;

/* Frees the kept statements: before the database is closed. */
void statements_forget(struct store *store);

/* Sets the problem, and the message: "PATH: " and the text. Returns false, to be returned. */
bool store_fail(struct store *store, enum store_problem problem, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
