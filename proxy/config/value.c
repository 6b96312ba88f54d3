/* config/value.c - reads, bounds and stores single values.
 *
 *   text of the file --value_type.read--> struct value --check_range, check_format--> value_store: the member at row->offset
 *   text of the row  (default, minimum, maximum) --------^ by the same reader
 *
 * A default that the reader would refuse cannot exist, since it goes the same way; the schema and the reference print those texts, not
 * numbers turned back.
 *
 * Reading never writes to the configuration and storing never looks at what is stored, so a value is either wholly
 * in its struct or not at all. Types whose values are more than one text (lists, conditions, tables) have no reader
 * here: config/fill.c knows them. */
#include "config/value.h"

#include "base/check.h"

/* ---- reading, type by type --------------------------------------------------------------------------------------- */

static bool read_bool(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    out->number = slice_equal(text, SLICE("true"));
    return out->number || slice_equal(text, SLICE("false"));
}

/* Half of the range is enough for bytes and counts, and leaves one signed type for all comparisons. */
static bool number_from_u64(uint64_t number, struct value *out)
{
    out->number = (int64_t)number;
    return number <= INT64_MAX;
}

static bool read_count(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    uint64_t count;
    return slice_to_u64(text, &count) && number_from_u64(count, out);
}

static bool read_duration(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    return units_parse_duration(text, &out->number);
}

static bool read_size(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    uint64_t bytes;
    return units_parse_size(text, &bytes) && number_from_u64(bytes, out);
}

static bool read_share(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    uint32_t ppm;
    bool is_share = units_parse_share(text, &ppm);
    out->number = is_share ? (int64_t)ppm : 0;
    return is_share;
}

bool value_read_decimal(struct slice text, int64_t *out_millionths)
{
    size_t point = slice_find(text, '.');
    struct slice whole = slice_first(text, point), rest = slice_after(text, point < text.len ? point + 1 : point);
    uint64_t ones, fraction = 0;
    if (!slice_to_u64(whole, &ones) || ones > 1000000000 || rest.len > 6)
        return false;
    if (point < text.len && !slice_to_u64(rest, &fraction))
        return false;
    for (size_t i = rest.len; i < 6; i++)
        fraction *= 10;
    *out_millionths = (int64_t)(ones * 1000000 + fraction);
    return true;
}

static bool read_decimal(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    return value_read_decimal(text, &out->number);
}

static bool read_rate(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    uint32_t count = 0;
    bool is_rate = units_parse_rate(text, &count, &out->period_ms);
    out->number = count;
    return is_rate;
}

/* A date is the moment it begins in UTC, wherever the operator and the server are. */
bool value_read_time(struct slice text, struct wall_time *out)
{
    char date[] = "0000-00-00T00:00:00Z";
    const size_t date_len = sizeof "0000-00-00" - 1;
    if (text.len != date_len)
        return wall_parse(text.ptr, text.len, out);
    memcpy(date, text.ptr, date_len);
    return wall_parse(date, sizeof date - 1, out);
}

static bool read_time(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    struct wall_time time = { 0 };
    bool is_time = value_read_time(text, &time);
    out->number = time.unix_ms;
    return is_time;
}

const struct setting_choice *choice_find(const struct setting_choice *choices, struct slice word)
{
    for (; choices->word != NULL; choices++)
        if (slice_equal(slice_from_cstr(choices->word), word))
            return choices;
    return NULL;
}

/* CHOICE_LATER: a word of the contract that this version does not know yet. Not accepted, but called by its name. */
static bool read_choice(const struct setting *row, struct slice text, struct value *out)
{
    const struct setting_choice *choice = choice_find(row->choices, text);
    out->number = choice ? choice->value : 0;
    return choice != NULL && choice->value != CHOICE_LATER;
}

static bool read_text(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    out->text = text;
    return true;
}

static bool read_path(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    out->text = text;
    return text.len > 0;
}

static bool read_address(const struct setting *row, struct slice text, struct value *out)
{
    (void)row;
    out->text = text;
    return endpoint_address_parse(text, &out->address);
}

/* noun, fault, hint, JSON Schema, reader. */
const struct value_type value_types[SETTING_TYPE_COUNT] = {
    [SETTING_BOOL] = { "true or false", "is neither true nor false", "write true or false, without quotes",
                       "\"type\": \"boolean\"", read_bool },
    [SETTING_COUNT] = { "a whole number", "is not a whole number", "write a bare number, without unit or percent sign",
                        NULL, read_count },
    [SETTING_DURATION] = { "a duration", "is not a duration",
                           "write a whole number and a unit: 250ms, 10s, 5m, 1h or 30d",
                           "\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h|d)$\"", read_duration },
    [SETTING_SIZE] = { "a size", "is not a size", "write a whole number and a unit: 512B, 64KiB, 1MiB or 2GiB",
                       "\"type\": [\"string\", \"integer\"], \"minimum\": 0, \"pattern\": "
                       "\"^[0-9]+(B|KiB|MiB|GiB|TiB)?$\"",
                       read_size },
    [SETTING_SHARE] = { "a share", "is not a share", "a share carries a percent sign: 5% or 0.1%",
                        "\"type\": \"string\", \"pattern\": \"^[0-9]{1,3}(\\\\.[0-9]{1,4})?%$\"", read_share },
    [SETTING_DECIMAL] = { "a number", "is not a number", "write digits, and up to six behind a point: 1.5",
                          "\"type\": \"number\", \"minimum\": 0", read_decimal },
    [SETTING_RATE] = { "a rate", "is not a rate", "write a count per second, minute or hour: 100/s, 5/m or 1000/h",
                       "\"type\": \"string\", \"pattern\": \"^[1-9][0-9]*/[smh]$\"", read_rate },
    [SETTING_TIME] = { "a time", "is not a time",
                       "write a date such as 2027-03-01, or a time such as 2027-03-01T09:00:00Z",
                       "\"type\": \"string\", \"pattern\": "
                       "\"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].+)?$\"",
                       read_time },
    [SETTING_CHOICE] = { "a word", "is not one of the choices", NULL, NULL, read_choice },
    [SETTING_TEXT] = { "a text", NULL, NULL, NULL, read_text },
    [SETTING_PATH] = { "a file name", "does not name a file", NULL, "\"type\": \"string\", \"minLength\": 1",
                       read_path },
    [SETTING_ADDRESS] = { "an address", "is not an address", "write HOST:PORT, [IPV6]:PORT or unix:PATH", NULL,
                          read_address },
    [SETTING_TEXTS] = { "a text or a list of texts", NULL, NULL, NULL, NULL },
    [SETTING_NETWORKS] = { "a network or a list of networks", NULL, NULL, NULL, NULL },
    [SETTING_CONDITION] = { "a condition", NULL, NULL, "\"$ref\": \"#/$defs/condition\"", NULL },
    [SETTING_KEY] = { "a key", NULL, NULL, "\"$ref\": \"#/$defs/key\"", NULL },
    [SETTING_TABLE] = { "a map", NULL, NULL, NULL, NULL },
    [SETTING_LIST] = { "a list", NULL, NULL, NULL, NULL },
    [SETTING_MAP] = { "a map", NULL, NULL, NULL, NULL },
};

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

/* A limit that its own type cannot read is a mistake in the table. */
static int64_t limit_number(const struct setting *row, const char *text)
{
    struct value limit = { 0 };
    CHECK(value_types[row->type].read(row, slice_from_cstr(text), &limit));
    return limit.number;
}

/* The row's maximum, or what its member can hold. */
static const char *max_of(const struct setting *row)
{
    if (row->max_text != NULL || row->type != SETTING_COUNT)
        return row->max_text;
    return row->size_bytes == sizeof(uint16_t) ? "65535" : "4294967295";
}

/* Limits are read by the type's own parser each time: they are few, and a load is not a request. */
static struct value_fault check_range(const struct setting *row, const struct value *value)
{
    const char *max_text = max_of(row);
    if (row->min_text != NULL && value->number < limit_number(row, row->min_text))
        return (struct value_fault){ "is less than ", row->min_text, NULL };
    if (max_text != NULL && value->number > limit_number(row, max_text))
        return (struct value_fault){ "is more than ", max_text, NULL };
    return (struct value_fault){ 0 };
}

static struct value_fault check_format(const struct text_format *format, struct slice text)
{
    const char *fault = format ? format->fault(text) : NULL;
    return (struct value_fault){ fault, NULL, fault ? format->hint : NULL };
}

struct value_fault value_read(const struct setting *row, struct slice text, struct value *out)
{
    const struct value_type *type = &value_types[row->type];
    *out = (struct value){ 0 };
    CHECK(type->read != NULL);
    if (!type->read(row, text, out))
        return (struct value_fault){ type->fault, NULL, type->hint };
    struct value_fault fault = check_range(row, out);
    return fault.fault ? fault : check_format(row->format, text);
}

/* ---- storing ----------------------------------------------------------------------------------------------------- */

/* A number in the member's own size, which its range has made sure of; memcpy, because the table knows offsets and
   sizes and no types. Enums are as large as uint32_t. */
static void store_number(void *member, size_t size_bytes, int64_t number)
{
    uint16_t half = (uint16_t)number;
    uint32_t word = (uint32_t)number;
    bool flag = number != 0;
    if (size_bytes == sizeof flag)
        memcpy(member, &flag, sizeof flag);
    else if (size_bytes == sizeof half)
        memcpy(member, &half, sizeof half);
    else if (size_bytes == sizeof word)
        memcpy(member, &word, sizeof word);
    else
        memcpy(member, &number, sizeof number);
}

void value_store(const struct setting *row, const struct value *value, void *target)
{
    const double millionth = 1e-6;
    double decimal;
    char *member = (char *)target + row->offset;
    char *beside = (char *)target + row->beside_offset;
    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_PATH:
        memcpy(member, &value->text, sizeof value->text);
        break;
    case SETTING_ADDRESS:
        memcpy(member, &value->address, sizeof value->address);
        memcpy(beside, &value->text, sizeof value->text);
        break;
    case SETTING_DECIMAL:
        decimal = (double)value->number * millionth;
        memcpy(member, &decimal, sizeof decimal);
        break;
    case SETTING_RATE:
        memcpy(beside, &value->period_ms, sizeof value->period_ms);
        store_number(member, row->size_bytes, value->number);
        break;
    case SETTING_BOOL:
    case SETTING_COUNT:
    case SETTING_DURATION:
    case SETTING_SIZE:
    case SETTING_SHARE:
    case SETTING_TIME:
    case SETTING_CHOICE:
        store_number(member, row->size_bytes, value->number);
        break;
    case SETTING_TEXTS:
    case SETTING_NETWORKS:
    case SETTING_CONDITION:
    case SETTING_KEY:
    case SETTING_TABLE:
    case SETTING_LIST:
    case SETTING_MAP:
    case SETTING_TYPE_COUNT:
        CHECK(row->type == SETTING_TEXT); /* not stored as one value */
    }
}
