/* tests/unit/route/fixture.h - configurations and requests by hand, short enough to read in a test. */
#ifndef TESTS_ROUTE_FIXTURE_H
#define TESTS_ROUTE_FIXTURE_H

#include "route/decide.h"

/* A configuration under construction with everything it leads to. fixture_fini frees it all. */
struct fixture {
    struct arena arena;
    struct config config;
    struct err_list errors;
    struct route_table *table; /* of fixture_build */
    struct rng rng;
    struct draw draw;
};

void fixture_init(struct fixture *f, uint64_t seed);
void fixture_fini(struct fixture *f);

/* Adds a route with a split over upstreams called as written: "v1=95 v2=5"; "" makes a route that answers itself.
   The pointer holds until the next one is added. path: NULL any, "=/exact", "/prefix", "~regex". host: NULL any, or
   names with spaces between. */
struct route_config *fixture_route(struct fixture *f, const char *host, const char *path, const char *split);
void fixture_rule(struct fixture *f, struct route_config *r, const char *upstream, struct condition_config *when);
uint32_t fixture_segment(struct fixture *f, const char *name, struct condition_config *condition);
uint32_t fixture_upstream(struct fixture *f, const char *name);
/* The upstream's name, or "" for CONFIG_NONE. */
const char *fixture_upstream_name(const struct fixture *f, uint32_t index);

/* Builds the table, which must succeed, and the draw. */
void fixture_build(struct fixture *f);
struct decision fixture_decide(struct fixture *f, const struct route_request *request, const struct weights *weights);

/* Conditions, in the arena. */
struct condition_config *condition_value(struct fixture *f, enum condition_subject subject, const char *name,
                                         enum condition_operator op, const char *value);
struct condition_config *condition_group(struct fixture *f, enum condition_kind kind, size_t count,
                                         struct condition_config *const *children);
#define CONDITION_GROUP(f, kind, ...)                                                                                  \
    condition_group((f), (kind), ARRAY_COUNT(((struct condition_config *[]){ __VA_ARGS__ })),                          \
                    (struct condition_config *[]){ __VA_ARGS__ })
struct condition_config *condition_present(struct fixture *f, enum condition_subject subject, const char *name,
                                           bool is_present);
/* Holds when the request has the header. */
struct condition_config *condition_flag(struct fixture *f, const char *header);
struct condition_config *condition_in(struct fixture *f, enum condition_subject subject, const char *name,
                                      const char *spaced_values);
struct condition_config *condition_range(struct fixture *f, const char *header, double low, double high);
struct condition_config *condition_source(struct fixture *f, const char *spaced_networks);
struct condition_config *condition_segment(struct fixture *f, uint32_t index);
struct condition_config *condition_sample(struct fixture *f, uint32_t share_ppm, enum key_kind kind, const char *name);
struct condition_config *condition_between(struct fixture *f, const char *from, const char *until);

/* Compiles the condition, which must succeed, and runs it once. */
bool condition_holds(struct fixture *f, const struct condition_config *c, const struct route_request *request);

/* "GET shop.example.com /path?query", then header lines "name: value" separated by '\n'. Everything is taken as in
   normal form. */
struct route_request *request_make(struct fixture *f, const char *line, const char *headers);
struct slice_list list_of_words(struct arena *arena, const char *spaced);

#endif
