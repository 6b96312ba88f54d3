/* cli/explain.h - the request that `weir explain` is asked about, made by the same code that reads a client's. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "cli/options.h"
#include "route/condition.h"

struct explain_values {
    const char *config;
    const char *method;         /* NULL: GET */
    struct option_list headers; /* "name: value" */
    const char *from;           /* NULL: 127.0.0.1 */
    const char *client_cn;      /* of the certificate it shows; NULL: none */
    struct option_list client_sans;
    const char *at; /* RFC 3339; NULL: now */
    bool shows_all; /* every route that does not match, however many */
};

/* What a client would have sent. Everything lives in the arena. */
struct explain_request {
    struct message message;
    struct route_request routed;
    uint16_t port; /* of the URL: tells the listener; 0: only a path was given */
    bool has_encoded_slash;
};

enum explain_result {
    EXPLAIN_OK,
    EXPLAIN_REFUSED, /* the server would not route it at all: *error is its answer */
    EXPLAIN_MISUSED  /* *error says which word of the command line is wrong */
};

enum explain_result explain_read(const struct explain_values *values, const char *url, struct arena *arena,
                                 struct explain_request *out, struct text *error);

#endif
