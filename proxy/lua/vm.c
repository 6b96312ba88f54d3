/* lua/vm.c - a Lua state whose calls end: in time, in memory, and whatever they raise. */
#include "lua/vm.h"

#include <lauxlib.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "lua/traceback.h"

#define FREE_BLOCKS_BYTES (256u * 1024) /* kept for reuse by one state */
#define COLLECT_STEP_KIB  256           /* after a call; some hundred microseconds */
#define LEVELS_MAX        2000          /* of a coroutine, more or less: more are walked and freed for milliseconds */
#define LEVELS_LOOK_BYTES (128u * 1024) /* that a call takes between two looks at that: about a thousand levels */
#define LEVELS_NEXT_BYTES (32u * 1024)  /* the same for one that had too many, and may have caught the error */
#define TEXT_BYTES        (1088u << 10) /* that one text may take: a body of 1 MiB with something put in */
#define CALLERS_SHOWN     4             /* of a function in C: pcall may have called it, or pcall called by pcall */
#define PART_BYTES        (2u << 20)    /* that a table's entries or a stack may take: moving more takes milliseconds */
#define PARTS             8             /* of its memory, where that is more */
#define TEXT_PART         16            /* of its memory, where that is more */
#define LOOK_CHECKS       16            /* between two looks of a call in stints in our own functions' loops */

const char *const vm_result_names[] = { [VM_OK] = "ok",       [VM_SUSPENDED] = "suspended", [VM_PAUSED] = "paused",
                                        [VM_ERROR] = "error", [VM_TIMEOUT] = "timeout",     [VM_MEMORY] = "memory" };

/* ---- cutting off --------------------------------------------------------------------------------------------------- */

static bool is_cut(enum vm_result cut)
{
    return cut == VM_TIMEOUT || cut == VM_MEMORY;
}

/* What the failed call's message begins with: the nearest line of a script. */
static void note_end(struct vm *vm, lua_State *L, int level)
{
    lua_Debug at;
    const char *what = vm->cut == VM_TIMEOUT ? "the call used up its time" : "the call used up its memory";
    vm->is_left = true;
    snprintf(vm->message, sizeof(vm->message), "%s", what);
    for (int last = level + CALLERS_SHOWN; level < last && lua_getstack(L, level, &at); level++)
        if (lua_getinfo(L, "Sl", &at) && at.currentline > 0) {
            snprintf(vm->message, sizeof(vm->message), "%s:%d: %s", at.short_src, at.currentline, what);
            return;
        }
}

/* Leaves the call when it is over; `level`: 0 when the script's function is the one that runs, 1 when it called ours.
 *
 * Where a coroutine can be left, it is: by a yield, behind which nobody resumes it (resume, vm_resume_nested). An error would be
 * caught by every pcall on the way out, of which there may be thousands, and for each of them Lua looks at all frames below:
 * that took a quarter of a second. Inside of what C has called (sort's function, gsub's) only an error gets out; library_pcall
 * bounds what it meets there. From a hook lua_yield returns, and the coroutine is left behind the hook. */
static void check_cut(lua_State *L, int level)
{
    struct vm *vm = vm_of(L);
    if (!is_cut(vm->cut))
        return;
    if (!vm->is_left)
        note_end(vm, L, level);
    if (lua_isyieldable(L))
        lua_yield(L, 0);
    else
        luaL_error(L, "the call is over");
}

/* Runs between two instructions of a call that is over. */
static void on_instruction(lua_State *L, lua_Debug *unused)
{
    (void)unused;
    check_cut(L, 0);
}

#if defined(__SANITIZE_THREAD__)
#define SIGNALS_WAIT_FOR_LIBC 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SIGNALS_WAIT_FOR_LIBC 1
#endif
#endif

/* ThreadSanitizer hands a signal on only inside a call of libc, and a script's loop makes none: in its builds, and in no
   other, every state makes one now and then. */
#ifdef SIGNALS_WAIT_FOR_LIBC
#define LET_SIGNALS_IN() ((void)usleep(0))

static void on_thousand_instructions(lua_State *L, lua_Debug *event)
{
    LET_SIGNALS_IN();
    if (event->event == LUA_HOOKLINE)
        vm_of(L)->on_line(L, event);
}

static void disarm(lua_State *L)
{
    int lines = vm_of(L)->on_line != NULL ? LUA_MASKLINE : 0;
    lua_sethook(L, on_thousand_instructions, LUA_MASKCOUNT | lines, 1000);
}
#else
#define LET_SIGNALS_IN() ((void)0)

static void disarm(lua_State *L)
{
    lua_Hook on_line = vm_of(L)->on_line;
    lua_sethook(L, on_line, on_line != NULL ? LUA_MASKLINE : 0, 0);
}
#endif

void vm_trace_lines(struct vm *vm, lua_Hook on_line)
{
    CHECK(vm->calling == NULL && vm->spare_count == 0);
    vm->on_line = on_line;
    disarm(vm->state); /* coroutines begin as what made them */
}

static void arm(lua_State *L)
{
    lua_sethook(L, on_instruction, LUA_MASKCOUNT, 1);
}

/* May run in a signal handler, between any two machine instructions of a call. */
static void cut(struct vm *vm, enum vm_result why)
{
    if (is_cut(vm->cut) || vm->running == NULL)
        return;
    vm->cut = why;
    arm(vm->running);
}

static void on_late(void *arg)
{
    struct vm *vm = arg;
    cut(vm, VM_TIMEOUT);
}

/* ---- stints -------------------------------------------------------------------------------------------------------- */

/* The hook's own coroutine, and no C function on its stack that cannot be left. */
static bool can_pause(const struct vm *vm, lua_State *L)
{
    return vm->calling == L && lua_isyieldable(L);
}

/* Of a call in stints; cuts it off when its budget is used up. */
static bool is_stint_over(struct vm *vm)
{
    if (mono_is_before(clock_mono(), vm->stint_ends))
        return false;
    bool is_spent = watch_cpu_us() - vm->stint_begun_cpu_us >= vm->stint->left_us;
    if (is_spent)
        cut(vm, VM_TIMEOUT);
    return !is_spent;
}

/* It cannot be left here. The next look at the CPU clock, which is a system call, is a stint later. */
static void prolong_stint(struct vm *vm)
{
    vm->stint_ends.us += vm->stint_us;
}

/* The signal's hook may have been overwritten by the one that was just being set. */
static void on_look(lua_State *L, lua_Debug *unused)
{
    struct vm *vm = vm_of(L);
    (void)unused;
    LET_SIGNALS_IN();
    bool is_over = vm->cut == VM_PAUSED && is_stint_over(vm);
    if (is_over && can_pause(vm, L)) {
        vm->is_pausing = true;
        lua_yield(L, 0);
    } else if (is_over) {
        prolong_stint(vm);
    } else if (is_cut(vm->cut)) {
        arm(L);
        check_cut(L, 0);
    }
}

static void look_in(lua_State *L)
{
    lua_sethook(L, on_look, LUA_MASKCOUNT, vm_of(L)->look_instructions);
}

/* Runs once, at the next instruction of a call that has taken much memory. */
static void on_growth(lua_State *L, lua_Debug *at)
{
    struct vm *vm = vm_of(L);
    if (vm->cut == VM_PAUSED)
        look_in(L);
    else
        disarm(L);
    if (is_cut(vm->cut)) {
        arm(L); /* the signal's hook was the one that this took away */
        check_cut(L, 0);
        return;
    }
    if (!lua_getstack(L, LEVELS_MAX, at))
        return;
    vm->look_bytes = vm->used_bytes + LEVELS_NEXT_BYTES;
    luaL_error(L, "stack overflow (more than %d levels)", LEVELS_MAX);
}

/* A call's limit is the last of its looks. */
static void look_at_growth(struct vm *vm, size_t used_bytes)
{
    vm->look_bytes = used_bytes + LEVELS_LOOK_BYTES;
    if (used_bytes > vm->call_bytes)
        cut(vm, VM_MEMORY);
    else if (vm->running != NULL && !is_cut(vm->cut))
        lua_sethook(vm->running, on_growth, LUA_MASKCOUNT, 1);
    if (vm->look_bytes > vm->call_bytes)
        vm->look_bytes = vm->call_bytes;
}

void vm_check(lua_State *L)
{
    LET_SIGNALS_IN();
    struct vm *vm = vm_of(L);
    if (vm->cut == VM_OK)
        return;
    if (vm->cut == VM_PAUSED && ++vm->check_count % LOOK_CHECKS == 0 && is_stint_over(vm))
        prolong_stint(vm);
    check_cut(L, 1);
}

void vm_check_text(lua_State *L, size_t bytes)
{
    struct vm *vm = vm_of(L);
    if (bytes > vm->text_bytes)
        cut(vm, VM_MEMORY);
    vm_check(L);
}

bool vm_is_pause_due(lua_State *L)
{
    LET_SIGNALS_IN();
    struct vm *vm = vm_of(L);
    if (vm->cut == VM_OK)
        return false;
    bool is_over = vm->cut == VM_PAUSED && is_stint_over(vm);
    if (is_over && can_pause(vm, L))
        return true;
    if (is_over)
        prolong_stint(vm);
    check_cut(L, 1);
    return false;
}

int vm_pause(lua_State *L, lua_KContext context, lua_KFunction k)
{
    vm_of(L)->is_pausing = true;
    return lua_yieldk(L, 0, context, k);
}

bool vm_is_over(lua_State *L)
{
    LET_SIGNALS_IN();
    return is_cut(vm_of(L)->cut);
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

/* lua_Alloc. Shrinking never fails (Lua relies on it). */
static void *allocate(void *arg, void *old, size_t old_bytes, size_t bytes)
{
    struct vm *vm = arg;
    if (old == NULL) { /* then old_bytes is the kind of object */
        if (old_bytes == LUA_TSTRING && bytes > vm->text_bytes)
            cut(vm, VM_MEMORY);
        old_bytes = 0;
    }
    if (bytes > vm->part_bytes && bytes > old_bytes)
        cut(vm, VM_MEMORY);
    if (bytes == 0) {
        vm->used_bytes -= old_bytes;
        blocks_free(&vm->blocks, old);
        return NULL;
    }
    if (bytes > old_bytes) {
        size_t more = bytes - old_bytes;
        if (more > vm->hard_bytes - vm->used_bytes)
            return NULL;
        if (vm->used_bytes + more > vm->look_bytes)
            look_at_growth(vm, vm->used_bytes + more);
    }
    vm->used_bytes += bytes - old_bytes;
    return old == NULL ? blocks_alloc(&vm->blocks, bytes) : blocks_resize(&vm->blocks, old, bytes);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static int on_panic(lua_State *L)
{
    (void)L;
    CHECK(!"an error outside a protected call");
    return 0;
}

struct vm *vm_of(lua_State *L)
{
    struct vm *vm;
    memcpy(&vm, lua_getextraspace(L), sizeof(vm)); /* copied to each coroutine by Lua */
    CHECK_MAGIC(vm, VM_MAGIC);
    return vm;
}

struct vm *vm_create(const struct vm_limits *limits, struct watchdog *dog)
{
    struct vm *vm = memory_zalloc(sizeof(*vm));
    vm->magic = VM_MAGIC;
    blocks_init(&vm->blocks, FREE_BLOCKS_BYTES);
    vm->soft_bytes = limits->memory_bytes;
    vm->stint_us = VM_STINT_US;
    vm->look_instructions = VM_LOOK_INSTRUCTIONS;
    vm->part_bytes = limits->memory_bytes / PARTS > PART_BYTES ? limits->memory_bytes / PARTS : PART_BYTES;
    vm->text_bytes = limits->memory_bytes / TEXT_PART > TEXT_BYTES ? limits->memory_bytes / TEXT_PART : TEXT_BYTES;
    vm->look_bytes = vm->call_bytes = vm->hard_bytes = limits->memory_bytes + limits->memory_bytes / 2;
    vm->state = lua_newstate(allocate, vm);
    CHECK(vm->state != NULL);
    memcpy(lua_getextraspace(vm->state), &vm, sizeof(vm));
    lua_atpanic(vm->state, on_panic);
    disarm(vm->state); /* coroutines begin as what made them */
    vm->dog = dog;
    vm_attach(vm);
    return vm;
}

void vm_attach(struct vm *vm)
{
    CHECK(!vm->is_attached);
    vm->is_attached = true;
    watch_attach(&vm->watch, vm->dog, on_late, vm);
}

void vm_detach(struct vm *vm)
{
    CHECK(vm->is_attached && vm->calling == NULL);
    vm->is_attached = false;
    watch_detach(&vm->watch);
}

void vm_destroy(struct vm *vm)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    CHECK(vm->calling == NULL);
    if (vm->is_attached)
        vm_detach(vm);
    lua_close(vm->state);
    CHECK(vm->used_bytes == 0);
    blocks_fini(&vm->blocks);
    vm->magic = 0;
    memory_free(vm);
}

/* ---- calls --------------------------------------------------------------------------------------------------------- */

struct failure {
    struct vm *vm;
    lua_State *co;
};

static int describe_failure(lua_State *L)
{
    struct failure *f = lua_touserdata(L, 1);
    const char *message = f->vm->is_left ? f->vm->message : lua_tostring(f->co, -1);
    traceback_push(L, f->co, message != NULL ? message : "an error that is no text");
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (length >= VM_MESSAGE_BYTES)
        length = VM_MESSAGE_BYTES - 1;
    memcpy(f->vm->message, text, length);
    f->vm->message[length] = '\0';
    return 0;
}

static enum vm_result fail(struct vm *vm, lua_State *co, int status)
{
    enum vm_result result = is_cut(vm->cut) ? vm->cut : status == LUA_ERRMEM ? VM_MEMORY : VM_ERROR;
    struct failure f = { vm, co };
    vm->cut = VM_OK;
    disarm(co);
    if (!vm_run_protected(vm, describe_failure, &f))
        memcpy(vm->message, "out of memory", sizeof("out of memory"));
    return result;
}

/* A call may begin with much garbage there, and has room all the same. */
static size_t call_limit(const struct vm *vm)
{
    size_t with_room = vm->used_bytes + vm->soft_bytes / 4;
    size_t limit = with_room > vm->soft_bytes ? with_room : vm->soft_bytes;
    return limit < vm->hard_bytes ? limit : vm->hard_bytes;
}

/* Left alone, Lua would wait until there is twice as much as it found last time: more than it may have. A collection that began
   while the coroutine of a call that was cut off still held what it had made keeps that as well: only when the next one ends
   above the limit too, it is what the scripts keep. */
static void collect(struct vm *vm)
{
    if (!vm->is_collecting && vm->used_bytes <= vm->soft_bytes - vm->soft_bytes / 4)
        return;
    if (vm->is_pausing)
        return; /* others wait */
    vm->is_collecting = lua_gc(vm->state, LUA_GCSTEP, COLLECT_STEP_KIB) == 0;
    if (vm->is_collecting)
        return;
    vm->is_full = vm->used_bytes > vm->soft_bytes && vm->is_nearly_full;
    vm->is_nearly_full = vm->used_bytes > vm->soft_bytes;
}

/* Of the call that begins, or goes on. */
static void set_limits(struct vm *vm, size_t call_bytes, size_t look_bytes)
{
    vm->call_bytes = call_bytes;
    vm->look_bytes = look_bytes < call_bytes ? look_bytes : call_bytes;
}

/* Its limits are set. `how`: VM_OK, or VM_PAUSED: in a stint. */
static enum vm_result resume(struct vm *vm, lua_State *co, int argument_count, int64_t budget_us, enum vm_result how)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    CHECK(vm->calling == NULL && vm->is_attached);
    int result_count;
    vm->cut = how;
    vm->is_left = false;
    vm->running = vm->calling = co;
    watch_call_started(&vm->watch, budget_us);
    if (budget_us <= 0)
        cut(vm, VM_TIMEOUT); /* its parts before have used it up */
    int status = lua_resume(co, NULL, argument_count, &result_count);
    watch_call_ended(&vm->watch);
    vm->running = vm->calling = NULL;
    collect(vm);
    if ((status != LUA_OK && status != LUA_YIELD) || (status == LUA_YIELD && vm->is_left))
        return fail(vm, co, status);
    if (vm->cut != VM_OK && !vm->is_pausing)
        disarm(co); /* it ended just in time, or was in stints */
    lua_pop(co, result_count);
    return status == LUA_OK ? VM_OK : VM_SUSPENDED;
}

enum vm_result vm_start(struct vm *vm, lua_State *co, lua_CFunction body, void *arg, int64_t budget_us)
{
    lua_pushcfunction(co, body);
    lua_pushlightuserdata(co, arg);
    set_limits(vm, call_limit(vm), vm->used_bytes + LEVELS_LOOK_BYTES);
    return resume(vm, co, 1, budget_us, VM_OK);
}

enum vm_result vm_continue(struct vm *vm, lua_State *co, void *arg, int64_t budget_us)
{
    lua_pushlightuserdata(co, arg);
    set_limits(vm, call_limit(vm), vm->used_bytes + LEVELS_LOOK_BYTES);
    return resume(vm, co, 1, budget_us, VM_OK);
}

static size_t room_to(const struct vm *vm, size_t limit_bytes)
{
    return limit_bytes > vm->used_bytes ? limit_bytes - vm->used_bytes : 0;
}

/* What others took meanwhile is not the call's. */
static enum vm_result run_stint(struct vm *vm, lua_State *co, int argument_count, struct vm_stint *s)
{
    size_t limit = vm->used_bytes + s->room_bytes;
    set_limits(vm, limit < vm->hard_bytes ? limit : vm->hard_bytes, vm->used_bytes + s->look_room_bytes);
    vm->stint = s;
    vm->stint_begun_cpu_us = watch_cpu_us();
    vm->stint_ends = (struct mono_time){ clock_mono().us + (s->left_us < vm->stint_us ? s->left_us : vm->stint_us) };
    if (lua_gethook(co) != on_look)
        look_in(co);
    enum vm_result result = resume(vm, co, argument_count, s->left_us, VM_PAUSED);
    if (result == VM_SUSPENDED && vm->is_pausing)
        result = VM_PAUSED;
    s->left_us -= watch_cpu_us() - vm->stint_begun_cpu_us;
    s->room_bytes = room_to(vm, vm->call_bytes);
    s->look_room_bytes = room_to(vm, vm->look_bytes);
    vm->stint = NULL;
    vm->is_pausing = false;
    return result;
}

enum vm_result vm_start_stint(struct vm *vm, lua_State *co, lua_CFunction body, void *arg, struct vm_stint *s)
{
    lua_pushcfunction(co, body);
    return vm_continue_stint(vm, co, arg, s);
}

enum vm_result vm_continue_stint(struct vm *vm, lua_State *co, void *arg, struct vm_stint *s)
{
    s->room_bytes = room_to(vm, call_limit(vm));
    s->look_room_bytes = LEVELS_LOOK_BYTES;
    lua_pushlightuserdata(co, arg);
    return run_stint(vm, co, 1, s);
}

enum vm_result vm_go_on(struct vm *vm, lua_State *co, struct vm_stint *s)
{
    return run_stint(vm, co, 0, s);
}

int vm_resume_nested(lua_State *from, lua_State *co, int argument_count, int *result_count)
{
    struct vm *vm = vm_of(from);
    vm_check(from);
    vm->running = co;
    if (vm->cut == VM_PAUSED)
        look_in(co);
    else
        disarm(co); /* it may have been cut while it yielded, in a call before */
    if (is_cut(vm->cut))
        arm(co);
    int status = lua_resume(co, from, argument_count, result_count);
    vm->running = from;
    if (is_cut(vm->cut))
        arm(from);
    if (status == LUA_YIELD && vm->is_left) {
        lua_resetthread(co); /* the script may have it still */
        vm_check(from);
    }
    return status;
}
