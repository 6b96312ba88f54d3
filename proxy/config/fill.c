/* config/fill.c - walks a table and a map side by side, and fills the struct.
 *
 * A value that is refused leaves its default, or zero: later checks pass over empty members, so that one mistake makes
 * one message. Recursion follows the tables, whose depth is fixed, and not the file's nesting, which its author chooses.
 *
 *   table (struct setting rows)          node (map of the file)        struct
 *   "connect_timeout" DURATION  <------> connect_timeout: 1s  -------> connect_timeout_ms = 1000
 *   "endpoints"       LIST      <------> endpoints: [ ... ]   -------> endpoints, endpoint_count (beside_offset)
 *   no such row                 <------> conect_timeout: 1s            error with the nearest name
 *   "idle_timeout"    DURATION  <------> nothing                       its default
 *
 * Texts that end up in the struct are copied into the configuration's arena, since nodes and file are gone when the load ends. */
#include "config/fill.h"

#include "config/conditions.h"
#include "config/formats.h"
#include "config/include.h"
#include "config/value.h"

#define QUOTE_MAX_BYTES 60u
#define HINTS_MAX       100u /* looking for the nearest word costs: not for each of 10,000 mistakes */

/* ---- words ------------------------------------------------------------------------------------------------------- */

struct slice fill_text(struct fill *f, const struct node *node)
{
    return arena_copy(f->arena, node->text);
}

struct slice fill_lower(struct fill *f, struct slice text)
{
    char *lower = arena_alloc(f->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        lower[i] = text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? (char)(text.ptr[i] | 0x20) : text.ptr[i];
    lower[text.len] = '\0';
    return slice_from(lower, text.len);
}

const char *fill_quote(struct fill *f, struct slice text)
{
    size_t len = text.len;
    if (len > QUOTE_MAX_BYTES) {
        len = QUOTE_MAX_BYTES;
        while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) /* keep UTF-8 characters whole */
            len--;
    }
    char *quote = arena_alloc(f->errors->arena, len + sizeof "'...'");
    size_t at = 0;
    quote[at++] = '\'';
    for (size_t i = 0; i < len; i++)
        quote[at++] = (unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f ? '?' : text.ptr[i];
    memcpy(quote + at, len < text.len ? "...'" : "'", len < text.len ? 5 : 2);
    return quote;
}

bool fill_hint_nearest(struct fill *f, struct err *e, struct slice word, const char *const *known, size_t known_count)
{
    if (f->errors->error_count > HINTS_MAX)
        return false;
    const char *nearest = err_nearest_word(word, known, known_count);
    if (nearest == NULL)
        return false;
    err_hint(f->errors, e, "did you mean '%s'?", nearest);
    return true;
}

/* "a, b, c": the rest of a hint that lists what is known. Quadratic, of at most some dozen words. */
static const char *join_words(struct fill *f, const char *const *words, size_t count)
{
    const char *joined = "";
    for (size_t i = 0; i < count; i++)
        joined = arena_printf(f->errors->arena, "%s%s%s", joined, i ? ", " : "", words[i]).ptr;
    return joined;
}

static void hint_words(struct fill *f, struct err *e, struct slice word, const char *const *known, size_t known_count)
{
    if (!fill_hint_nearest(f, e, word, known, known_count) && f->errors->error_count <= HINTS_MAX)
        err_hint(f->errors, e, "known: %s", join_words(f, known, known_count));
}

/* "a map", or for small tables what is in it. */
static const char *table_noun(struct fill *f, const struct setting_table *table)
{
    const char *keys[4];
    if (table->row_count > ARRAY_COUNT(keys))
        return "a map";
    for (size_t i = 0; i < table->row_count; i++)
        keys[i] = table->rows[i].name;
    return arena_printf(f->errors->arena, "a map of %s", join_words(f, keys, table->row_count)).ptr;
}

/* ---- expectations ------------------------------------------------------------------------------------------------ */

bool fill_expect(struct fill *f, const struct node *node, enum node_kind kind, const char *key, const char *noun)
{
    if (node->kind == NODE_BROKEN)
        return false;
    if (node_is_null(node)) {
        struct err *e = err_add(f->errors, node->place, "'%s' has no value", key);
        err_hint(f->errors, e, "give it %s, or remove the key", noun);
        return false;
    }
    if (node->kind == kind)
        return true;
    err_add(f->errors, node->place, "'%s' takes %s, not %s", key, noun, node_kind_name(node));
    return false;
}

static void check_pattern(struct fill *f, const struct text_format *format, const struct node *node)
{
    if (format == &format_pattern && f->source->check_pattern != NULL)
        f->source->check_pattern(node->text, node->place, f->errors);
}

bool fill_formatted(struct fill *f, const struct node *node, const char *key, const struct text_format *format,
                    struct slice *out)
{
    if (!fill_expect(f, node, NODE_TEXT, key, format ? format->noun : "a text"))
        return false;
    const char *fault = format ? format->fault(node->text) : NULL;
    if (fault != NULL) {
        struct err *e = err_add(f->errors, node->place, "'%s': %s %s", key, fill_quote(f, node->text), fault);
        if (format->hint != NULL)
            err_hint(f->errors, e, "%s", format->hint);
        return false;
    }
    check_pattern(f, format, node);
    *out = fill_text(f, node);
    return true;
}

struct slice fill_path(struct fill *f, struct slice path, struct place place)
{
    if (slice_has_prefix(path, SLICE("/")))
        return path;
    if (slice_has_prefix(path, SLICE("./")))
        path = slice_after(path, 2);
    struct slice directory = file_set_find(f->files, place.file)->directory;
    return arena_printf(f->arena, "%.*s/%.*s", SLICE_ARG(directory), SLICE_ARG(path));
}

/* ---- single values ----------------------------------------------------------------------------------------------- */

static void hint_choices(struct fill *f, struct err *e, const struct setting *row, struct slice word)
{
    const char *words[64];
    size_t count = 0;
    for (const struct setting_choice *at = row->choices; at->word != NULL; at++)
        if (at->value != CHOICE_LATER)
            words[count++] = at->word;
    hint_words(f, e, word, words, count);
}

/* "'KEY': 'TEXT' is not a duration", with the type's hint; for choices the words there are, or the one that was
   meant. */
static void refuse_value(struct fill *f, const struct setting *row, const char *key, const struct node *node,
                         struct value_fault fault)
{
    const char *quote = row->flags & SETTING_SECRET ? "the value" : fill_quote(f, node->text);
    bool is_later = row->type == SETTING_CHOICE && choice_find(row->choices, node->text) != NULL;
    if (is_later)
        fault.fault = "is not in this version";
    struct err *e =
        err_add(f->errors, node->place, "'%s': %s %s%s", key, quote, fault.fault, fault.limit ? fault.limit : "");
    if (row->type == SETTING_CHOICE)
        hint_choices(f, e, row, is_later ? SLICE_NONE : node->text);
    else if (fault.hint != NULL)
        err_hint(f->errors, e, "%s", fault.hint);
}

static void remember_secret(struct fill *f, struct slice value)
{
    struct secret *secret = arena_alloc(f->arena, sizeof *secret);
    *secret = (struct secret){ value, f->secrets };
    f->secrets = secret;
    f->secret_count++;
}

/* Relative file names and socket paths become absolute once it is known where they were written. */
static void resolve_paths(struct fill *f, const struct setting *row, struct place place, struct value *value)
{
    if (row->type == SETTING_PATH)
        value->text = fill_path(f, value->text, place);
    if (row->type == SETTING_ADDRESS && value->address.kind == ADDRESS_UNIX)
        value->address.name = fill_path(f, value->address.name, place);
}

/* The text is copied before it is read, because addresses and texts borrow from it. */
static void fill_value(struct fill *f, const struct setting *row, const char *key, const struct node *node,
                       void *target)
{
    if (!fill_expect(f, node, NODE_TEXT, key, value_types[row->type].noun))
        return;
    struct value value;
    struct slice text = fill_text(f, node); /* the value borrows from it */
    struct value_fault fault = value_read(row, text, &value);
    if (fault.fault != NULL) {
        refuse_value(f, row, key, node, fault);
        return;
    }
    check_pattern(f, row->format, node);
    resolve_paths(f, row, node->place, &value);
    value_store(row, &value, target);
    if (row->flags & SETTING_SECRET)
        remember_secret(f, text);
}

/* ---- texts and networks ------------------------------------------------------------------------------------------ */

/* One item, or the items of a list; false when it is neither, which is told. */
static bool open_items(struct fill *f, const struct node *node, const char *key, enum setting_type type,
                       const struct node **first, size_t *count)
{
    bool is_list = node->kind == NODE_LIST;
    if (!is_list && !fill_expect(f, node, NODE_TEXT, key, value_types[type].noun))
        return false;
    *first = is_list ? node->first : node;
    *count = is_list ? node->child_count : 1;
    return true;
}

struct slice_list fill_texts(struct fill *f, const struct node *node, const char *key, const struct text_format *format)
{
    struct slice_list list = { NULL, 0 };
    const struct node *item;
    size_t count;
    if (!open_items(f, node, key, SETTING_TEXTS, &item, &count))
        return list;
    list.items = arena_zalloc_array(f->arena, count, sizeof *list.items);
    for (size_t i = 0; i < count; i++, item = item->next)
        if (fill_formatted(f, item, key, format, &list.items[list.count]))
            list.count++;
    return list;
}

size_t fill_networks(struct fill *f, const struct node *node, const char *key, struct ip_network **out)
{
    const struct node *item;
    size_t count, good_count = 0;
    if (!open_items(f, node, key, SETTING_NETWORKS, &item, &count))
        return 0;
    *out = arena_zalloc_array(f->arena, count, sizeof **out);
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (!fill_expect(f, item, NODE_TEXT, key, "a network"))
            continue;
        if (ip_network_parse(item->text, &(*out)[good_count])) {
            good_count++;
            continue;
        }
        struct err *e = err_add(f->errors, item->place, "'%s': %s is not a network", key, fill_quote(f, item->text));
        err_hint(f->errors, e, "write ADDRESS or ADDRESS/BITS, with no bit set behind BITS: 10.0.0.0/8");
    }
    return good_count;
}

/* ---- lists and maps of structs ----------------------------------------------------------------------------------- */

static void fill_row(struct fill *f, const struct setting *row, const char *key, const struct node *node, void *target);

/* One struct of a list or map, in whichever of its table's forms it is written. */
static void fill_item(struct fill *f, const struct setting_table *table, const char *key, const struct node *node,
                      void *item)
{
    bool is_short = table->form == TABLE_AS_FIRST || (table->form == TABLE_AS_MAP_OR_FIRST && node->kind == NODE_TEXT);
    if (is_short) {
        fill_table(f, table, NULL, item);
        fill_row(f, &table->rows[0], key, node, item);
    } else if (fill_expect(f, node, NODE_MAP, key, "a map")) {
        fill_table(f, table, node, item);
    }
}

/* Structs that later checks complain about keep where they were written; offset 0: this one does not. */
static void set_place(void *target, size_t place_offset, struct place place)
{
    if (place_offset != 0)
        memcpy((char *)target + place_offset, &place, sizeof place);
}

/* The items of a list, or the values of a map, whose names go to each struct's first member: `upstreams: { a: {...} }` and a list of
   things with a `name` fill the same struct. The count stands beside the pointer; items that were refused are there
   all the same, with what was good in them, so that indexes and places stay those of the file. */
static void fill_items(struct fill *f, const struct setting *row, const struct node *node, void *target)
{
    const struct setting_table *table = row->table;
    char *items = arena_zalloc_array(f->arena, node->child_count, table->struct_bytes);
    size_t count = 0;
    for (const struct node *child = node->first; child != NULL; child = child->next, count++) {
        char *item = items + count * table->struct_bytes;
        const char *key = row->name;
        const struct node *value = child;
        set_place(item, table->place_offset, child->place);
        if (row->type == SETTING_MAP) {
            struct slice name = SLICE_NONE;
            fill_formatted(f, child, row->name, row->format, &name);
            memcpy(item, &name, sizeof name);
            key = child->text.ptr;
            value = child->value;
        }
        fill_item(f, table, key, value, item);
    }
    memcpy((char *)target + row->offset, &items, sizeof items);
    memcpy((char *)target + row->beside_offset, &count, sizeof count);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The two types that are one text or a list of texts. */
static void fill_several(struct fill *f, const struct setting *row, const char *key, const struct node *node,
                         void *target)
{
    struct ip_network *networks = NULL;
    struct slice_list texts;
    size_t count;
    if (row->type == SETTING_TEXTS) {
        texts = fill_texts(f, node, key, row->format);
        memcpy((char *)target + row->offset, &texts, sizeof texts);
        return;
    }
    count = fill_networks(f, node, key, &networks);
    memcpy((char *)target + row->offset, &networks, sizeof networks);
    memcpy((char *)target + row->beside_offset, &count, sizeof count);
}

static void fill_condition(struct fill *f, const struct setting *row, const struct node *node,
                           const struct setting_table *beside, void *target)
{
    struct condition_config *condition = condition_read(f, node, row->name, beside);
    memcpy((char *)target + row->offset, &condition, sizeof condition);
}

static void fill_key(struct fill *f, const struct setting *row, const struct node *node,
                     const struct setting_table *beside, void *target)
{
    struct key_config key;
    key_read(f, node, row->name, beside, &key);
    memcpy((char *)target + row->offset, &key, sizeof key);
}

/* Some tables may be written as the value of their first row alone. */
static void fill_subtable(struct fill *f, const struct setting *row, const char *key, const struct node *node,
                          void *sub)
{
    if (row->table->form == TABLE_AS_MAP_OR_FIRST)
        fill_item(f, row->table, key, node, sub);
    else if (node->kind == NODE_MAP || fill_expect(f, node, NODE_MAP, key, table_noun(f, row->table)))
        fill_table(f, row->table, node, sub);
}

/* `key` is what messages call the value: the row's name, or the name of an item that is written as just its first
   row. */
static void fill_row(struct fill *f, const struct setting *row, const char *key, const struct node *node, void *target)
{
    set_place(target, row->place_offset, node->place);
    switch (row->type) {
    case SETTING_TABLE:
        fill_subtable(f, row, key, node, (char *)target + row->offset);
        break;
    case SETTING_LIST:
        if (fill_expect(f, node, NODE_LIST, key, "a list"))
            fill_items(f, row, node, target);
        break;
    case SETTING_MAP:
        if (fill_expect(f, node, NODE_MAP, key, "a map"))
            fill_items(f, row, node, target);
        break;
    case SETTING_CONDITION:
        fill_condition(f, row, node, NULL, target);
        break;
    case SETTING_KEY:
        fill_key(f, row, node, NULL, target);
        break;
    case SETTING_TEXTS:
    case SETTING_NETWORKS:
        fill_several(f, row, key, node, target);
        break;
    case SETTING_BOOL:
    case SETTING_COUNT:
    case SETTING_DURATION:
    case SETTING_SIZE:
    case SETTING_SHARE:
    case SETTING_DECIMAL:
    case SETTING_RATE:
    case SETTING_TIME:
    case SETTING_CHOICE:
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_ADDRESS:
        fill_value(f, row, key, node, target);
        break;
    case SETTING_TYPE_COUNT:
        CHECK(false);
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static bool is_later(const struct setting_table *table, struct slice key)
{
    for (const char *const *word = table->later; word != NULL && *word != NULL; word++)
        if (slice_equal(slice_from_cstr(*word), key))
            return true;
    return false;
}

/* Three answers: a key of a later capability, the key that was probably meant, or all there are. */
static void refuse_key(struct fill *f, const struct setting_table *table, const struct node *key)
{
    const char *known[64];
    size_t known_count = 0;
    for (size_t i = 0; i < table->row_count; i++)
        if (!(table->rows[i].flags & SETTING_INLINE))
            known[known_count++] = table->rows[i].name;
    struct err *e = err_add(f->errors, key->place, "unknown key %s", fill_quote(f, key->text));
    if (is_later(table, key->text))
        err_hint(f->errors, e, "not in this version");
    else
        hint_words(f, e, key->text, known, known_count);
}

/* Members of rows that stand in no map: defaults, also those of tables within. */
static void fill_defaults(struct fill *f, const struct setting_table *table, void *target)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *row = &table->rows[i];
        struct value value;
        if (row->type == SETTING_TABLE)
            fill_defaults(f, row->table, (char *)target + row->offset);
        if (row->default_text == NULL)
            continue;
        CHECK(value_read(row, slice_from_cstr(row->default_text), &value).fault == NULL);
        value_store(row, &value, target);
    }
}

/* Keys of the condition or key that stands inline are read by its own reader, which also refuses unknown ones. */
static void fill_inline(struct fill *f, const struct setting_table *table, const struct setting *row,
                        const struct node *map, void *target)
{
    if (row->type == SETTING_CONDITION)
        fill_condition(f, row, map, table, target);
    else
        fill_key(f, row, map, table, target);
}

/* Told at the map: there is no better place for something that is not there. */
static void check_required(struct fill *f, const struct setting_table *table, const struct node *map)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *row = &table->rows[i];
        bool is_wanted = (row->flags & SETTING_REQUIRED) && !(row->flags & SETTING_INLINE);
        if (is_wanted && node_get(map, row->name) == NULL)
            err_add(f->errors, map->place, "'%s' is missing in this %s", row->name, table->name);
    }
}

/* Defaults come first and for the whole struct, so that refused and absent values look alike. `finish` runs last, and
   also after mistakes: what it checks is independent of most of them. */
void fill_table(struct fill *f, const struct setting_table *table, const struct node *map, void *target)
{
    const struct setting *inline_row = NULL;
    fill_defaults(f, table, target);
    if (map == NULL)
        return;
    for (size_t i = 0; i < table->row_count; i++)
        if (table->rows[i].flags & SETTING_INLINE)
            inline_row = &table->rows[i];
    for (const struct node *key = map->first; key != NULL; key = key->next) {
        const struct setting *row = setting_find(table, key->text);
        if (row != NULL)
            fill_row(f, row, row->name, key->value, target);
        else if (inline_row == NULL)
            refuse_key(f, table, key);
    }
    if (inline_row != NULL)
        fill_inline(f, table, inline_row, map, target);
    check_required(f, table, map);
    if (table->finish != NULL)
        table->finish(f, map, target);
}
