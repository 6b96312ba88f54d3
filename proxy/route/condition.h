/* route/condition.h - conditions compiled to a small program, run without allocation. */
#ifndef ROUTE_CONDITION_H
#define ROUTE_CONDITION_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"

#include "config/model.h"
#include "http/message.h"

/* A request as routing sees it. Everything borrows. */
struct route_request {
    const struct message *message;
    struct slice host;  /* normal form */
    struct slice path;  /* normal form */
    struct slice query; /* raw; ptr NULL when there is no '?' */
    struct ip_address source;
    struct wall_time now;
};

struct condition_program;

/* Compiles for any number of threads to run. Regexes are PCRE2, compiled (and JIT-compiled when it can be) here with match limits;
   faults (bad regex, cyclic segment) go to errors with the place; NULL then. Segments are inlined as subprograms. */
struct condition_program *condition_compile(struct arena *arena, const struct config *config,
                                            const struct condition_config *condition,
                                            struct err_list *errors);
bool condition_matches(const struct condition_program *program,
                       const struct route_request *request);

/* The value a key stands for in this request; false when the request has none. Source IPs are 16 bytes in `scratch`. */
bool key_extract(const struct key_config *key, const struct route_request *request,
                 char scratch[16], struct slice *out);

/* One line for people: why the condition did not match ("header x-staff is absent"), for `weir explain`; in the arena. */
struct slice condition_explain(struct arena *arena, const struct config *config,
                               const struct condition_config *condition,
                               const struct condition_program *program,
                               const struct route_request *request);

#endif
