/* bench/releases/main.c - bench/rollout-sim: how often the judge is wrong, and how soon it is right. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/text.h"
#include "releases/detect.h"
#include "releases/traffic.h"

#define ALPHA          0.01
#define SECONDS        3600u
#define MOST_OF_LIMIT  1.6
#define DETECT_SECONDS 200000u

struct options {
    uint32_t releases;        /* of each scenario without a difference */
    uint32_t detect_releases; /* of each fault */
    uint64_t seed;
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

/* ---- false alarms ------------------------------------------------------------------------------------------------------ */

static void report_alarms(struct report *r, const struct options *o)
{
    char line[400];
    uint32_t limit = outcome_limit(o->releases, ALPHA), voids = outcome_limit(o->releases, EVIDENCE_SRM_ALPHA);
    snprintf(line, sizeof line,
             "\n## False alarms\n\n%u releases of each kind, an hour each, watched every second. Allowed: 1 %% and "
             "three standard "
             "errors, %u; for a split wrongly called mismatched 0.1 %%, %u.\n\n"
             "| release | breached | | mismatched | |\n|---|--:|---|--:|---|\n",
             o->releases, limit, voids);
    say(r, line);
    for (uint32_t i = 0; i < scenario_count; i++) {
        const struct scenario *s = &scenarios[i];
        struct outcome out = scenario_run(s, o->releases, SECONDS, o->seed);
        const char *breaches = s->is_naive ? "not a target" : judged(r, out.breaches <= limit, s->name);
        const char *mismatches = s->is_naive ? "" : judged(r, out.voids <= voids, s->name);
        snprintf(line, sizeof line, "| %s | %u | %s | %u | %s |\n", s->name, out.breaches, breaches, out.voids,
                 mismatches);
        say(r, line);
    }
}

/* ---- time to detect ---------------------------------------------------------------------------------------------------- */

static void report_fault(struct report *r, const struct options *o, const struct fault *f, const struct guardrail *g,
                         const char *name)
{
    static const uint32_t rates[] = { 10, 100, 1000 };
    static const double shares[] = { 0.05, 0.1 };
    char line[400], what[200];
    for (uint32_t s = 0; s < ARRAY_COUNT(shares); s++)
        for (uint32_t i = 0; i < ARRAY_COUNT(rates); i++) {
            struct detection d = fault_detect(f, g, rates[i], shares[s], o->detect_releases, DETECT_SECONDS, o->seed);
            double ratio = d.requests / d.limit_requests;
            snprintf(what, sizeof what, "%s, %s, %g %%, %u req/s", f->name, name, 100 * shares[s], rates[i]);
            snprintf(line, sizeof line, "| %s | %s | %g %% | %u | %.0f | %.0f | %.2f | %s | %.4g s |\n", f->name, name,
                     100 * shares[s], rates[i], d.requests, d.limit_requests, ratio,
                     judged(r, ratio <= MOST_OF_LIMIT, what), d.seconds);
            say(r, line);
        }
}

static void report_detection(struct report *r, const struct options *o)
{
    char line[700];
    snprintf(line, sizeof line,
             "\n## Time to detect\n\nMedians of %u releases, margin 1, confidence 99 %%, looked at ten times a second. "
             "The limit: the "
             "sequential probability ratio test that knows both true rates, at the same alpha, over the same events, "
             "looked at as "
             "often. Requests are of both versions together. Target: at most %.1f times the limit's.\n\n"
             "| fault | guardrail | weight | req/s | requests | limit | ratio | | time "
             "|\n|---|---|--:|--:|--:|--:|--:|---|--:|\n",
             o->detect_releases, MOST_OF_LIMIT);
    say(r, line);
    struct guardrail ratio = rail_ratio(1), points = rail_points(0), latency = rail_latency(0.95, 1);
    for (uint32_t i = 0; i < fault_count; i++) {
        if (faults[i].slower > 0) {
            report_fault(r, o, &faults[i], &latency, "latency_p95");
            continue;
        }
        report_fault(r, o, &faults[i], &ratio, "ratio");
        report_fault(r, o, &faults[i], &points, "points");
    }
}

/* ---- beside the peers -------------------------------------------------------------------------------------------------- */

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
    static const uint32_t rates[] = { 10, 100, 1000 };
    char line[1200];
    uint32_t releases = o->detect_releases / 2 > 0 ? o->detect_releases / 2 : 1;
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
             releases);
    say(r, line);
    for (uint32_t i = 0; i < fault_count; i++)
        for (uint32_t k = 0; k < ARRAY_COUNT(rates); k++) {
            struct watch watches[WATCHER_COUNT];
            fault_watch(&faults[i], rates[k], 0.05, releases, o->seed, watches);
            for (int w = 0; w < WATCHER_COUNT; w++)
                say_watch(r, &faults[i], rates[k], watcher_names[w], &watches[w]);
        }
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static void report_verdict(struct report *r)
{
    char line[100];
    snprintf(line, sizeof line, "\n%u of %u targets met.\n", r->met, r->targets);
    say(r, line);
    if (r->missed.len > 0) {
        say(r, "\nMissed:\n\n");
        say(r, r->missed.bytes);
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
    fputs("usage: rollout-sim [--releases N] [--detect N] [--seed N] [--write FILE] [--strict]\n"
          "  --releases N   releases of each kind without a difference (10000)\n"
          "  --detect N     releases of each fault (1000)\n"
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
        else if (strcmp(name, "--releases") == 0 && number > 0)
            o->releases = (uint32_t)number;
        else if (strcmp(name, "--detect") == 0 && number > 0)
            o->detect_releases = (uint32_t)number;
        else if (strcmp(name, "--seed") == 0)
            o->seed = number;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = { 10000, 1000, 1, NULL, false };
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
    report_alarms(&r, &o);
    report_detection(&r, &o);
    report_peers(&r, &o);
    report_verdict(&r);
    bool is_written = o.file == NULL || write_file(o.file, &r.text);
    if (!is_written)
        perror(o.file);
    bool is_good = is_written && (!o.is_strict || r.met == r.targets);
    text_fini(&r.text);
    text_fini(&r.missed);
    return is_good ? 0 : 1;
}
