/* route/condition.h - conditions compiled to a small program, run without allocation.
 *
 * Configuration in, program out (condition_compile.c, once a load); program and request in, answer out (condition.c,
 * for every request that gets so far). In between is route/program.h. What operators mean is said below, once, and
 * `weir explain` tells of each test what it saw. */
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
    struct slice client_cn; /* of the client's verified certificate; empty: none */
    const struct slice *client_sans;
    size_t client_san_count;
};

struct condition_program;

/* How values are compared. Everything is bytes and case-sensitive, but hosts are compared in lower case and header
   names in any case. Values of `host` and of `path` with equals, in and prefix are brought into normal form when
   compiled. Query values are compared as sent, not percent-decoded. A header sent in several lines fits when one
   line does. `regex` searches: ^ and $ anchor. `range` takes decimals ("12", "-0.5") and nothing else. `sample`
   takes the same keys everywhere it stands with the same share, and more keys with a greater one; a sample inside a
   segment draws its own, by the segment's name. An absent value fits only `present: false`. */

/* Compiles for any number of threads to run. Regexes are PCRE2, compiled (and JIT-compiled when it can be) here with
   match limits; faults (bad regex, cyclic segment) go to errors with the place; NULL then. Segments become
   subprograms. The program borrows from the configuration. */
struct condition_program *condition_compile(struct arena *arena, const struct config *config,
                                            const struct condition_config *condition, struct err_list *errors);
/* Allocates nothing; any thread. */
bool condition_matches(const struct condition_program *program, const struct route_request *request);

#define KEY_MAX_BYTES 4096 /* what RFC 6265 asks of cookies; a longer key is nobody's */

/* The value a key stands for in this request; false when the request has none, or one that is empty or longer than
   KEY_MAX_BYTES. Source IPs are 16 bytes in `scratch`, all else borrows from the request. */
bool key_extract(const struct key_config *key, const struct route_request *request, char scratch[16],
                 struct slice *out);

/* One line for people: why the condition did not match ("header x-staff is absent"), for `weir explain`; in the arena.
   "it matches" when it does. */
struct slice condition_explain(struct arena *arena, const struct config *config,
                               const struct condition_config *condition, const struct condition_program *program,
                               const struct route_request *request);

#endif
