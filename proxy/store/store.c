/* store/store.c - opens, checks and migrates the database. */
#include "store/store.h"

#include "base/log.h"
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
        return store_fail(s, STORE_FAILED, "%s", strerror(errno));
    close(fd);
    return true;
}

/* NOMUTEX: one thread. No SQLITE_OPEN_CREATE: the file is there. */
static bool database_open(struct store *s, int mode)
{
    if (sqlite3_open_v2(s->path, &s->db, mode | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return store_fail(s, STORE_FAILED, "%s", sqlite3_errmsg(s->db));
    sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    sqlite3_extended_result_codes(s->db, 0);
    return true;
}

static void database_close(struct store *s)
{
    statements_forget(s);
    CHECK(sqlite3_close(s->db) == SQLITE_OK); /* busy only when a statement was not ended */
    s->db = NULL;
}

/* By a connection that only reads, since opening for writing already changes bytes of the file: that of a newer weir is to be
   left as it is. */
static bool database_is_not_newer(struct store *s)
{
    bool is_good = database_open(s, SQLITE_OPEN_READONLY) && migrations_look(s);
    database_close(s);
    return is_good;
}

/* WAL: readers (a person with sqlite3, a backup, `weir ctl export`) do not stop us. FULL: a commit is on the disk when it
   returns, since an audit line has to be there before what it announces, also when the power fails in between; NORMAL would
   lose the last commits then. It costs an fsync for each change that a person makes, and requests make none. */
static bool database_configure(struct store *s)
{
    return statement_run(s, "PRAGMA journal_mode = WAL") && statement_run(s, "PRAGMA synchronous = FULL") &&
           statement_run(s, "PRAGMA journal_size_limit = 4194304") && /* what a large version needed is given back */
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
        is_good = store_fail(s, STORE_DAMAGED, "it is damaged (%.*s); move it away and restart", SLICE_ARG(verdict));
    arena_reset(&arena);
    return is_good;
}

static struct store *store_create(const char *path)
{
    struct store *s = memory_zalloc(sizeof *s);
    s->magic = STORE_MAGIC;
    s->path = memory_strdup(path);
    head_init(&s->head, path);
    spare_init(&s->spare, path);
    journal_init(&s->journal);
    return s;
}

/* Where the disk is still full it goes on waiting, and who reads where rollouts stand is told by it all the same. */
static void waiting_take_up(struct store *s)
{
    spare_open(s);
    if (!journal_flush(s))
        log_error("store: it still cannot be written: %s", s->message);
}

struct store *store_open(const char *path)
{
    struct store *s = store_create(path);
    bool is_good = file_make(s) && database_is_not_newer(s) && database_open(s, SQLITE_OPEN_READWRITE) &&
                   database_configure(s) && database_check(s) && migrations_apply(s) && head_open(s);
    /* The message stays: every later call fails with it. The file is left for a person to look at. */
    if (!is_good)
        database_close(s);
    else
        waiting_take_up(s);
    return s;
}

struct store *store_open_to_read(const char *path)
{
    struct store *s = store_create(path);
    s->is_read_only = true;
    if (!database_open(s, SQLITE_OPEN_READONLY) || !migrations_are_ours(s))
        database_close(s);
    return s;
}

void store_close(struct store *s)
{
    CHECK_MAGIC(s, STORE_MAGIC);
    if (store_is_usable(s) && !journal_flush(s))
        journal_complain(s);
    database_close(s);
    head_close(&s->head);
    spare_close(&s->spare);
    journal_fini(&s->journal);
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

enum store_problem store_problem(const struct store *s)
{
    return s->problem;
}
