/* http/message.c - the neutral message: its methods, its field lines, cookies and query arguments.
 *
 * Lines are never moved or removed, only marked, so a `struct field *` stays good until the next message_add may have
 * to grow the array (the old one stays in the arena, unchanged and unused). */
#include "http/message.h"

/* Most requests have fewer lines; the array doubles from here. */
#define FIRST_CAPACITY 16

static const struct slice method_names[METHOD_COUNT] = {
    [METHOD_OTHER] = { "", 0 },          [METHOD_GET] = { "GET", 3 },         [METHOD_HEAD] = { "HEAD", 4 },
    [METHOD_POST] = { "POST", 4 },       [METHOD_PUT] = { "PUT", 3 },         [METHOD_DELETE] = { "DELETE", 6 },
    [METHOD_CONNECT] = { "CONNECT", 7 }, [METHOD_OPTIONS] = { "OPTIONS", 7 }, [METHOD_TRACE] = { "TRACE", 5 },
    [METHOD_PATCH] = { "PATCH", 5 },
};

enum method method_from_name(struct slice name)
{
    for (int m = METHOD_GET; m < METHOD_COUNT; m++)
        if (slice_equal(name, method_names[m]))
            return (enum method)m;
    return METHOD_OTHER;
}

bool method_is_safe(enum method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_TRACE;
}

bool method_is_idempotent(enum method m)
{
    return method_is_safe(m) || m == METHOD_PUT || m == METHOD_DELETE;
}

/* The arena has no free: the narrower arrays stay behind, together less than the new one. */
static void fields_grow(struct message *m, struct arena *arena, uint16_t capacity)
{
    struct field *wider = arena_alloc(arena, capacity * sizeof *wider);
    if (m->field_count > 0)
        memcpy(wider, m->fields, m->field_count * sizeof *wider);
    m->fields = wider;
    m->field_capacity = capacity;
}

static uint16_t wider_capacity(uint16_t capacity)
{
    CHECK(capacity < UINT16_MAX);
    if (capacity < FIRST_CAPACITY)
        return FIRST_CAPACITY;
    return capacity > UINT16_MAX / 2 ? UINT16_MAX : (uint16_t)(capacity * 2);
}

void message_init(struct message *m, struct arena *arena, uint16_t field_capacity)
{
    memset(m, 0, sizeof *m);
    m->version_major = 1;
    if (field_capacity > 0)
        fields_grow(m, arena, field_capacity);
}

struct field *message_next_field(const struct message *m, const struct field *after)
{
    struct field *end = m->fields + m->field_count;
    for (struct field *f = m->fields + (after - m->fields) + 1; f < end; f++)
        if (f->id == after->id && !f->is_dropped)
            return f;
    return NULL;
}

struct field *message_find_kept(const struct message *m, enum field_id id)
{
    struct field *first = &m->fields[m->first_of[id] - 1];
    return first->is_dropped ? message_next_field(m, first) : first;
}

/* Names that are not well known are compared; `after` NULL: from the first line on. */
static struct field *find_other(const struct message *m, struct slice name, const struct field *after)
{
    size_t from = after != NULL ? (size_t)(after - m->fields) + 1 : 0;
    for (size_t i = from; i < m->field_count; i++) {
        struct field *f = &m->fields[i];
        if (f->id == FIELD_OTHER && !f->is_dropped && slice_equal_nocase(f->name, name))
            return f;
    }
    return NULL;
}

struct field *message_field_named(const struct message *m, struct slice name, const struct field *after)
{
    enum field_id id = after != NULL ? (enum field_id)after->id : field_id_from_name(name);
    if (id == FIELD_OTHER)
        return find_other(m, name, after);
    return after != NULL ? message_next_field(m, after) : message_field(m, id);
}

struct field *message_add(struct message *m, struct arena *arena, enum field_id id, struct slice name,
                          struct slice value)
{
    if (m->field_count == m->field_capacity)
        fields_grow(m, arena, wider_capacity(m->field_capacity));
    struct field *f = &m->fields[m->field_count++];
    *f = (struct field){ .name = name, .value = value, .id = (uint16_t)id };
    if (m->first_of[id] == 0)
        m->first_of[id] = m->field_count;
    return f;
}

void message_drop(struct message *m, enum field_id id)
{
    for (struct field *f = message_field(m, id); f != NULL; f = message_next_field(m, f))
        f->is_dropped = true;
}

void message_drop_named(struct message *m, struct slice name)
{
    for (struct field *f = message_field_named(m, name, NULL); f != NULL; f = message_field_named(m, name, f))
        f->is_dropped = true;
}

void message_set(struct message *m, struct arena *arena, struct slice name, struct slice value)
{
    message_drop_named(m, name);
    message_add(m, arena, field_id_from_name(name), name, value);
}

void message_own_fields(struct message *m, struct arena *arena)
{
    for (size_t i = 0; i < m->field_count; i++) { /* of none at all there is no array */
        m->fields[i].name = arena_copy(arena, m->fields[i].name);
        m->fields[i].value = arena_copy(arena, m->fields[i].value);
    }
}

/* Whether `pair` is "name=value" with that name; its value, or an empty one without '='. */
static bool pair_has_name(struct slice pair, struct slice name, struct slice *value)
{
    size_t equals = slice_find(pair, '=');
    if (!slice_equal(slice_first(pair, equals), name))
        return false;
    *value = slice_after(pair, equals + 1);
    return true;
}

bool message_cookie(const struct message *m, struct slice name, struct slice *value)
{
    for (const struct field *f = message_field(m, FIELD_COOKIE); f != NULL; f = message_next_field(m, f)) {
        struct slice rest = f->value, pair;
        while (slice_next_item(&rest, ';', &pair))
            if (slice_find(pair, '=') < pair.len && pair_has_name(pair, name, value))
                return true;
    }
    return false;
}

bool query_argument(struct slice query, struct slice name, struct slice *value)
{
    while (query.ptr != NULL) {
        size_t end = slice_find(query, '&');
        if (end > 0 && pair_has_name(slice_first(query, end), name, value))
            return true;
        query = end < query.len ? slice_after(query, end + 1) : SLICE_NONE;
    }
    return false;
}
