/* store/statement.c - SQLite's statements with sticky failures and messages for people. */
#include "store/statement.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool store_fail(struct store *store, enum store_problem problem, const char *format, ...)
{
    int used = snprintf(store->message, sizeof store->message, "%s: ", store->path);
    store->problem = problem;
    if (used > 0 && (size_t)used < sizeof store->message) {
        va_list args;
        va_start(args, format);
        vsnprintf(store->message + used, sizeof store->message - (size_t)used, format, args);
        va_end(args);
    }
    return false;
}

/* A write that failed: a disk without room, or a limit on the size of files, is what a person can make go away. errno is what
   the system call left; SQLite's own copy is not kept when a commit fails. */
static void fail_by_system(struct store *store, int number)
{
    if (number == ENOSPC || number == EDQUOT || number == EFBIG)
        store_fail(store, STORE_FULL, "the disk is full (%s)", strerror(number));
    else
        store_fail(store, STORE_FAILED, "%s%s%s", sqlite3_errmsg(store->db), number != 0 ? ": " : "",
                   number != 0 ? strerror(number) : "");
}

/* The store stays usable after all but damage: a full disk may be cleared. What SQLite says is for programmers; the
   usual causes get the words of the person who must act. */
static void fail_by_code(struct store *store, int error_number)
{
    switch (sqlite3_errcode(store->db)) {
    case SQLITE_FULL:
        store_fail(store, STORE_FULL, "the disk is full");
        break;
    case SQLITE_IOERR:
        fail_by_system(store, error_number);
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        store_fail(store, STORE_BUSY, "another process has locked it");
        break;
    case SQLITE_READONLY:
        store_fail(store, STORE_READ_ONLY, "it cannot be written (read-only)");
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        store->is_damaged = true;
        store_fail(store, STORE_DAMAGED, "it is damaged (%s); move it away and restart", sqlite3_errmsg(store->db));
        break;
    default:
        store_fail(store, STORE_FAILED, "%s", sqlite3_errmsg(store->db));
    }
}

static void statement_fail(struct statement *st)
{
    int error_number = errno;
    st->has_failed = true;
    fail_by_code(st->store, error_number);
}

/* ---- kept statements ------------------------------------------------------------------------------------------------- */

/* The slot of a literal, a new one when there is room; NULL when there is none, or when the statement is in use further up. */
static struct kept_statement *slot_find(struct store *store, const char *sql)
{
    for (size_t i = 0; i < store->kept_count; i++)
        if (store->kept[i].sql == sql)
            return store->kept[i].prepared != NULL ? &store->kept[i] : NULL;
    if (store->kept_count == STATEMENTS_KEPT)
        return NULL;
    struct kept_statement *slot = &store->kept[store->kept_count++];
    *slot = (struct kept_statement){ .sql = sql };
    return slot;
}

/* A slot whose statement is away holds NULL, and one that could not be prepared gives its slot back by staying so. */
void statement_begin(struct statement *st, struct store *store, const char *sql)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    *st = (struct statement){ .store = store };
    if (store->db == NULL || store->is_damaged) {
        st->has_failed = true; /* the message says why since it was opened */
        return;
    }
    st->kept = slot_find(store, sql);
    if (st->kept != NULL && st->kept->prepared != NULL)
        st->prepared = TAKE(&st->kept->prepared);
    else if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->prepared, NULL) != SQLITE_OK)
        statement_fail(st);
}

void statements_forget(struct store *store)
{
    for (size_t i = 0; i < store->kept_count; i++)
        sqlite3_finalize(store->kept[i].prepared);
    store->kept_count = 0;
}

/* ---- one use ----------------------------------------------------------------------------------------------------------- */

void statement_bind_text(struct statement *st, struct slice value)
{
    const char *bytes = value.len ? value.ptr : "";
    if (!st->has_failed &&
        sqlite3_bind_text64(st->prepared, ++st->bound_count, bytes, value.len, SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK)
        statement_fail(st);
}

void statement_bind_i64(struct statement *st, int64_t value)
{
    if (!st->has_failed && sqlite3_bind_int64(st->prepared, ++st->bound_count, value) != SQLITE_OK)
        statement_fail(st);
}

bool statement_step(struct statement *st)
{
    if (st->has_failed)
        return false;
    errno = 0;
    int result = sqlite3_step(st->prepared);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        statement_fail(st);
    return result == SQLITE_ROW;
}

struct slice statement_text(struct statement *st, int column, struct arena *arena)
{
    const unsigned char *bytes = sqlite3_column_text(st->prepared, column);
    size_t length = (size_t)sqlite3_column_bytes(st->prepared, column);
    return arena_copy(arena, slice_from((const char *)bytes, bytes != NULL ? length : 0));
}

int64_t statement_i64(struct statement *st, int column)
{
    return sqlite3_column_int64(st->prepared, column);
}

/* Texts are bound without a copy: the bindings go before their bytes do. */
bool statement_end(struct statement *st)
{
    if (st->kept != NULL && st->prepared != NULL) {
        sqlite3_reset(st->prepared);
        sqlite3_clear_bindings(st->prepared);
        st->kept->prepared = TAKE(&st->prepared);
    }
    sqlite3_finalize(TAKE(&st->prepared));
    return !st->has_failed;
}

bool statement_run(struct store *store, const char *sql)
{
    struct statement st;
    statement_begin(&st, store, sql);
    statement_step(&st);
    return statement_end(&st);
}

bool statement_run_i64(struct store *store, const char *sql, int64_t value)
{
    struct statement st;
    statement_begin(&st, store, sql);
    statement_bind_i64(&st, value);
    statement_step(&st);
    return statement_end(&st);
}

void *statement_rows(struct statement *st, struct arena *arena, size_t limit, size_t row_bytes, statement_read_fn *read,
                     size_t *count)
{
    char *rows = arena_zalloc_array(arena, limit, row_bytes);
    *count = 0;
    statement_bind_i64(st, (int64_t)limit);
    while (*count < limit && statement_step(st))
        read(st, arena, rows + (*count)++ * row_bytes);
    return rows;
}

/* IMMEDIATE takes the write lock at once: what is read inside (the newest audit line) cannot change before the
   insert. */
bool transaction_begin(struct store *store)
{
    return statement_run(store, "BEGIN IMMEDIATE");
}

bool transaction_finish(struct store *store, bool is_good)
{
    if (is_good && statement_run(store, "COMMIT"))
        return true;
    /* Some failures have rolled back already; the first message is the one that matters. */
    if (store->db != NULL && sqlite3_get_autocommit(store->db) == 0)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}
