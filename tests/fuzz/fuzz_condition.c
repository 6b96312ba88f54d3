/* tests/fuzz/fuzz_condition.c - a `when:` from YAML to a program, held against its definition. */
#include "config/load.h"
#include "route/decide.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The input stands behind `when: `, so it may also go on with other keys of the file. */
static const char file_start[] = "state_dir: /nowhere\n"
                                 "listeners: { web: { bind: 127.0.0.1:8080 } }\n"
                                 "upstreams: { v1: { endpoints: [127.0.0.1:1] }, v2: { endpoints: [127.0.0.1:2] } }\n"
                                 "segments:\n"
                                 "  staff: { any: [ { header: x-staff, equals: \"1\" }, { source: [10.8.0.0/16] } ] }\n"
                                 "  beta: { all: [ { segment: staff }, { sample: 50%, by: { cookie: id } } ] }\n"
                                 "routes:\n"
                                 "  - { name: first, match: { path: { prefix: /first } }, to: v1 }\n"
                                 "  - name: fuzzed\n"
                                 "    split: { v1: 3, v2: 1 }\n"
                                 "    match:\n"
                                 "      when: ";

static const char *no_env(void *arg, const char *name)
{
    (void)arg;
    return name[0] == 'A' ? "value" : NULL;
}

static bool no_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    (void)arg, (void)path, (void)arena, (void)out;
    errno = ENOENT;
    return false;
}

static size_t no_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    (void)arg, (void)pattern, (void)arena;
    *out = NULL;
    return 0;
}

static const struct config_source no_source = {
    .get_env = no_env, .read_file = no_file, .expand_glob = no_glob, .directory = "/nowhere"
};

/* ---- requests ---------------------------------------------------------------------------------------------------- */

struct example {
    const char *method, *host, *path, *query;
    const char *header, *value, *cookie;
    uint8_t source[4];
    int64_t now_unix_ms;
};

static const struct example examples[] = {
    { "GET", "shop.example.com", "/", NULL, "x-staff", "1", "id=7; theme=dark", { 10, 8, 0, 1 }, 0 },
    { "POST", "example.com", "/a/b", "k=v&n=12&empty=", "x-number", "12.5", "id=", { 192, 0, 2, 1 }, 1800000000000 },
    { "BREW",
      "[::1]",
      "/a%2Fb//c.png",
      "",
      "user-agent",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
      "",
      { 10, 9, 0, 1 },
      -1 },
    { "OPTIONS", "h", "*", "k", "x-empty", "", "a=1; b=\"2\"", { 127, 0, 0, 1 }, INT64_MAX },
};

static void request_fill(const struct example *e, struct arena *arena, struct message *m, struct route_request *request)
{
    message_init(m, arena, 4);
    m->method_name = slice_from_cstr(e->method);
    m->method = method_from_name(m->method_name);
    message_add(m, arena, field_id_from_name(slice_from_cstr(e->header)), slice_from_cstr(e->header),
                slice_from_cstr(e->value));
    message_add(m, arena, FIELD_COOKIE, SLICE("Cookie"), slice_from_cstr(e->cookie));
    *request = (struct route_request){ .message = m,
                                       .host = slice_from_cstr(e->host),
                                       .path = slice_from_cstr(e->path),
                                       .query = slice_from_cstr(e->query),
                                       .source = { .bytes = { [10] = 0xff, [11] = 0xff } },
                                       .now = { e->now_unix_ms } };
    memcpy(request->source.bytes + 12, e->source, sizeof e->source);
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

struct run {
    struct arena *arena;
    const struct config *config;
    struct err_list *errors;
    const struct route_request *request;
};

/* The definition of a condition: tests one at a time, combined by hand. */
static bool holds(const struct run *run, const struct condition_config *c)
{
    if (c->kind == CONDITION_TEST) {
        struct condition_program *program = condition_compile(run->arena, run->config, c, run->errors);
        CHECK(program != NULL);
        return condition_matches(program, run->request);
    }
    if (c->kind == CONDITION_NOT)
        return !holds(run, &c->children[0]);
    bool is_all = c->kind == CONDITION_ALL;
    for (size_t i = 0; i < c->child_count; i++)
        if (holds(run, &c->children[i]) != is_all)
            return !is_all;
    return is_all;
}

static void check_when(const struct run *run, const struct compiled_route *route)
{
    const struct condition_config *when = route->config->match.when;
    if (when == NULL)
        return;
    bool is_match = condition_matches(route->when, run->request);
    CHECK(is_match == holds(run, when));
    struct slice text = condition_explain(run->arena, run->config, when, route->when, run->request);
    CHECK(is_match == slice_equal(text, SLICE("it matches")));
}

static void check_request(const struct run *run, const struct route_table *table, struct draw *draw)
{
    const struct compiled_route *found = route_table_find(table, run->request);
    for (uint32_t i = 0; i < table->route_count; i++) {
        check_when(run, &table->routes[i]);
        bool fits = route_table_explain(table, i, run->request, run->arena) == NULL;
        CHECK(!fits || (found != NULL && found->index <= i));
        CHECK(fits || found == NULL || found->index != i);
    }
    struct decision d;
    route_decide(table, run->request, NULL, draw, &d);
    CHECK(d.route == found);
}

static void check_table(struct arena *arena, const struct config *config, const struct route_table *table,
                        struct err_list *errors)
{
    struct rng rng;
    struct draw draw;
    rng_init(&rng, 1);
    draw_init(&draw, &rng, table);
    for (size_t i = 0; i < ARRAY_COUNT(examples); i++) {
        struct message message;
        struct route_request request;
        request_fill(&examples[i], arena, &message, &request);
        check_request(&(struct run){ arena, config, errors, &request }, table, &draw);
    }
    draw_fini(&draw);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena;
    struct err_list errors;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    struct slice text = arena_printf(&arena, "%s%.*s\n", file_start, (int)length, (const char *)bytes);
    struct config *config = config_load_bytes(&arena, "fuzz.yaml", text, &no_source, &errors);
    CHECK((config == NULL) == (errors.error_count > 0));
    struct route_table *table = config != NULL ? route_table_build(&arena, config, &errors) : NULL;
    if (table != NULL)
        check_table(&arena, config, table, &errors);
    CHECK((table == NULL) == (errors.error_count > 0));
    arena_reset(&arena);
    return 0;
}
