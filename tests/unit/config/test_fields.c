/* tests/unit/config/test_fields.c - walks THE table: what holds for every row, and that every row refuses a wrong value. */
#include "config/fields.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "base/map.h"
#include "base/text.h"
#include "config/check.h"
#include "config/fixture.h"
#include "config/model.h"
#include "config/value.h"

static void expect_sentence(const char *doc, const char *what)
{
    cr_assert_not_null(doc, "%s has no sentence", what);
    size_t len = strlen(doc);
    cr_expect(len > 8 && doc[len - 1] == '.', "%s: \"%s\" is not a sentence", what, doc);
    cr_expect(doc[0] < 'a' || doc[0] > 'z', "%s: \"%s\" begins in lower case", what, doc);
    cr_expect_null(strchr(doc, '|'), "%s: a bar would end the column of the reference", what);
}

/* Calls `visit` for every row of every table. */
static void each_row(void (*visit)(const struct setting_table *table, const struct setting *row))
{
    const struct setting_table *tables[SETTING_TABLES_MAX];
    size_t count = setting_tables(tables);
    cr_assert_gt(count, 15);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < tables[i]->row_count; j++)
            visit(tables[i], &tables[i]->rows[j]);
}

static void expect_described(const struct setting_table *table, const struct setting *row)
{
    expect_sentence(table->doc, table->name);
    expect_sentence(row->doc, row->name);
    if (table->rule != NULL)
        expect_sentence(table->rule, table->name);
}

Test(fields, every_row_and_rule_has_a_sentence)
{
    each_row(expect_described);
    for (size_t i = 0; i < check_rule_count; i++)
        expect_sentence(check_rules[i].sentence, "a rule");
}

static void expect_fitting(const struct setting_table *table, const struct setting *row)
{
    cr_expect_leq(row->offset + row->size_bytes, table->struct_bytes, "%s.%s", table->name, row->name);
    cr_expect_lt(row->beside_offset, table->struct_bytes, "%s.%s", table->name, row->name);
    bool has_table = row->type == SETTING_TABLE || row->type == SETTING_LIST || row->type == SETTING_MAP;
    cr_expect_eq(has_table, row->table != NULL, "%s.%s", table->name, row->name);
    cr_expect_eq(row->type == SETTING_CHOICE, row->choices != NULL, "%s.%s", table->name, row->name);
    cr_expect(row->type != SETTING_MAP || row->format != NULL, "%s.%s: names need a format", table->name, row->name);
}

Test(fields, every_row_stays_within_its_struct)
{
    each_row(expect_fitting);
}

static void expect_default_in_range(const struct setting_table *table, const struct setting *row)
{
    struct value value, min = { 0 }, max = { .number = INT64_MAX };
    if (row->default_text != NULL) {
        struct value_fault fault = value_read(row, slice_from_cstr(row->default_text), &value);
        cr_expect_null(fault.fault, "%s.%s: %s %s", table->name, row->name, row->default_text, fault.fault);
        cr_expect_not(row->flags & SETTING_REQUIRED, "%s.%s is required, so its default is never used", table->name,
                      row->name);
    }
    if (row->min_text != NULL)
        cr_expect(value_types[row->type].read(row, slice_from_cstr(row->min_text), &min), "%s.%s", table->name,
                  row->name);
    if (row->max_text != NULL)
        cr_expect(value_types[row->type].read(row, slice_from_cstr(row->max_text), &max), "%s.%s", table->name,
                  row->name);
    cr_expect_lt(min.number, max.number, "%s.%s", table->name, row->name);
}

Test(fields, every_default_is_a_value_within_the_range)
{
    each_row(expect_default_in_range);
}

Test(fields, no_key_stands_twice_in_a_table)
{
    const struct setting_table *tables[SETTING_TABLES_MAX];
    size_t count = setting_tables(tables);
    for (size_t i = 0; i < count; i++) {
        struct map seen;
        map_init(&seen);
        cr_expect_leq(tables[i]->row_count, 64, "%s", tables[i]->name);
        for (size_t j = 0; j < tables[i]->row_count; j++) {
            char *name = (char *)(uintptr_t)tables[i]->rows[j].name;
            cr_expect_null(map_put(&seen, slice_from_cstr(name), name), "%s.%s", tables[i]->name, name);
        }
        for (const char *const *later = tables[i]->later; later != NULL && *later != NULL; later++)
            cr_expect_null(setting_find(tables[i], slice_from_cstr(*later)), "%s.%s", tables[i]->name, *later);
        map_fini(&seen);
    }
}

/* ---- every leaf refuses what it is not ---------------------------------------------------------------------------- */

/* A file that grows by one line a level: the keys that lead to a row, each indented by two columns more. */
struct trail {
    struct text yaml;
    unsigned lines, columns;
    unsigned tried_count;
};

static bool is_scalar(const struct setting *row)
{
    return value_types[row->type].read != NULL;
}

/* The problem must be told of the value: on the last line, behind "KEY: ". */
static void expect_refused(struct trail *t, const char *key, const char *value, const char *words)
{
    size_t len = t->yaml.len;
    char start[64], wanted[128];
    text_printf(&t->yaml, "%s: %s\n", key, value);
    snprintf(start, sizeof start, "weir.yaml:%u:%zu: ", t->lines + 1, t->columns + strlen(key) + 3);
    snprintf(wanted, sizeof wanted, "%s'%s'%s", start, key, words);
    const char *problems = problems_of(t->yaml.bytes);
    cr_expect_not_null(strstr(problems, wanted), "no \"%s\" in\n%sfor\n%s", wanted, problems, t->yaml.bytes);
    t->yaml.len = len;
    t->yaml.bytes[len] = '\0';
    t->tried_count++;
}

static void try_row(struct trail *t, const struct setting *row, const char *key)
{
    bool takes_list = row->type == SETTING_LIST || row->type == SETTING_TEXTS || row->type == SETTING_NETWORKS;
    bool takes_text = row->type == SETTING_TABLE && row->table->form == TABLE_AS_MAP_OR_FIRST;
    if (!takes_text)
        expect_refused(t, key, is_scalar(row) || takes_list ? "{ a: b }" : "bad", " takes ");
    if (!takes_list)
        expect_refused(t, key, "[ [ a ] ]", " takes ");
    if (row->type != SETTING_CONDITION && row->type != SETTING_KEY)
        expect_refused(t, key, "~", " has no value");
    if (is_scalar(row) && row->type != SETTING_TEXT && row->type != SETTING_PATH)
        expect_refused(t, key, "'not it'", ": 'not it' is n");
}

static void add_level(struct trail *t, const char *line)
{
    text_printf(&t->yaml, "%s\n%*s", line, (int)t->columns + 2, "");
    t->lines++;
    t->columns += 2;
}

static void try_table(struct trail *t, const struct setting_table *table);

/* Goes down to the table of a row, and comes back. */
static void try_below(struct trail *t, const struct setting *row)
{
    struct trail before = *t;
    char line[64];
    snprintf(line, sizeof line, "%s:", row->name);
    add_level(t, line);
    if (row->type == SETTING_MAP && row->table->form == TABLE_AS_FIRST) {
        try_row(t, &row->table->rows[0], "name");
    } else {
        if (row->type == SETTING_MAP)
            add_level(t, "name:");
        if (row->type == SETTING_LIST) {
            text_add_cstr(&t->yaml, "- ");
            t->columns += 2;
        }
        try_table(t, row->table);
    }
    t->yaml.len = before.yaml.len;
    t->yaml.bytes[t->yaml.len] = '\0';
    t->lines = before.lines;
    t->columns = before.columns;
}

static void try_table(struct trail *t, const struct setting_table *table)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *row = &table->rows[i];
        if (row->flags & SETTING_INLINE)
            continue;
        if (!(row->flags & SETTING_SECRET))
            try_row(t, row, row->name);
        if (row->table != NULL)
            try_below(t, row);
    }
}

Test(fields, every_key_refuses_a_wrong_value_at_its_line_and_column)
{
    struct trail t = { .lines = 0 };
    text_init(&t.yaml);
    text_add_cstr(&t.yaml, "");
    try_table(&t, &config_table);
    cr_expect_gt(t.tried_count, 250, "%u values were tried", t.tried_count);
    text_fini(&t.yaml);
}

Test(fields, secrets_are_never_quoted)
{
    const char *problems = problems_of("admin: { tokens: [ { name: a, role: admin, sha256: hunter2 } ] }\n" BASE_YAML
                                       "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n");
    cr_assert_not_null(strstr(problems, "weir.yaml:1:52: 'sha256': the value is not a SHA-256 digest"), "%s", problems);
    cr_assert_null(strstr(problems, "hunter2"));
}

Test(fields, what_every_request_reads_of_a_route_stands_together)
{
    size_t first = offsetof(struct route_config, sticky.key.kind);
    size_t end = offsetof(struct route_config, rate_limit.count) + sizeof(uint32_t);
    cr_assert_leq(end - first, 200);
    cr_assert(offsetof(struct route_config, split) > first && offsetof(struct route_config, name) < end);
}
