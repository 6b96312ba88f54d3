/* bench/releases/main.c - bench/rollout-sim: how often the judge is wrong, and how soon it is right. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/text.h"
#include "releases/detect.h"
#include "releases/parallel.h"
#include "releases/traffic.h"

#define ALPHA          0.01
#define SECONDS        3600u
#define MOST_OF_LIMIT  1.6
#define DETECT_SECONDS 200000u

struct options {
    uint32_t releases;        /* of each scenario without a difference */
    uint32_t detect_releases; /* of each fault */
    uint32_t jobs;            /* processes */
    uint64_t seed;
    const char *only; /* one section; NULL: all */
    const char *file; /* NULL: only to standard output */
    bool is_strict;
};

/* What is printed is written as well, and what was missed is told at the end. */
struct report {
    struct text text, missed;
    uint32_t targets, met;
};

static void say(struct report *r, const char *line)
{
    text_add_cstr(&r->text, line);
    fputs(line, stdout);
    fflush(stdout);
}

static const char *judged(struct report *r, bool is_met, const char *what)
{
    r->targets++;
    r->met += is_met;
    if (!is_met)
        text_printf(&r->missed, "- %s\n", what);
    return is_met ? "ok" : "**missed**";
}

/* In as many processes as were asked for; the order of lines is that of the items. */
static void run_all(uint32_t count, void (*run)(const void *arg, uint32_t i, void *result), const struct options *o,
                    void *results, size_t size_bytes)
{
    if (parallel_run(count, o->jobs, run, o, results, size_bytes))
        return;
    fputs("rollout-sim: a process failed\n", stderr);
    exit(1);
}

/* ---- false alarms ------------------------------------------------------------------------------------------------------ */

static void run_scenario(const void *arg, uint32_t i, void *result)
{
    const struct options *o = arg;
    *(struct outcome *)result = scenario_run(&scenarios[i], o->releases, SECONDS, o->seed);
}

static void report_alarms(struct report *r, const struct options *o)
{
    char line[400];
    uint32_t limit = outcome_limit(o->releases, ALPHA), voids = outcome_limit(o->releases, EVIDENCE_SRM_ALPHA);
    struct outcome *outcomes = memory_zalloc(scenario_count * sizeof *outcomes);
    snprintf(line, sizeof line,
             "\n## False alarms\n\n%u releases of each kind, an hour each, watched every second. Allowed: 1 %% and "
             "three standard "
             "errors, %u; for a split wrongly called mismatched 0.1 %%, %u.\n\n"
             "| release | breached | | mismatched | |\n|---|--:|---|--:|---|\n",
             o->releases, limit, voids);
    say(r, line);
    run_all(scenario_count, run_scenario, o, outcomes, sizeof *outcomes);
    for (uint32_t i = 0; i < scenario_count; i++) {
        const struct scenario *s = &scenarios[i];
        const struct outcome *out = &outcomes[i];
        const char *breaches = s->is_naive ? "not a target" : judged(r, out->breaches <= limit, s->name);
        const char *mismatches = s->is_naive ? "" : judged(r, out->voids <= voids, s->name);
        snprintf(line, sizeof line, "| %s | %u | %s | %u | %s |\n", s->name, out->breaches, breaches, out->voids,
                 mismatches);
        say(r, line);
    }
    memory_free(outcomes);
}

/* ---- time to detect ---------------------------------------------------------------------------------------------------- */

/* One line of the table: each fault at two weights and three rates; errors by two guardrails, latency by one. */
struct trial {
    const struct fault *fault;
    const char *name; /* of the guardrail */
    struct guardrail guardrail;
    double share;
    uint32_t rate;
};

#define TRIALS_PER_FAULT 12u

static bool trial_at(uint32_t i, struct trial *t)
{
    static const uint32_t rates[] = { 10, 100, 1000 };
    static const double shares[] = { 0.05, 0.1 };
    uint32_t k = i % TRIALS_PER_FAULT;
    t->fault = &faults[i / TRIALS_PER_FAULT];
    t->rate = rates[k % 3];
    t->share = shares[k / 3 % 2];
    bool is_second = k / 6 == 1, is_latency = t->fault->slower > 0;
    t->name = is_latency ? "latency_p95" : is_second ? "points" : "ratio";
    t->guardrail = is_latency ? rail_latency(0.95, 1) : is_second ? rail_points(0) : rail_ratio(1);
    return !is_latency || !is_second;
}

static void run_trial(const void *arg, uint32_t i, void *result)
{
    const struct options *o = arg;
    struct trial t;
    if (trial_at(i, &t))
        *(struct detection *)result =
            fault_detect(t.fault, &t.guardrail, t.rate, t.share, o->detect_releases, DETECT_SECONDS, o->seed);
}

static void say_detection(struct report *r, const struct trial *t, const struct detection *d)
{
    char line[400], what[200];
    double ratio = d->requests / d->limit_requests;
    snprintf(what, sizeof what, "%s, %s, %g %%, %u req/s", t->fault->name, t->name, 100 * t->share, t->rate);
    snprintf(line, sizeof line, "| %s | %s | %g %% | %u | %.0f | %.0f | %.2f | %s | %.1f s |\n", t->fault->name,
             t->name, 100 * t->share, t->rate, d->requests, d->limit_requests, ratio,
             judged(r, ratio <= MOST_OF_LIMIT, what), d->seconds);
    say(r, line);
}

static void report_detection(struct report *r, const struct options *o)
{
    char line[900];
    struct trial t;
    uint32_t count = fault_count * TRIALS_PER_FAULT;
    struct detection *detections = memory_zalloc(count * sizeof *detections);
    snprintf(line, sizeof line,
             "\n## Time to detect\n\nMedians of %u releases, margin 1, confidence 99 %%, looked at ten times a second. "
             "The limit: the sequential probability ratio test that knows both true rates, at the same alpha, over "
             "the same events, looked at as often. Requests are of both versions together. For latency weir has learnt "
             "stable's p95 "
             "from 2,000 answers before the release; the limit knows the true one. Target: at most %.1f times the "
             "limit's.\n\n"
             "| fault | guardrail | weight | req/s | requests | limit | ratio | | time "
             "|\n|---|---|--:|--:|--:|--:|--:|---|--:|\n",
             o->detect_releases, MOST_OF_LIMIT);
    say(r, line);
    run_all(count, run_trial, o, detections, sizeof *detections);
    for (uint32_t i = 0; i < count; i++)
        if (trial_at(i, &t))
            say_detection(r, &t, &detections[i]);
    memory_free(detections);
}

/* ---- beside the peers -------------------------------------------------------------------------------------------------- */

static const uint32_t watched_rates[] = { 10, 100, 1000 };

struct watches {
    struct watch by[WATCHER_COUNT];
};

static uint32_t watched_releases(const struct options *o)
{
    return o->detect_releases / 2 > 0 ? o->detect_releases / 2 : 1;
}

static void run_watch(const void *arg, uint32_t i, void *result)
{
    const struct options *o = arg;
    const struct fault *f = &faults[i / ARRAY_COUNT(watched_rates)];
    fault_watch(f, watched_rates[i % ARRAY_COUNT(watched_rates)], 0.05, watched_releases(o), o->seed,
                ((struct watches *)result)->by);
}

static void say_watch(struct report *r, const struct fault *f, uint32_t rate, const char *name, const struct watch *w)
{
    char line[300], median[40] = "not within the hour";
    if (isfinite(w->median_s))
        snprintf(median, sizeof median, "%.0f s", w->median_s);
    snprintf(line, sizeof line, "| %s | %u | %s | %.1f %% | %.1f %% | %s |\n", f->name, rate, name,
             100 * w->false_alarms, 100 * w->misses, median);
    say(r, line);
}

static void report_peers(struct report *r, const struct options *o)
{
    char line[1200];
    uint32_t count = fault_count * ARRAY_COUNT(watched_rates);
    struct watches *watches = memory_zalloc(count * sizeof *watches);
    snprintf(line, sizeof line,
             "\n## Beside others\n\nAn hour at 5 %%, %u releases that are bad from the start and as many that are not. "
             "Flagger: "
             "interval 1 m, threshold 5. Argo Rollouts: interval 1 m, count 60. Both are given the best threshold "
             "there is, half way "
             "between the two true values, which nobody who releases knows; a worse one moves false alarms and misses "
             "from one "
             "column to the other. Kayenta: one value a minute, judged every ten minutes. Re-implemented from their "
             "documentation (`bench/releases/peers.h`).\n\n"
             "| fault | req/s | who | false alarms | misses | median time |\n|---|--:|---|--:|--:|--:|\n",
             watched_releases(o));
    say(r, line);
    run_all(count, run_watch, o, watches, sizeof *watches);
    for (uint32_t i = 0; i < count; i++)
        for (int w = 0; w < WATCHER_COUNT; w++)
            say_watch(r, &faults[i / ARRAY_COUNT(watched_rates)], watched_rates[i % ARRAY_COUNT(watched_rates)],
                      watcher_names[w], &watches[i].by[w]);
    memory_free(watches);
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

/* How a section's targets were met; for the exit status they are added up. */
static void report_verdict(struct report *r, uint32_t targets_before, uint32_t met_before)
{
    char line[100];
    if (r->targets == targets_before)
        return;
    snprintf(line, sizeof line, "\n%u of %u targets met.\n", r->met - met_before, r->targets - targets_before);
    say(r, line);
    if (r->missed.len > 0) {
        say(r, "\nMissed:\n\n");
        say(r, r->missed.bytes);
        text_clear(&r->missed);
    }
}

static const struct section {
    const char *name;
    void (*report)(struct report *r, const struct options *o);
} sections[] = { { "alarms", report_alarms }, { "detection", report_detection }, { "peers", report_peers } };

static bool is_section(const char *name)
{
    bool is = false;
    for (uint32_t i = 0; i < ARRAY_COUNT(sections); i++)
        is |= strcmp(name, sections[i].name) == 0;
    return is;
}

static void report_sections(struct report *r, const struct options *o)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(sections); i++) {
        uint32_t targets = r->targets, met = r->met;
        if (o->only != NULL && strcmp(o->only, sections[i].name) != 0)
            continue;
        sections[i].report(r, o);
        report_verdict(r, targets, met);
    }
}

static bool write_file(const char *path, const struct text *text)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    bool is_written = fwrite(text->bytes, 1, text->len, file) == text->len;
    return fclose(file) == 0 && is_written;
}

static int usage(void)
{
    fputs("usage: rollout-sim [--releases N] [--detect N] [--jobs N] [--only SECTION] [--seed N] [--write FILE] "
          "[--strict]\n"
          "  --releases N   releases of each kind without a difference (10000)\n"
          "  --detect N     releases of each fault (1000)\n"
          "  --jobs N       processes (1); the results are the same\n"
          "  --only SECTION alarms, detection or peers\n"
          "  --seed N       the same seed, the same numbers (1)\n"
          "  --write FILE   the report, as Markdown\n"
          "  --strict       exit status 1 when a target is missed\n",
          stderr);
    return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--strict") == 0) {
            o->is_strict = true;
            continue;
        }
        if (i + 1 == argc)
            return false;
        const char *name = argv[i++];
        unsigned long number = strtoul(argv[i], NULL, 10);
        if (strcmp(name, "--write") == 0)
            o->file = argv[i];
        else if (strcmp(name, "--only") == 0 && is_section(argv[i]))
            o->only = argv[i];
        else if (strcmp(name, "--releases") == 0 && number > 0)
            o->releases = (uint32_t)number;
        else if (strcmp(name, "--detect") == 0 && number > 0)
            o->detect_releases = (uint32_t)number;
        else if (strcmp(name, "--jobs") == 0 && number > 0)
            o->jobs = (uint32_t)number;
        else if (strcmp(name, "--seed") == 0)
            o->seed = number;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = { 10000, 1000, 1, 1, NULL, NULL, false };
    struct report r = { .targets = 0 };
    if (!parse(&o, argc, argv))
        return usage();
    char line[600];
    snprintf(line, sizeof line,
             "# Rollouts, simulated\n\n`bench/rollout-sim --releases %u --detect %u --seed %llu`: simulated traffic "
             "and clock, and the "
             "evidence and the judge of the server itself (`proxy/rollout/`). The same seed gives the same numbers.\n",
             o.releases, o.detect_releases, (unsigned long long)o.seed);
    say(&r, line);
    report_sections(&r, &o);
    bool is_written = o.file == NULL || write_file(o.file, &r.text);
    if (!is_written)
        perror(o.file);
    bool is_good = is_written && (!o.is_strict || r.met == r.targets);
    text_fini(&r.text);
    text_fini(&r.missed);
    return is_good ? 0 : 1;
}
