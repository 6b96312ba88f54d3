/* cli/ctl.h - what the commands of `weir ctl` share: options, one call of the admin API, and how its answer is shown.
 *
 * A command is a row, a request and a printer: it builds the request, and ctl_show does the rest. A printer gets the document of a
 * good answer, adds text to `out` and says whether that was good news; it neither prints nor fails, so it runs in the
 * same way when --json throws its text away. Members that are absent read as "", 0 and false: an older instance shows
 * less, and is no error, as long as what the topic is about is there (else CTL_UNKNOWN). */
#ifndef CLI_CTL_H
#define CLI_CTL_H

#include "cli/command.h"
#include "cli/table.h"
#include "json/json.h"

/* Of the group; each command adds what it needs, and all share this struct. */
struct ctl_values {
    const char *admin;      /* "unix:PATH", "http://HOST:PORT", "https://..."; NULL: the state dir's socket */
    const char *state_dir;  /* NULL: $WEIR_STATE_DIR, else /var/lib/weir */
    const char *token_file; /* NULL: no token */
    const char *ca_file;    /* https: whose certificates to trust; NULL: the system's */
    bool is_insecure;       /* https: anybody's */
    bool is_json;           /* print the API's own answer */
    int64_t timeout_ms;
    const char *reason;                    /* split, config restore, drain */
    bool is_reset;                         /* split */
    bool is_verify;                        /* audit */
    bool is_offline;                       /* audit: by the file */
    bool is_followed;                      /* events */
    const char *kind, *route, *rollout;    /* events */
    int64_t since_ms;                      /* events: so long ago; 0: from the first */
    const char *wanted_state;              /* rollout NAME wait */
    const char *guardrail, *fault, *share; /* drill */
    const char *step;                      /* drill */
    uint32_t rate;                         /* drill */
    int64_t delay_ms;                      /* drill */
    bool is_live, is_last, is_yes;         /* drill */
    double live_weight, live_per_s;        /* drill: no options, what a live one would meet */
    const char *state;                     /* of those that wait: the last one seen, no option; drills: wanted */
    uint32_t limit;                        /* drills */
    bool is_quiet;                         /* no option: nothing is printed, whatever comes */
    int answer_status;                     /* no option: of the last call; 0: no answer came */
    bool is_once;                          /* weir top */
    int64_t interval_ms;                   /* likewise */
};

/* Where the instance is and who asks: of the group, and of `weir top`. */
#define CTL_CONNECTION_OPTIONS                                                                                         \
    { .name = "admin",                                                                                                 \
      .value_name = "ADDRESS",                                                                                         \
      .kind = OPTION_TEXT,                                                                                             \
      .offset = offsetof(struct ctl_values, admin),                                                                    \
      .doc = "unix:PATH, http://HOST:PORT or https://HOST:PORT" },                                                     \
        { .name = "state-dir",                                                                                         \
          .value_name = "DIR",                                                                                         \
          .kind = OPTION_TEXT,                                                                                         \
          .offset = offsetof(struct ctl_values, state_dir),                                                            \
          .doc = "whose admin.sock to use when --admin is not given" },                                                \
        { .name = "token-file",                                                                                        \
          .value_name = "FILE",                                                                                        \
          .kind = OPTION_TEXT,                                                                                         \
          .offset = offsetof(struct ctl_values, token_file),                                                           \
          .doc = "a file with the bearer token" },                                                                     \
        { .name = "ca",                                                                                                \
          .value_name = "FILE",                                                                                        \
          .kind = OPTION_TEXT,                                                                                         \
          .offset = offsetof(struct ctl_values, ca_file),                                                              \
          .doc = "PEM file of the authorities to trust over https (default the system's)" },                           \
    {                                                                                                                  \
        .letter = 'k', .name = "insecure", .kind = OPTION_FLAG, .offset = offsetof(struct ctl_values, is_insecure),    \
        .doc = "believes any certificate over https, whosever it is"                                                   \
    }

#define CTL_REASON_OPTION(required)                                                                                    \
    {                                                                                                                  \
        .name = "reason", .value_name = "TEXT", .kind = OPTION_TEXT, .is_required = required,                          \
        .offset = offsetof(struct ctl_values, reason), .doc = "why, for the audit log"                                 \
    }

/* What to do where nobody, or somebody else, answers. */
#define CTL_TOKEN_HINT       "--token-file FILE: its first line is a token of admin.tokens"
#define CTL_UNREACHABLE_HINT "Is weir running there? --state-dir or --admin choose another instance.\n"

#define CTL_WIDTH 100 /* columns; what is longer goes on in the next line, where it is not the last of a table */

/* One call of the admin API. */
struct ctl_request {
    const char *method;
    const char *path;                                /* below /api/v1/, escaped; or from the root, with a slash */
    const struct text *json;                         /* the body; NULL: none */
    bool (*on_bytes)(void *arg, struct slice bytes); /* of ctl_follow; NULL */
    void *arg;
};

enum ctl_verdict {
    CTL_SHOWN,
    CTL_BAD_NEWS, /* shown, and the exit status is 1 */
    CTL_UNKNOWN   /* the answer is not what it should be */
};

/* What a topic makes for people of a good answer. `answer` is borrowed; strings that outlive the printer go into the call's arena. */
typedef enum ctl_verdict ctl_print_fn(struct call *call, const struct json *answer, bool coloured, struct text *out);

/* Calls the API and shows the answer: raw with --json, else by `print`. Errors of the API, with all their problems, and of
   the connection go to stderr. */
enum command_status ctl_show(struct call *call, const struct ctl_request *request, ctl_print_fn *print);

/* The same for an answer that was found without the API, as it would have given it. */
enum command_status ctl_show_document(struct call *call, const struct json *answer, ctl_print_fn *print);

/* Calls the API and gives out each event of the stream it answers with, as the JSON text it is, until the stream ends; false
   from on_event ends it too. The status of the command. */
typedef bool ctl_event_fn(struct call *call, struct slice event);
enum command_status ctl_follow(struct call *call, const struct ctl_request *request, ctl_event_fn *on_event);

/* For who asks again and again: the body of a good answer to GET, else a line on what is wrong in `problem`, which stays empty when
   nobody could be asked: then stderr has it. */
enum command_status ctl_fetch(struct call *call, const char *path, struct text *body, struct text *problem);

/* The state directory that is meant, and the database in it. */
const char *ctl_state_dir(const struct ctl_values *values);
const char *ctl_database(struct call *call);

/* Adds one path segment, percent-encoded. */
void ctl_add_segment(struct text *path, const char *segment);
/* Begins a body with its reason (where none was asked for, that `weir ctl` was used); the caller adds the rest and "}". */
void ctl_open_body(struct call *call, struct text *json);

/* Members of the API's objects as text of the call's arena: "" when absent. */
const char *ctl_text(struct call *call, const struct json *object, const char *key);
/* Shows nothing: what state it is in goes to values->state. */
enum ctl_verdict ctl_note_state(struct call *call, const struct json *object);
int64_t ctl_integer(const struct json *object, const char *key);
double ctl_real(const struct json *object, const char *key);
bool ctl_flag(const struct json *object, const char *key);

/* "stable 95%, canary 5%" of a split: [{"upstream": ..., "weight": ...}]; "" when there is none. */
const char *ctl_shares(struct call *call, const struct json *split);

/* "2d 04h", "1h 02m", "3m 20s", "2.4s", "40ms". */
const char *ctl_time_text(struct call *call, int64_t ms);
/* A reason in which a cause of a rollout's change, the whole or an end of it at a colon, is said as people say it: "hold_over" becomes
   "the hold is over", "webhook_passed: status 200" becomes "the webhook said yes: status 200". */
const char *ctl_say_cause(struct call *call, const char *reason);

/* The traffic before and after an event as two lines, "req/s 12.0 -> 11.8   errors ..."; nothing where there was none. */
void ctl_add_effect(struct call *call, const struct json *event, bool coloured, struct text *out);

/* All of them as a table. */
ctl_print_fn ctl_print_rollouts;
/* One rollout: also what a word to it is answered with. */
ctl_print_fn ctl_print_rollout;

extern const struct command ctl_status, ctl_routes, ctl_upstreams, ctl_split, ctl_reload, ctl_config, ctl_audit,
    ctl_events, ctl_incidents, ctl_export, ctl_import, ctl_hygiene, ctl_rollouts, ctl_rollout, ctl_drill, ctl_drills,
    ctl_shadow, ctl_drain, ctl_slos;

#endif
