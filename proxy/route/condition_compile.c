/* route/condition_compile.c - turns a condition and the segments it names into programs.
 *
 * A segment is not unfolded where it is used but compiled once and called: ten thousand routes that name one segment
 * share its regexes and lists. What that hides, the cost of segments that use segments, is added up and limited.
 * Compiling goes on after a fault, so that one run of check tells all of them. */
#include "route/program.h"

#include "base/memory.h"
#include "http/validate.h"

#include "route/sticky.h"

/* `in` lists longer than this are looked up by hash. */
#define SET_LINEAR_MAX 8
/* Of the recursion here and in condition_matches, through conditions and segments together. */
#define DEPTH_MAX 64
/* Tests that one request may make for one condition: segments that use segments could ask for 2^n. */
#define COST_MAX 100000

enum segment_state { SEGMENT_UNTOUCHED, SEGMENT_COMPILING, SEGMENT_COMPILED, SEGMENT_FAULTY };

struct compiled_segment {
    enum segment_state state;
    const struct condition_program *program; /* SEGMENT_COMPILED */
};

/* One program in the making. Tests are emitted back to front, so that the targets of each are known already. */
struct emitter {
    struct condition_compiler *compiler;
    struct program_test *tests;
    size_t count, capacity;
    uint64_t cost_count;
    uint64_t sample_salt; /* of the segment this is, or of all conditions outside segments */
    bool has_failed;      /* an error was added; what is emitted no longer matters */
};

/* ---- operands ---------------------------------------------------------------------------------------------------- */

static struct slice normal_host(struct arena *arena, struct slice host)
{
    if (host.len == 0)
        return host;
    return host_normalise(host, arena_alloc(arena, host.len));
}

static struct slice lower_case(struct arena *arena, struct slice s)
{
    char *out = arena_alloc(arena, s.len);
    for (size_t i = 0; i < s.len; i++)
        out[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + ('a' - 'A') : s.ptr[i]);
    return slice_from(out, s.len);
}

static struct slice normal_path(struct emitter *e, struct slice path, struct place place)
{
    struct slice normal = path;
    bool has_encoded_slash;
    if (path.len == 0 || path.ptr[0] != '/' ||
        path_normalise(path, e->compiler->arena, &normal, &has_encoded_slash) != PATH_OK) {
        err_add(e->compiler->errors, place, "\"%.*s\" is not a path that a request can have", SLICE_ARG(path));
        e->has_failed = true;
    }
    return normal;
}

/* A value as requests will show it, where the operator compares it from its start to its end or to a border. */
static struct slice normal_value(struct emitter *e, const struct condition_config *c, struct slice value)
{
    bool is_whole = c->op == OPERATOR_EQUALS || c->op == OPERATOR_IN;
    if (c->subject == SUBJECT_PATH && (is_whole || c->op == OPERATOR_PREFIX))
        return normal_path(e, value, c->value_place);
    if (c->subject == SUBJECT_HOST)
        return is_whole ? normal_host(e->compiler->arena, value) : lower_case(e->compiler->arena, value);
    return value;
}

static void map_free(void *map)
{
    map_fini(map);
}

/* Keys and values point into `values`, which lives as long as the program. */
static const struct map *map_of_values(struct arena *arena, struct slice *values, size_t count)
{
    struct map *map = arena_alloc(arena, sizeof *map);
    map_init(map);
    arena_on_reset(arena, map_free, map);
    for (size_t i = 0; i < count; i++)
        map_put(map, values[i], &values[i]);
    return map;
}

static void compile_set(struct emitter *e, const struct condition_config *c, struct value_set *out)
{
    struct arena *arena = e->compiler->arena;
    size_t count = c->values.count;
    struct slice *values = arena_zalloc_array(arena, count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = normal_value(e, c, c->values.items[i]);
    out->values = values;
    out->count = count;
    out->map = count > SET_LINEAR_MAX ? map_of_values(arena, values, count) : NULL;
}

static void compile_operator(struct emitter *e, const struct condition_config *c, union program_operand *out)
{
    struct slice first = c->values.count > 0 ? c->values.items[0] : SLICE("");
    switch (c->op) {
    case OPERATOR_EQUALS:
    case OPERATOR_PREFIX:
    case OPERATOR_SUFFIX:
    case OPERATOR_CONTAINS:
        out->value = normal_value(e, c, first);
        break;
    case OPERATOR_IN:
        compile_set(e, c, &out->set);
        break;
    case OPERATOR_REGEX:
        out->regex = regex_compile(e->compiler->arena, first, c->value_place, e->compiler->errors);
        e->has_failed |= out->regex == NULL;
        break;
    case OPERATOR_PRESENT:
        out->is_present = c->is_present;
        break;
    case OPERATOR_RANGE:
        out->range.low = c->low;
        out->range.high = c->high;
        break;
    case OPERATOR_NONE:
        break;
    }
}

static void compile_segment_use(struct emitter *e, const struct condition_config *c, union program_operand *out)
{
    out->segment = condition_compiler_segment(e->compiler, c->segment_index, c->place);
    if (out->segment == NULL)
        e->has_failed = true;
    else
        e->cost_count += out->segment->cost_count;
}

static const union program_operand *compile_operand(struct emitter *e, const struct condition_config *c)
{
    union program_operand *out = arena_zalloc(e->compiler->arena, sizeof *out);
    switch (c->subject) {
    case SUBJECT_HEADER:
    case SUBJECT_COOKIE:
    case SUBJECT_QUERY:
    case SUBJECT_PATH:
    case SUBJECT_HOST:
    case SUBJECT_METHOD:
    case SUBJECT_TLS_CLIENT:
        compile_operator(e, c, out);
        break;
    case SUBJECT_SOURCE:
        out->source.networks = c->networks;
        out->source.count = c->network_count;
        break;
    case SUBJECT_SEGMENT:
        compile_segment_use(e, c, out);
        break;
    case SUBJECT_SAMPLE:
        out->sample.salt = e->sample_salt;
        out->sample.share_ppm = c->share_ppm;
        break;
    case SUBJECT_BETWEEN:
        out->between.from = c->from;
        out->between.until = c->until;
        break;
    }
    return out;
}

/* ---- the graph --------------------------------------------------------------------------------------------------- */

static bool has_room(struct emitter *e, struct place place)
{
    if (e->count == PROGRAM_MAX_TESTS) {
        err_add(e->compiler->errors, place, "condition has more than %d tests", PROGRAM_MAX_TESTS);
        return false;
    }
    if (e->count == e->capacity) {
        e->capacity = e->capacity ? e->capacity * 2 : 8;
        e->tests = memory_resize_array(e->tests, e->capacity, sizeof *e->tests);
    }
    return true;
}

static uint16_t emit_test(struct emitter *e, const struct condition_config *c, uint16_t on_true, uint16_t on_false)
{
    struct program_test t = {
        .subject = (uint8_t)c->subject, .op = (uint8_t)c->op, .on_true = on_true, .on_false = on_false
    };
    if (c->subject == SUBJECT_SAMPLE)
        t.key = &c->sample_key;
    else
        t.name = c->name;
    if (c->subject == SUBJECT_HEADER)
        t.field_id = (uint16_t)field_id_from_name(c->name);
    t.operand = compile_operand(e, c);
    e->cost_count++;
    if (!e->has_failed && !has_room(e, c->place))
        e->has_failed = true;
    if (e->has_failed)
        return on_false;
    e->tests[e->count] = t;
    return (uint16_t)e->count++;
}

static uint16_t emit(struct emitter *e, const struct condition_config *c, uint16_t on_true, uint16_t on_false);

/* all: [a, b] is  a ? (b ? T : F) : F;   any: [a, b] is  a ? T : (b ? T : F).
   The last child decides; each one before it goes on to the next or leaves early. */
static uint16_t emit_children(struct emitter *e, const struct condition_config *c, uint16_t on_true, uint16_t on_false)
{
    bool is_all = c->kind == CONDITION_ALL;
    uint16_t next = is_all ? on_true : on_false;
    for (size_t i = c->child_count; i-- > 0;)
        next = is_all ? emit(e, &c->children[i], next, on_false) : emit(e, &c->children[i], on_true, next);
    return next;
}

static uint16_t emit_kind(struct emitter *e, const struct condition_config *c, uint16_t on_true, uint16_t on_false)
{
    switch (c->kind) {
    case CONDITION_ALL:
    case CONDITION_ANY:
        return emit_children(e, c, on_true, on_false);
    case CONDITION_NOT:
        return emit(e, &c->children[0], on_false, on_true);
    case CONDITION_TEST:
        break;
    }
    return emit_test(e, c, on_true, on_false);
}

/* Emits c so that it ends at one of the two targets; returns where it starts. Goes on after an error, to find the
   others. */
static uint16_t emit(struct emitter *e, const struct condition_config *c, uint16_t on_true, uint16_t on_false)
{
    if (e->compiler->depth >= DEPTH_MAX) {
        err_add(e->compiler->errors, c->place, "conditions and segments nest more than %d deep", DEPTH_MAX);
        e->has_failed = true;
        return on_false;
    }
    e->compiler->depth++;
    uint16_t entry = emit_kind(e, c, on_true, on_false);
    e->compiler->depth--;
    return entry;
}

/* Moves the tests from the heap into the arena, now that their number is known. */
static struct condition_program *finish(struct emitter *e, uint16_t entry, struct place place)
{
    if (!e->has_failed && e->cost_count > COST_MAX) {
        err_add(e->compiler->errors, place, "condition may take %llu tests for one request, above the limit of %d",
                (unsigned long long)e->cost_count, COST_MAX);
        e->has_failed = true;
    }
    if (e->has_failed)
        return NULL;
    struct condition_program *program = arena_alloc(e->compiler->arena, sizeof *program + e->count * sizeof *e->tests);
    program->cost_count = (uint32_t)e->cost_count;
    program->entry = entry;
    if (e->count > 0)
        memcpy(program->tests, e->tests, e->count * sizeof *e->tests);
    return program;
}

static struct condition_program *compile(struct condition_compiler *compiler, const struct condition_config *condition,
                                         struct slice segment_name)
{
    struct emitter e = { .compiler = compiler, .sample_salt = sticky_salt(segment_name) };
    uint16_t entry = emit(&e, condition, TARGET_TRUE, TARGET_FALSE);
    struct condition_program *program = finish(&e, entry, condition->place);
    memory_free(e.tests);
    return program;
}

/* ---- the compiler ------------------------------------------------------------------------------------------------ */

void condition_compiler_init(struct condition_compiler *c, struct arena *arena, const struct config *config,
                             struct err_list *errors)
{
    *c = (struct condition_compiler){ .arena = arena, .config = config, .errors = errors };
    c->segments = arena_zalloc_array(arena, config->segment_count, sizeof *c->segments);
}

struct condition_program *condition_compiler_run(struct condition_compiler *c, const struct condition_config *condition)
{
    return compile(c, condition, SLICE(""));
}

struct condition_program *condition_compiler_run_part(struct condition_compiler *c, const struct condition_config *part,
                                                      struct slice segment_name)
{
    return compile(c, part, segment_name);
}

const struct condition_program *condition_compiler_segment(struct condition_compiler *c, uint32_t segment_index,
                                                           struct place place)
{
    CHECK(segment_index < c->config->segment_count);
    const struct segment_config *segment = &c->config->segments[segment_index];
    struct compiled_segment *compiled = &c->segments[segment_index];
    if (compiled->state == SEGMENT_COMPILING) {
        err_add(c->errors, place, "segment \"%.*s\" refers to itself", SLICE_ARG(segment->name));
        return NULL;
    }
    if (compiled->state == SEGMENT_UNTOUCHED) {
        compiled->state = SEGMENT_COMPILING;
        compiled->program = compile(c, segment->condition, segment->name);
        compiled->state = compiled->program != NULL ? SEGMENT_COMPILED : SEGMENT_FAULTY;
    }
    return compiled->program;
}

struct condition_program *condition_compile(struct arena *arena, const struct config *config,
                                            const struct condition_config *condition, struct err_list *errors)
{
    struct condition_compiler c;
    condition_compiler_init(&c, arena, config, errors);
    return condition_compiler_run(&c, condition);
}
