/* tests/unit/store/fixture.h - a store in a folder of its own, gone after the test. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include <criterion/criterion.h>

#include "base/arena.h"
#include "store/store.h"

static char folder[64], database[80];
static struct arena arena;

static inline void fixture_init_in(const char *parent)
{
    snprintf(folder, sizeof folder, "%s/weir-store-XXXXXX", parent);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/weir.db", folder);
    arena_init(&arena, NULL, 0);
}

static inline void fixture_init(void)
{
    fixture_init_in("/tmp");
}

/* For tests of hundreds of databases: where there is such a file system, an fsync costs nothing. */
static inline void fixture_init_in_memory(void)
{
    fixture_init_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static inline void fixture_fini(void)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-journal", ".audit-head", ".waiting" };
    char path[100];
    for (size_t i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s%s", database, suffixes[i]);
        unlink(path);
    }
    rmdir(folder);
    arena_reset(&arena);
}

/* As a person with the sqlite3 command would. */
static inline int meddle(const char *sql)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(database, &db), SQLITE_OK);
    int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return result;
}

static inline struct store *open_good(void)
{
    struct store *s = store_open(database);
    cr_assert(store_is_usable(s), "%s", store_message(s));
    return s;
}

#endif
