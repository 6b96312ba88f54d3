/* tests/fuzz/fuzz_yaml.c - any bytes as a configuration: they load, or are refused with at least one message. */
#include "base/check.h"
#include "config/load.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const char *get_env(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "NAME") == 0 ? "value: [" : NULL;
}

/* One file, so that inclusion is walked too; it includes itself. */
static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    (void)arg;
    errno = ENOENT;
    *out = arena_copy(arena, SLICE("include: more.yaml\nworkers: 2\nupstreams: { more: { endpoints: [ h:1 ] } }\n"));
    return strcmp(path, "more.yaml") == 0;
}

static size_t expand_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    (void)arg;
    (void)pattern;
    *out = arena_zalloc(arena, sizeof **out);
    (*out)[0] = SLICE("more.yaml");
    return 1;
}

static struct wall_time get_time(void *arg)
{
    (void)arg;
    return (struct wall_time){ INT64_C(1780272000000) };
}

static const struct config_source source = {
    .get_env = get_env,
    .read_file = read_file,
    .expand_glob = expand_glob,
    .get_time = get_time,
    .directory = "/etc/weir",
};

/* What everyone who reads the model relies on. */
static void check_model(const struct config *config)
{
    CHECK(config->text.len > 0 && config->digest.len == 16);
    for (size_t i = 0; i < config->route_count; i++) {
        const struct route_config *route = &config->routes[i];
        uint64_t sum = 0;
        CHECK((route->action == ROUTE_FORWARD) == (route->split_count > 0));
        for (size_t j = 0; j < route->split_count; j++) {
            CHECK(route->split[j].upstream_index < config->upstream_count);
            sum += route->split[j].weight;
        }
        CHECK(sum <= 10000 && (sum > 0) == (route->split_count > 0));
        for (size_t j = 0; j < route->rule_count; j++)
            CHECK(route->rules[j].upstream_index < config->upstream_count && route->rules[j].when != NULL);
    }
    for (size_t i = 0; i < config->segment_count; i++)
        CHECK(config->segments[i].condition != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena, error_arena;
    struct err_list errors;
    arena_init(&arena, NULL, 0);
    arena_init(&error_arena, NULL, 0);
    err_list_init(&errors, &error_arena);
    struct slice input = slice_from((const char *)bytes, length);
    const struct config *config = config_load_bytes(&arena, "weir.yaml", input, &source, &errors);
    CHECK((config == NULL) == (errors.error_count > 0));
    if (config != NULL)
        check_model(config);
    arena_reset(&arena); /* messages outlive the configuration */
    for (const struct err *e = errors.first; e != NULL; e = e->next)
        CHECK(err_format(&error_arena, e).len > 0);
    arena_reset(&error_arena);
    return 0;
}
