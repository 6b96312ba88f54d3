/* tests/unit/config/fixture.h - a load from texts in memory, with a made-up environment. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include "base/arena.h"
#include "base/err.h"
#include "config/load.h"

#define FIXTURE_NOW_UNIX_MS INT64_C(1780272000000) /* 2026-06-01T00:00:00Z */

/* A file or variable of the made-up system; lists end in a NULL name. */
struct entry {
    const char *name, *text;
};

struct loaded {
    struct arena arena, error_arena;
    struct err_list errors;
    struct config_source source;
    const struct entry *files, *variables;
    unsigned read_count; /* of files */
    struct config *config;
};

void loaded_init(struct loaded *f);
void loaded_fini(struct loaded *f);
/* Loads a text as "weir.yaml" of the folder /etc/weir; returns the problems, a line each, "" when there is none. */
const char *loaded_read(struct loaded *f, const char *yaml);
/* Problems of one text, loaded and forgotten; stays valid until the next call. */
const char *problems_of(const char *yaml);

/* A listener and the upstreams a and b, which the rest of a test's text uses. */
#define BASE_YAML                                                                                                      \
    "listeners: { web: { bind: 127.0.0.1:80 } }\n"                                                                     \
    "upstreams: { a: { endpoints: [ h:1 ] }, b: { endpoints: [ h:2 ] } }\n"

#endif
