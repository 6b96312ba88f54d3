/* bench/hook_limits.c - how long calls take that a hook's limits cut off: CPU time from a call's begin to its end.
 *
 * usage: hook-limits CALLS [KIND]
 *
 * Calls hooks as a worker does (lua/script_host.h), with the default budget and memory, and prints a line for each kind of bad
 * hook: its name, what became of the calls, and CPU time in microseconds: median and maximum of the calls that held their
 * thread, then of those in stints, all stints of a call together. CPU time, because a call that another process keeps from
 * the core is none that takes long. What a call leaves to collect is a part of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "config/load.h"
#include "lua/script_host.h"
#include "lua/script_set.h"

#define CALLS_MAX 100000

static const struct kind {
    const char *name, *body;
} kinds[] = {
    { "while true", "while true do end" },
    { "pcall in a loop", "while true do pcall(function() while true do end end) end" },
    { "xpcall in a loop", "while true do xpcall(error, function() while true do end end) end" },
    { "loop in a coroutine", "coroutine.wrap(function() while true do pcall(error) end end)()" },
    { "coroutines in a loop",
      "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end" },
    { "pattern, find", "return (('a'):rep(60)):find(('(a*)'):rep(20) .. 'b')" },
    { "pattern, gsub", "return (('a'):rep(60)):gsub(('a*'):rep(60) .. 'b', '')" },
    { "recursion", "local function deep() return 1 + deep() end while true do pcall(deep) end" },
    { "recursion in coroutines",
      "local function deep() return 1 + deep() end while true do coroutine.resume(coroutine.create(deep)) end" },
    { "deep coroutines", "local function deep(n) if n == 0 then coroutine.yield() end return 1 + deep(n - 1) end "
                         "while true do coroutine.resume(coroutine.create(deep), 1500) end" },
    { "metamethods", "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do "
                     "pcall(function() return t[1] end) end" },
    { "pattern, long set", "return (('a'):rep(1e5)):find('[' .. ('b'):rep(65534) .. ']')" },
    { "gsub, long replacement", "return (('a'):rep(1000)):gsub('(b-)', ('%1'):rep(4e5))" },
    { "gsub, empty", "local s = ('a'):rep(1e6) while true do s:gsub('', '') end" },
    { "find, plain", "local s = ('a'):rep(1e6) while true do s:find(('a'):rep(1000) .. 'b', 1, true) end" },
    { "string.format %q", "while true do ('%q'):format(('\\0'):rep(16000)) end" },
    { "a long key", "local s, t = ('x'):rep(1e6), {} while true do local _ = t[s .. 'y'] end" },
    { "a long number", "local s = ('0'):rep(1e6) while true do local _ = s + tonumber(s, 36) end" },
    { "a long comparison", "local s, t = ('x'):rep(1e6), ('x'):rep(1e6) while true do local _ = s < t end" },
    { "a growing text", "local s = 'x' while true do s = s .. s end" },
    { "string.rep", "while true do local s = ('x'):rep(100000) end" },
    { "table.concat", "local t = {} for i = 1, 10000 do t[i] = 'some text' end while true do table.concat(t) end" },
    { "numbers, table.concat",
      "local t = {} for i = 1, 300000 do t[i] = i end while true do table.concat(t, ' ', 1, 150000) end" },
    { "integers kept", "local t = {} for i = 1, 1 << 60 do t[i] = i end" },
    { "keys kept", "local t = {} for i = 1, 1 << 60 do t[i + 0.5] = i end" },
    { "table.sort", "local t = {} for i = 1, 5000 do t[i] = i * 7919 % 10007 end while true do table.sort(t, "
                    "function(a, b) return a > b end) end" },
    { "json.encode", "local t = {} for i = 1, 5000 do t[i] = { i } end while true do weir.json.encode(t) end" },
    { "tables kept", "local t = {} while true do t[#t + 1] = { #t } end" },
    { "texts kept", "local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end" },
};

static const char yaml[] = "listeners: { web: { bind: 127.0.0.1:8080 } }\n"
                           "upstreams: { a: { endpoints: [127.0.0.1:1] } }\n"
                           "routes: [ { name: r, script: x.lua, to: a } ]\n";

/* One script in a host of its own. */
struct bench {
    struct arena arena;
    struct slice script;
    struct watchdog *dog;
    struct script_host *host;
    int64_t budget_us;
    struct message message;
    struct route_request view;
};

static bool read_file(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    const struct bench *b = arg;
    (void)path;
    *out = arena_copy(arena, b->script);
    return true;
}

static const char *get_env(void *arg, const char *name)
{
    (void)arg, (void)name;
    return NULL;
}

static void bench_open(struct bench *b, const struct kind *kind)
{
    *b = (struct bench){ .dog = watchdog_create() };
    struct config_source source = {
        .get_env = get_env, .read_file = read_file, .directory = "/d", .compile_scripts = script_set_compile, .arg = b
    };
    struct err_list errors;
    arena_init(&b->arena, NULL, 0);
    err_list_init(&errors, &b->arena);
    b->script = arena_printf(&b->arena, "return { on_request = function(req) %s end }", kind->body);
    struct config *config = config_load_bytes(&b->arena, "weir.yaml", slice_from_cstr(yaml), &source, &errors);
    CHECK(config != NULL);
    b->budget_us = config->routes[0].script.budget_ms * 1000;
    b->host = script_host_create(route_table_build(&b->arena, config, &errors), b->dog, NULL, NULL);
    script_host_attach(b->host, NULL);
    message_init(&b->message, &b->arena, 1);
    b->view = (struct route_request){ .message = &b->message, .path = SLICE("/") };
}

static void bench_close(struct bench *b)
{
    script_host_detach(b->host);
    script_host_destroy(b->host);
    watchdog_destroy(b->dog);
    arena_reset(&b->arena);
}

enum way { HELD, IN_STINTS };

/* To its end. */
static int64_t measure(struct bench *b, enum way way, uint32_t results[])
{
    bool has_encoded_slash = false;
    struct script_call call = { .arena = &b->arena,
                                .request = &b->message,
                                .view = &b->view,
                                .has_encoded_slash = &has_encoded_slash,
                                .upstream_index = CONFIG_NONE };
    if (way == IN_STINTS)
        script_host_ran_long(b->host, &call, VM_TIMEOUT);
    int64_t begun_us = watch_cpu_us();
    enum vm_result result = script_host_call(b->host, 0, SCRIPT_ON_REQUEST, b->budget_us, &call);
    while (result == VM_PAUSED)
        result = script_host_go_on(b->host, &call);
    script_host_forget(b->host, &call);
    results[result]++;
    return watch_cpu_us() - begun_us;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void run(const struct kind *kind, size_t call_count)
{
    struct bench b;
    uint32_t results[VM_MEMORY + 1] = { 0 };
    int64_t *used_us = memory_zalloc(call_count * sizeof *used_us), figures[4];
    for (int way = HELD; way <= IN_STINTS; way++) {
        bench_open(&b, kind);
        for (size_t i = 0; i < call_count; i++)
            used_us[i] = measure(&b, (enum way)way, results);
        bench_close(&b);
        qsort(used_us, call_count, sizeof *used_us, compare);
        figures[2 * way] = used_us[call_count / 2];
        figures[2 * way + 1] = used_us[call_count - 1];
    }
    printf("%s\t", kind->name);
    for (int result = VM_OK, is_first = 1; result <= VM_MEMORY; result++)
        if (results[result] > 0)
            printf("%s%s", is_first ? "" : ", ", vm_result_names[result]), is_first = 0;
    printf("\t%lld\t%lld\t%lld\t%lld\n", (long long)figures[0], (long long)figures[1], (long long)figures[2],
           (long long)figures[3]);
    fflush(stdout);
    memory_free(used_us);
}

int main(int argument_count, char **arguments)
{
    char *end = NULL;
    long call_count = argument_count == 2 || argument_count == 3 ? strtol(arguments[1], &end, 10) : 0;
    if (end == NULL || *end != '\0' || call_count < 1 || call_count > CALLS_MAX) {
        fprintf(stderr, "usage: hook-limits CALLS [KIND]\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (argument_count == 2 || strcmp(arguments[2], kinds[i].name) == 0)
            run(&kinds[i], (size_t)call_count);
    return 0;
}
