/* route/program.h - the inside of a compiled condition: for its compiler and its runner, nobody else. */
#ifndef ROUTE_PROGRAM_H
#define ROUTE_PROGRAM_H

#include "base/map.h"

#include "route/condition.h"
#include "route/regex.h"

/* A program is an array of tests. Each names the test to go on with when it holds and when it does not, so `all`,
   `any` and `not` are nothing but targets and leave no instruction of their own. Invariant: a target below
   TARGET_FALSE is smaller than the index of its test. So every run ends, and no test runs twice. */

#define TARGET_TRUE       UINT16_MAX
#define TARGET_FALSE      (UINT16_MAX - 1)
#define PROGRAM_MAX_TESTS TARGET_FALSE

/* The values of `in`. */
struct value_set {
    const struct slice *values;
    size_t count;
    const struct map *map; /* NULL: a short list, compared one by one */
};

union program_operand {
    struct slice value; /* EQUALS, PREFIX, SUFFIX, CONTAINS */
    struct value_set set;
    const struct regex *regex;
    bool is_present;
    struct {
        double low, high;
    } range;
    struct {
        const struct ip_network *networks;
        size_t count;
    } source;
    const struct condition_program *segment;
    struct {
        uint64_t salt;
        uint32_t share_ppm;
    } sample;
    struct {
        struct wall_time from, until;
    } between;
};

struct program_test {
    uint8_t subject, op; /* enum condition_subject, enum condition_operator */
    uint16_t field_id;   /* SUBJECT_HEADER: FIELD_OTHER when only the name tells */
    uint16_t on_true, on_false;
    union {
        struct slice name;            /* of the header, cookie or query argument */
        const struct key_config *key; /* SUBJECT_SAMPLE */
    };
    const union program_operand *operand;
};
_Static_assert(sizeof(struct program_test) == 32, "two tests to a cache line");

struct condition_program {
    uint32_t cost_count; /* tests that one run makes at most, those of segments included */
    uint16_t entry;      /* a target */
    struct program_test tests[];
};

/* Compiles conditions of one configuration; a segment that several use is compiled once. Borrows everything. */
struct condition_compiler {
    struct arena *arena; /* where programs go */
    const struct config *config;
    struct err_list *errors;
    struct compiled_segment *segments; /* per segment of the configuration */
    unsigned depth;                    /* of the recursion through conditions and segments */
};

void condition_compiler_init(struct condition_compiler *c, struct arena *arena, const struct config *config,
                             struct err_list *errors);
struct condition_program *condition_compiler_run(struct condition_compiler *c,
                                                 const struct condition_config *condition);
/* A part of a segment's condition, alone: its samples draw the keys they draw in that segment. "": in no segment. */
struct condition_program *condition_compiler_run_part(struct condition_compiler *c, const struct condition_config *part,
                                                      struct slice segment_name);
/* The program of a segment, compiled at its first use; NULL when it has a fault, which is reported once. */
const struct condition_program *condition_compiler_segment(struct condition_compiler *c, uint32_t segment_index,
                                                           struct place place);

#endif
