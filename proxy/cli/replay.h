/* cli/replay.h - what the parts of `weir replay` share: lines come in, requests go out, answers are compared and reported.
 *
 *   replay_input.c -> replay_run.c -> replay_compare.c -> replay_report.c
 *    files, lines      pace, sending    what differs        what people and programs read
 *
 * One thread. Everything is bounded: one line is read ahead, `concurrency` requests are under way, and of what the report
 * lists only the first ones are kept. */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "outbound/http_multi.h"
#include "shadow/recorded.h"

#include "cli/options.h"

struct replay_values {
    const char *to, *speed, *ca;
    struct option_list only, headers, ignored_headers;
    uint32_t concurrency, limit, shown; /* 0: the default; no limit */
    int64_t timeout_ms;
    bool is_unsafe, is_insecure, is_http2, is_json;
};

/* ---- input --------------------------------------------------------------------------------------------------------- */

struct replay_place {
    const char *file;
    uint64_t line; /* from 1 */
};

#define REPLAY_BAD_SHOWN 3

struct replay_bad_line {
    struct replay_place place;
    const char *why;
};

struct line_reader;

/* The files in the order of their first requests. Strings live in the arena or in argv. */
struct replay_input {
    struct arena *arena;
    const char **files;
    size_t file_count, next_file;
    struct line_reader *reader; /* of the file before next_file; NULL: none is open */
    uint64_t total_bytes;       /* 0: not known, it is a pipe */
    uint64_t done_bytes;
    uint64_t bad_count;
    struct replay_bad_line bad[REPLAY_BAD_SHOWN]; /* the first ones */
    uint64_t cut_count;                           /* last lines that end inside: one a file at most */
    struct replay_place cut;                      /* the first of them */
};

/* False with a sentence when a file cannot be read. "-" is standard input. */
bool replay_input_open(struct replay_input *input, struct arena *arena, const char *const *files, size_t file_count,
                       struct text *error);
/* The next good line; what it holds is in `arena`, which is reset behind a bad one. False at the end. */
bool replay_input_next(struct replay_input *input, struct arena *arena, struct recorded *out,
                       struct replay_place *place);
void replay_input_close(struct replay_input *input);

/* ---- comparing ----------------------------------------------------------------------------------------------------- */

enum replay_kind { REPLAY_STATUS, REPLAY_HEADER, REPLAY_BODY, REPLAY_KIND_COUNT };

struct replay_difference {
    struct replay_difference *next;
    enum replay_kind kind;
    struct slice name; /* of the header; "" otherwise */
    struct slice recorded, now;
};

#define REPLAY_JSON_MAX_BYTES (8u * 1024 * 1024) /* of an answer, kept to be read as JSON */

/* What came back. Borrowed. */
struct replay_answer {
    uint16_t status;
    const struct recorded_header *headers;
    size_t header_count;
    uint64_t body_bytes;
    char body_sha256[DIGEST_SHA256_HEX_SIZE];
    struct slice body; /* when all of it was kept; else ptr NULL */
};

/* What differs, in the arena; NULL: nothing. Only headers that were recorded are looked at. */
struct replay_difference *replay_compare(struct arena *arena, const struct recorded_answer *recorded,
                                         const struct replay_answer *now, const struct option_list *ignored_headers);

/* ---- report -------------------------------------------------------------------------------------------------------- */

#define REPLAY_LATENCIES_MAX 65536u /* exact up to so many answers, afterwards from a uniform sample of that size */

struct replay_latencies {
    uint32_t *us; /* heap */
    size_t count;
    uint64_t seen_count;
    struct rng rng;
};

enum replay_skip { REPLAY_SKIP_METHOD, REPLAY_SKIP_ROUTE, REPLAY_SKIP_TRUNCATED, REPLAY_SKIP_COUNT };

/* A request that differed, as it is listed. */
struct replay_shown {
    struct replay_shown *next;
    struct replay_place place;
    struct slice route, method, target;
    struct replay_difference *differences;
};

struct replay_report {
    struct arena *arena; /* holds what is listed */
    const struct replay_values *values;
    const struct replay_input *input;
    uint64_t skipped[REPLAY_SKIP_COUNT];
    uint64_t sent_count, answered_count, same_count, different_count;
    uint64_t uncompared_count;                /* answered, but no answer had been recorded */
    uint64_t different_by[REPLAY_KIND_COUNT]; /* requests; one may count in several */
    uint64_t failed_count, failed_by[HTTP_FAILURE_COUNT];
    const char *first_failure;             /* in the arena; NULL: none */
    struct replay_latencies recorded, now; /* of the same requests: those answered on both sides */
    struct replay_shown *shown, **last_shown;
    uint32_t shown_count;
    int64_t elapsed_us, behind_us; /* behind: how late a request was at most */
    bool is_interrupted;
};

void replay_report_init(struct replay_report *report, struct arena *arena, const struct replay_values *values,
                        const struct replay_input *input);
void replay_report_fini(struct replay_report *report);
/* One answer; the differences are copied when they are listed. */
void replay_report_answer(struct replay_report *report, const struct recorded *recorded, struct replay_place place,
                          const struct replay_difference *differences, bool is_compared, int64_t latency_us);
void replay_report_failure(struct replay_report *report, const struct http_end *end);
/* Something was sent, everything came back the same, and nobody interrupted. */
bool replay_report_is_good(const struct replay_report *report);
void replay_report_print(struct replay_report *report, bool coloured, struct text *out);
void replay_report_json(struct replay_report *report, struct text *out);

/* The value below which a share q of them lies; 0 when there is none. Sorts. */
uint32_t replay_latencies_quantile_us(struct replay_latencies *l, double q);
void replay_latencies_add(struct replay_latencies *l, int64_t us);

/* ---- progress ------------------------------------------------------------------------------------------------------ */

/* On standard error: a bar that is drawn again and again on a terminal, else a line every ten seconds. */
struct replay_progress {
    const struct replay_report *report;
    bool is_off, is_terminal, is_drawn;
    struct mono_time start, next;
};

void replay_progress_init(struct replay_progress *p, const struct replay_report *report, bool is_off);
/* Draws when it is time. */
void replay_progress_tick(struct replay_progress *p);
/* Takes the bar away: what is printed next begins on a clean line. */
void replay_progress_end(struct replay_progress *p);

/* ---- running ------------------------------------------------------------------------------------------------------- */

/* When requests go out: at the recorded distances divided by `factor`, or evenly, or as fast as they come back. */
struct replay_pace {
    enum { REPLAY_PACE_RECORDED, REPLAY_PACE_RATE, REPLAY_PACE_MAX } kind;
    double factor;
    uint32_t count, period_ms; /* RATE: so many in so long */
};

/* "1x", "0.5x", "100/s", "max"; false otherwise. */
bool replay_pace_parse(const char *text, struct replay_pace *out);
/* When the request is due, after the first one's; `at` and `first_at` are the recorded times, index counts from 0. */
int64_t replay_pace_due_us(const struct replay_pace *pace, struct wall_time at, struct wall_time first_at,
                           uint64_t index);

/* What `--to` and `--header` come to. */
struct replay_target {
    const char *url;     /* "http://127.0.0.1:9003" */
    struct slice prefix; /* in front of each target; "" mostly */
    const struct http_header *headers;
    size_t header_count;
};

void replay_run(struct replay_report *report, struct replay_input *input, const struct replay_target *target,
                const struct replay_pace *pace, struct replay_progress *progress);

#endif
