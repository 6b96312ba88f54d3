/* tests/unit/store/test_migrations.c - from every version that ever was to the tables of a new database, whatever comes between. */
#include "store/fixture.h"
#include "store/old_tables.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"
#include "store/audit.h"
#include "store/migrations.h"

TestSuite(migrations, .init = fixture_init_in_memory, .fini = fixture_fini);

#define VERSION_COUNT ((int64_t)ARRAY_COUNT(old_tables))

static void remove_database(void)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", ".audit-head", ".waiting" };
    char path[100];
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        snprintf(path, sizeof path, "%s%s", database, suffixes[i]);
        unlink(path);
    }
}

/* In WAL mode, as weir leaves its database. */
static void make_old(int64_t version)
{
    remove_database();
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(database, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL),
                 SQLITE_OK);
    for (int64_t i = 0; i < version; i++)
        cr_assert_eq(sqlite3_exec(db, old_tables[i], NULL, NULL, NULL), SQLITE_OK, "version %lld", (long long)i + 1);
    cr_assert_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* All rows of a query, a line each, columns with bars between. */
static struct slice ask(const char *sql)
{
    struct text out = { 0 };
    sqlite3 *db;
    sqlite3_stmt *st;
    cr_assert_eq(sqlite3_open(database, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            text_add(&out, slice_from(sqlite3_column_blob(st, i), (size_t)sqlite3_column_bytes(st, i)));
            text_add_char(&out, '|');
        }
        text_add_char(&out, '\n');
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    struct slice kept = arena_copy(&arena, text_slice(&out));
    text_fini(&out);
    return kept;
}

/* Everything that CREATE said, without what makes no difference. A column that was added stands where ALTER puts it. */
static struct slice schema(void)
{
    return ask("SELECT type, name, tbl_name, replace(replace(sql, ' ', ''), char(10), '') FROM sqlite_master"
               " ORDER BY type, name");
}

static int64_t version(void)
{
    struct slice digits = ask("SELECT max(version) FROM schema_version");
    uint64_t number = 0;
    cr_assert(slice_to_u64(slice_first(digits, digits.len - 2), &number));
    return (int64_t)number;
}

/* A table as it was before the migration: its columns then, and what stood in them. */
struct old_rows {
    struct slice table, columns, rows;
};

static struct slice rows_of(const struct old_rows *o)
{
    return ask(
        arena_printf(&arena, "SELECT %.*s FROM %.*s ORDER BY 1, 2", SLICE_ARG(o->columns), SLICE_ARG(o->table)).ptr);
}

/* `audit` gets a line about the file with its end, and then the row with the end follows; both have tests of their own. The
   text of a version goes to config_files. */
static size_t list_old_rows(struct old_rows *out, size_t most)
{
    size_t count = 0;
    struct slice rest =
        ask("SELECT name, (SELECT group_concat(name, ', ') FROM pragma_table_info(m.name)) FROM sqlite_master m"
            " WHERE type = 'table' AND name NOT IN"
            " ('schema_version', 'audit', 'audit_head', 'config_texts')");
    while (rest.len > 0) {
        struct old_rows *o = &out[count++];
        cr_assert_leq(count, most);
        o->table = slice_first(rest, slice_find(rest, '|'));
        rest = slice_after(rest, o->table.len + 1);
        o->columns = slice_first(rest, slice_find(rest, '|'));
        rest = slice_after(rest, o->columns.len + 2);
        o->rows = rows_of(o);
        cr_assert_gt(o->rows.len, 0, "old_tables.h has no row of %.*s", SLICE_ARG(o->table));
    }
    return count;
}

static void assert_kept(const struct old_rows *old, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert(slice_equal(rows_of(&old[i]), old[i].rows), "%.*s", SLICE_ARG(old[i].table));
}

static void assert_up_to_date(struct slice fresh, const struct old_rows *old, size_t count)
{
    struct audit_verdict v;
    struct store *s = open_good();
    cr_assert(audit_verify(s, &v) && v.bad_id == 0, "line %lld: %s", (long long)v.bad_id, v.why);
    cr_assert_eq(v.checked_count, 3); /* and that the file with the end was begun */
    store_close(s);
    cr_assert(slice_equal(schema(), fresh), "%.*s\nis not\n%.*s", SLICE_ARG(schema()), SLICE_ARG(fresh));
    cr_assert_eq(version(), migrations_newest());
    assert_kept(old, count);
}

static struct slice fresh_schema(void)
{
    remove_database();
    store_close(open_good());
    return schema();
}

Test(migrations, every_version_becomes_what_a_new_database_is_and_keeps_its_rows)
{
    struct old_rows old[16];
    struct slice fresh = fresh_schema();
    cr_assert_eq(VERSION_COUNT, migrations_newest(), "old_tables.h lacks a copy of the newest step");
    for (int64_t v = 1; v <= VERSION_COUNT; v++) {
        make_old(v);
        size_t count = list_old_rows(old, ARRAY_COUNT(old));
        assert_up_to_date(fresh, old, count);
        assert_up_to_date(fresh, old, count); /* again: nothing is left to do */
    }
}

/* ---- interrupted --------------------------------------------------------------------------------------------------------- */

enum interruption { REFUSED, KILLED };

/* What a migration asks SQLite's leave for, and where that ends. Every connection gets it, by way of an extension. */
static int actions_left;
static enum interruption how;

static int on_action(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
    (void)arg, (void)b, (void)c, (void)d;
    bool is_row = (action == SQLITE_INSERT || action == SQLITE_UPDATE) && strcmp(a, "sqlite_master") != 0;
    bool is_change = is_row || action == SQLITE_ALTER_TABLE || action == SQLITE_CREATE_TABLE ||
                     action == SQLITE_CREATE_INDEX || action == SQLITE_TRANSACTION;
    if (!is_change || actions_left-- != 0)
        return SQLITE_OK;
    if (how == KILLED)
        raise(SIGKILL);
    return SQLITE_DENY;
}

static int watch_connection(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
    (void)error, (void)api;
    if (sqlite3_db_filename(db, "main")[0] == '\0')
        return SQLITE_OK; /* one in memory to compare with */
    return sqlite3_set_authorizer(db, on_action, NULL);
}

/* A process opens the store, and is stopped at its n-th action. False: it came to its end before. */
static bool open_interrupted(int n)
{
    int status;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        actions_left = n;
        sqlite3_auto_extension((void (*)(void))watch_connection);
        struct store *s = store_open(database);
        bool is_usable = store_is_usable(s);
        _exit(is_usable && actions_left >= 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

/* At each action in turn: the version that it stopped at is whole, with its rows and nothing of the next. */
static void interrupt_everywhere(enum interruption interruption)
{
    struct old_rows old[16];
    struct slice whole[16], fresh = fresh_schema();
    for (int64_t v = 1; v <= VERSION_COUNT; v++) {
        make_old(v);
        whole[v] = schema();
    }
    how = interruption;
    bool was_interrupted = true;
    int n = 0;
    for (; was_interrupted; n++) {
        make_old(1);
        size_t count = list_old_rows(old, ARRAY_COUNT(old));
        was_interrupted = open_interrupted(n);
        cr_assert(slice_equal(schema(), whole[version()]), "action %d: half of version %lld", n,
                  (long long)version() + 1);
        assert_kept(old, count);
        if (version() < migrations_newest())
            assert_up_to_date(fresh, old, count);
    }
    cr_assert_gt(n, 20);
}

Test(migrations, a_statement_that_is_refused_leaves_a_whole_version_and_the_next_start_goes_on)
{
    interrupt_everywhere(REFUSED);
}

Test(migrations, a_kill_leaves_a_whole_version_and_the_next_start_goes_on)
{
    interrupt_everywhere(KILLED);
}

/* The limit on the size of files stands for a disk that is full from there on. */
Test(migrations, a_disk_that_fills_leaves_a_whole_version_and_the_next_start_goes_on)
{
    struct old_rows old[16];
    struct slice fresh = fresh_schema();
    bool was_short = true;
    int rounds = 0;
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 4096; was_short; limit += 8192, rounds++) {
        make_old(2);
        size_t count = list_old_rows(old, ARRAY_COUNT(old));
        struct rlimit short_of = { limit, RLIM_INFINITY }, enough = { RLIM_INFINITY, RLIM_INFINITY };
        setrlimit(RLIMIT_FSIZE, &short_of);
        struct store *s = store_open(database);
        was_short = !store_is_usable(s);
        if (was_short)
            cr_assert(slice_contains(slice_from_cstr(store_message(s)), SLICE("the disk is full")), "%s",
                      store_message(s));
        store_close(s);
        setrlimit(RLIMIT_FSIZE, &enough);
        assert_kept(old, count);
        if (was_short)
            assert_up_to_date(fresh, old, count);
    }
    cr_assert_gt(rounds, 3);
}

/* ---- not whole ----------------------------------------------------------------------------------------------------------- */

static void assert_refused(const char *why)
{
    struct slice before = schema();
    struct store *s = store_open(database);
    cr_assert_not(store_is_usable(s), "%s", why);
    cr_assert(slice_contains(slice_from_cstr(store_message(s)), slice_from_cstr(why)), "\"%s\" lacks \"%s\"",
              store_message(s), why);
    store_close(s);
    s = store_open_to_read(database);
    cr_assert_not(store_is_usable(s));
    store_close(s);
    cr_assert(slice_equal(schema(), before), "nothing was changed");
}

Test(migrations, a_database_that_is_not_whole_is_refused_with_what_it_lacks)
{
    static const struct {
        const char *meddling, *why;
    } cases[] = {
        { "DROP TABLE transitions", "it is not whole: table transitions of version 6 is missing" },
        { "DROP TABLE drills", "table drills of version 6 is missing" },
        { "ALTER TABLE config_texts DROP COLUMN text_bytes", "table config_texts of version 6 has other columns" },
        { "ALTER TABLE events ADD COLUMN more TEXT", "table events of version 6 has other columns" },
        { "DELETE FROM schema_version WHERE version = 3", "schema_version does not name each version up to 6 once" },
        { "INSERT INTO schema_version VALUES (6)", "schema_version does not name each version up to 6 once" },
        { "DELETE FROM schema_version", "it has tables (approvals, ...) and no version of them" },
        { "DROP TABLE schema_version", "it has tables (approvals, ...) and no version of them" },
        { "INSERT INTO schema_version VALUES (7)", "it was written by a newer weir (tables 7, this one knows 6)" },
        { "DELETE FROM schema_version WHERE version = 6", "table outcome_ids already exists" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        make_old(VERSION_COUNT);
        cr_assert_eq(meddle(cases[i].meddling), SQLITE_OK, "%s", cases[i].meddling);
        assert_refused(cases[i].why);
    }
}

Test(migrations, tables_of_others_are_left_alone)
{
    make_old(1);
    cr_assert_eq(meddle("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1); ANALYZE"), SQLITE_OK);
    store_close(open_good());
    cr_assert(slice_equal(ask("SELECT * FROM theirs"), SLICE("1|\n")));
}
