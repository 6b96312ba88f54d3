/* store/statement.c - SQLite's statements with sticky failures and messages for people. */
#include "store/statement.h"

#include <stdio.h>

bool store_fail(struct store *store, const char *format, ...)
{
    int used = snprintf(store->message, sizeof store->message, "%s: ", store->path);
    if (used > 0 && (size_t)used < sizeof store->message) {
        va_list args;
        va_start(args, format);
        vsnprintf(store->message + used, sizeof store->message - (size_t)used, format, args);
        va_end(args);
    }
    return false;
}

/* The store stays usable after all but damage: a full disk may be cleared. What SQLite says is for programmers; the
   usual causes get the words of the person who must act. */
static void fail_by_code(struct store *store)
{
    switch (sqlite3_errcode(store->db)) {
    case SQLITE_FULL:
        store_fail(store, "the disk is full");
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        store_fail(store, "another process has locked it");
        break;
    case SQLITE_READONLY:
        store_fail(store, "it cannot be written (read-only)");
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        store->is_damaged = true;
        store_fail(store, "it is damaged (%s); move it away and restart", sqlite3_errmsg(store->db));
        break;
    default:
        store_fail(store, "%s", sqlite3_errmsg(store->db));
    }
}

static void statement_fail(struct statement *st)
{
    st->has_failed = true;
    fail_by_code(st->store);
}

void statement_begin(struct statement *st, struct store *store, const char *sql)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    *st = (struct statement){ .store = store };
    if (store->db == NULL || store->is_damaged)
        st->has_failed = true; /* the message says why since it was opened */
    else if (sqlite3_prepare_v2(store->db, sql, -1, &st->prepared, NULL) != SQLITE_OK)
        statement_fail(st);
}

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

bool statement_end(struct statement *st)
{
    sqlite3_finalize(st->prepared);
    st->prepared = NULL;
    return !st->has_failed;
}

bool statement_run(struct store *store, const char *sql)
{
    struct statement st;
    statement_begin(&st, store, sql);
    statement_step(&st);
    return statement_end(&st);
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
