/* lua/script_host.c - the scripts of a snapshot as one worker runs them: a state, and the hooks in it. */
#include "lua/script_host.h"

#include <string.h>

#include "base/memory.h"
#include "lua/chunk.h"
#include "lua/compile.h"

#define HOST_MAGIC           0x484f5354u
#define COMPLAIN_INTERVAL_MS 1000

/* What a script is known to do that most never do. */
enum trait {
    TRAIT_WAITS = 1, /* its text has weir.fetch, or a hook of it was seen to wait */
    TRAIT_LONG = 2,  /* its on_request ran long a short time ago */
};

/* How a part of a hook begins. */
enum part { PART_FIRST, PART_ANSWERED, PART_NEXT_STINT };

static const char no_memory[] = "no memory for a call";

struct script_host {
    uint32_t magic;
    const struct script_set *set;
    struct watchdog *dog;
    struct vm *vm;
    struct script_world world;
    int *hooks;                   /* by script and hook: references in the state's registry; LUA_NOREF: not there */
    struct log_limit *complaints; /* by script */
    uint8_t *traits;              /* by script: enum trait */
    struct mono_time *stints_end; /* by script: when TRAIT_LONG goes */
    uint32_t waiting_count;       /* calls that wait or are paused: their coroutines are in the state */
    uint32_t paused_count;        /* the latter alone */
    uint64_t serial;              /* of the newest call */
    struct log_limit renewals;
    const struct script_renewal *renewal; /* NULL: in place */
    struct script_host *fresh;            /* has the next state; NULL: none is there yet */
    bool is_fresh_wanted;                 /* on_full was called */
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
        memcpy(h->vm->message, no_memory, sizeof(no_memory));
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
    compile_load(L, s->code, s->source);
    chunk_run(L, &s->names);
    for (unsigned hook = 0; hook < SCRIPT_HOOK_COUNT; hook++)
        if (lua_getfield(L, -1, script_hook_names[hook]) == LUA_TFUNCTION)
            job->hooks[hook] = luaL_ref(L, LUA_REGISTRYINDEX);
        else
            lua_pop(L, 1);
    return 0;
}

static void on_line(lua_State *L, lua_Debug *event)
{
    const struct script_fakes *fakes = api_world(L)->fakes;
    lua_getinfo(L, "S", event);
    fakes->line(fakes->arg, event->source, event->currentline);
}

/* What loaded when it was compiled nearly always loads here; a script that did not has no hooks, and its calls fail. The
   state is attached to no thread. */
static void state_open(struct script_host *h)
{
    struct vm_limits limits = { .memory_bytes = h->world.config->limits.script_memory_bytes };
    h->vm = vm_create(&limits, h->dog);
    h->vm->owner = &h->world;
    if (h->world.fakes != NULL)
        vm_trace_lines(h->vm, on_line);
    h->world.epoch++;
    for (uint32_t i = 0; i < h->set->count * SCRIPT_HOOK_COUNT; i++)
        h->hooks[i] = LUA_NOREF;
    enum vm_result result = run(h, api_open, NULL, SCRIPT_LOAD_BUDGET_US);
    for (uint32_t i = 0; i < h->set->count; i++) {
        struct load_job job = { &h->set->scripts[i], &h->hooks[i * SCRIPT_HOOK_COUNT] };
        struct module_loading loading = { .set = &h->set->modules, .directory = script_directory(job.script) };
        h->world.loading = &loading;
        if (result == VM_OK)
            result = run(h, load_body, &job, SCRIPT_LOAD_BUDGET_US);
        h->world.loading = NULL;
        if (result != VM_OK)
            complain(h, i, "could not be loaded", result);
        result = VM_OK;
    }
    vm_detach(h->vm);
}

static void state_replace(struct script_host *h, struct script_host *fresh)
{
    struct vm *full = h->vm;
    int *hooks = h->hooks;
    vm_detach(full);
    h->vm = fresh->vm;
    h->hooks = fresh->hooks;
    h->vm->owner = &h->world;
    fresh->vm = full;
    fresh->hooks = hooks;
    full->owner = &fresh->world;
    vm_attach(h->vm);
    h->world.epoch++;
    h->is_fresh_wanted = false;
    h->renewal->on_used(h->renewal->arg, fresh);
}

static void state_renew(struct script_host *h)
{
    if (h->fresh != NULL) {
        state_replace(h, TAKE(&h->fresh));
        return;
    }
    if (h->is_fresh_wanted)
        return;
    log_line_limited(&h->renewals, COMPLAIN_INTERVAL_MS, LOG_WARN,
                     "script: what the scripts keep is over limits.script_memory: their state is made anew");
    if (h->renewal != NULL) {
        h->is_fresh_wanted = true;
        h->renewal->on_full(h->renewal->arg);
        return;
    }
    vm_destroy(h->vm);
    state_open(h);
    vm_attach(h->vm);
}

/* Who waits is not thrown away with it. */
static void make_room(struct script_host *h)
{
    if (h->waiting_count == 0)
        state_renew(h);
    else
        log_line_limited(&h->renewals, COMPLAIN_INTERVAL_MS, LOG_WARN,
                         "script: what the scripts keep is over limits.script_memory, and %u hooks wait: no more may",
                         h->waiting_count);
}

static struct script_host *create(const struct route_table *table, struct watchdog *dog, script_fetch_fn fetch,
                                  struct shared_map *shared, const struct script_fakes *fakes)
{
    struct script_host *h = memory_zalloc(sizeof(*h));
    h->magic = HOST_MAGIC;
    h->set = table->config->scripts;
    h->dog = dog;
    h->world = (struct script_world){
        .config = table->config, .segments = table->segments, .fetch = fetch, .shared = shared, .fakes = fakes
    };
    h->hooks = memory_zalloc(h->set->count * SCRIPT_HOOK_COUNT * sizeof(*h->hooks));
    h->complaints = memory_zalloc(h->set->count * sizeof(*h->complaints));
    h->traits = memory_zalloc(h->set->count * sizeof(*h->traits));
    h->stints_end = memory_zalloc(h->set->count * sizeof(*h->stints_end));
    for (uint32_t i = 0; i < h->set->count; i++)
        h->traits[i] = h->set->scripts[i].asks.len > 0 ? TRAIT_WAITS : 0;
    state_open(h);
    return h;
}

struct script_host *script_host_create(const struct route_table *table, struct watchdog *dog, script_fetch_fn fetch,
                                       struct shared_map *shared)
{
    return create(table, dog, fetch, shared, NULL);
}

struct script_host *script_host_create_fake(const struct route_table *table, struct watchdog *dog,
                                            const struct script_fakes *fakes)
{
    return create(table, dog, fakes->fetch, fakes->shared, fakes);
}

const char *script_host_message(const struct script_host *h)
{
    return h->vm->message;
}

void script_host_attach(struct script_host *h, const struct script_renewal *renewal)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    h->renewal = renewal;
    vm_attach(h->vm);
}

void script_host_detach(struct script_host *h)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    vm_detach(h->vm);
}

void script_host_offer(struct script_host *h, struct script_host *fresh)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    CHECK(h->is_fresh_wanted && h->fresh == NULL && fresh->set == h->set);
    h->fresh = fresh;
}

void script_host_destroy(struct script_host *h)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    CHECK(h->waiting_count == 0);
    if (h->fresh != NULL)
        script_host_destroy(TAKE(&h->fresh));
    vm_destroy(h->vm);
    memory_free(h->hooks);
    memory_free(h->complaints);
    memory_free(h->traits);
    memory_free(h->stints_end);
    h->magic = 0;
    memory_free(h);
}

static void note_long(struct script_host *h, uint32_t script)
{
    h->traits[script] |= TRAIT_LONG;
    h->stints_end[script] = mono_add_ms(clock_mono(), SCRIPT_STINTS_MS);
}

void script_host_force_stints(struct script_host *h, int instructions)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    h->vm->stint_us = 0;
    h->vm->look_instructions = instructions;
    for (uint32_t i = 0; i < h->set->count; i++)
        note_long(h, i);
}

size_t script_host_memory_bytes(const struct script_host *h)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    return h->vm->used_bytes;
}

/* ---- calls ----------------------------------------------------------------------------------------------------------------- */

static int finish_hook(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct script_call *call = (struct script_call *)context; /* NOLINT(performance-no-int-to-ptr): as Lua has it */
    if (call->copy != NULL)
        api_take_word(L, call);
    else if (call->response == NULL)
        api_take_result(L, call);
    return 0;
}

static int hook_body(lua_State *L)
{
    struct script_call *call = lua_touserdata(L, 1);
    bool has_response = call->response != NULL;
    if (call->run.function == LUA_NOREF)
        return luaL_error(L, "the script could not be loaded");
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->run.function);
    api_push_request(L);
    if (has_response)
        api_push_response(L);
    lua_callk(L, has_response ? 2 : 1, has_response ? 0 : 1, (lua_KContext)call, finish_hook);
    return finish_hook(L, LUA_OK, (lua_KContext)call);
}

/* The hook is over. */
static void end_run(struct script_host *h, struct script_call *call)
{
    vm_release(h->vm, TAKE(&call->run.co));
    call->may_wait = false;
}

static void note_pause(struct script_host *h, struct script_run *run)
{
    run->is_paused = true;
    h->paused_count++;
    note_long(h, run->script);
    if (run->pause_ends.us == 0)
        run->pause_ends = mono_add_ms(clock_mono(), SCRIPT_PAUSED_MAX_MS);
}

/* For an answer, whose time has limits of its own: it is not the others that it waits for. */
static void note_wait(struct script_host *h, struct script_run *run)
{
    h->traits[run->script] |= TRAIT_WAITS;
    run->pause_ends.us = 0;
}

static enum vm_result finish_part(struct script_host *h, struct script_call *call, enum vm_result result)
{
    struct script_run *run = &call->run;
    h->world.call = NULL;
    if (result == VM_SUSPENDED || result == VM_PAUSED) {
        h->waiting_count++;
        if (result == VM_PAUSED)
            note_pause(h, run);
        else
            note_wait(h, run);
        return result;
    }
    if (run->co != NULL)
        end_run(h, call);
    if (result != VM_OK) {
        call->upstream_index = CONFIG_NONE;
        call->answer = NULL;
        complain(h, run->script, script_hook_names[run->hook], result);
    }
    return result;
}

/* Did a call of it run long a short time ago? */
static bool is_long(struct script_host *h, uint32_t script)
{
    if ((h->traits[script] & TRAIT_LONG) != 0 && !mono_is_before(clock_mono(), h->stints_end[script]))
        h->traits[script] &= (uint8_t)~TRAIT_LONG;
    return (h->traits[script] & TRAIT_LONG) != 0;
}

/* Does this part run in stints? What was paused always does. */
static bool is_in_stints(struct script_host *h, const struct script_call *call, enum part part)
{
    if (part == PART_NEXT_STINT)
        return true;
    return call->run.hook == SCRIPT_ON_REQUEST && is_long(h, call->run.script) && h->paused_count < SCRIPT_PAUSED_MAX &&
           !vm_is_full(h->vm);
}

bool script_host_is_long(struct script_host *h, uint32_t script)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    return is_long(h, script);
}

bool script_host_has_room(const struct script_host *h)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    return h->paused_count < SCRIPT_PAUSED_MAX;
}

static enum vm_result run_stint(struct script_host *h, struct script_call *call, enum part part,
                                struct script_fetch_answer *answer)
{
    struct script_run *run = &call->run;
    bool is_late = run->pause_ends.us != 0 && !mono_is_before(clock_mono(), run->pause_ends);
    if (is_late)
        run->stint.left_us = 0;
    if (part == PART_FIRST)
        return vm_start_stint(h->vm, run->co, hook_body, call, &run->stint);
    return part == PART_ANSWERED ? vm_continue_stint(h->vm, run->co, answer, &run->stint)
                                 : vm_go_on(h->vm, run->co, &run->stint);
}

static enum vm_result run_whole(struct script_host *h, struct script_call *call, enum part part,
                                struct script_fetch_answer *answer)
{
    struct script_run *run = &call->run;
    int64_t left_us = run->stint.left_us;
    return part == PART_FIRST ? vm_start(h->vm, run->co, hook_body, call, left_us)
                              : vm_continue(h->vm, run->co, answer, left_us);
}

/* The budget is CPU time of all parts together. To read it is a system call, so it is read for scripts that are known to
   wait. Of one that hides it (weir["fetch"]) the first part of the first call that does is not counted. */
static enum vm_result run_measured(struct script_host *h, struct script_call *call, enum part part,
                                   struct script_fetch_answer *answer)
{
    if (is_in_stints(h, call, part))
        return run_stint(h, call, part, answer);
    int64_t begun_us = watch_cpu_us();
    enum vm_result result = run_whole(h, call, part, answer);
    if (result == VM_SUSPENDED)
        call->run.stint.left_us -= watch_cpu_us() - begun_us;
    return result;
}

/* Runs the hook until it ends, waits or pauses. */
static enum vm_result run_part(struct script_host *h, struct script_call *call, enum part part,
                               struct script_fetch_answer *answer)
{
    struct script_run *run = &call->run;
    h->world.call = call;
    h->world.serial = run->serial;
    h->world.script = h->set->scripts[run->script].path.ptr;
    enum vm_result result = h->traits[run->script] == 0 && part == PART_FIRST ? run_whole(h, call, part, answer)
                                                                              : run_measured(h, call, part, answer);
    return finish_part(h, call, result);
}

enum vm_result script_host_call(struct script_host *h, uint32_t script, enum script_hook hook, int64_t budget_us,
                                struct script_call *call)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    CHECK(script < h->set->count && (hook == SCRIPT_ON_RESPONSE) == (call->response != NULL));
    CHECK((hook == SCRIPT_ON_SHADOW) == (call->copy != NULL));
    CHECK(call->run.co == NULL);
    if (h->vm->is_full)
        make_room(h);
    call->run = (struct script_run){ .co = vm_coroutine(h->vm),
                                     .serial = ++h->serial,
                                     .script = script,
                                     .hook = (uint8_t)hook,
                                     .function = h->hooks[script * SCRIPT_HOOK_COUNT + (uint32_t)hook],
                                     .stint = { .left_us = budget_us } };
    call->may_wait = hook == SCRIPT_ON_REQUEST;
    call->fetch_count = 0;
    if (call->run.co != NULL)
        return run_part(h, call, PART_FIRST, NULL);
    memcpy(h->vm->message, no_memory, sizeof(no_memory));
    return finish_part(h, call, VM_MEMORY);
}

enum vm_result script_host_continue(struct script_host *h, struct script_call *call,
                                    const struct script_fetch_answer *answer)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    CHECK(call->run.co != NULL && h->waiting_count > 0);
    struct script_fetch_answer borrowed = *answer;
    h->waiting_count--;
    return run_part(h, call, PART_ANSWERED, &borrowed);
}

static void end_pause(struct script_host *h, struct script_call *call)
{
    h->waiting_count--;
    h->paused_count -= call->run.is_paused ? 1 : 0;
    call->run.is_paused = false;
}

enum vm_result script_host_go_on(struct script_host *h, struct script_call *call)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    CHECK(call->run.co != NULL && call->run.is_paused);
    end_pause(h, call);
    return run_part(h, call, PART_NEXT_STINT, NULL);
}

void script_host_ran_long(struct script_host *h, const struct script_call *call, enum vm_result result)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    if (result == VM_TIMEOUT || watch_last_call_cpu_us(&h->vm->watch) >= SCRIPT_LONG_US)
        note_long(h, call->run.script);
}

void script_host_abandon(struct script_host *h, struct script_call *call)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    if (call->run.co == NULL)
        return;
    end_pause(h, call);
    end_run(h, call);
}

void script_host_forget(struct script_host *h, struct script_call *call)
{
    CHECK_MAGIC(h, HOST_MAGIC);
    if (call->ctx_epoch == h->world.epoch)
        luaL_unref(h->vm->state, LUA_REGISTRYINDEX, call->ctx); /* sets keys that are there: needs no memory */
    call->ctx_epoch = 0;
}
