/* cli/replay_run.c - sends recorded requests when they are due, and hands each answer to be compared. */
#include "cli/replay.h"

#include "base/err.h"
#include "base/memory.h"
#include "base/units.h"
#include "config/model.h"
#include "http/message.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define WAIT_MS           100 /* at most between two looks at the clock */
#define FACTOR_MIN        0.001
#define FACTOR_MAX        1000.0
#define SENT_HEADERS_MORE 2 /* Host and the mark */

/* One request: read ahead, then under way. */
struct flight {
    struct replay *replay;
    struct arena arena; /* holds what follows */
    struct recorded recorded;
    struct replay_place place;
    struct recorded_header *headers; /* of the answer */
    size_t header_count, header_capacity;
    struct digest_stream *digest;
    uint64_t body_bytes;
    struct text body; /* its beginning; all of it while is_kept */
    bool is_kept;
};

struct replay {
    struct replay_report *report;
    struct replay_input *input;
    const struct replay_target *target;
    const struct replay_pace *pace;
    struct http_multi *http;
    struct flight *next; /* read, not due yet; NULL at the end of input */
    struct wall_time first_at;
    struct mono_time start;
    uint64_t due_count; /* requests that passed the filters */
    int64_t due_us;     /* when the newest of them is due, after `start`; never before the one in front of it */
    int signal_fd;
    unsigned signal_count;
};

/* ---- pace ------------------------------------------------------------------------------------------------------------ */

bool replay_pace_parse(const char *text, struct replay_pace *out)
{
    char *end = NULL;
    *out = (struct replay_pace){ .kind = REPLAY_PACE_RECORDED, .factor = 1 };
    if (strcmp(text, "max") == 0) {
        out->kind = REPLAY_PACE_MAX;
        return true;
    }
    if (units_parse_rate(slice_from_cstr(text), &out->count, &out->period_ms)) {
        out->kind = REPLAY_PACE_RATE;
        return true;
    }
    if (text[0] < '0' || text[0] > '9')
        return false;
    out->factor = strtod(text, &end);
    return strcmp(end, "x") == 0 && out->factor >= FACTOR_MIN && out->factor <= FACTOR_MAX;
}

#define FOREVER_US 4e18 /* a file may name times that are further apart than 64 bits can tell */

static int64_t us_of(double us)
{
    return (int64_t)fmax(-FOREVER_US, fmin(us, FOREVER_US));
}

int64_t replay_pace_due_us(const struct replay_pace *pace, struct wall_time at, struct wall_time first_at,
                           uint64_t index)
{
    switch (pace->kind) {
    case REPLAY_PACE_RECORDED:
        return us_of((double)(at.unix_ms - first_at.unix_ms) * 1000.0 / pace->factor);
    case REPLAY_PACE_RATE:
        return us_of((double)index * pace->period_ms * 1000.0 / pace->count);
    case REPLAY_PACE_MAX:
        break;
    }
    return 0;
}

/* ---- flights --------------------------------------------------------------------------------------------------------- */

static struct flight *flight_create(struct replay *r)
{
    struct flight *f = memory_zalloc(sizeof(*f));
    f->replay = r;
    f->is_kept = true;
    arena_init(&f->arena, NULL, 0);
    return f;
}

static void flight_destroy(struct flight *f)
{
    if (f == NULL)
        return;
    digest_stream_destroy(f->digest);
    text_fini(&f->body);
    arena_reset(&f->arena);
    memory_free(f);
}

/* Why it is not sent; REPLAY_SKIP_COUNT: it is. */
static enum replay_skip why_skipped(const struct replay_values *values, const struct recorded *r)
{
    bool is_wanted = values->only.count == 0;
    for (size_t i = 0; i < values->only.count && !is_wanted; i++)
        is_wanted = slice_equal(r->route, slice_from_cstr(values->only.items[i]));
    if (!is_wanted)
        return REPLAY_SKIP_ROUTE;
    enum method method = method_from_name(r->method);
    if (method == METHOD_CONNECT || (!values->is_unsafe && !method_is_safe(method)))
        return REPLAY_SKIP_METHOD;
    return r->is_truncated ? REPLAY_SKIP_TRUNCATED : REPLAY_SKIP_COUNT;
}

/* Lines are in the order in which answers came, so a request may be older than the one in front of it. */
static void request_due(struct replay *r, struct flight *f)
{
    if (r->due_count == 0)
        r->first_at = f->recorded.at;
    int64_t due_us = replay_pace_due_us(r->pace, f->recorded.at, r->first_at, r->due_count);
    r->due_us = due_us > r->due_us ? due_us : r->due_us;
    r->due_count++;
    r->next = f;
}

/* Reads until there is one to send, or nothing left. */
static void read_ahead(struct replay *r)
{
    uint32_t limit = r->report->values->limit;
    struct flight *f = flight_create(r);
    while ((limit == 0 || r->due_count < limit) && replay_input_next(r->input, &f->arena, &f->recorded, &f->place)) {
        enum replay_skip skip = why_skipped(r->report->values, &f->recorded);
        if (skip == REPLAY_SKIP_COUNT) {
            request_due(r, f);
            return;
        }
        r->report->skipped[skip]++;
        arena_reset(&f->arena);
    }
    flight_destroy(f);
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

static bool is_given(const struct replay_target *target, struct slice name)
{
    for (size_t i = 0; i < target->header_count; i++)
        if (slice_equal_nocase(name, target->headers[i].name))
            return true;
    return false;
}

/* Framing is libcurl's business, the connection is another one, and what --header gives stands instead. */
static bool is_left_out(const struct replay_target *target, struct slice name)
{
    static const char *const framing[] = { "host",           "connection",        "content-length",
                                           "expect",         "keep-alive",        "te",
                                           "trailer",        "transfer-encoding", "upgrade",
                                           "http2-settings", "proxy-connection",  SHADOW_MARK_NAME };
    for (size_t i = 0; i < ARRAY_COUNT(framing); i++)
        if (slice_equal_nocase(name, slice_from_cstr(framing[i])))
            return true;
    return is_given(target, name);
}

/* Redacted headers are not sent: nobody knows what they said. */
static size_t headers_make(struct flight *f, const struct replay_target *target, struct http_header **out)
{
    const struct recorded *r = &f->recorded;
    size_t count = 0, most = r->header_count + target->header_count + SENT_HEADERS_MORE;
    struct http_header *headers = arena_zalloc_array(&f->arena, most, sizeof(*headers));
    if (r->host.len > 0 && !is_given(target, SLICE("host")))
        headers[count++] = (struct http_header){ SLICE("Host"), r->host };
    for (size_t i = 0; i < r->header_count; i++)
        if (!r->headers[i].is_redacted && !is_left_out(target, r->headers[i].name))
            headers[count++] = (struct http_header){ r->headers[i].name, r->headers[i].value };
    for (size_t i = 0; i < target->header_count; i++)
        headers[count++] = target->headers[i];
    if (!is_given(target, SLICE(SHADOW_MARK_NAME)))
        headers[count++] = (struct http_header){ SLICE(SHADOW_MARK_NAME), SLICE("1") };
    *out = headers;
    return count;
}

static void flight_start(struct flight *f)
{
    struct replay *r = f->replay;
    struct http_header *headers;
    size_t count = headers_make(f, r->target, &headers);
    struct slice target = f->recorded.target;
    if (r->target->prefix.len > 0 && target.ptr[0] == '/')
        target = arena_printf(&f->arena, "%.*s%.*s", SLICE_ARG(r->target->prefix), SLICE_ARG(target));
    struct http_send send = { .url = r->target->url,
                              .method = f->recorded.method,
                              .target = target,
                              .headers = headers,
                              .header_count = count,
                              .body = f->recorded.body };
    f->digest = digest_stream_create();
    r->report->sent_count++;
    http_multi_start(r->http, &send, f);
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

/* libcurl bounds what a head may hold. */
static void on_header(void *token, struct slice name, struct slice value)
{
    struct flight *f = token;
    if (f->header_count == f->header_capacity) {
        const struct recorded_header *old = f->headers;
        f->header_capacity = f->header_capacity > 0 ? 2 * f->header_capacity : 16;
        f->headers = arena_zalloc_array(&f->arena, f->header_capacity, sizeof(*f->headers));
        for (size_t i = 0; i < f->header_count; i++)
            f->headers[i] = old[i];
    }
    f->headers[f->header_count++] =
        (struct recorded_header){ arena_copy(&f->arena, name), arena_copy(&f->arena, value), false };
}

static void on_body(void *token, struct slice bytes)
{
    struct flight *f = token;
    digest_stream_add(f->digest, bytes);
    f->body_bytes += bytes.len;
    f->is_kept = f->is_kept && f->body_bytes <= REPLAY_JSON_MAX_BYTES && f->recorded.answer.json_sha256[0] != '\0';
    if (f->is_kept)
        text_add(&f->body, bytes);
    else
        text_fini(&f->body);
}

static void flight_compare(struct flight *f, const struct http_end *end)
{
    struct replay_report *report = f->replay->report;
    struct replay_answer now = { .status = end->status,
                                 .headers = f->headers,
                                 .header_count = f->header_count,
                                 .body_bytes = f->body_bytes,
                                 .body = f->is_kept ? text_slice(&f->body) : SLICE_NONE };
    const struct recorded_answer *recorded = &f->recorded.answer;
    struct replay_difference *differences = NULL;
    digest_stream_hex(f->digest, now.body_sha256);
    if (recorded->status != 0)
        differences = replay_compare(&f->arena, recorded, &now, &report->values->ignored_headers);
    replay_report_answer(report, &f->recorded, f->place, differences, recorded->status != 0, end->latency_us);
}

static void on_done(void *token, const struct http_end *end)
{
    struct flight *f = token;
    if (end->failure == HTTP_FAILURE_NONE)
        flight_compare(f, end);
    else
        replay_report_failure(f->replay->report, end);
    flight_destroy(f);
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

/* TERM and INT as something to read, so that they are noticed while waiting for answers. */
static void signals_begin(struct replay *r, sigset_t *old)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, old);
    r->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(r->signal_fd >= 0);
}

/* Those that came and were not looked at are taken off, or they would end us now. */
static void signals_look(struct replay *r)
{
    struct signalfd_siginfo info;
    while (read(r->signal_fd, &info, sizeof(info)) == sizeof(info))
        r->signal_count++;
    r->report->is_interrupted = r->signal_count > 0;
}

static void signals_end(struct replay *r, const sigset_t *old)
{
    signals_look(r);
    close(r->signal_fd);
    sigprocmask(SIG_SETMASK, old, NULL);
}

/* Starts what is due while there is room; returns how long until the next one is. */
static int64_t start_due(struct replay *r)
{
    int64_t wait_ms = WAIT_MS;
    while (r->next != NULL && http_multi_live_count(r->http) < r->report->values->concurrency) {
        int64_t now_us = mono_diff_us(clock_mono(), r->start);
        int64_t late_us = now_us - r->due_us;
        if (late_us < 0) {
            int64_t until_ms = (999 - late_us) / 1000;
            return until_ms < wait_ms ? until_ms : wait_ms;
        }
        if (r->pace->kind != REPLAY_PACE_MAX && late_us > r->report->behind_us)
            r->report->behind_us = late_us;
        flight_start(TAKE(&r->next));
        read_ahead(r);
    }
    return wait_ms;
}

/* The first signal ends the sending, and waits for what is under way; the second does not. */
static void loop(struct replay *r, struct replay_progress *progress)
{
    while ((r->next != NULL || http_multi_live_count(r->http) > 0) && r->signal_count < 2) {
        int64_t wait_ms = start_due(r);
        http_multi_wait(r->http, r->signal_fd, wait_ms);
        signals_look(r);
        if (r->signal_count > 0)
            flight_destroy(TAKE(&r->next));
        replay_progress_tick(progress);
    }
}

void replay_run(struct replay_report *report, struct replay_input *input, const struct replay_target *target,
                const struct replay_pace *pace, struct replay_progress *progress)
{
    static const struct http_events events = { on_header, on_body, on_done };
    const struct replay_values *values = report->values;
    struct http_multi_settings settings = { .connection_max = values->concurrency,
                                            .timeout_ms = values->timeout_ms,
                                            .ca_file = values->ca,
                                            .is_insecure = values->is_insecure,
                                            .is_http2 = values->is_http2 };
    struct replay r = { .report = report, .input = input, .target = target, .pace = pace };
    sigset_t old;
    signals_begin(&r, &old);
    r.http = http_multi_create(&settings, &events);
    r.start = clock_mono();
    read_ahead(&r);
    loop(&r, progress);
    http_multi_destroy(r.http);
    report->elapsed_us = mono_diff_us(clock_mono(), r.start);
    signals_end(&r, &old);
}
