/* tests/unit/config/test_describe.c - schema and reference say what the table says, and the committed copies are current. */
#include "config/describe.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include <jansson.h>

#include "base/reason.h"
#include "config/conditions.h"
#include "config/load.h"

/* To renew a copy: weir schema >docs/schema.json; weir reference >docs/reference.md */
static void expect_current(void (*describe)(struct text *out), const char *path)
{
    struct arena arena;
    struct slice committed;
    struct text now;
    arena_init(&arena, NULL, 0);
    text_init(&now);
    describe(&now);
    cr_assert(config_source_system.read_file(NULL, path, &arena, &committed), "%s", path);
    cr_expect(slice_equal(committed, text_slice(&now)), "%s is not what the table says now", path);
    text_fini(&now);
    arena_reset(&arena);
}

Test(describe, the_committed_documents_are_current)
{
    expect_current(describe_schema, TOP_SRCDIR "/docs/schema.json");
    expect_current(describe_reference, TOP_SRCDIR "/docs/reference.md");
}

static json_t *load_schema(void)
{
    struct text schema;
    json_error_t error;
    text_init(&schema);
    describe_schema(&schema);
    json_t *root = json_loadb(schema.bytes, schema.len, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(root, "%d:%d: %s", error.line, error.column, error.text);
    text_fini(&schema);
    return root;
}

static json_t *definition(json_t *schema, const struct setting_table *table)
{
    return table == &config_table ? schema : json_object_get(json_object_get(schema, "$defs"), table->name);
}

Test(describe, the_schema_has_every_key_of_every_table)
{
    const struct setting_table *tables[SETTING_TABLES_MAX];
    size_t count = setting_tables(tables);
    json_t *schema = load_schema();
    for (size_t i = 0; i < count; i++) {
        json_t *properties = json_object_get(definition(schema, tables[i]), "properties");
        for (size_t j = 0; j < tables[i]->row_count; j++) {
            const struct setting *row = &tables[i]->rows[j];
            if (row->flags & SETTING_INLINE)
                continue;
            json_t *property = json_object_get(properties, row->name);
            cr_expect_not_null(json_object_get(property, "description"), "%s.%s", tables[i]->name, row->name);
            cr_expect_eq(json_object_get(property, "default") != NULL, row->default_text != NULL, "%s.%s",
                         tables[i]->name, row->name);
        }
        cr_expect(json_is_false(json_object_get(definition(schema, tables[i]), "additionalProperties")), "%s",
                  tables[i]->name);
    }
    json_decref(schema);
}

Test(describe, conditions_are_spelled_out_also_within_segments)
{
    json_t *schema = load_schema();
    static const char *const definitions[] = { "condition", "segment" };
    for (size_t i = 0; i < 2; i++) {
        json_t *properties =
            json_object_get(json_object_get(json_object_get(schema, "$defs"), definitions[i]), "properties");
        for (size_t j = 0; j < subject_row_count; j++)
            cr_expect_not_null(json_object_get(properties, subject_rows[j].word), "%s", subject_rows[j].word);
        for (size_t j = 0; j < operator_row_count; j++)
            cr_expect_not_null(json_object_get(properties, operator_rows[j].word), "%s", operator_rows[j].word);
    }
    json_decref(schema);
}

/* Every "$ref" names a definition. */
static void check_references(json_t *at, json_t *definitions)
{
    const char *key;
    json_t *value;
    size_t index;
    json_array_foreach(at, index, value) check_references(value, definitions);
    json_object_foreach(at, key, value)
    {
        if (strcmp(key, "$ref") == 0)
            cr_expect_not_null(json_object_get(definitions, json_string_value(value) + strlen("#/$defs/")), "%s",
                               json_string_value(value));
        check_references(value, definitions);
    }
}

Test(describe, every_reference_leads_somewhere)
{
    json_t *schema = load_schema();
    check_references(schema, json_object_get(schema, "$defs"));
    json_decref(schema);
}

Test(describe, the_reference_has_every_key_and_reason)
{
    const struct setting_table *tables[SETTING_TABLES_MAX];
    size_t count = setting_tables(tables);
    struct text t;
    char wanted[128];
    text_init(&t);
    describe_reference(&t);
    for (size_t i = 0; i < count; i++) {
        snprintf(wanted, sizeof wanted, "\n## %s\n", tables[i]->name);
        cr_expect_not_null(strstr(t.bytes, wanted), "%s", wanted);
        for (size_t j = 0; j < tables[i]->row_count; j++)
            cr_expect_not_null(strstr(t.bytes, tables[i]->rows[j].doc), "%s", tables[i]->rows[j].doc);
    }
    for (size_t i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        snprintf(wanted, sizeof wanted, "| %u | `%s` |", reason_rows[i].status, reason_rows[i].code);
        cr_expect_not_null(strstr(t.bytes, wanted), "%s", wanted);
    }
    text_fini(&t);
}
