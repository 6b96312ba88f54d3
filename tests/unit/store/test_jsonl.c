/* tests/unit/store/test_jsonl.c - everything that is stored goes out and comes back, byte for byte. */
#include "store/fixture.h"

#include <string.h>

#include "base/text.h"
#include "store/deed.h"
#include "store/jsonl.h"
#include "store/old_tables.h"
#include "store/slos.h"
#include "store/statement.h"

TestSuite(jsonl, .init = fixture_init, .fini = fixture_fini);

static bool collect(void *arg, struct slice line)
{
    text_add(arg, line);
    return true;
}

static bool refuse(void *arg, struct slice line)
{
    (void)line;
    return --*(int *)arg > 0;
}

/* A row in every table: those of the old tables, and a deed with all its parts. */
static struct store *open_filled(void)
{
    cr_assert_eq(meddle(old_tables_1), SQLITE_OK);
    struct store *s = open_good();
    struct rollout_row row = { .name = SLICE("r"), .state = SLICE("running"), .detail = SLICE("{\"a\":\"\\n\"}") };
    struct transition_row transition = { .rollout = row.name, .reason = SLICE("\xff not UTF-8 \0 at all") };
    struct approval_row approval = { .rollout = row.name, .who = SLICE("bob") };
    struct incident incident = { .id = SLICE("i"), .detect_ms = -1 };
    struct drill_row drill = { .id = SLICE("d"), .state = SLICE("running") };
    struct event_row event = { .kind = SLICE("deploy"), .text = SLICE("\"quoted\"\n") };
    struct deed d = { .audit = { .at = { 1 }, .action = SLICE("a"), .reason = SLICE("caf\u00e9 \x01") },
                      .rollout = &row,
                      .transition = &transition,
                      .approval = &approval,
                      .incident = &incident,
                      .drill = &drill,
                      .event = &event,
                      .outcomes = { (const uint64_t[]){ UINT64_MAX }, 1 } };
    const struct slo_row counted = { .slo = SLICE("shop"), .identity = -1, .from = { 300000 }, .requests = 7 };
    cr_assert(deed_write(s, &d), "%s", store_message(s));
    cr_assert(slo_row_add(s, &counted, (struct wall_time){ 0 }), "%s", store_message(s));
    return s;
}

/* Who adds a table or a column sees to it that it is exported. */
Test(jsonl, every_column_of_every_table_is_in_it)
{
    struct statement st;
    struct store *s = open_good();
    size_t table_count = 0;
    statement_begin(&st, s,
                    "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
                    " AND name NOT IN ('schema_version', 'audit_head')");
    cr_assert(statement_step(&st));
    cr_assert_eq((size_t)statement_i64(&st, 0), jsonl_table_count);
    cr_assert(statement_end(&st));
    for (size_t i = 0; i < jsonl_table_count; i++) {
        const struct jsonl_table *table = &jsonl_tables[i];
        statement_begin(&st, s, "SELECT name, type FROM pragma_table_info(?) ORDER BY cid");
        statement_bind_text(&st, slice_from_cstr(table->name));
        size_t column = 0;
        for (; statement_step(&st); column++) {
            cr_assert(slice_equal(statement_text(&st, 0, &arena), slice_from_cstr(table->columns[column])), "%s.%s",
                      table->name, table->columns[column]);
            bool is_number = slice_equal(statement_text(&st, 1, &arena), SLICE("INTEGER"));
            cr_assert_eq(table->kinds[column], is_number ? 'i' : 't', "%s.%s", table->name, table->columns[column]);
        }
        cr_assert_eq(strlen(table->kinds), column, "%s", table->name);
        cr_assert(statement_end(&st));
        table_count++;
    }
    cr_assert_eq(table_count, jsonl_table_count);
    store_close(s);
}

Test(jsonl, every_table_and_column_is_documented)
{
    char bytes[4096];
    struct text page = { 0 };
    FILE *f = fopen(TOP_SRCDIR "/docs/export.md", "r");
    cr_assert_not_null(f);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
        text_add(&page, slice_from(bytes, n));
    fclose(f);
    for (size_t i = 0; i < jsonl_table_count; i++) {
        struct slice rest = text_slice(&page), head = arena_printf(&arena, "`%s`: ", jsonl_tables[i].name);
        while (rest.len > 0 && !slice_has_prefix(rest, head))
            rest = slice_after(rest, 1);
        cr_assert_gt(rest.len, 0, "docs/export.md lacks %s", jsonl_tables[i].name);
        for (size_t c = 0; jsonl_tables[i].kinds[c] != '\0'; c++)
            cr_assert(slice_contains(rest, arena_printf(&arena, "`%s`", jsonl_tables[i].columns[c])), "%s lacks %s",
                      jsonl_tables[i].name, jsonl_tables[i].columns[c]);
    }
    text_fini(&page);
}

Test(jsonl, each_table_has_its_rows_between_the_head_and_the_end)
{
    struct text out = { 0 };
    struct store *s = open_filled();
    cr_assert(jsonl_export(s, collect, &out), "%s", store_message(s));
    cr_assert(
        slice_has_prefix(text_slice(&out), SLICE("{\"weir_export\":1,\"tables\":6}\n{\"table\":\"audit\",\"id\":1,")));
    cr_assert(slice_contains(text_slice(&out), SLICE("\n{\"end\":true,\"rows\":20,\"sha256\":\"")), "%s", out.bytes);
    for (size_t i = 0; i < jsonl_table_count; i++) {
        struct slice head =
            arena_printf(&arena, "\n{\"table\":\"%s\",\"%s\":", jsonl_tables[i].name, jsonl_tables[i].columns[0]);
        cr_assert(slice_contains(text_slice(&out), head), "%s", jsonl_tables[i].name);
    }
    cr_assert(slice_contains(text_slice(&out), SLICE("\"reason\":{\"base64\":\"/yBub3QgVVRGLTggACBhdCBhbGw=\"}")));
    text_fini(&out);
    store_close(s);
}

Test(jsonl, a_reader_that_goes_away_ends_it_and_the_store_works_on)
{
    struct store *s = open_filled();
    for (int lines = 1; lines < 22; lines++) {
        int left = lines;
        cr_assert_not(jsonl_export(s, refuse, &left));
    }
    struct audit_line line = { .action = SLICE("reload") };
    cr_assert(audit_append(s, &line), "%s", store_message(s));
    store_close(s);
}

Test(jsonl, rows_go_into_an_empty_store_alone)
{
    struct store *s = open_filled();
    cr_assert_not(jsonl_begin(s));
    cr_assert(slice_contains(slice_from_cstr(store_message(s)), SLICE("it is not empty: there are audit already")));
    store_close(s);
}

/* Every row of one store into another, by the interface alone. */
static bool copy_rows(sqlite3 *from, struct store *to)
{
    for (size_t i = 0; i < jsonl_table_count; i++) {
        const struct jsonl_table *table = &jsonl_tables[i];
        sqlite3_stmt *st;
        bool is_good = true;
        cr_assert_eq(sqlite3_prepare_v2(from, table->select, -1, &st, NULL), SQLITE_OK);
        while (is_good && sqlite3_step(st) == SQLITE_ROW) {
            struct jsonl_value values[JSONL_COLUMNS_MAX] = { 0 };
            for (int c = 0; table->kinds[c] != '\0'; c++) {
                values[c].number = sqlite3_column_int64(st, c);
                values[c].text =
                    slice_from((const char *)sqlite3_column_text(st, c), (size_t)sqlite3_column_bytes(st, c));
            }
            is_good = jsonl_row(to, table, values);
        }
        sqlite3_finalize(st);
        if (!is_good)
            return false;
    }
    return true;
}

/* The store of the fixture as a source, and a second one beside it, which is gone when it is closed. */
static char second[100];

static struct store *open_second(void)
{
    snprintf(second, sizeof second, "%s/second.db", folder);
    struct store *s = store_open(second);
    cr_assert(store_is_usable(s), "%s", store_message(s));
    return s;
}

static void close_second(struct store *s)
{
    char path[120];
    store_close(s);
    unlink(second);
    snprintf(path, sizeof path, "%s.audit-head", second);
    unlink(path);
    snprintf(path, sizeof path, "%s.waiting", second);
    unlink(path);
}

Test(jsonl, an_import_into_an_empty_store_exports_what_was_imported)
{
    struct text before = { 0 }, after = { 0 };
    struct audit_verdict v;
    sqlite3 *from;
    struct store *s = open_filled();
    cr_assert(jsonl_export(s, collect, &before));
    store_close(s);
    cr_assert_eq(sqlite3_open(database, &from), SQLITE_OK);
    struct store *to = open_second();
    cr_assert(jsonl_begin(to) && copy_rows(from, to) && jsonl_commit(to), "%s", store_message(to));
    cr_assert(jsonl_export(to, collect, &after));
    cr_assert(slice_equal(text_slice(&before), text_slice(&after)));
    cr_assert(audit_verify(to, &v) && v.bad_id == 0);
    struct audit_line line = { .action = SLICE("reload") };
    cr_assert(audit_append(to, &line));
    cr_assert(audit_verify(to, &v) && v.bad_id == 0);
    cr_assert_eq(v.checked_count, line.id);
    sqlite3_close(from);
    close_second(to);
    text_fini(&before);
    text_fini(&after);
}

Test(jsonl, an_audit_log_that_does_not_hold_is_not_imported)
{
    struct text out = { 0 };
    sqlite3 *from;
    store_close(open_filled());
    cr_assert_eq(meddle("DROP TRIGGER audit_is_never_changed; UPDATE audit SET who = 'x' WHERE id = 2"), SQLITE_OK);
    cr_assert_eq(sqlite3_open(database, &from), SQLITE_OK);
    struct store *to = open_second();
    cr_assert(jsonl_begin(to) && copy_rows(from, to));
    cr_assert_not(jsonl_commit(to));
    cr_assert(slice_contains(slice_from_cstr(store_message(to)), SLICE("line 2: it was changed")));
    cr_assert(jsonl_export(to, collect, &out));
    cr_assert(slice_contains(text_slice(&out), SLICE("{\"end\":true,\"rows\":0,")));
    sqlite3_close(from);
    close_second(to);
    text_fini(&out);
}
