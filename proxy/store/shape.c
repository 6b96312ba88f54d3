/* store/shape.c - compares a database with one in memory that was made by the same steps. */
#include "store/shape.h"

#include "store/migrations.h"
#include "store/statement.h"

/* A table, and its columns as one text: names, types, whether they may be NULL, and places in the key. */
struct shape {
    struct slice table, columns;
};

#define TABLES_MAX 64

#define COLUMNS_OF_TABLE                                                                                               \
    "(SELECT group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk) FROM"                        \
    " pragma_table_info(m.name) c)"

static void shape_read(struct statement *st, struct arena *arena, void *row)
{
    *(struct shape *)row =
        (struct shape){ .table = statement_text(st, 0, arena), .columns = statement_text(st, 1, arena) };
}

static bool shapes_list(struct store *s, struct arena *arena, struct shape **out, size_t *count)
{
    struct statement st;
    statement_begin(&st, s,
                    "SELECT m.name, " COLUMNS_OF_TABLE " FROM sqlite_master m WHERE m.type = 'table'"
                    " AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name <> 'schema_version' ORDER BY 1 LIMIT ?");
    *out = statement_rows(&st, arena, TABLES_MAX, sizeof **out, shape_read, count);
    return statement_end(&st);
}

/* The tables as the steps up to that version make them, in a database that is gone again. */
static void model_list(int64_t version, struct arena *arena, struct shape **out, size_t *count)
{
    struct store model = { .magic = STORE_MAGIC, .path = (char[]){ "the model" } };
    CHECK(sqlite3_open(":memory:", &model.db) == SQLITE_OK);
    for (int64_t i = 0; i < version; i++)
        CHECK(sqlite3_exec(model.db, migrations_step(i), NULL, NULL, NULL) == SQLITE_OK);
    CHECK(shapes_list(&model, arena, out, count) && *count < TABLES_MAX);
    statements_forget(&model);
    sqlite3_close(model.db);
}

/* "" for a table that is not there: each one that is has columns. */
static bool columns_of(struct store *s, struct arena *arena, struct slice table, struct slice *out)
{
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS_OF_TABLE " FROM sqlite_master m WHERE m.type = 'table' AND m.name = ?");
    statement_bind_text(&st, table);
    *out = statement_step(&st) ? statement_text(&st, 0, arena) : SLICE_NONE;
    return statement_end(&st);
}

static bool is_as_made(struct store *s, struct arena *arena, const struct shape *expected, int64_t version)
{
    struct slice columns;
    if (!columns_of(s, arena, expected->table, &columns))
        return false;
    if (slice_equal(columns, expected->columns))
        return true;
    return store_fail(s, STORE_DAMAGED, "it is not whole: table %.*s of version %lld %s; put a copy back that is",
                      SLICE_ARG(expected->table), (long long)version,
                      columns.len == 0 ? "is missing" : "has other columns");
}

static bool tables_check(struct store *s, struct arena *arena, int64_t version)
{
    struct shape *shapes;
    size_t count;
    bool is_good = true;
    model_list(version, arena, &shapes, &count);
    for (size_t i = 0; i < count && is_good; i++)
        is_good = is_as_made(s, arena, &shapes[i], version);
    return is_good;
}

/* Steps would add tables to those of another program. */
static bool is_new(struct store *s, struct arena *arena)
{
    struct shape *shapes;
    size_t count;
    if (!shapes_list(s, arena, &shapes, &count))
        return false;
    return count == 0 || store_fail(s, STORE_DAMAGED,
                                    "it has tables (%.*s, ...) and no version of them: it is not weir's, or not whole",
                                    SLICE_ARG(shapes[0].table));
}

bool shape_check(struct store *s, int64_t version)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    bool is_good = version == 0 ? is_new(s, &arena) : tables_check(s, &arena, version);
    arena_reset(&arena);
    return is_good;
}
