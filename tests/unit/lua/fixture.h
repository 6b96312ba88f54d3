/* tests/unit/lua/fixture.h - a state to run pieces of Lua in, as a hook would. */
#ifndef TESTS_LUA_FIXTURE_H
#define TESTS_LUA_FIXTURE_H

#include "lua/api.h"
#include "lua/vm.h"

#define FIXTURE_MEMORY_BYTES (8u << 20)
#define FIXTURE_BUDGET_US    20000 /* of CPU time: enough for anything that ends, with sanitizers too */

struct script_test {
    struct watchdog *dog;
    struct vm *vm;
    struct script_world world; /* of an empty configuration */
    int64_t budget_us;
    bool is_left;      /* the last call was not ended, but left where it was */
    char result[1024]; /* tostring() of what the last code returned */
};

/* With everything that a script finds (lua/chunk.h). */
void script_test_open(struct script_test *t);
void script_test_close(struct script_test *t);

/* Runs the code in a new environment; what it returns stands in t->result, what it raises in t->vm->message. */
enum vm_result script_test_run(struct script_test *t, const char *code);
/* The same, which must return that text. */
void script_test_expect(struct script_test *t, const char *code, const char *result);

#endif
