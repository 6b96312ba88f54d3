/* tests/unit/route/fixture.c - builds what the tests of route/ route and decide on. */
#include "route/fixture.h"

#include <criterion/criterion.h>

#include "base/memory.h"

static const struct place somewhere = { "test.yaml", 7, 3 };

void fixture_init(struct fixture *f, uint64_t seed)
{
    *f = (struct fixture){ 0 };
    arena_init(&f->arena, NULL, 0);
    err_list_init(&f->errors, &f->arena);
    f->config.arena = &f->arena;
    rng_init(&f->rng, seed);
}

void fixture_fini(struct fixture *f)
{
    if (f->draw.blocks != NULL)
        draw_fini(&f->draw);
    arena_reset(&f->arena);
}

static struct slice copy(struct fixture *f, const char *text)
{
    return arena_copy(&f->arena, slice_from_cstr(text));
}

/* One more item behind `count` items, in new memory: tests are small. */
static void *grow(struct fixture *f, const void *items, size_t count, size_t item_bytes)
{
    void *grown = arena_zalloc_array(&f->arena, count + 1, item_bytes);
    if (count > 0)
        memcpy(grown, items, count * item_bytes);
    return grown;
}

struct slice_list list_of_words(struct arena *arena, const char *spaced)
{
    struct slice_list list = { 0 };
    struct slice rest = slice_from_cstr(spaced), item;
    list.items = arena_zalloc_array(arena, strlen(spaced) + 1, sizeof *list.items);
    while (rest.len > 0 && slice_next_item(&rest, ' ', &item))
        list.items[list.count++] = arena_copy(arena, item);
    return list;
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

uint32_t fixture_upstream(struct fixture *f, const char *name)
{
    for (uint32_t i = 0; i < f->config.upstream_count; i++)
        if (slice_equal(f->config.upstreams[i].name, slice_from_cstr(name)))
            return i;
    f->config.upstreams = grow(f, f->config.upstreams, f->config.upstream_count, sizeof *f->config.upstreams);
    f->config.upstreams[f->config.upstream_count].name = copy(f, name);
    return (uint32_t)f->config.upstream_count++;
}

const char *fixture_upstream_name(const struct fixture *f, uint32_t index)
{
    return index == CONFIG_NONE ? "" : f->config.upstreams[index].name.ptr;
}

static void set_split(struct fixture *f, struct route_config *r, const char *split)
{
    struct slice_list entries = list_of_words(&f->arena, split);
    r->split = arena_zalloc_array(&f->arena, entries.count, sizeof *r->split);
    r->split_count = entries.count;
    for (size_t i = 0; i < entries.count; i++) {
        struct slice entry = entries.items[i];
        size_t equals = slice_find(entry, '=');
        uint64_t weight = 1;
        slice_to_u64(slice_after(entry, equals + 1), &weight);
        r->split[i].upstream = arena_copy(&f->arena, slice_first(entry, equals));
        r->split[i].upstream_index = fixture_upstream(f, r->split[i].upstream.ptr);
        r->split[i].weight = (uint32_t)weight;
    }
}

static void set_path(struct fixture *f, struct match_config *match, const char *path)
{
    if (path == NULL)
        return;
    match->path_kind = path[0] == '=' ? PATH_EXACT : path[0] == '~' ? PATH_REGEX : PATH_PREFIX;
    match->path = copy(f, match->path_kind == PATH_PREFIX ? path : path + 1);
    match->path_place = somewhere;
}

struct route_config *fixture_route(struct fixture *f, const char *host, const char *path, const char *split)
{
    if ((f->config.route_count & (f->config.route_count - 1)) == 0) { /* room doubles */
        void *old = f->config.routes;
        size_t count = f->config.route_count;
        f->config.routes = arena_zalloc_array(&f->arena, count ? count * 2 : 1, sizeof *f->config.routes);
        if (count > 0)
            memcpy(f->config.routes, old, count * sizeof *f->config.routes);
    }
    struct route_config *r = &f->config.routes[f->config.route_count];
    r->name = arena_printf(&f->arena, "r%zu", f->config.route_count++);
    r->place = somewhere;
    if (host != NULL)
        r->match.hosts = list_of_words(&f->arena, host);
    set_path(f, &r->match, path);
    set_split(f, r, split);
    if (r->split_count == 0)
        r->action = ROUTE_RESPOND;
    return r;
}

void fixture_rule(struct fixture *f, struct route_config *r, const char *upstream, struct condition_config *when)
{
    r->rules = grow(f, r->rules, r->rule_count, sizeof *r->rules);
    r->rules[r->rule_count++] =
        (struct rule_config){ .when = when, .to = copy(f, upstream), .upstream_index = fixture_upstream(f, upstream) };
}

uint32_t fixture_segment(struct fixture *f, const char *name, struct condition_config *condition)
{
    f->config.segments = grow(f, f->config.segments, f->config.segment_count, sizeof *f->config.segments);
    f->config.segments[f->config.segment_count] =
        (struct segment_config){ .name = copy(f, name), .condition = condition, .place = somewhere };
    return (uint32_t)f->config.segment_count++;
}

void fixture_build(struct fixture *f)
{
    f->table = route_table_build(&f->arena, &f->config, &f->errors);
    const char *problem = f->errors.first != NULL ? f->errors.first->message : "";
    cr_assert_not_null(f->table, "the table is built: %s", problem);
    draw_init(&f->draw, &f->rng, f->table);
}

struct decision fixture_decide(struct fixture *f, const struct route_request *request, const struct weights *weights)
{
    struct decision d;
    route_decide(f->table, request, weights, &f->draw, &d);
    return d;
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

static struct condition_config *condition_make(struct fixture *f, enum condition_subject subject, const char *name,
                                               enum condition_operator op)
{
    struct condition_config *c = arena_zalloc(&f->arena, sizeof *c);
    c->kind = CONDITION_TEST;
    c->place = c->value_place = somewhere;
    c->subject = subject;
    c->name = copy(f, name != NULL ? name : "");
    c->op = op;
    return c;
}

struct condition_config *condition_value(struct fixture *f, enum condition_subject subject, const char *name,
                                         enum condition_operator op, const char *value)
{
    struct condition_config *c = condition_make(f, subject, name, op);
    c->values.items = arena_zalloc(&f->arena, sizeof *c->values.items);
    c->values.items[0] = copy(f, value);
    c->values.count = 1;
    return c;
}

struct condition_config *condition_group(struct fixture *f, enum condition_kind kind, size_t count,
                                         struct condition_config *const *children)
{
    struct condition_config *c = condition_make(f, SUBJECT_HEADER, NULL, OPERATOR_NONE);
    c->kind = kind;
    c->children = arena_zalloc_array(&f->arena, count, sizeof *c->children);
    c->child_count = count;
    for (size_t i = 0; i < count; i++)
        c->children[i] = *children[i];
    return c;
}

struct condition_config *condition_present(struct fixture *f, enum condition_subject subject, const char *name,
                                           bool is_present)
{
    struct condition_config *c = condition_make(f, subject, name, OPERATOR_PRESENT);
    c->is_present = is_present;
    return c;
}

struct condition_config *condition_flag(struct fixture *f, const char *header)
{
    return condition_present(f, SUBJECT_HEADER, header, true);
}

struct condition_config *condition_in(struct fixture *f, enum condition_subject subject, const char *name,
                                      const char *spaced_values)
{
    struct condition_config *c = condition_make(f, subject, name, OPERATOR_IN);
    c->values = list_of_words(&f->arena, spaced_values);
    return c;
}

struct condition_config *condition_range(struct fixture *f, const char *header, double low, double high)
{
    struct condition_config *c = condition_make(f, SUBJECT_HEADER, header, OPERATOR_RANGE);
    c->low = low;
    c->high = high;
    return c;
}

struct condition_config *condition_source(struct fixture *f, const char *spaced_networks)
{
    struct condition_config *c = condition_make(f, SUBJECT_SOURCE, NULL, OPERATOR_NONE);
    struct slice_list texts = list_of_words(&f->arena, spaced_networks);
    c->networks = arena_zalloc_array(&f->arena, texts.count, sizeof *c->networks);
    c->network_count = texts.count;
    for (size_t i = 0; i < texts.count; i++)
        cr_assert(ip_network_parse(texts.items[i], &c->networks[i]));
    return c;
}

struct condition_config *condition_segment(struct fixture *f, uint32_t index)
{
    struct condition_config *c = condition_make(f, SUBJECT_SEGMENT, NULL, OPERATOR_NONE);
    c->segment_index = index;
    if (index < f->config.segment_count)
        c->name = f->config.segments[index].name;
    return c;
}

struct condition_config *condition_sample(struct fixture *f, uint32_t share_ppm, enum key_kind kind, const char *name)
{
    struct condition_config *c = condition_make(f, SUBJECT_SAMPLE, NULL, OPERATOR_NONE);
    c->share_ppm = share_ppm;
    c->sample_key = (struct key_config){ .name = copy(f, name), .place = somewhere, .kind = kind };
    return c;
}

struct condition_config *condition_between(struct fixture *f, const char *from, const char *until)
{
    struct condition_config *c = condition_make(f, SUBJECT_BETWEEN, NULL, OPERATOR_NONE);
    cr_assert(wall_parse(from, strlen(from), &c->from));
    cr_assert(wall_parse(until, strlen(until), &c->until));
    return c;
}

bool condition_holds(struct fixture *f, const struct condition_config *c, const struct route_request *request)
{
    const struct condition_program *program = condition_compile(&f->arena, &f->config, c, &f->errors);
    cr_assert_not_null(program, "%s", f->errors.first != NULL ? f->errors.first->message : "");
    return condition_matches(program, request);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void add_headers(struct fixture *f, struct message *m, const char *headers)
{
    struct slice rest = copy(f, headers), line;
    while (rest.len > 0 && slice_next_item(&rest, '\n', &line)) {
        size_t colon = slice_find(line, ':');
        struct slice name = slice_first(line, colon);
        message_add(m, &f->arena, field_id_from_name(name), name, slice_trim(slice_after(line, colon + 1)));
    }
}

struct route_request *request_make(struct fixture *f, const char *line, const char *headers)
{
    struct message *m = arena_zalloc(&f->arena, sizeof *m);
    struct route_request *r = arena_zalloc(&f->arena, sizeof *r);
    struct slice_list words = list_of_words(&f->arena, line);
    cr_assert_eq(words.count, 3, "METHOD HOST TARGET");
    message_init(m, &f->arena, 16);
    m->method_name = words.items[0];
    m->method = method_from_name(words.items[0]);
    size_t mark = slice_find(words.items[2], '?');
    m->path = slice_first(words.items[2], mark);
    if (mark < words.items[2].len)
        m->query = slice_after(words.items[2], mark + 1);
    add_headers(f, m, headers);
    *r = (struct route_request){ .message = m, .host = words.items[1], .path = m->path, .query = m->query };
    return r;
}
