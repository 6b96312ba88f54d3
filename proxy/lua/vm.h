/* lua/vm.h - a Lua state whose calls end: in time, in memory, and whatever they raise.
 *
 * Scripts come from operators, but what they are given comes from peers, and a worker serves everybody else too. So a
 * call into a state is cut off when it is over its time or its memory, and the state stays fit for the next one.
 *
 *   time    the watchdog's signal says cut (lua/watchdog.h). A count hook of one instruction is set from then on, and the
 *           next instruction leaves the call: by a yield that nobody follows, so that no pcall, and nothing else of the script's,
 *           runs on the way out. Inside of what C has called the hook raises, again and again until it is out.
 *   memory  past the soft limit the allocator says cut in the same way, and goes on giving until the hard one: at that
 *           Lua would first collect all its garbage, which takes longer than most calls may. What such a call leaves
 *           behind is collected bit by bit at the ends of the calls after it.
 *   depth   a function that calls itself without end has a hundred thousand levels before it is over its time, and each of them is
 *           walked and freed then: a call that takes much memory is looked at, and has some two thousand.
 *   texts   what Lua does with one in one instruction (a key's hash, a comparison, a number's value) takes as long as it is: one
 *           of more than a sixteenth of the memory, and of 1 MiB, ends the call as memory does.
 *   C code  sees no hook. What can run long there is ours (lua/library.h) and asks vm_check in its loops.
 *   stints  a call that is known to run long can be let run in stints: it then has a count hook from its beginning, which
 *           looks at the clock and, when the stint is over, leaves it where it is (VM_PAUSED) until vm_go_on. Inside a
 *           function that C called (sort's, gsub's) and in coroutines of the script's own no call can be left: there it goes on,
 *           and the budget is looked at once a stint.
 *
 *            vm_start_stint -> VM_PAUSED -> vm_go_on -> VM_PAUSED -> vm_go_on -> VM_OK ...
 *
 *   unwinding runs nothing of the script's: setmetatable refuses finalizers (hooks would be off in them), code that marks
 *           variables to be closed is not let in (lua/compile.h), and xpcall calls its handler after unwinding.
 *
 * Calls run in coroutines of the state, so that they may suspend (vm_call: VM_SUSPENDED) and others run meanwhile.
 *
 * Owner: the worker's binding, one a snapshot. Thread: one at a time, to which the state is attached while it is called;
 * another takes over where one has detached it. Calls do not nest. */
#ifndef LUA_VM_H
#define LUA_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/blocks.h"
#include "base/clock.h"
#include "base/slice.h"
#include "lua/watchdog.h"

#define VM_MAGIC             0x4c564d21u
#define VM_MESSAGE_BYTES     1024
#define VM_SPARES_MAX        64
#define VM_STINT_US          100 /* what others on the worker wait for a call in stints; a turn beside it takes as long */
#define VM_LOOK_INSTRUCTIONS 1000 /* between two looks at the clock of a call in stints: some microseconds */

enum vm_result { VM_OK, VM_SUSPENDED, VM_PAUSED, VM_ERROR, VM_TIMEOUT, VM_MEMORY };
extern const char *const vm_result_names[];

struct vm_limits {
    size_t memory_bytes; /* what a state may hold when a call ends; during one, half as much again */
};

/* A call in stints. The owner keeps it as long as the call lasts. */
struct vm_stint {
    int64_t left_us;        /* of its budget of CPU time; counted down */
    size_t room_bytes;      /* that it may take still, as if it had never been left ... */
    size_t look_room_bytes; /* ... and until its levels are looked at */
};

struct vm {
    uint32_t magic;
    lua_State *state;            /* runs nothing itself: holds the registry and anchors coroutines */
    lua_State *volatile running; /* the coroutine that executes now; NULL between calls. Read by the signal handler */
    lua_State *calling;          /* the one that vm_start was given; NULL between calls */
    lua_State
        *spares[VM_SPARES_MAX]; /* coroutines whose call came to its end; anchored. A stack: the warmest goes first */
    uint32_t spare_count;
    struct blocks blocks;
    size_t used_bytes;
    size_t soft_bytes, hard_bytes; /* limits between calls, and always */
    size_t text_bytes, part_bytes; /* limits of one text, and of a table's entries or a stack */
    size_t call_bytes;             /* limit of the call that runs: at it, the call is over */
    size_t look_bytes;             /* where its levels are looked at next; at most call_bytes */
    bool is_collecting;            /* a call left much garbage: each call's end does a part of a collection */
    bool is_nearly_full;           /* the last one ended over the limit */
    bool is_full;                  /* and so did the one before: what the scripts keep is over the limit */
    bool is_left;                  /* the call that runs has noticed it, and `message` has where */
    volatile enum vm_result
        cut; /* VM_TIMEOUT or VM_MEMORY: the call that runs is over. VM_PAUSED: it runs in stints. Else VM_OK */
    const struct vm_stint *stint; /* of the call that runs in one; else NULL */
    int64_t stint_begun_cpu_us;   /* this thread's CPU time then */
    struct mono_time stint_ends;  /* when it is to be left */
    int64_t stint_us;             /* VM_STINT_US, but in tests */
    int look_instructions;        /* VM_LOOK_INSTRUCTIONS, but in tests */
    uint32_t check_count;         /* of vm_check in stints: not every one reads the clock */
    bool is_pausing;              /* it is being left */
    struct watchdog *dog;
    struct call_watch watch; /* of the thread that it is attached to */
    bool is_attached;
    void *owner;                    /* whose functions run in it (lua/api.h); never looked into here */
    lua_Hook on_line;               /* runs at each new line of a call that is not over; NULL: nothing does */
    char message[VM_MESSAGE_BYTES]; /* of the last call that failed: one text with its traceback, cut to fit */
};

/* With Lua's own libraries left out: lua/library.h adds what a script may have. Attached to the calling thread. */
struct vm *vm_create(const struct vm_limits *limits, struct watchdog *dog);
/* No call may run; suspended ones are forgotten. By the thread that it is attached to, or by any when it is to none. */
void vm_destroy(struct vm *vm);
/* To hand a state over: by the thread that made calls, then by the one that will. Between calls. */
void vm_detach(struct vm *vm);
void vm_attach(struct vm *vm);

/* From now on at each new line (lua_sethook, LUA_MASKLINE), in every coroutine that is made afterwards: for tests, since it costs
   more than most scripts do. A call that is over has its own hook instead. */
void vm_trace_lines(struct vm *vm, lua_Hook on_line);

/* Of the state that L belongs to. */
struct vm *vm_of(lua_State *L);

/* On the state itself, outside any call; false when memory ran out. */
bool vm_run_protected(struct vm *vm, lua_CFunction body, void *arg);

/* A coroutine to call in, anchored until vm_release; NULL: no memory is left for one. */
lua_State *vm_coroutine(struct vm *vm);
/* It is used again when its last call came to its end, else dropped. */
void vm_release(struct vm *vm, lua_State *co);

/* Calls `body` with one light userdata, `arg`, within budget_us of CPU time. What is to be called, and with what, `body`
   pushes itself, and what comes of it, it stores behind `arg`: inside, every error is caught; outside, none is. After
   VM_ERROR, VM_TIMEOUT and VM_MEMORY vm->message says what happened, with a traceback. */
enum vm_result vm_start(struct vm *vm, lua_State *co, lua_CFunction body, void *arg, int64_t budget_us);
/* Goes on with a suspended call: its lua_yieldk's continuation finds `arg` on top. With no budget left (0 and less) it is
   cut off at once. */
enum vm_result vm_continue(struct vm *vm, lua_State *co, void *arg, int64_t budget_us);

/* The same in stints of VM_STINT_US on the clock: VM_PAUSED: its stint is over, and vm_go_on gives it another. It is the only
   one to go on with it; what was set off by vm_continue_stint goes on with vm_go_on, too. */
enum vm_result vm_start_stint(struct vm *vm, lua_State *co, lua_CFunction body, void *arg, struct vm_stint *s);
enum vm_result vm_continue_stint(struct vm *vm, lua_State *co, void *arg, struct vm_stint *s);
enum vm_result vm_go_on(struct vm *vm, lua_State *co, struct vm_stint *s);

/* May no call begin to wait now? What the scripts keep is over the limit, and the state is as good as gone. */
static inline bool vm_is_full(const struct vm *vm)
{
    return vm->is_full;
}

/* Is the coroutine at that index one that a call runs in? None but vm_continue may resume it, and scripts get at it by
   coroutine.running. */
bool vm_is_call(lua_State *L, int index);

/* In loops of our own C functions: does not return when the call is over. */
void vm_check(lua_State *L);
/* The same where a text grows, that long by now. */
void vm_check_text(lua_State *L, size_t bytes);
/* The same as vm_check, and true when a call in stints is to be left: the caller keeps what it needs, and returns vm_pause's value. `k` goes
   on with it, with the stack as it is. */
bool vm_is_pause_due(lua_State *L);
int vm_pause(lua_State *L, lua_KContext context, lua_KFunction k);
/* The same as a question, where nothing may be raised. */
bool vm_is_over(lua_State *L);

/* Runs a coroutine of the script's inside the call that runs, on behalf of coroutine.resume. Same results as lua_resume. */
int vm_resume_nested(lua_State *from, lua_State *co, int argument_count, int *result_count);

#endif
