/* cli/demo_story.c - the demo's story: a release goes bad and is taken back, and the next one succeeds, while one watches.
 *
 * The script decides only when a release begins and when the canary turns bad or is mended. What follows is the proxy's own doing, by the
 * rollout in its file, and is told as the admin API says it. */
#include "cli/demo.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS         250
#define USUAL_PER_1000  10  /* what fails on either side anyway, as with real services */
#define BAD_PER_1000    150 /* of the bad version: far from all, so that it takes a proof */
#define FIRST_REVISION  "2.0"
#define SECOND_REVISION "2.1"
#define BAD_STEP        2

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

static void copy_text(const struct json *object, const char *key, char *out, size_t size)
{
    struct slice text = SLICE_NONE;
    json_as_string(json_get(object, key), &text);
    snprintf(out, size, "%.*s", SLICE_ARG(text));
}

static double real_of(const struct json *object, const char *key, double otherwise)
{
    double number = otherwise;
    json_as_real(json_get(object, key), &number);
    return number;
}

static int64_t integer_of(const struct json *object, const char *key)
{
    int64_t number = 0;
    json_as_i64(json_get(object, key), &number);
    return number;
}

static void read_guardrail(struct demo_guardrail *g, const struct json *object)
{
    double bound_log10 = real_of(object, "bound_log10", 0);
    copy_text(object, "name", g->name, sizeof(g->name));
    copy_text(object, "verdict", g->verdict, sizeof(g->verdict));
    g->progress = real_of(object, "progress", 0);
    g->bound = bound_log10 > 0 ? pow(10, bound_log10) : 0;
    g->evidence = bound_log10 > 0 ? pow(10, real_of(object, "evidence_log10", 0)) : 0;
}

static void read_breach(struct demo_release *r, const struct json *breach)
{
    char at[40];
    copy_text(breach, "guardrail", r->breach_guardrail, sizeof(r->breach_guardrail));
    copy_text(breach, "reason", r->breach_reason, sizeof(r->breach_reason));
    copy_text(breach, "at", at, sizeof(at));
    r->breached_at = (struct wall_time){ 0 };
    wall_parse(at, strlen(at), &r->breached_at);
    r->zero_exposure_ms = real_of(breach, "zero_exposure_ms", -1);
}

void demo_release_read(struct demo_release *r, const struct json *answer)
{
    const struct json *rollout = json_get(answer, "rollout"), *guardrails = json_get(rollout, "guardrails");
    *r = (struct demo_release){ 0 };
    copy_text(rollout, "state", r->state, sizeof(r->state));
    copy_text(rollout, "revision", r->revision, sizeof(r->revision));
    r->step = integer_of(rollout, "step");
    r->step_count = (int64_t)json_count(json_get(rollout, "steps"));
    r->hold_ms = integer_of(rollout, "hold_ms");
    r->hold_left_ms = integer_of(rollout, "hold_left_ms");
    r->weight = real_of(rollout, "weight", 0);
    for (size_t i = 0; i < json_count(guardrails) && r->guardrail_count < DEMO_GUARDRAILS; i++)
        read_guardrail(&r->guardrails[r->guardrail_count++], json_at(guardrails, i));
    read_breach(r, json_get(rollout, "breach"));
}

/* ---- telling -------------------------------------------------------------------------------------------------------------- */

static void tell(struct demo_story *s, enum paint paint, const char *format, ...) PRINTF_LIKE(3, 4);

static void tell(struct demo_story *s, enum paint paint, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    s->tell(s->arg, paint, line);
}

static void enter(struct demo_story *s, enum demo_scene scene)
{
    s->scene = scene;
    s->scene_start = loop_now(s->loop);
}

static bool has_lasted(const struct demo_story *s, int64_t ms)
{
    return mono_diff_us(loop_now(s->loop), s->scene_start) >= ms * 1000;
}

static bool is_in(const struct demo_story *s, const char *state)
{
    return strcmp(s->seen.state, state) == 0;
}

static uint64_t all_answered(const struct demo_counts *c)
{
    return c->answered[DEMO_STABLE] + c->answered[DEMO_CANARY];
}

/* Each step once, as it begins. */
static void tell_step(struct demo_story *s)
{
    const struct demo_release *r = &s->seen;
    if (!is_in(s, "holding") && !is_in(s, "baking"))
        return;
    if (is_in(s, "baking") && s->told_step <= r->step_count) {
        s->told_step = r->step_count + 1;
        tell(s, PAINT_NONE, "all requests go to the canary; it bakes for %.3gs, watched as before",
             (double)s->hold_ms / 1000);
    } else if (is_in(s, "holding") && r->step > s->told_step && r->hold_ms > 0) {
        s->told_step = r->step;
        tell(s, PAINT_NONE, "step %lld of %lld: the canary gets %g %%, held for %.3gs", (long long)r->step,
             (long long)r->step_count, 100 * r->weight, (double)r->hold_ms / 1000);
    }
}

static const struct demo_guardrail *breached(const struct demo_release *r)
{
    for (size_t i = 0; i < r->guardrail_count; i++)
        if (strcmp(r->guardrails[i].name, r->breach_guardrail) == 0)
            return &r->guardrails[i];
    return NULL;
}

/* What was seen by whom, and how long it took: the evidence as the judge says it, the times from the origin and the server. */
static void tell_rollback(struct demo_story *s)
{
    const struct demo_release *r = &s->seen;
    const struct demo_guardrail *g = breached(r);
    double detect_s = (double)(r->breached_at.unix_ms - s->canary->first_failed_at.unix_ms) / 1000;
    if (g != NULL && g->bound > 0)
        tell(s, PAINT_RED, "ROLLED BACK by %s: the evidence has grown to %.0f of %.0f", g->name, g->evidence, g->bound);
    else
        tell(s, PAINT_RED, "ROLLED BACK by %s", r->breach_guardrail);
    tell(s, PAINT_NONE, "  %s", r->breach_reason);
    tell(s, PAINT_NONE,
         "  %.1f s from the first bad answer to the breach, %.1f ms from there until nobody met the canary", detect_s,
         r->zero_exposure_ms);
    tell(s, PAINT_NONE, "  %llu of %llu requests meanwhile met a bad answer; `weir ctl incidents` keeps the record",
         (unsigned long long)s->canary->failed_count,
         (unsigned long long)(all_answered(&s->traffic->counts) - s->answered_before));
}

/* ---- calls ---------------------------------------------------------------------------------------------------------------- */

static void look(struct demo_story *s);

static void end_story(struct demo_story *s, const char *why)
{
    tell(s, PAINT_YELLOW, "the story ends here: %s; the traffic goes on", why);
    enter(s, DEMO_OVER);
}

static void on_answer(void *arg, uint16_t status, const struct json *answer)
{
    struct demo_story *s = arg;
    const char *said = TAKE(&s->said);
    char problem[200];
    s->call = NULL;
    timer_start(s->loop, &s->poll, POLL_MS);
    if (status == 200) {
        if (json_get(answer, "rollout") != NULL)
            demo_release_read(&s->seen, answer);
        look(s);
    } else if (said != NULL && s->scene != DEMO_OVER) {
        copy_text(json_get(answer, "error"), "message", problem, sizeof(problem));
        end_story(s, status != 0 ? problem : "the admin API does not answer");
    }
}

static void call(struct demo_story *s, const char *path, const char *reason)
{
    timer_stop(s->loop, &s->poll);
    s->said = reason;
    s->call = demo_call_start(s->loop, s->proxy->directory, path, reason, on_answer, s);
}

static void on_poll(void *arg)
{
    call(arg, "rollouts/demo", NULL);
}

/* ---- the scenes ----------------------------------------------------------------------------------------------------------- */

static void begin_release(struct demo_story *s, enum demo_scene scene, const char *revision, const char *reason)
{
    s->told_step = 0;
    tell(s, PAINT_CYAN, "release %s begins: weir ctl rollout demo start --reason '%s'", revision, reason);
    enter(s, scene);
    call(s, "rollouts/demo/start", reason);
}

static void turn_bad(struct demo_story *s)
{
    demo_origin_set_failing(s->canary, BAD_PER_1000);
    s->answered_before = all_answered(&s->traffic->counts);
    tell(s, PAINT_YELLOW, "THE CANARY TURNS BAD: %d %% of its answers are now 500; as before, %d %% of stable's are",
         BAD_PER_1000 / 10, USUAL_PER_1000 / 10);
    enter(s, DEMO_BAD);
}

static void look_at_first(struct demo_story *s)
{
    const struct demo_release *r = &s->seen;
    tell_step(s);
    if (is_in(s, "holding") && r->step >= BAD_STEP && r->hold_ms - r->hold_left_ms >= s->hold_ms / 2)
        turn_bad(s);
}

static void look_at_bad(struct demo_story *s)
{
    const struct demo_release *r = &s->seen;
    tell_step(s);
    if (!is_in(s, "rolled_back") || r->zero_exposure_ms < 0)
        return;
    tell_rollback(s);
    enter(s, DEMO_BACK);
}

/* The mended version is a new revision: what was taken back stays so. */
static void mend(struct demo_story *s)
{
    demo_origin_set_failing(s->canary, USUAL_PER_1000);
    if (!demo_proxy_set_revision(s->proxy, FIRST_REVISION, SECOND_REVISION)) {
        end_story(s, "weir.yaml has no revision \"" FIRST_REVISION "\" any more");
        return;
    }
    tell(s, PAINT_CYAN, "the canary is mended: revision " SECOND_REVISION " in weir.yaml, weir ctl reload");
    enter(s, DEMO_MENDED);
    call(s, "reload", "release " SECOND_REVISION);
}

static void look_at_second(struct demo_story *s)
{
    tell_step(s);
    if (!is_in(s, "succeeded"))
        return;
    tell(s, PAINT_GREEN, "release %s SUCCEEDED: the canary is the version that everybody has", s->seen.revision);
    tell(s, PAINT_NONE,
         "the traffic goes on; for a release of your own change `revision` in weir.yaml, then: weir ctl rollout demo "
         "start");
    enter(s, DEMO_OVER);
}

/* Whoever watches may say words of their own, and a guardrail has its false alarms: why the script cannot go on, or NULL. */
static const char *off_script(const struct demo_story *s)
{
    if (s->scene == DEMO_BACK || s->scene == DEMO_MENDED || s->scene == DEMO_OVER)
        return NULL;
    if (is_in(s, "failed") || (is_in(s, "rolled_back") && s->seen.breach_guardrail[0] == '\0'))
        return "the release was ended by hand";
    if (is_in(s, "rolled_back") && s->scene != DEMO_BAD)
        return "a guardrail has taken back a version that was not meant to be bad";
    if (is_in(s, "succeeded") && s->scene != DEMO_SECOND)
        return "the release was promoted by hand";
    return NULL;
}

/* What comes next after this answer. */
static void look(struct demo_story *s)
{
    const char *why = off_script(s);
    if (why != NULL) {
        end_story(s, why);
        return;
    }
    switch (s->scene) {
    case DEMO_CALM:
        if (!is_in(s, "pending"))
            enter(s, DEMO_FIRST); /* whoever watches was quicker */
        else if (has_lasted(s, s->hold_ms / 2))
            begin_release(s, DEMO_FIRST, FIRST_REVISION, "release " FIRST_REVISION);
        break;
    case DEMO_FIRST:
        look_at_first(s);
        break;
    case DEMO_BAD:
        look_at_bad(s);
        break;
    case DEMO_BACK:
        if (has_lasted(s, s->hold_ms))
            mend(s);
        break;
    case DEMO_MENDED:
        if (strcmp(s->seen.revision, SECOND_REVISION) == 0 && is_in(s, "pending"))
            begin_release(s, DEMO_SECOND, SECOND_REVISION, "release " SECOND_REVISION);
        break;
    case DEMO_SECOND:
        look_at_second(s);
        break;
    case DEMO_OVER:
        break;
    }
}

void demo_story_start(struct demo_story *s)
{
    demo_origin_set_failing(s->stable, USUAL_PER_1000);
    demo_origin_set_failing(s->canary, USUAL_PER_1000);
    enter(s, DEMO_CALM);
    timer_init(&s->poll, on_poll, s);
    timer_start(s->loop, &s->poll, 0);
}

void demo_story_stop(struct demo_story *s)
{
    if (s->poll.fire == NULL)
        return;
    timer_stop(s->loop, &s->poll);
    if (s->call != NULL)
        demo_call_cancel(TAKE(&s->call));
}
