/* rollout/judge.h - from evidence to a verdict for each guardrail, with its reason. Pure.
 *
 * Looks at evidence as often as anybody likes: absolute rules tolerate what docs/guardrails.md says, comparative ones
 * raise at most 1 - confidence false alarms a rollout, whoever looks how often (stats/eprocess.h). The judge only says
 * what is known; what follows from it (rollback, pause, go on) is the plan's. */
#ifndef ROLLOUT_JUDGE_H
#define ROLLOUT_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "rollout/evidence.h"
#include "rollout/guardrail.h"

/*   insufficient   too little traffic to say anything; holds a step
 *   undecided      comparative: enough traffic, and proof of neither. Nothing speaks against going on
 *   healthy        absolute, sampled: within its limits
 *   not_worse      comparative: proven; what `require: not_worse` asks for
 *   breach         the canary is to be taken back
 *   unknown        sampled: no recent answer; `on_unknown` says what follows
 *   void           comparative: the split is not what it should be, so nothing may be concluded. Holds a step */
enum judge_verdict {
    JUDGE_INSUFFICIENT,
    JUDGE_UNDECIDED,
    JUDGE_HEALTHY,
    JUDGE_NOT_WORSE,
    JUDGE_BREACH,
    JUDGE_UNKNOWN,
    JUDGE_VOID,
    JUDGE_VERDICT_COUNT
};

extern const char *const judge_verdict_names[JUDGE_VERDICT_COUNT];

#define JUDGE_REASON_BYTES 240u

struct judgement {
    enum judge_verdict verdict;
    /* How far it is from a breach, 0 to 1, for people to see grow (weir_guardrail_evidence): comparative, ln E in parts of
       its bound; absolute, the value in parts of its limit. 1: breach. Not a probability. */
    double progress;
    /* Comparative: log10 of E at its greatest, and where it becomes a breach; 2 means "100 times as likely". Others: 0. */
    double evidence_log10, bound_log10;
    bool is_suspect; /* something speaks against the canary: E above 1, half of a limit, a bad sample, a failure */
    double proof_progress;           /* comparative: the same for "not worse" */
    char reason[JUDGE_REASON_BYTES]; /* one line, lower-case */
};

struct judge_result {
    uint32_t count; /* guardrails */
    struct judgement guardrails[GUARDRAILS_MAX];
    bool is_breach; /* any; `cause` is the first */
    uint32_t cause;
    bool is_held;      /* any insufficient, unknown or void: no step should end */
    bool is_not_worse; /* all comparative ones proven, and there is one */
    bool is_void;      /* the split does not have its share */
    char void_reason[JUDGE_REASON_BYTES];
};

void judge(const struct evidence *e, struct mono_time now, struct judge_result *out);
/* The verdict alone, without texts: what simulations look at some million times. The same decision. */
enum judge_verdict judge_guardrail(const struct evidence *e, uint32_t guardrail, struct mono_time now);

/* How many requests (both arms) a comparative guardrail will take, in the median, to notice that events of a rate `base`
   on stable are `theta` times as likely on the canary, at this share: within about a quarter. INFINITY: never, since that
   is within its margin, or nothing is compared. For LATENCY_RATIO base is 1 - quantile and theta the ratio of shares
   beyond the thresholds. For `rollout NAME plan`. */
double judge_requests_needed(const struct guardrail *all, uint32_t count, uint32_t guardrail, double share, double base,
                             double theta);

#endif
