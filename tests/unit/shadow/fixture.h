/* tests/unit/shadow/fixture.h - pairs and settings of a comparison, written down in a line. */
#ifndef TESTS_SHADOW_FIXTURE_H
#define TESTS_SHADOW_FIXTURE_H

#include "shadow/compare.h"
#include "shadow/pair.h"

/* An answer; all zero: it never was asked for. */
struct told {
    uint16_t status;         /* 0: the side failed, when failure is set */
    const char *const *head; /* name, value, name, value, ..., NULL; NULL: none */
    const char *body;        /* NULL: "" */
    enum reason failure;
    int64_t latency_us;
};

/* A list of texts that ends in NULL, as the configuration would hold it. */
struct slice_list texts_of(struct arena *arena, const char *const *items);

/* GET /cart?x=1&token=abc of route "shop" with "authorization: secret", answered by "live", "dark", and "twin". */
struct pair *told_pair(const struct told *primary, const struct told *shadow, const struct told *control);
/* The same with bodies of JSON, all 200; NULL: never asked. */
struct pair *json_pair(const char *primary, const char *shadow, const char *control);

/* Each difference on a line: "FIELD @ PLACE: PRIMARY | SHADOW | CONTROL [sc?]", where s and c stand for the sides that
   differ and ? for what is not checked; "-" for what is absent. */
struct slice comparison_text(struct arena *arena, const struct comparison *c);

#endif
