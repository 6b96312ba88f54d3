/* store/store.c - opens, checks and migrates the database. */
#include "store/store.h"

#include "base/memory.h"
#include "store/migrations.h"
#include "store/statement.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Made by us first, so that it never exists with a wider mode; SQLite gives its side files the same. */
static bool file_make(struct store *s)
{
    int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return store_fail(s, "%s", strerror(errno));
    close(fd);
    return true;
}

/* NOMUTEX: one thread. No SQLITE_OPEN_CREATE: the file is there. */
static bool database_open(struct store *s)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK)
        return store_fail(s, "%s", sqlite3_errmsg(s->db));
    sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    sqlite3_extended_result_codes(s->db, 0);
    return true;
}

/* WAL: readers (a person with sqlite3, a backup) do not stop us. FULL: an audit line is on disk before what it
   announces. */
static bool database_configure(struct store *s)
{
    return statement_run(s, "PRAGMA journal_mode = WAL") && statement_run(s, "PRAGMA synchronous = FULL") &&
           statement_run(s, "PRAGMA foreign_keys = ON") && statement_run(s, "PRAGMA trusted_schema = OFF") &&
           statement_run(s, "PRAGMA cache_size = -256"); /* KiB: a few rows now and then need no more */
}

/* Before the first use, since damage found in the middle of a change would leave half of it told. The quick form reads
   every page but compares no indexes. */
static bool database_check(struct store *s)
{
    struct arena arena;
    struct statement st;
    arena_init(&arena, NULL, 0);
    statement_begin(&st, s, "PRAGMA quick_check(1)");
    struct slice verdict = statement_step(&st) ? statement_text(&st, 0, &arena) : SLICE("no answer");
    bool is_good = statement_end(&st);
    if (is_good && !slice_equal(verdict, SLICE("ok")))
        is_good = store_fail(s, "it is damaged (%.*s); move it away and restart", SLICE_ARG(verdict));
    arena_reset(&arena);
    return is_good;
}

/* Keeps the message: every later call fails with it. The file is left for a person to look at. */
static void database_give_up(struct store *s)
{
    sqlite3_close(s->db);
    s->db = NULL;
}

struct store *store_open(const char *path)
{
    struct store *s = memory_zalloc(sizeof *s);
    s->magic = STORE_MAGIC;
    s->path = memory_strdup(path);
    bool is_good =
        file_make(s) && database_open(s) && database_configure(s) && database_check(s) && migrations_apply(s);
    if (!is_good)
        database_give_up(s);
    return s;
}

void store_close(struct store *s)
{
    CHECK_MAGIC(s, STORE_MAGIC);
    CHECK(sqlite3_close(s->db) == SQLITE_OK); /* busy only when a statement was not ended */
    s->magic = 0;
    memory_free(s->path);
    memory_free(s);
}

bool store_is_usable(const struct store *s)
{
    return s->db != NULL && !s->is_damaged;
}

const char *store_message(const struct store *s)
{
    return s->message;
}
