/* lua/api.h - what weir gives to scripts: the table `weir`, and the objects that hooks are called with.
 *
 * The reference for people is docs/hooks.md; names are the glossary's. Everything here runs inside a call
 * (lua/vm.h): each function may raise. What a script hands over is checked before it touches a message, since a message
 * that breaks the rules of HTTP would be the proxy's own fault.
 *
 *   weir          api.c            functions that need no request
 *   weir.json     api_json.c       values as JSON, and back
 *   weir.jwt      api_jwt.c        is a token signed, and what does it claim
 *   weir.shared   api_shared.c     values that all workers share
 *   weir.file     module.c         files beside the script; `require` too
 *   weir.fetch    api_fetch.c      suspends the call until an upstream has answered
 *   req           api_request.c    dies with its call: a script that keeps it gets an error
 *   its body      api_body.c       of a copy alone: nobody waits for the body of a request
 *   resp          api_response.c   likewise
 *   the result    api_result.c     what on_request returns: an upstream, or an answer; on_shadow: whether the copy goes */
#ifndef LUA_API_H
#define LUA_API_H

#include <stdbool.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pieces.h"
#include "lua/fetch.h"
#include "lua/vm.h"
#include "route/condition.h"

/* What one call may do to heads, so that no script uses up a request's arena. */
#define SCRIPT_EDITS_MAX          128
#define SCRIPT_EDIT_MAX_BYTES     (32u * 1024)
#define SCRIPT_BODY_MAX_BYTES     (64u * 1024) /* of an answer; it stays in the request's arena until it is sent */
#define SCRIPT_ANSWER_MAX_HEADERS 64
#define SCRIPT_JSON_MAX_BYTES     (256u * 1024) /* of a text to decode, and of what encoding gives */
#define SCRIPT_JSON_MAX_VALUES    32768         /* in a text to decode */

/* An answer of the script's own; in the request's arena. */
struct script_answer {
    uint16_t status;
    struct header_edits_config headers; /* `set` alone */
    struct slice body;
};

/* A hook that runs, or waits. */
struct script_run {
    lua_State *co;   /* that it runs in; NULL: no hook is under way */
    uint64_t serial; /* of this call of the hook: its objects are good for no other */
    uint32_t script;
    uint8_t hook;          /* enum script_hook */
    int function;          /* in the state's registry */
    struct vm_stint stint; /* what is left for all parts together, whether they are stints or not */
    bool is_paused;
    struct mono_time pause_ends; /* when it is cut off for having been left so long; 0: it never was */
};

/* A copy that on_shadow decides about. */
struct script_copy {
    struct slice upstream;     /* that it goes to */
    const struct pieces *body; /* all of it; NULL: there is none */
    size_t body_max_bytes;     /* of another one */
    /* Another body takes its place; at most body_max_bytes, which are borrowed. */
    void (*set_body)(void *arg, struct slice bytes);
    void *arg;
    bool is_vetoed; /* on_shadow returned false */
};

/* A request in the hands of its script, from on_request to its end. Owner: the request; in its arena. on_shadow has one for
   each copy: `request` is the copy's head then. */
struct script_call {
    void *owner;    /* whose fetches they are: script_world.fetch's business */
    int64_t ran_us; /* the hook under way, on the clock: the owner's sum */
    struct arena *arena;
    struct message *request;
    struct route_request *view;
    struct slice scheme;
    bool is_tls;
    bool *has_encoded_slash; /* of the path: kept true by set_path */

    struct message *response;     /* while on_response runs, else NULL */
    struct script_copy *copy;     /* while on_shadow runs, else NULL */
    uint32_t upstream_index;      /* what on_request returned: an upstream, or CONFIG_NONE; ... */
    struct script_answer *answer; /* ... an answer, or NULL */

    uint32_t edit_count;   /* so far, of both heads */
    uint32_t edited_bytes; /* of their names and values */
    uint64_t ctx_epoch;    /* of the state that `ctx` is in; 0: there is none yet */
    int ctx;               /* in that state's registry */

    bool may_wait;         /* the hook that runs may call weir.fetch */
    uint8_t fetch_count;   /* that this hook has begun */
    struct script_run run; /* lua/script_host.c's own */
};

/* What stands in for the world outside while scripts are tested without a server (lua/test_run.h). */
struct script_fakes {
    void *arg;
    struct wall_time (*now)(void *arg);
    bool (*segment)(void *arg, size_t index); /* is the request of the call that runs in it? */
    void (*log)(void *arg, enum log_level level, struct slice text);
    void (*line)(void *arg, const char *source, int line); /* a line of that script begins */
    script_fetch_fn fetch;                                 /* answers at once */
    struct shared_map *shared;                             /* of one test */
};

/* What functions find behind vm->owner. */
struct script_world {
    const struct config *config;
    const struct condition_program *const *segments; /* by index of config->segments; NULL while files are checked */
    struct script_call *call;                        /* that runs; NULL: a script's file itself does */
    uint64_t serial;                                 /* of the call: a req with another one is not its own */
    uint64_t epoch;                                  /* of the state; from 1 */
    const char *script;                              /* whose hook runs: for its log lines */
    script_fetch_fn fetch;                           /* NULL: there are no upstreams here */
    struct log_limit log_limit;
    struct shared_map *shared;        /* of the process; NULL where no hook runs */
    struct module_loading *loading;   /* while a script's file runs (lua/module.h); else NULL */
    const struct script_fakes *fakes; /* NULL: everything is real */
};

struct script_world *api_world(lua_State *L);
/* The time as scripts see it. */
struct wall_time api_now(lua_State *L);
struct mono_time api_mono(lua_State *L);

/* A body for vm_start: everything a new state needs before its first chunk. */
int api_open(lua_State *L);

/* Pushes a new table `weir`. */
void api_push(lua_State *L);

/* weir.fetch(upstream[, options]) -> answer, or nil and a code. */
int api_fetch(lua_State *L);

/* Registers the kinds of objects; for api_open. */
void api_request_open(lua_State *L);
/* Methods of requests. */
int api_body_get(lua_State *L);
int api_body_set(lua_State *L);
void api_response_open(lua_State *L);
void api_json_open(lua_State *L);
void api_jwt_open(lua_State *L);

/* Push parts of the table `weir`. */
void api_json_push(lua_State *L);
void api_jwt_push(lua_State *L);
void api_shared_push(lua_State *L);

/* Push an object for the call that runs. */
void api_push_request(lua_State *L);
void api_push_response(lua_State *L);

/* on_request's result at the top of the stack, into call->upstream_index or call->answer. */
void api_take_result(lua_State *L, struct script_call *call);
/* on_shadow's, into call->copy. */
void api_take_word(lua_State *L, struct script_call *call);

/* ---- for the files of the API alone ------------------------------------------------------------------------------------- */

/* A kind of objects. Static: its address is the key of the metatable in the registry, and stands in each object. */
struct api_kind {
    const char *name;
    const luaL_Reg *methods; /* both end as luaL_Reg do */
    const luaL_Reg *fields;  /* each pushes its value, with the object as the only argument */
    lua_CFunction set;       /* what assigning does; NULL: it raises */
};

void api_open_kind(lua_State *L, const struct api_kind *kind);
void api_push_object(lua_State *L, const struct api_kind *kind);
/* The call that runs; raises while a script's file itself does. */
struct script_call *api_check_call(lua_State *L, const char *what);
/* The call that an object on the stack is good for; raises when it is another kind, or its call has ended. */
struct script_call *api_check_object(lua_State *L, int index, const struct api_kind *kind);
/* The same of a `req`, the first argument. */
struct script_call *api_check_request(lua_State *L);

/* Calls `body` with all values on the stack and a light userdata, `arg`, and comes back whatever it raises: what is
   behind `arg` can be given back before api_end_guarded returns the results, or raises with the caller's line. */
int api_call_guarded(lua_State *L, lua_CFunction body, void *arg, int result_count);
int api_end_guarded(lua_State *L, int status, int result_count);
/* Raises when a table of options has a key that is not among the names (NULL behind them). */
void api_check_options(lua_State *L, int table, const char *const *names);
/* A value of json/json.h as one of Lua. */
struct json;
void api_push_json(lua_State *L, const struct json *value);

/* The value of a header, its lines joined by ", ", or nil (RFC 9110 5.3). */
void api_push_header(lua_State *L, const struct message *m, struct slice name);
/* Arguments 2 and 3 of a set_header method: a name and a value, or nil to remove it. */
void api_set_header(lua_State *L, struct script_call *call, struct message *m);
/* Arguments 2 and 3 of an add_header method: one more line of that name. */
void api_add_header(lua_State *L, struct script_call *call, struct message *m);
/* The header that the two texts at these places make; value_index 0: a name alone. Raises when no script may set it. */
void api_check_header(lua_State *L, int name_index, int value_index, struct slice *name, struct slice *value);
/* Before an edit that keeps so many bytes. */
void api_charge(lua_State *L, struct script_call *call, size_t bytes);
/* The index of an upstream by its name on the stack; raises when there is none. */
uint32_t api_check_upstream(lua_State *L, int index);

#endif
