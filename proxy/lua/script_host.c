/* lua/script_host.c - the scripts of a snapshot as one worker runs them: a state, and the hooks in it. */
#include "lua/script_host.h"

#include <string.h>

#include "base/memory.h"
#include "lua/chunk.h"

#define HOST_MAGIC           0x484f5354u
#define COMPLAIN_INTERVAL_MS 1000

struct script_host {
    uint32_t magic;
    const struct script_set *set;
    struct watchdog *dog;
    struct vm *vm;
    struct script_world world;
    int *hooks;                   /* by script and hook: references in the state's registry; LUA_NOREF: not there */
    struct log_limit *complaints; /* by script */
    struct log_limit renewals;
};

/* ---- the log --------------------------------------------------------------------------------------------------------------- */

/* A traceback on one line. */
static void complain(struct script_host *h, uint32_t script, const char *what, enum vm_result result)
{
    char text[VM_MESSAGE_BYTES];
    size_t length = strlen(h->vm->message);
    memcpy(text, h->vm->message, length + 1);
    for (char *at = text; at < text + length; at++)
        *at = (char)(*at == '\n' ? ';' : *at == '\t' ? ' ' : *at);
    log_line_limited(&h->complaints[script], COMPLAIN_INTERVAL_MS, LOG_WARN, "script: %s: %s: %s: %s",
                     h->set->scripts[script].path.ptr, what, vm_result_names[result], text);
}

/* ---- the state ------------------------------------------------------------------------------------------------------------- */

static enum vm_result run(struct script_host *h, lua_CFunction body, void *arg, int64_t budget_us)
{
    lua_State *co = vm_coroutine(h->vm);
    if (co == NULL) {
        memcpy(h->vm->message, "no memory for a call", sizeof("no memory for a call"));
        return VM_MEMORY;
    }
    enum vm_result result = vm_start(h->vm, co, body, arg, budget_us);
    vm_release(h->vm, co);
    return result;
}

struct load_job {
    const struct script *script;
    int *hooks;
};

static int load_body(lua_State *L)
{
    struct load_job *job = lua_touserdata(L, 1);
    const struct script *s = job->script;
    if (luaL_loadbufferx(L, s->code.ptr, s->code.len, s->source, "b") != LUA_OK)
        return lua_error(L);
    chunk_run(L);
    for (unsigned hook = 0; hook < SCRIPT_HOOK_COUNT; hook++)
        if (lua_getfield(L, -1, script_hook_names[hook]) == LUA_TFUNCTION)
            job->hooks[hook] = luaL_ref(L, LUA_REGISTRYINDEX);
        else
            lua_pop(L, 1);
    return 0;
}

/* What loaded for the main thread nearly always loads here; a script that did not has no hooks, and its calls fail. */
static void state_open(struct script_host *h)
{
    struct vm_limits limits = { .memory_bytes = h->world.config->limits.script_memory_bytes };
    h->vm = vm_create(&limits, h->dog);
    h->vm->owner = &h->world;
    h->world.epoch++;
    for (uint32_t i = 0; i < h->set->count * SCRIPT_HOOK_COUNT; i++)
        h->hooks[i] = LUA_NOREF;
    enum vm_result result = run(h, api_open, NULL, SCRIPT_LOAD_BUDGET_US);
    for (uint32_t i = 0; i < h->set->count; i++) {
        struct load_job job = { &h->set->scripts[i], &h->hooks[i * SCRIPT_HOOK_COUNT] };
        if (result == VM_OK)
            result = run(h, load_body, &job, SCRIPT_LOAD_BUDGET_US);
        if (result != VM_OK)
            complain(h, i, "could not be loaded", result);
        result = VM_OK;
    }
}

static void state_renew(struct script_host *h)
{
    log_line_limited(&h->renewals, COMPLAIN_INTERVAL_MS, LOG_WARN,
                     "script: what the scripts keep is over limits.script_memory: their state is made anew");
    vm_destroy(h->vm);
    state_open(h);
}

struct script_host *script_host_create(const struct route_table *table, struct watchdog *dog)
{
    struct script_host *h = memory_zalloc(sizeof(*h));
    h->magic = HOST_MAGIC;
    h->set = table->config->scripts;
    h->dog = dog;
    h->world = (struct script_world){ .config = table->config, .segments = table->segments };
    h->hooks = memory_zalloc(h->set->count * SCRIPT_HOOK_COUNT * sizeof(*h->hooks));
    h->complaints = memory_zalloc(h->set->count * sizeof(*h->complaints));
    state_open(h);
    return h;
}

void script_host_destroy(struct script_host *h)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    vm_destroy(h->vm);
    memory_free(h->hooks);
    memory_free(h->complaints);
    h->magic = 0;
    memory_free(h);
}

/* ---- calls ----------------------------------------------------------------------------------------------------------------- */

struct hook_job {
    int hook;
    struct script_call *call;
};

static int hook_body(lua_State *L)
{
    struct hook_job *job = lua_touserdata(L, 1);
    bool has_response = job->call->response != NULL;
    if (job->hook == LUA_NOREF)
        return luaL_error(L, "the script could not be loaded");
    lua_rawgeti(L, LUA_REGISTRYINDEX, job->hook);
    api_push_request(L);
    if (has_response)
        api_push_response(L);
    lua_call(L, has_response ? 2 : 1, has_response ? 0 : 1);
    if (job->call->copy != NULL)
        api_take_word(L, job->call);
    else if (!has_response)
        api_take_result(L, job->call);
    return 0;
}

enum vm_result script_host_call(struct script_host *h, uint32_t script, enum script_hook hook, int64_t budget_us,
                                struct script_call *call)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    CHECK(script < h->set->count && (hook == SCRIPT_ON_RESPONSE) == (call->response != NULL));
    CHECK((hook == SCRIPT_ON_SHADOW) == (call->copy != NULL));
    if (h->vm->is_full)
        state_renew(h);
    struct hook_job job = { h->hooks[script * SCRIPT_HOOK_COUNT + (uint32_t)hook], call };
    h->world.call = call;
    h->world.serial++;
    h->world.script = h->set->scripts[script].path.ptr;
    enum vm_result result = run(h, hook_body, &job, budget_us);
    h->world.call = NULL;
    if (result != VM_OK) {
        call->upstream_index = CONFIG_NONE;
        call->answer = NULL;
        complain(h, script, script_hook_names[hook], result);
    }
    return result;
}

void script_host_forget(struct script_host *h, struct script_call *call)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    if (call->ctx_epoch == h->world.epoch)
        luaL_unref(h->vm->state, LUA_REGISTRYINDEX, call->ctx); /* sets keys that are there: needs no memory */
    call->ctx_epoch = 0;
}
