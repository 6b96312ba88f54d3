/* lua/fetch.h - weir.fetch: what a hook asks of an upstream, and what it is told.
 *
 * lua/ sees no socket. It checks what the script wrote (lua/api_fetch.c) and hands a request that is good HTTP to a
 * function given at construction, which sends it (front/fetch.c) or makes an answer up (tests without a server).
 *
 *   FETCH_UNDER_WAY --> the hook is suspended: VM_SUSPENDED --> script_host_continue with the answer
 *   FETCH_ANSWERED  --> the hook goes on at once
 *
 * What passes a limit: of path, headers, time-out and of the fetches of one call: an error in the script. Of bodies, and
 * of fetches under way in a worker: nil and a code, like whatever else goes wrong on the way. */
#ifndef LUA_FETCH_H
#define LUA_FETCH_H

#include <stdint.h>

#include "config/model.h"
#include "http/message.h"

#define SCRIPT_FETCHES_MAX             16 /* of one call */
#define SCRIPT_FETCH_PATH_MAX_BYTES    8192
#define SCRIPT_FETCH_HEADERS_MAX       64
#define SCRIPT_FETCH_HEADERS_MAX_BYTES (16 * 1024) /* their names and values */
#define SCRIPT_FETCH_BODY_MAX_BYTES    (64 * 1024)
#define SCRIPT_FETCH_ANSWER_MAX_BYTES  (256 * 1024) /* of its body; its head: limits.headers and limits.header_count */
#define SCRIPT_FETCH_TIMEOUT_MS        1000         /* from first to last byte, when the script says nothing */
#define SCRIPT_FETCH_TIMEOUT_MAX_MS    30000

/* A failure that no request ends with; the others are codes of base/reasons.def. */
#define SCRIPT_FETCH_TOO_LARGE "too_large"

struct script_call;

/* Good HTTP, and nothing in it belongs to a connection. Everything is borrowed from the script. */
struct script_fetch {
    uint32_t upstream_index;
    struct slice method;              /* a token, not CONNECT */
    struct slice path;                /* from its '/', the query with it */
    struct slice host;                /* empty: the script names none */
    const struct header_set *headers; /* neither Host nor what says how long a body is */
    size_t header_count;
    struct slice body; /* ptr NULL: none; else also an empty one is announced */
    int64_t timeout_ms;
};

/* Borrowed until the function returns that it is given to. */
struct script_fetch_answer {
    const char *failure;        /* a code: there is no answer, and the rest says nothing. NULL: there is one */
    uint16_t status;            /* 200 to 599 */
    const struct message *head; /* its fields; NULL: none */
    struct slice body;
};

enum script_fetch_result { FETCH_UNDER_WAY, FETCH_ANSWERED };

/* Begins a fetch for the call that runs. FETCH_ANSWERED: it is over, and *answer is filled in, good until the function is
   called again. FETCH_UNDER_WAY: exactly one of script_host_continue, script_host_abandon follows, later. */
typedef enum script_fetch_result (*script_fetch_fn)(struct script_call *call, const struct script_fetch *fetch,
                                                    struct script_fetch_answer *answer);

#endif
