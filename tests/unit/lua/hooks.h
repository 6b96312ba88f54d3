/* tests/unit/lua/hooks.h - the hooks of one script, and requests to call them with: as a worker does, without its sockets. */
#ifndef TESTS_LUA_HOOKS_H
#define TESTS_LUA_HOOKS_H

#include "lua/script_host.h"
#include "lua/script_set.h"
#include "route/table.h"

/* Scripts of a configuration with the upstreams a and b, the segment staff (x-staff: 1), and a route for each script. */
struct hooks {
    struct arena arena;
    struct err_list errors;
    struct slice texts[2]; /* of script 0 and 1 */
    struct config *config; /* NULL: a script does not load; errors say why */
    struct route_table *table;
    struct watchdog *dog;
    struct script_host *host;
};

/* False: see errors. The second script may be left out (SLICE_NONE). hooks_close in any case. */
bool hooks_open(struct hooks *h, struct slice script, struct slice second);
void hooks_close(struct hooks *h);

/* A request as it was read, in the hands of its script. */
struct hooks_request {
    struct arena arena;
    struct message message, response;
    struct route_request view;
    bool has_encoded_slash;
    struct script_call call;
};

/* The head, and the answer's, are text as on the wire. False when they are no messages; hooks_request_end in any case. */
bool hooks_request_begin(struct hooks_request *r, struct slice head, struct slice answer_head);
void hooks_request_end(struct hooks_request *r, struct hooks *h);

enum vm_result hooks_on_request(struct hooks *h, uint32_t script, struct hooks_request *r, int64_t budget_us);
enum vm_result hooks_on_response(struct hooks *h, uint32_t script, struct hooks_request *r, int64_t budget_us);

#endif
