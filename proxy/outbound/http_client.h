/* outbound/http_client.h - one HTTP request at a time, blocking: how the command line talks to a running instance. */
#ifndef OUTBOUND_HTTP_CLIENT_H
#define OUTBOUND_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define HTTP_SILENCE_S        60                  /* of a stream; four signs of life of our own (admin/follow.h) */
#define HTTP_ANSWER_MAX_BYTES (64u * 1024 * 1024) /* a longer answer is an error */

/* Everything borrowed for the time of the call. */
struct http_call {
    const char *unix_path; /* connect there, whatever host the URL names; NULL: by the URL */
    const char *url;       /* http:// or https:// */
    const char *method;    /* "GET" */
    const char *token;     /* sent as Authorization: Bearer; NULL: none */
    const char *ca_file;   /* https: PEM of the authorities to trust; NULL: the system's */
    bool is_insecure;      /* https: certificates are not verified */
    struct slice json;     /* body; ptr NULL: none */
    int64_t timeout_ms;    /* for all of it */
    /* The body of a 2xx answer as it comes, instead of in http_answer, however long it takes: silence for
       HTTP_SILENCE_S ends it. False ends it too. NULL: an answer as a whole. */
    bool (*on_bytes)(void *arg, struct slice bytes);
    void *arg;
};

struct http_answer {
    int status; /* 0: no answer */
    struct text body;
    struct text error; /* why there was none, one line: "Connection refused" */
    int error_number;  /* errno of a connect that failed, else 0 */
};

/* True when any answer came, whatever its status. Redirects are not followed, and no proxy of the environment is asked: the
   token goes to the named address and nowhere else. */
bool http_client_call(const struct http_call *call, struct http_answer *answer);
void http_answer_fini(struct http_answer *answer);

#endif
