/* config/check.h - the rules across fields: the second list beside the table.
 *
 * A row (config/fields.h) says what one value may be; a rule here says what several must be together: that names name
 * something and stand once, that nothing contains itself, that the admin API is not open to the network. Each rule is
 * a function and a sentence, and the reference prints the sentences, so that a rule nobody told the user of cannot
 * exist. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "base/map.h"

#include "config/fill.h"
#include "config/load.h"

/* One run over a filled configuration. */
struct check {
    struct fill *fill; /* arena, errors, hints */
    struct config *config;
    struct wall_time now;                         /* unix_ms 0: unknown */
    struct map upstreams, segments;               /* name -> its struct */
    const char **upstream_names, **segment_names; /* for hints */
    bool *is_upstream_used, *is_segment_used;
};

/* One rule, and the sentence that says it in the reference. */
struct check_rule {
    const char *sentence;
    bool only_warns; /* runs only when nothing is wrong: after an error it would warn of its consequences */
    void (*run)(struct check *check);
};

extern const struct check_rule check_rules[];
extern const size_t check_rule_count;

/* Applies every rule, in order; the first ones resolve names to indexes. */
void check_run(struct fill *fill, struct config *config, struct wall_time now);

/* Rules in config/resolve.c. They also write: the indexes that everybody reads later. */
void resolve_upstreams(struct check *check);
void resolve_segments(struct check *check);
void resolve_nesting(struct check *check);
/* Rules in config/shadows.c. */
void shadows_check(struct check *check);
void shadows_warn(struct check *check);
/* Rules in config/rollouts.c; they write indexes, too. */
void rollouts_check(struct check *check);
void slos_check(struct check *check);
void rollouts_warn(struct check *check);
/* Rules in config/hygiene.c. */
void hygiene_unused(struct check *check);
void hygiene_shadowed(struct check *check);
void hygiene_expired(struct check *check);

#endif
