/* config/yaml.c - turns libyaml's events into nodes, and refuses what YAML has beyond plain maps, lists and texts.
 *
 * libyaml's own parser of documents is not used: it builds no columns and resolves aliases, which lets a short file
 * grow without bound. Here memory is a constant times the file's length, and depth is bounded before anything recurses
 * over the tree. */
#include "config/yaml.h"

#include "base/map.h"

#include <yaml.h>

/* The containers that are open, outermost first: open[0..depth). */
struct reader {
    yaml_parser_t yaml;
    struct arena *arena;
    const char *file;
    struct slice bytes;
    struct err_list *errors;
    struct node *open[YAML_DEPTH_MAX];
    struct node *key[YAML_DEPTH_MAX]; /* of an open map: the key whose value comes next */
    unsigned depth;
    unsigned document_count;
    size_t node_count;
    struct node *root;
    bool is_done; /* the stream ended, or a problem ended the reading */
};

static struct place place_of(const struct reader *r, const yaml_mark_t *mark)
{
    return (struct place){ r->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1 };
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

void node_append(struct node *parent, struct node *child)
{
    if (parent->last != NULL)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    child->next = NULL;
    parent->child_count++;
}

/* Maps of settings have a dozen keys; maps of names are walked, not searched. */
struct node *node_get(const struct node *map, const char *key)
{
    struct slice wanted = slice_from_cstr(key);
    for (struct node *at = map->first; at != NULL; at = at->next)
        if (slice_equal(at->text, wanted))
            return at->value;
    return NULL;
}

bool node_is_null(const struct node *node)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };
    if (node->kind != NODE_TEXT || node->is_quoted)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (slice_equal(node->text, slice_from_cstr(words[i])))
            return true;
    return false;
}

const char *node_kind_name(const struct node *node)
{
    switch (node->kind) {
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a map";
    case NODE_TEXT:
    case NODE_BROKEN:
        break;
    }
    return node_is_null(node) ? "nothing" : "a text";
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* For what makes the rest meaningless or dangerous to read: the tree so far is given up. */
static struct err *stop(struct reader *r, struct place place, const char *message)
{
    r->is_done = true;
    r->root = NULL;
    return err_add(r->errors, place, "%s", message);
}

/* Keys are plain words; everything else hangs on the key before it. */
static void attach_to_map(struct reader *r, struct node *map, struct node *node)
{
    struct node **key = &r->key[r->depth - 1];
    if (*key != NULL) {
        (*key)->value = node;
        *key = NULL;
        return;
    }
    if (node->kind != NODE_TEXT) {
        struct err *e = stop(r, node->place, "a key is a plain word");
        err_hint(r->errors, e, "a ${NAME} or {braces} in a value need quotes here");
        return;
    }
    if (slice_equal(node->text, SLICE("<<")) && !node->is_quoted) {
        struct err *e = stop(r, node->place, "merge keys are not accepted");
        err_hint(r->errors, e, "write the keys out");
        return;
    }
    node_append(map, node);
    *key = node;
}

static void attach(struct reader *r, struct node *node)
{
    if (r->depth == 0) {
        r->root = node;
        return;
    }
    struct node *parent = r->open[r->depth - 1];
    if (parent->kind == NODE_MAP)
        attach_to_map(r, parent, node);
    else
        node_append(parent, node);
}

static struct node *node_create(struct reader *r, enum node_kind kind, const yaml_mark_t *mark)
{
    struct node *node = arena_zalloc(r->arena, sizeof *node);
    node->kind = kind;
    node->place = place_of(r, mark);
    if (++r->node_count > YAML_NODES_MAX)
        stop(r, node->place, "the file has too many values");
    return node;
}

/* Anchors and tags are reported and passed over, so that the rest of the file is still checked. */
static void refuse_extras(struct reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    struct place place = place_of(r, &event->start_mark);
    if (anchor != NULL) {
        struct err *e = err_add(r->errors, place, "anchors are not accepted: '&%s'", (const char *)anchor);
        err_hint(r->errors, e, "write the value where it is needed");
    }
    if (tag != NULL) {
        static const char core[] = "tag:yaml.org,2002:"; /* written as !! */
        bool is_core = strncmp((const char *)tag, core, sizeof core - 1) == 0;
        struct err *e = err_add(r->errors, place, "tags are not accepted: '%s%s'", is_core ? "!!" : "",
                                (const char *)tag + (is_core ? sizeof core - 1 : 0));
        err_hint(r->errors, e, "put quotes around a value to make it a text");
    }
}

/* A NUL is refused here, so that no slice of a configuration ever ends before its length. */
static void on_scalar(struct reader *r, const yaml_event_t *event)
{
    struct node *node = node_create(r, NODE_TEXT, &event->start_mark);
    struct slice text = slice_from((const char *)event->data.scalar.value, event->data.scalar.length);
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    refuse_extras(r, event, event->data.scalar.anchor, event->data.scalar.tag);
    node->text = arena_copy(r->arena, text);
    if (slice_find(text, '\0') != text.len) {
        err_add(r->errors, node->place, "a text cannot hold a NUL");
        node->text = slice_first(node->text, slice_find(text, '\0'));
    }
    attach(r, node);
}

static void on_open(struct reader *r, const yaml_event_t *event, enum node_kind kind)
{
    struct node *node = node_create(r, kind, &event->start_mark);
    if (kind == NODE_MAP)
        refuse_extras(r, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    else
        refuse_extras(r, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    attach(r, node);
    if (r->depth == YAML_DEPTH_MAX) {
        stop(r, node->place, "values are nested too deep");
        return;
    }
    r->open[r->depth] = node;
    r->key[r->depth] = NULL;
    r->depth++;
}

/* An alias becomes a broken node: the key it belongs to counts as given. */
static void on_alias(struct reader *r, const yaml_event_t *event)
{
    struct node *node = node_create(r, NODE_BROKEN, &event->start_mark);
    struct err *e =
        err_add(r->errors, node->place, "aliases are not accepted: '*%s'", (const char *)event->data.alias.anchor);
    err_hint(r->errors, e, "write the value out, or put the '*' in quotes");
    attach(r, node);
}

/* ---- keys that stand twice --------------------------------------------------------------------------------------- */

#define SCAN_MAX 12u /* maps up to this size are searched key by key */

static struct node *key_before(const struct node *map, const struct node *key)
{
    for (struct node *at = map->first; at != key; at = at->next)
        if (slice_equal(at->text, key->text))
            return at;
    return NULL;
}

static struct node *key_seen(struct map *seen, const struct node *map, struct node *key)
{
    if (map->child_count <= SCAN_MAX)
        return key_before(map, key);
    struct node *first = map_get(seen, key->text);
    if (first == NULL)
        map_put(seen, key->text, key);
    return first;
}

void node_drop_repeated(struct node *map, struct err_list *errors)
{
    struct map seen;
    map_init(&seen);
    struct node *kept = NULL;
    size_t dropped_count = 0;
    for (struct node *key = map->first; key != NULL; key = key->next) {
        const struct node *first = key_seen(&seen, map, key);
        if (first == NULL) {
            kept = key;
            continue;
        }
        struct err *e = err_add(errors, key->place, "'%.*s' is given twice", SLICE_ARG(key->text));
        err_hint(errors, e, "the first is at %s:%u:%u", first->place.file, first->place.line, first->place.column);
        kept->next = key->next;
        map->last = kept;
        dropped_count++;
    }
    map->child_count -= dropped_count;
    map_fini(&seen);
}

/* Only now are all keys of the map there to be compared. */
static void on_close(struct reader *r)
{
    struct node *node = r->open[--r->depth];
    if (node->kind == NODE_MAP)
        node_drop_repeated(node, r->errors);
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

static void on_document(struct reader *r, const yaml_event_t *event)
{
    if (r->document_count++ > 0) {
        struct err *e = stop(r, place_of(r, &event->start_mark), "a second document begins here");
        err_hint(r->errors, e, "remove the line '---', or put the rest in a file of its own");
    }
}

static void on_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        on_document(r, event);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(r, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(r, event, NODE_LIST);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(r, event, NODE_MAP);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(r);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(r, event);
        break;
    case YAML_STREAM_END_EVENT:
        r->is_done = true;
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
}

/* Bytes that are no UTF-8 have an offset, but no line yet. */
static struct place place_at_offset(const struct reader *r, size_t offset)
{
    struct place place = { r->file, 1, 1 };
    for (size_t i = 0; i < offset && i < r->bytes.len; i++) {
        bool is_newline = r->bytes.ptr[i] == '\n';
        place.line += is_newline;
        place.column = is_newline ? 1 : place.column + 1;
    }
    return place;
}

/* libyaml says what it expected; the hints are for its three most frequent messages. */
static void report_syntax(struct reader *r)
{
    static const struct {
        const char *part, *hint;
    } hints[] = {
        { "cannot start any token", "indent with spaces, and put values that begin with @, ` or % in quotes" },
        { "did not find expected key", "check the indentation, and that quotes and brackets are closed" },
        { "did not find expected ','", "check that quotes and brackets are closed, and put ${NAME} in quotes" },
        { "mapping values are not allowed", "put a value that holds ': ' in quotes" },
    };
    const char *problem = r->yaml.problem ? r->yaml.problem : "it could not be read";
    struct place place = r->yaml.error == YAML_READER_ERROR ? place_at_offset(r, r->yaml.problem_offset)
                                                            : place_of(r, &r->yaml.problem_mark);
    r->is_done = true;
    r->root = NULL;
    struct err *e = err_add(r->errors, place, "not valid YAML: %s", problem);
    for (size_t i = 0; i < ARRAY_COUNT(hints); i++)
        if (strstr(problem, hints[i].part) != NULL)
            err_hint(r->errors, e, "%s", hints[i].hint);
}

static void read_events(struct reader *r)
{
    while (!r->is_done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->yaml, &event)) {
            report_syntax(r);
            return;
        }
        on_event(r, &event);
        yaml_event_delete(&event);
    }
}

struct node *yaml_parse(struct arena *arena, const char *file, struct slice bytes, struct err_list *errors)
{
    struct reader r = { .arena = arena, .file = file, .bytes = bytes, .errors = errors };
    if (bytes.len > YAML_BYTES_MAX) {
        err_add(errors, (struct place){ file, 0, 0 }, "the file is larger than %zu MiB", YAML_BYTES_MAX >> 20);
        return NULL;
    }
    CHECK(yaml_parser_initialize(&r.yaml)); /* fails only without memory */
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)(bytes.ptr ? bytes.ptr : ""), bytes.len);
    read_events(&r);
    yaml_parser_delete(&r.yaml);
    return r.root;
}
