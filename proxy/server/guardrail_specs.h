/* server/guardrail_specs.h - a rollout's guardrails as its judge understands them, made from the configuration. Pure.
 *
 * One for one, in the same order: place i of the configuration is place i of the evidence, of a verdict's bits and of
 * `weir_guardrail_evidence`. */
#ifndef SERVER_GUARDRAIL_SPECS_H
#define SERVER_GUARDRAIL_SPECS_H

#include "base/arena.h"
#include "config/model_rollout.h"
#include "rollout/guardrail.h"
#include "stats/sheet.h"

struct guardrail_specs {
    struct arena arena; /* of names */
    uint32_t count;
    struct guardrail items[GUARDRAILS_MAX];
    struct slice events[TALLY_EVENT_COUNT]; /* of x-weir-event, by column; in the arena */
    uint32_t event_count;
};

/* The longest step bounds the windows of burn rates. */
void guardrail_specs_init(struct guardrail_specs *specs, const struct config *config,
                          const struct rollout_config *rollout);
void guardrail_specs_fini(struct guardrail_specs *specs);

#endif
