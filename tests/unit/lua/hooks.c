/* tests/unit/lua/hooks.c - the hooks of one script, and requests to call them with: as a worker does, without its sockets. */
#include "lua/hooks.h"

#include <errno.h>

#include "http/codec.h"
#include "http/validate.h"

static const struct h1_limits limits = { .request_line_bytes = 4096, .head_bytes = 16384, .field_count = 64 };

static const char *get_env(void *arg, const char *name)
{
    (void)arg, (void)name;
    return NULL;
}

static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    const struct hooks *h = arg;
    *out = arena_copy(arena, h->texts[slice_has_suffix(slice_from_cstr(path), SLICE("1.lua")) ? 1 : 0]);
    return true;
}

static size_t expand_glob(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    (void)arg, (void)pattern, (void)arena;
    *out = NULL;
    return 0;
}

static const char one_script[] = "listeners: { web: { bind: 127.0.0.1:8080 } }\n"
                                 "limits: { script_memory: 1MiB }\n"
                                 "upstreams: { a: { endpoints: [127.0.0.1:1] }, b: { endpoints: [127.0.0.1:2] } }\n"
                                 "segments: { staff: { header: x-staff, equals: \"1\" } }\n"
                                 "routes:\n"
                                 "  - { name: first, match: { path: { prefix: /first } }, script: 0.lua, to: a }\n";
static const char another[] = "  - { name: second, script: 1.lua, to: a }\n";

bool hooks_open(struct hooks *h, struct slice script, struct slice second)
{
    *h = (struct hooks){ .texts = { script, second } };
    struct config_source source = { .get_env = get_env,
                                    .read_file = read_file,
                                    .expand_glob = expand_glob,
                                    .directory = "/d",
                                    .compile_scripts = script_set_compile,
                                    .arg = h };
    arena_init(&h->arena, NULL, 0);
    err_list_init(&h->errors, &h->arena);
    struct slice yaml = arena_printf(&h->arena, "%s%s", one_script, second.ptr != NULL ? another : "");
    h->config = config_load_bytes(&h->arena, "weir.yaml", yaml, &source, &h->errors);
    if (h->config == NULL)
        return false;
    h->table = route_table_build(&h->arena, h->config, &h->errors);
    h->dog = watchdog_create();
    h->host = script_host_create(h->table, h->dog, NULL, NULL);
    script_host_attach(h->host, NULL);
    return true;
}

void hooks_close(struct hooks *h)
{
    if (h->host != NULL) {
        script_host_detach(h->host);
        script_host_destroy(h->host);
        watchdog_destroy(h->dog);
    }
    arena_reset(&h->arena);
}

static bool read_head(struct h1_reader *reader, struct slice head, struct arena *arena, struct message *m)
{
    struct slice input = arena_copy(arena, head);
    return h1_read(reader, &input, arena, m) == H1_HEAD;
}

bool hooks_request_begin(struct hooks_request *r, struct slice head, struct slice answer_head)
{
    struct h1_reader reader;
    *r = (struct hooks_request){ .has_encoded_slash = false };
    arena_init(&r->arena, NULL, 0);
    h1_reader_init_request(&reader, &limits);
    if (!read_head(&reader, head, &r->arena, &r->message))
        return false;
    h1_reader_init_response(&reader, &limits, r->message.method);
    if (!read_head(&reader, answer_head, &r->arena, &r->response))
        return false;
    hop_by_hop_drop(&r->message);
    hop_by_hop_drop(&r->response);
    r->view = (struct route_request){ .message = &r->message, .host = r->message.authority, .query = r->message.query };
    r->call = (struct script_call){ .arena = &r->arena,
                                    .request = &r->message,
                                    .view = &r->view,
                                    .scheme = SLICE("http"),
                                    .has_encoded_slash = &r->has_encoded_slash,
                                    .upstream_index = CONFIG_NONE };
    return path_normalise(r->message.path, &r->arena, &r->view.path, &r->has_encoded_slash) == PATH_OK;
}

void hooks_request_end(struct hooks_request *r, struct hooks *h)
{
    if (r->call.arena != NULL)
        script_host_forget(h->host, &r->call);
    arena_reset(&r->arena);
}

enum vm_result hooks_on_request(struct hooks *h, uint32_t script, struct hooks_request *r, int64_t budget_us)
{
    return script_host_call(h->host, script, SCRIPT_ON_REQUEST, budget_us, &r->call);
}

enum vm_result hooks_on_response(struct hooks *h, uint32_t script, struct hooks_request *r, int64_t budget_us)
{
    r->call.response = &r->response;
    enum vm_result result = script_host_call(h->host, script, SCRIPT_ON_RESPONSE, budget_us, &r->call);
    r->call.response = NULL;
    return result;
}
