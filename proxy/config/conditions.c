/* config/conditions.c - reads conditions and keys.
 *
 * A condition is a map with one subject and one operator, or one combination. `path`, `host` and `method` have no name
 * behind them, so their value may be left out ({ path, prefix: /x }), be the operator ({ path: { prefix: /x } }), or
 * be what they equal ({ method: POST }; a list: one of these). */
#include "config/conditions.h"

#include "config/formats.h"
#include "config/value.h"

#include <math.h>
#include <stdlib.h>

#define SCHEMA_TEXT "\"type\": [\"string\", \"number\", \"boolean\"]"
#define SCHEMA_TEXTS                                                                                                   \
    "\"type\": [\"string\", \"number\", \"boolean\", \"array\"], \"minItems\": 1, \"items\": {" SCHEMA_TEXT "}"
#define SCHEMA_ALONE "\"type\": [\"null\", \"string\", \"boolean\", \"array\", \"object\"]"
#define SCHEMA_PAIR  "\"type\": \"array\", \"minItems\": 2, \"maxItems\": 2"
#define SCHEMA_SHARE "\"type\": \"string\", \"pattern\": \"^[0-9]{1,3}(\\\\.[0-9]{1,4})?%$\""

const struct subject_row subject_rows[] = {
    { "header", SUBJECT_HEADER, SUBJECT_WITH_NAME, "NAME", SCHEMA_TEXT,
      "A request header; of several of one name, any may match." },
    { "cookie", SUBJECT_COOKIE, SUBJECT_WITH_NAME, "NAME", SCHEMA_TEXT, "A cookie." },
    { "query", SUBJECT_QUERY, SUBJECT_WITH_NAME, "NAME", SCHEMA_TEXT, "An argument of the query string." },
    { "path", SUBJECT_PATH, SUBJECT_ALONE, "", SCHEMA_ALONE, "The path in normal form." },
    { "host", SUBJECT_HOST, SUBJECT_ALONE, "", SCHEMA_ALONE, "The host in lower case, without port." },
    { "method", SUBJECT_METHOD, SUBJECT_ALONE, "", SCHEMA_ALONE, "The method." },
    { "tls_client", SUBJECT_TLS_CLIENT, SUBJECT_WITH_NAME, "cn or san", "\"enum\": [\"cn\", \"san\"]",
      "The common name of the client's verified certificate, or its alternative names, of which any may match." },
    { "source", SUBJECT_SOURCE, SUBJECT_WHOLE, "[CIDR, ...]", SCHEMA_TEXTS,
      "The client's address is in one of the networks." },
    { "segment", SUBJECT_SEGMENT, SUBJECT_WHOLE, "NAME", SCHEMA_TEXT, "The request belongs to the segment." },
    { "sample", SUBJECT_SAMPLE, SUBJECT_WHOLE, "SHARE", SCHEMA_SHARE,
      "A fixed share of the values of the key `by`: the same values each time." },
    { "between", SUBJECT_BETWEEN, SUBJECT_WHOLE, "[T0, T1]", SCHEMA_PAIR, "The time is T0 or later, and before T1." },
};
const size_t subject_row_count = ARRAY_COUNT(subject_rows);

const struct operator_row operator_rows[] = {
    { "equals", OPERATOR_EQUALS, "TEXT", SCHEMA_TEXT, "It is this text." },
    { "in", OPERATOR_IN, "[TEXT, ...]", SCHEMA_TEXTS, "It is one of these texts." },
    { "prefix", OPERATOR_PREFIX, "TEXT", SCHEMA_TEXT, "It begins with this text; on `path` at a segment border." },
    { "suffix", OPERATOR_SUFFIX, "TEXT", SCHEMA_TEXT, "It ends with this text." },
    { "contains", OPERATOR_CONTAINS, "TEXT", SCHEMA_TEXT, "It holds this text." },
    { "regex", OPERATOR_REGEX, "PATTERN", SCHEMA_TEXT,
      "A PCRE2 pattern is found in it; `^` and `$` tie it to the ends." },
    { "present", OPERATOR_PRESENT, "true or false", "\"type\": \"boolean\"", "It is there, or is not." },
    { "range", OPERATOR_RANGE, "[LO, HI]", SCHEMA_PAIR ", \"items\": {\"type\": \"number\"}",
      "It is a number, LO or more and less than HI." },
};
const size_t operator_row_count = ARRAY_COUNT(operator_rows);

const struct key_row key_rows[] = {
    { "cookie", KEY_COOKIE, "The value of a cookie." },
    { "header", KEY_HEADER, "The value of a header." },
    { "query", KEY_QUERY, "The value of an argument of the query string." },
    { "source", KEY_SOURCE_IP, "The client's address: `source: ip`." },
};
const size_t key_row_count = ARRAY_COUNT(key_rows);

static const struct {
    const char *word;
    enum condition_kind kind;
} combinations[] = {
    { "all", CONDITION_ALL },
    { "any", CONDITION_ANY },
    { "not", CONDITION_NOT },
};

/* What a map's keys are, found before any value is read. */
struct parts {
    const struct node *combination, *subject, *op, *by;
    enum condition_kind kind;
    const struct subject_row *subject_row;
    const struct operator_row *operator_row;
};

/* ---- keys that identify a user ----------------------------------------------------------------------------------- */

static const struct key_row *key_row_find(struct slice word)
{
    for (size_t i = 0; i < key_row_count; i++)
        if (slice_equal(slice_from_cstr(key_rows[i].word), word))
            return &key_rows[i];
    return NULL;
}

/* Names in queries are compared as they were sent (http/message.h), so anything may stand in them. */
static const struct text_format *name_format(const char *word)
{
    if (strcmp(word, "header") == 0)
        return &format_header_name;
    if (strcmp(word, "tls_client") == 0)
        return &format_certificate_name;
    return strcmp(word, "cookie") == 0 ? &format_token : &format_argument;
}

static void key_read_value(struct fill *f, const struct key_row *row, const struct node *value, struct key_config *out)
{
    if (row->kind != KEY_SOURCE_IP) {
        if (fill_formatted(f, value, row->word, name_format(row->word), &out->name))
            out->kind = row->kind;
    } else if (fill_expect(f, value, NODE_TEXT, row->word, "the word ip")) {
        if (slice_equal(value->text, SLICE("ip"))) {
            out->kind = row->kind;
            return;
        }
        struct err *e =
            err_add(f->errors, value->place, "'source': %s is not a part of the source", fill_quote(f, value->text));
        err_hint(f->errors, e, "write source: ip");
    }
}

/* A map with exactly one of four keys; in `sticky` its neighbours are the table's own. */
void key_read(struct fill *f, const struct node *node, const char *key, const struct setting_table *beside,
              struct key_config *out)
{
    static const char known[] = "a key is one of { cookie: NAME }, { header: NAME }, "
                                "{ query: NAME } and { source: ip }";
    *out = (struct key_config){ .kind = KEY_NONE, .place = node->place };
    if (!fill_expect(f, node, NODE_MAP, key, "a key such as { cookie: NAME }"))
        return;
    const struct node *first = NULL;
    size_t errors_before = f->errors->error_count;
    for (const struct node *at = node->first; at != NULL; at = at->next) {
        if (beside != NULL && setting_find(beside, at->text) != NULL)
            continue;
        const struct key_row *row = key_row_find(at->text);
        const char *fault = row == NULL ? "unknown key" : first != NULL ? "a second key:" : NULL;
        if (fault != NULL) {
            struct err *e = err_add(f->errors, at->place, "%s %s", fault, fill_quote(f, at->text));
            err_hint(f->errors, e, "%s", known);
            continue;
        }
        first = at;
        key_read_value(f, row, at->value, out);
    }
    if (first == NULL && f->errors->error_count == errors_before) {
        struct err *e = err_add(f->errors, node->place, "nothing here identifies a user");
        err_hint(f->errors, e, "%s", known);
    }
}

/* ---- finding out what the map's keys are ------------------------------------------------------------------------- */

static const char *const condition_words[] = {
    "header",   "cookie", "query",   "path",  "host",   "method", "tls_client", "source",
    "segment",  "sample", "between", "by",    "equals", "in",     "prefix",     "suffix",
    "contains", "regex",  "present", "range", "all",    "any",    "not",
};

static void refuse_word(struct fill *f, const struct node *key)
{
    struct err *e = err_add(f->errors, key->place, "unknown key %s", fill_quote(f, key->text));
    if (!fill_hint_nearest(f, e, key->text, condition_words, ARRAY_COUNT(condition_words)))
        err_hint(f->errors, e, "a condition is a subject and an operator, or all, any or not");
}

/* Takes the place of a part, of which there is one. */
static bool claim(struct fill *f, const struct node **part, const struct node *key, const char *noun, const char *hint)
{
    if (*part == NULL) {
        *part = key;
        return true;
    }
    struct err *e =
        err_add(f->errors, key->place, "a second %s: '%s' beside '%s'", noun, key->text.ptr, (*part)->text.ptr);
    err_hint(f->errors, e, "%s", hint);
    return false;
}

static bool sort_subject(struct fill *f, struct parts *parts, const struct node *key)
{
    for (size_t i = 0; i < subject_row_count; i++) {
        if (!slice_equal(slice_from_cstr(subject_rows[i].word), key->text))
            continue;
        if (claim(f, &parts->subject, key, "subject", "combine conditions with all: [ ... ]"))
            parts->subject_row = &subject_rows[i];
        return true;
    }
    return false;
}

static bool sort_operator(struct fill *f, struct parts *parts, const struct node *key)
{
    for (size_t i = 0; i < operator_row_count; i++) {
        if (!slice_equal(slice_from_cstr(operator_rows[i].word), key->text))
            continue;
        if (claim(f, &parts->op, key, "operator", "combine conditions with all: [ ... ]"))
            parts->operator_row = &operator_rows[i];
        return true;
    }
    return false;
}

static bool sort_combination(struct fill *f, struct parts *parts, const struct node *key)
{
    for (size_t i = 0; i < ARRAY_COUNT(combinations); i++) {
        if (!slice_equal(slice_from_cstr(combinations[i].word), key->text))
            continue;
        if (claim(f, &parts->combination, key, "combination", "put one inside the other"))
            parts->kind = combinations[i].kind;
        return true;
    }
    return false;
}

/* Unknown words are told here, while the rest of the condition is still read. */
static void sort_keys(struct fill *f, const struct node *map, const struct setting_table *beside, struct parts *parts)
{
    for (const struct node *key = map->first; key != NULL; key = key->next) {
        if (slice_equal(key->text, SLICE("by")))
            parts->by = key;
        else if ((beside == NULL || setting_find(beside, key->text) == NULL) && !sort_subject(f, parts, key) &&
                 !sort_operator(f, parts, key) && !sort_combination(f, parts, key))
            refuse_word(f, key);
    }
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

/* A finite decimal number, whole text. */
static bool read_number(struct slice text, double *out)
{
    char *end;
    size_t good = strspn(text.ptr, "+-.0123456789eE");
    if (text.len == 0 || good != text.len)
        return false;
    *out = strtod(text.ptr, &end);
    return end == text.ptr + text.len && isfinite(*out);
}

static void read_range(struct fill *f, const struct node *value, struct condition_config *out)
{
    if (!fill_expect(f, value, NODE_LIST, "range", "a list of two numbers"))
        return;
    double bounds[2] = { 0, 0 };
    size_t count = 0;
    for (const struct node *at = value->first; at != NULL; at = at->next, count++)
        if (at->kind != NODE_TEXT || count >= 2 || !read_number(at->text, &bounds[count]))
            break;
    out->low = bounds[0];
    out->high = bounds[1];
    if (count != 2 || value->child_count != 2) {
        struct err *e = err_add(f->errors, value->place, "'range' is not a list of two numbers");
        err_hint(f->errors, e, "write range: [LO, HI]; it matches LO <= number < HI");
    } else if (!(out->low < out->high)) {
        struct err *e = err_add(f->errors, value->place, "'range' holds no number");
        err_hint(f->errors, e, "the first must be less than the second");
    }
}

static void read_present(struct fill *f, const struct node *value, struct condition_config *out)
{
    if (!fill_expect(f, value, NODE_TEXT, "present", "true or false"))
        return;
    out->is_present = slice_equal(value->text, SLICE("true"));
    if (!out->is_present && !slice_equal(value->text, SLICE("false"))) {
        struct err *e =
            err_add(f->errors, value->place, "'present': %s is neither true nor false", fill_quote(f, value->text));
        err_hint(f->errors, e, "write true or false, without quotes");
    }
}

/* What a value must look like to ever match: a host in capitals or a path with dots in it would never. */
static const struct text_format *value_format(const struct condition_config *c)
{
    bool is_whole = c->op == OPERATOR_EQUALS || c->op == OPERATOR_IN;
    if (c->op == OPERATOR_REGEX)
        return &format_pattern;
    if (c->subject == SUBJECT_PATH && (is_whole || c->op == OPERATOR_PREFIX))
        return &format_path;
    if (c->subject == SUBJECT_METHOD && is_whole)
        return &format_method;
    return NULL;
}

static void read_texts(struct fill *f, const struct node *value, const char *word, struct condition_config *out)
{
    const struct text_format *format = value_format(out);
    struct slice text;
    if (out->op == OPERATOR_IN) {
        out->values = fill_texts(f, value, word, format);
        if (value->kind == NODE_LIST && value->child_count == 0)
            err_add(f->errors, value->place, "'%s' is an empty list, which nothing is in", word);
    } else if (fill_formatted(f, value, word, format, &text)) {
        out->values.items = arena_alloc(f->arena, sizeof *out->values.items);
        out->values.items[0] = text;
        out->values.count = 1;
    }
    for (size_t i = 0; out->subject == SUBJECT_HOST && out->op != OPERATOR_REGEX && i < out->values.count; i++)
        out->values.items[i] = fill_lower(f, out->values.items[i]);
}

/* The subject is known by now: what a value must look like depends on it. */
static void read_operator(struct fill *f, const struct operator_row *row, const struct node *value,
                          struct condition_config *out)
{
    bool is_always_there =
        out->subject == SUBJECT_PATH || out->subject == SUBJECT_HOST || out->subject == SUBJECT_METHOD;
    out->op = row->op;
    out->value_place = value->place;
    if (row->op == OPERATOR_RANGE)
        read_range(f, value, out);
    else if (row->op != OPERATOR_PRESENT)
        read_texts(f, value, row->word, out);
    else if (is_always_there)
        err_add(f->errors, value->place, "'present' says nothing about what every request has");
    else
        read_present(f, value, out);
}

/* ---- subjects ---------------------------------------------------------------------------------------------------- */

static void refuse_operator(struct fill *f, const struct parts *parts)
{
    if (parts->op != NULL)
        err_add(f->errors, parts->op->place, "'%s' takes no operator, but has '%s'", parts->subject_row->word,
                parts->operator_row->word);
}

static void need_operator(struct fill *f, const struct parts *parts)
{
    struct err *e = err_add(f->errors, parts->subject->place, "'%s' has no operator", parts->subject_row->word);
    err_hint(f->errors, e, "add one of equals, in, prefix, suffix, contains, regex, present and range");
}

/* { path: { prefix: /x } } */
static void read_operator_map(struct fill *f, const struct node *map, struct parts *parts, struct condition_config *out)
{
    for (const struct node *key = map->first; key != NULL; key = key->next)
        if (!sort_operator(f, parts, key))
            refuse_word(f, key);
    if (parts->operator_row != NULL)
        read_operator(f, parts->operator_row, parts->op->value, out);
    else
        need_operator(f, parts);
}

/* { method: POST }, { method: [GET, HEAD] } */
static void read_equals(struct fill *f, const struct node *value, const char *word, struct condition_config *out)
{
    out->op = value->kind == NODE_LIST ? OPERATOR_IN : OPERATOR_EQUALS;
    out->value_place = value->place;
    read_texts(f, value, word, out);
}

/* The three spellings of path, host and method, told apart by what stands as the subject's value. */
static void read_subject_alone(struct fill *f, struct parts *parts, struct condition_config *out)
{
    const struct node *value = parts->subject->value;
    bool is_bare = node_is_null(value) || (value->kind == NODE_TEXT && value->text.len == 0) ||
                   (slice_equal(value->text, SLICE("true")) && !value->is_quoted);
    if (parts->op == NULL && value->kind == NODE_MAP)
        read_operator_map(f, value, parts, out);
    else if (parts->op == NULL && !is_bare)
        read_equals(f, value, parts->subject_row->word, out);
    else if (parts->op == NULL)
        need_operator(f, parts);
    else if (is_bare)
        read_operator(f, parts->operator_row, parts->op->value, out);
    else {
        struct err *e =
            err_add(f->errors, value->place, "'%s' has both a value and an operator", parts->subject_row->word);
        err_hint(f->errors, e, "write { %s: { %s: ... } }", parts->subject_row->word, parts->operator_row->word);
    }
}

static void read_subject_named(struct fill *f, struct parts *parts, struct condition_config *out)
{
    const char *word = parts->subject_row->word;
    fill_formatted(f, parts->subject->value, word, name_format(word), &out->name);
    if (parts->operator_row != NULL)
        read_operator(f, parts->operator_row, parts->op->value, out);
    else
        need_operator(f, parts);
}

/* A share of what must be said: 5% of requests is a split's business, a sample is 5% of users. */
static void read_sample(struct fill *f, const struct parts *parts, struct condition_config *out)
{
    const struct node *value = parts->subject->value;
    if (fill_expect(f, value, NODE_TEXT, "sample", "a share such as 5%") &&
        !units_parse_share(value->text, &out->share_ppm)) {
        uint64_t number;
        struct err *e = err_add(f->errors, value->place, "'sample': %s is not a share", fill_quote(f, value->text));
        if (slice_to_u64(value->text, &number))
            err_hint(f->errors, e, "a share carries a percent sign: %s%%", value->text.ptr);
        else
            err_hint(f->errors, e, "write a percentage with at most four decimals: 5%% or 0.1%%");
    }
    if (parts->by != NULL) {
        key_read(f, parts->by->value, "by", NULL, &out->sample_key);
        return;
    }
    struct err *e = err_add(f->errors, parts->subject->place, "'sample' does not say of what");
    err_hint(f->errors, e, "add a key: by: { cookie: NAME }");
}

/* Half open, so that two windows can follow each other without a gap or an overlap. */
static void read_between(struct fill *f, const struct node *value, struct condition_config *out)
{
    if (!fill_expect(f, value, NODE_LIST, "between", "a list of two times"))
        return;
    bool is_pair = value->child_count == 2 && value->first->kind == NODE_TEXT && value->last->kind == NODE_TEXT;
    if (!is_pair || !value_read_time(value->first->text, &out->from) ||
        !value_read_time(value->last->text, &out->until)) {
        struct err *e = err_add(f->errors, value->place, "'between' is not a list of two times");
        err_hint(f->errors, e, "%s", value_types[SETTING_TIME].hint);
    } else if (out->from.unix_ms >= out->until.unix_ms) {
        err_add(f->errors, value->place, "'between' ends before it begins");
    }
}

static void read_subject_whole(struct fill *f, const struct parts *parts, struct condition_config *out)
{
    const struct node *value = parts->subject->value;
    refuse_operator(f, parts);
    out->value_place = value->place;
    if (out->subject == SUBJECT_SOURCE) {
        out->network_count = fill_networks(f, value, "source", &out->networks);
        if (value->kind == NODE_LIST && value->child_count == 0)
            err_add(f->errors, value->place, "'source' is an empty list, which nothing is in");
    } else if (out->subject == SUBJECT_SEGMENT) {
        fill_formatted(f, value, "segment", &format_name, &out->name);
    } else if (out->subject == SUBJECT_SAMPLE) {
        read_sample(f, parts, out);
    } else {
        read_between(f, value, out);
    }
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

/* Recursion is bounded by the depth of the nodes. */
static void read_children(struct fill *f, const struct parts *parts, struct condition_config *out)
{
    const struct node *value = parts->combination->value;
    bool is_not = out->kind == CONDITION_NOT;
    const char *word = parts->combination->text.ptr;
    if (!is_not && !fill_expect(f, value, NODE_LIST, word, "a list of conditions"))
        return;
    const struct node *child = is_not ? value : value->first;
    size_t count = is_not ? 1 : value->child_count;
    if (count == 0)
        err_add(f->errors, value->place, "'%s' is an empty list", word);
    out->children = arena_zalloc_array(f->arena, count, sizeof *out->children);
    for (size_t i = 0; i < count; i++, child = child->next) {
        struct condition_config *read = condition_read(f, child, word, NULL);
        if (read != NULL)
            out->children[out->child_count++] = *read;
    }
}

static void read_test(struct fill *f, struct parts *parts, struct condition_config *out)
{
    out->subject = parts->subject_row->subject;
    if (parts->by != NULL && out->subject != SUBJECT_SAMPLE)
        err_add(f->errors, parts->by->place, "'by' goes with 'sample' alone");
    if (parts->subject_row->form == SUBJECT_WITH_NAME)
        read_subject_named(f, parts, out);
    else if (parts->subject_row->form == SUBJECT_ALONE)
        read_subject_alone(f, parts, out);
    else
        read_subject_whole(f, parts, out);
}

/* { all: [...], header: x } could mean two things. */
static void refuse_mixture(struct fill *f, const struct parts *parts)
{
    const struct node *other = parts->subject ? parts->subject : parts->op;
    if (other == NULL)
        other = parts->by;
    if (other == NULL)
        return;
    struct err *e =
        err_add(f->errors, other->place, "'%s' stands beside '%s'", other->text.ptr, parts->combination->text.ptr);
    err_hint(f->errors, e, "put it inside, as one of the conditions");
}

/* NULL only when nothing in the map says what is tested; after other mistakes the rest is read on, for more
   messages. */
struct condition_config *condition_read(struct fill *f, const struct node *node, const char *key,
                                        const struct setting_table *beside)
{
    struct parts parts = { 0 };
    if (!fill_expect(f, node, NODE_MAP, key, "a condition such as { header: NAME, equals: TEXT }"))
        return NULL;
    struct condition_config *out = arena_zalloc(f->arena, sizeof *out);
    size_t errors_before = f->errors->error_count;
    out->place = node->place;
    out->segment_index = CONFIG_NONE;
    sort_keys(f, node, beside, &parts);
    if (parts.combination != NULL) {
        out->kind = parts.kind;
        refuse_mixture(f, &parts);
        read_children(f, &parts, out);
    } else if (parts.subject_row != NULL) {
        out->kind = CONDITION_TEST;
        read_test(f, &parts, out);
    } else if (f->errors->error_count == errors_before) {
        struct err *e = err_add(f->errors, node->place, "the condition has no subject");
        err_hint(f->errors, e,
                 "add one of header, cookie, query, path, host, method, source, segment, sample "
                 "and between");
        return NULL;
    }
    return out;
}
