/* config/describe_schema.c - the table as JSON Schema, draft 2020-12, for editors.
 *
 * The schema accepts every configuration that loads, and refuses wrong keys, types and ranges; rules across fields and
 * the fine print of addresses and paths are left to `weir check`. */
#include "config/describe.h"

#include "config/conditions.h"
#include "config/value.h"

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* A comma, unless this is the first item of its container or the value of a key. */
static void item_begin(struct text *out)
{
    char last = out->len ? out->bytes[out->len - 1] : '{';
    if (last != '{' && last != '[' && last != ':')
        text_add_char(out, ',');
}

static void add_string(struct text *out, const char *s)
{
    item_begin(out);
    text_add_char(out, '"');
    text_add_json(out, slice_from_cstr(s));
    text_add_char(out, '"');
}

static void add_key(struct text *out, const char *key)
{
    add_string(out, key);
    text_add_char(out, ':');
}

static void add_pair(struct text *out, const char *key, const char *value)
{
    add_key(out, key);
    add_string(out, value);
}

/* Text that is JSON already. */
static void add_raw(struct text *out, const char *json)
{
    item_begin(out);
    text_add_cstr(out, json);
}

static void open_object(struct text *out)
{
    item_begin(out);
    text_add_char(out, '{');
}

static void open_array(struct text *out)
{
    item_begin(out);
    text_add_char(out, '[');
}

static bool is_number(const char *text)
{
    uint64_t number;
    return slice_to_u64(slice_from_cstr(text), &number);
}

/* As YAML reads the bare word: 308 is a number, true a boolean, json a string. */
static void add_word(struct text *out, const char *word)
{
    if (is_number(word) || strcmp(word, "true") == 0 || strcmp(word, "false") == 0)
        add_raw(out, word);
    else
        add_string(out, word);
}

/* ---- single values ----------------------------------------------------------------------------------------------- */

static void add_choices(struct text *out, const struct setting_choice *choices)
{
    add_key(out, "enum");
    open_array(out);
    for (; choices->word != NULL; choices++)
        if (choices->value != CHOICE_LATER)
            add_word(out, choices->word);
    text_add_char(out, ']');
}

/* YAML turns bare words into numbers and booleans, which the program reads as the texts they were: editors must take
   all three. */
static void add_text_type(struct text *out, const struct text_format *format)
{
    add_raw(out, "\"type\":[\"string\",\"number\",\"boolean\"]");
    if (format != NULL && format->pattern != NULL)
        add_pair(out, "pattern", format->pattern);
}

static void add_count_type(struct text *out, const struct setting *row)
{
    add_raw(out, "\"type\":\"integer\"");
    add_key(out, "minimum");
    add_raw(out, row->min_text ? row->min_text : "0");
    if (row->max_text != NULL) {
        add_key(out, "maximum");
        add_raw(out, row->max_text);
    }
}

/* The keywords of a value that is one text. */
static void add_scalar_type(struct text *out, const struct setting *row)
{
    if (value_types[row->type].schema != NULL)
        add_raw(out, value_types[row->type].schema);
    else if (row->type == SETTING_CHOICE)
        add_choices(out, row->choices);
    else if (row->type == SETTING_COUNT)
        add_count_type(out, row);
    else
        add_text_type(out, row->format);
}

/* Free texts may hold ${NAME} anyway; whatever has a form may come from the environment instead. */
static void add_scalar(struct text *out, const struct setting *row)
{
    if (row->type == SETTING_TEXT && row->format == NULL) {
        add_scalar_type(out, row);
        return;
    }
    add_key(out, "anyOf");
    open_array(out);
    open_object(out);
    add_scalar_type(out, row);
    text_add_cstr(out, "},{\"$ref\":\"#/$defs/from_environment\"}]");
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void add_description(struct text *out, const struct setting *row)
{
    add_key(out, "description");
    item_begin(out);
    text_add_char(out, '"');
    text_add_json(out, slice_from_cstr(row->doc));
    if (row->unit != NULL)
        text_printf(out, " (%s)", row->unit);
    if (row->min_text != NULL && row->max_text != NULL)
        text_printf(out, " From %s to %s.", row->min_text, row->max_text);
    if (row->change == CHANGE_RESTART)
        text_add_cstr(out, " A change needs a restart.");
    text_add_char(out, '"');
}

static void add_reference(struct text *out, const struct setting_table *table)
{
    add_key(out, "$ref");
    item_begin(out);
    text_printf(out, "\"#/$defs/%s\"", table->name);
}

/* As a map, or short. */
static void add_table_type(struct text *out, const struct setting_table *table)
{
    if (table->form == TABLE_AS_MAP_OR_FIRST) {
        add_key(out, "anyOf");
        text_add_cstr(out, "[{");
        add_scalar(out, &table->rows[0]);
        text_add_cstr(out, "},{");
        add_reference(out, table);
        text_add_cstr(out, "}]");
    } else if (table->form == TABLE_AS_FIRST) {
        add_scalar(out, &table->rows[0]);
    } else {
        add_reference(out, table);
    }
}

static void add_item(struct text *out, const struct setting_table *table)
{
    open_object(out);
    add_table_type(out, table);
    text_add_char(out, '}');
}

/* Names are not enumerated: editors check their form, the program what they name. */
static void add_map(struct text *out, const struct setting *row)
{
    add_raw(out, "\"type\":\"object\"");
    if (row->format != NULL && row->format->pattern != NULL) {
        add_key(out, "propertyNames");
        open_object(out);
        add_pair(out, "pattern", row->format->pattern);
        text_add_char(out, '}');
    }
    add_key(out, "additionalProperties");
    add_item(out, row->table);
}

static void add_several(struct text *out, const struct setting *row)
{
    add_key(out, "anyOf");
    text_add_cstr(out, "[{");
    add_text_type(out, row->format);
    text_add_cstr(out, "},{\"type\":\"array\",\"items\":{");
    add_text_type(out, row->format);
    text_add_cstr(out, "}}]");
}

/* Description and default in front, then one of the ways a value can be constrained. */
static void add_row(struct text *out, const struct setting *row)
{
    open_object(out);
    add_description(out, row);
    if (row->default_text != NULL) {
        add_key(out, "default");
        add_word(out, row->default_text);
    }
    if (row->type == SETTING_TABLE)
        add_table_type(out, row->table);
    else if (row->type == SETTING_MAP)
        add_map(out, row);
    else if (row->type == SETTING_LIST) {
        add_raw(out, "\"type\":\"array\"");
        add_key(out, "items");
        add_item(out, row->table);
    } else if (row->type == SETTING_TEXTS || row->type == SETTING_NETWORKS)
        add_several(out, row);
    else if (row->type == SETTING_CONDITION || row->type == SETTING_KEY)
        add_raw(out, value_types[row->type].schema);
    else
        add_scalar(out, row);
    text_add_char(out, '}');
}

/* ---- conditions and keys ----------------------------------------------------------------------------------------- */

static void add_word_property(struct text *out, const char *word, const char *doc, const char *schema)
{
    add_key(out, word);
    open_object(out);
    add_pair(out, "description", doc);
    add_raw(out, schema);
    text_add_char(out, '}');
}

static void add_condition_properties(struct text *out)
{
    for (size_t i = 0; i < subject_row_count; i++)
        add_word_property(out, subject_rows[i].word, subject_rows[i].doc, subject_rows[i].schema);
    for (size_t i = 0; i < operator_row_count; i++)
        add_word_property(out, operator_rows[i].word, operator_rows[i].doc, operator_rows[i].schema);
    add_word_property(out, "by", "What `sample` takes a share of.", "\"$ref\":\"#/$defs/key\"");
    add_word_property(out, "all", "Every one of these holds.",
                      "\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/condition\"}");
    add_word_property(out, "any", "At least one of these holds.",
                      "\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/condition\"}");
    add_word_property(out, "not", "This does not hold.", "\"$ref\":\"#/$defs/condition\"");
}

static void add_alternative(struct text *out, const char *word, const char *more)
{
    open_object(out);
    add_key(out, "required");
    open_array(out);
    add_string(out, word);
    text_printf(out, "]%s}", more);
}

/* Exactly one subject or combination; a named subject has an operator, and a sample its key. */
static void add_condition_shape(struct text *out)
{
    add_key(out, "oneOf");
    open_array(out);
    for (size_t i = 0; i < subject_row_count; i++) {
        const struct subject_row *row = &subject_rows[i];
        if (row->subject == SUBJECT_SAMPLE)
            add_raw(out, "{\"required\":[\"sample\",\"by\"]}");
        else
            add_alternative(out, row->word, row->form == SUBJECT_WITH_NAME ? ",\"$ref\":\"#/$defs/has_operator\"" : "");
    }
    add_alternative(out, "all", "");
    add_alternative(out, "any", "");
    add_alternative(out, "not", "");
    text_add_char(out, ']');
}

static void add_key_properties(struct text *out)
{
    for (size_t i = 0; i < key_row_count; i++)
        add_word_property(out, key_rows[i].word, key_rows[i].doc,
                          key_rows[i].kind == KEY_SOURCE_IP ? "\"const\":\"ip\"" : "\"type\":\"string\"");
}

static void add_key_shape(struct text *out)
{
    add_key(out, "oneOf");
    open_array(out);
    for (size_t i = 0; i < key_row_count; i++)
        add_alternative(out, key_rows[i].word, "");
    text_add_char(out, ']');
}

static void add_condition_definitions(struct text *out)
{
    add_key(out, "condition");
    open_object(out);
    add_pair(out, "description", "One subject and one operator, or a combination of conditions.");
    add_raw(out, "\"type\":\"object\",\"additionalProperties\":false");
    add_key(out, "properties");
    open_object(out);
    add_condition_properties(out);
    text_add_char(out, '}');
    add_condition_shape(out);
    text_add_char(out, '}');
    add_key(out, "has_operator");
    open_object(out);
    add_key(out, "anyOf");
    open_array(out);
    for (size_t i = 0; i < operator_row_count; i++)
        add_alternative(out, operator_rows[i].word, "");
    text_add_cstr(out, "]}");
    add_key(out, "key");
    open_object(out);
    add_pair(out, "description", "What identifies a user.");
    add_raw(out, "\"type\":\"object\",\"additionalProperties\":false");
    add_key(out, "properties");
    open_object(out);
    add_key_properties(out);
    text_add_char(out, '}');
    add_key_shape(out);
    text_add_char(out, '}');
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Inline rows are left to the shapes of conditions and keys. */
static void add_required(struct text *out, const struct setting_table *table)
{
    bool is_any = false;
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *row = &table->rows[i];
        if (!(row->flags & SETTING_REQUIRED) || (row->flags & SETTING_INLINE))
            continue;
        if (!is_any) {
            add_key(out, "required");
            open_array(out);
        }
        add_string(out, row->name);
        is_any = true;
    }
    if (is_any)
        text_add_char(out, ']');
}

/* A table with an inline condition or key has all of its words as keys of its own, so that editors can complete
   them. */
static void add_table(struct text *out, const struct setting_table *table)
{
    enum setting_type inline_type = SETTING_TYPE_COUNT;
    add_pair(out, "description", table->doc);
    add_raw(out, "\"type\":\"object\",\"additionalProperties\":false");
    add_required(out, table);
    add_key(out, "properties");
    open_object(out);
    for (size_t i = 0; i < table->row_count; i++) {
        if (table->rows[i].flags & SETTING_INLINE) {
            inline_type = table->rows[i].type;
            continue;
        }
        add_key(out, table->rows[i].name);
        add_row(out, &table->rows[i]);
    }
    if (inline_type == SETTING_CONDITION)
        add_condition_properties(out);
    if (inline_type == SETTING_KEY)
        add_key_properties(out);
    text_add_char(out, '}');
    if (inline_type == SETTING_CONDITION)
        add_condition_shape(out);
    if (inline_type == SETTING_KEY)
        add_key_shape(out);
}

/* ---- layout ------------------------------------------------------------------------------------------------------ */

static void add_line(struct text *out, unsigned depth)
{
    text_add_char(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        text_add_cstr(out, "  ");
}

/* JSON without white space, one member a line. */
static void add_indented(struct text *out, struct slice json)
{
    unsigned depth = 0;
    bool is_in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (is_in_string || c == '"') {
            text_add_char(out, c);
            if (c == '\\')
                text_add_char(out, json.ptr[++i]);
            else if (c == '"')
                is_in_string = !is_in_string;
            continue;
        }
        if (c == '}' || c == ']')
            add_line(out, --depth);
        if (c != ' ')
            text_add_char(out, c);
        if (c == '{' || c == '[')
            add_line(out, ++depth);
        else if (c == ',')
            add_line(out, depth);
        else if (c == ':')
            text_add_char(out, ' ');
    }
    text_add_char(out, '\n');
}

void describe_schema(struct text *out)
{
    const struct setting_table *tables[SETTING_TABLES_MAX];
    size_t count = setting_tables(tables);
    struct text json;
    text_init(&json);
    text_add_char(&json, '{');
    add_pair(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    add_pair(&json, "title", "weir configuration");
    add_table(&json, tables[0]);
    add_key(&json, "$defs");
    open_object(&json);
    for (size_t i = 1; i < count; i++) {
        add_key(&json, tables[i]->name);
        open_object(&json);
        add_table(&json, tables[i]);
        text_add_char(&json, '}');
    }
    add_condition_definitions(&json);
    add_key(&json, "from_environment");
    add_raw(&json, "{\"description\":\"A value taken from the environment.\",\"type\":\"string\","
                   "\"pattern\":\"[$][{][A-Za-z_][A-Za-z0-9_]*[}]\"}");
    text_add_cstr(&json, "}}");
    add_indented(out, text_slice(&json));
    text_fini(&json);
}
