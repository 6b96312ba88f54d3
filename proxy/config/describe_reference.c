/* config/describe_reference.c - the table as Markdown, with units, conditions, rules and reasons. */
#include "config/describe.h"

#include "base/reason.h"
#include "config/check.h"
#include "config/conditions.h"
#include "config/value.h"

static const char introduction[] =
    "# Configuration reference\n\n"
    "Made by `weir reference` from the table that the parser itself uses. `weir schema` prints the same as JSON\n"
    "Schema, for editors; `weir check -c FILE` tells every problem of a file with its line and column.\n\n"
    "The file is YAML: one document of maps, lists and texts. Anchors, aliases, tags and merge keys are refused, and "
    "so\n"
    "are unknown keys, keys given twice, wrong types and names that name nothing.\n\n"
    "- **Files.** `include` names further files, by name or by pattern (`conf.d/*.yaml`, in alphabetical order). Their "
    "maps\n"
    "  add keys to the maps of the first file, their lists add items behind those of the first file. A file is "
    "included\n"
    "  once. Relative names start at the folder of the file they are written in.\n"
    "- **Environment.** `${NAME}` in a value is the variable's value; an unset one is an error. `$${` stands for "
    "`${`.\n";

static void add_units(struct text *out)
{
    static const struct {
        const char *noun;
        const char *text;
    } units[] = {
        { "duration", "`250ms`, `10s`, `5m`, `1h`, `30d`: a whole number and a unit" },
        { "size", "`512B`, `64KiB`, `1MiB`, `2GiB`, `1TiB`, or a bare number of bytes" },
        { "share", "`5%`, `0.1%`: always with a percent sign, at most four decimals" },
        { "weight", "a bare whole number, in `split` and for endpoints: only the ratio counts" },
        { "rate", "`100/s`, `5/m`, `1000/h`" },
        { "number", "`1.5`, `14.4`: digits, and at most six behind a point" },
        { "time", "a date such as `2027-03-01` (its 00:00 UTC), or RFC 3339: `2027-03-01T09:00:00+01:00`" },
        { "address", "`127.0.0.1:8080`, `[::1]:8080`, `svc.internal:80`, `unix:/run/x.sock`" },
        { "network", "`10.0.0.0/8`, `2001:db8::/32`, or one address" },
    };
    text_add_cstr(out, "\n## Values\n\n| value | written as |\n|---|---|\n");
    for (size_t i = 0; i < ARRAY_COUNT(units); i++)
        text_printf(out, "| %s | %s |\n", units[i].noun, units[i].text);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void add_choices(struct text *out, const struct setting_choice *choices)
{
    bool is_first = true;
    for (; choices->word != NULL; choices++) {
        if (choices->value == CHOICE_LATER)
            continue;
        text_printf(out, "%s`%s` (%s)", is_first ? "" : ", ", choices->word, choices->doc);
        is_first = false;
    }
}

/* What stands in a list or behind a name: a link to its table, or the value it may be short for. */
static void add_item_type(struct text *out, const struct setting_table *table)
{
    const char *noun = value_types[table->rows[0].type].noun;
    if (table->form == TABLE_AS_FIRST)
        text_add_cstr(out, noun);
    else if (table->form == TABLE_AS_MAP_OR_FIRST)
        text_printf(out, "%s or [%s](#%s)", noun, table->name, table->name);
    else
        text_printf(out, "[%s](#%s)", table->name, table->name);
}

static void add_type(struct text *out, const struct setting *row)
{
    switch (row->type) {
    case SETTING_TABLE:
        add_item_type(out, row->table);
        break;
    case SETTING_LIST:
        text_add_cstr(out, "list of ");
        add_item_type(out, row->table);
        break;
    case SETTING_MAP:
        text_printf(out, "map: %s to ", row->format->noun);
        add_item_type(out, row->table);
        break;
    case SETTING_CHOICE:
        add_choices(out, row->choices);
        break;
    case SETTING_CONDITION:
        text_add_cstr(out, "[condition](#conditions)");
        break;
    case SETTING_KEY:
        text_add_cstr(out, "[key](#keys)");
        break;
    case SETTING_TEXTS:
        text_printf(out, "%s, or a list of them", row->format ? row->format->noun : "a text");
        break;
    case SETTING_TEXT:
        text_add_cstr(out, row->format ? row->format->noun : value_types[row->type].noun);
        break;
    case SETTING_BOOL:
    case SETTING_COUNT:
    case SETTING_DURATION:
    case SETTING_SIZE:
    case SETTING_SHARE:
    case SETTING_DECIMAL:
    case SETTING_RATE:
    case SETTING_TIME:
    case SETTING_PATH:
    case SETTING_ADDRESS:
    case SETTING_NETWORKS:
    case SETTING_TYPE_COUNT:
        text_add_cstr(out, value_types[row->type].noun);
    }
}

static void add_default(struct text *out, const struct setting *row)
{
    if (row->flags & SETTING_REQUIRED)
        text_add_cstr(out, "required");
    else if (row->default_text != NULL)
        text_printf(out, "`%s`", row->default_text);
}

static void add_range(struct text *out, const struct setting *row)
{
    if (row->min_text != NULL && row->max_text != NULL)
        text_printf(out, "%s to %s", row->min_text, row->max_text);
    else if (row->min_text != NULL)
        text_printf(out, "%s or more", row->min_text);
    else if (row->max_text != NULL)
        text_printf(out, "at most %s", row->max_text);
}

static void add_row(struct text *out, const struct setting *row)
{
    if (row->flags & SETTING_INLINE)
        text_add_cstr(out, "| (inline) | ");
    else
        text_printf(out, "| `%s` | ", row->name);
    add_type(out, row);
    text_add_cstr(out, " | ");
    add_default(out, row);
    text_add_cstr(out, " | ");
    add_range(out, row);
    text_printf(out, " | %s | %s", row->change == CHANGE_RESTART ? "restart" : "reload", row->doc);
    if (row->unit != NULL)
        text_printf(out, " (%s)", row->unit);
    text_add_cstr(out, " |\n");
}

static void add_table(struct text *out, const struct setting_table *table)
{
    text_printf(out, "\n## %s\n\n%s\n", table->name, table->doc);
    if (table->rule != NULL)
        text_printf(out, "%s\n", table->rule);
    text_add_cstr(out, "\n| key | value | default | range | a change needs | meaning |\n"
                       "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < table->row_count; i++)
        add_row(out, &table->rows[i]);
}

/* ---- conditions and keys ----------------------------------------------------------------------------------------- */

static void add_conditions(struct text *out)
{
    text_add_cstr(out, "\n## Conditions\n\n"
                       "A condition is a map with one subject and one operator, or one combination.\n\n"
                       "    { header: x-beta, equals: \"1\" }\n"
                       "    { path: { prefix: /api } }           # or { path, prefix: /api }\n"
                       "    { method: [PUT, POST] }              # a bare value: equals, or in\n"
                       "    { sample: 5%, by: { cookie: uid } }\n"
                       "    { all: [ { segment: staff }, { not: { source: [10.0.0.0/8] } } ] }\n\n"
                       "| subject | value | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < subject_row_count; i++)
        text_printf(out, "| `%s` | %s | %s |\n", subject_rows[i].word, subject_rows[i].value, subject_rows[i].doc);
    text_add_cstr(out,
                  "\n`source`, `segment`, `sample` and `between` take no operator; the others take one of these:\n\n"
                  "| operator | value | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < operator_row_count; i++)
        text_printf(out, "| `%s` | %s | %s |\n", operator_rows[i].word, operator_rows[i].value, operator_rows[i].doc);
    text_add_cstr(out, "\n| combination | value | meaning |\n|---|---|---|\n"
                       "| `all` | [CONDITION, ...] | Every one of them holds. |\n"
                       "| `any` | [CONDITION, ...] | At least one of them holds. |\n"
                       "| `not` | CONDITION | It does not hold. |\n");
}

static void add_keys(struct text *out)
{
    text_add_cstr(out, "\n## Keys\n\nA key is what identifies a user: a map with one of these.\n\n"
                       "| key | meaning |\n|---|---|\n");
    for (size_t i = 0; i < key_row_count; i++)
        text_printf(out, "| `%s` | %s |\n", key_rows[i].word, key_rows[i].doc);
}

/* ---- rules and reasons ------------------------------------------------------------------------------------------- */

/* The sentences stand beside the code that enforces them. */
static void add_rules(struct text *out)
{
    text_add_cstr(out, "\n## Rules across settings\n\n");
    for (size_t i = 0; i < check_rule_count; i++)
        text_printf(out, "- %s\n", check_rules[i].sentence);
}

static void add_reasons(struct text *out)
{
    static const char *const blames[] = {
        [BLAME_NOBODY] = "nobody",   [BLAME_CLIENT] = "the client",     [BLAME_UPSTREAM] = "the upstream",
        [BLAME_PROXY] = "the proxy", [BLAME_OPERATOR] = "the operator",
    };
    text_add_cstr(
        out,
        "\n## Reasons\n\n"
        "What the proxy itself answers, and what it writes to the access log when it cannot answer any more (status\n"
        "0). The code is in the header `x-weir-error` of the answer. HTTP/2 says a malformed request by resetting its\n"
        "stream. A request whose `content-type` begins with `application/grpc` gets a gRPC status: HTTP 200 without a\n"
        "body, the sentence as `grpc-message`, and as `grpc-status` 13 for 400, 7 for 403, 12 for 404, 8 for 429, 14 "
        "for\n"
        "502 and 503, 4 for 504, else 2.\n\n"
        "| status | code | counts against | meaning |\n|---|---|---|---|\n");
    for (size_t i = REASON_NONE + 1; i < REASON_COUNT; i++)
        text_printf(out, "| %u | `%s` | %s | %s |\n", reason_rows[i].status, reason_rows[i].code,
                    blames[reason_rows[i].blame], reason_rows[i].sentence);
}

void describe_reference(struct text *out)
{
    const struct setting_table *tables[SETTING_TABLES_MAX];
    size_t count = setting_tables(tables);
    text_add_cstr(out, introduction);
    add_units(out);
    for (size_t i = 0; i < count; i++)
        add_table(out, tables[i]);
    add_conditions(out);
    add_keys(out);
    add_rules(out);
    add_reasons(out);
}
