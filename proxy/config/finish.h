/* config/finish.h - what the rows of one table mean together: hooks of config/fields.c.
 *
 * For what no row can say: a member that follows from which key was used, keys that exclude each other, a split of
 * `to: X`. They run after every key of their map was read and told of, and before names are resolved. Each gets the
 * struct of its table. */
#ifndef CONFIG_FINISH_H
#define CONFIG_FINISH_H

struct fill;
struct node;

void log_finish(struct fill *f, const struct node *map, void *target);
void token_finish(struct fill *f, const struct node *map, void *target);
void admin_finish(struct fill *f, const struct node *map, void *target);
void listener_tls_finish(struct fill *f, const struct node *map, void *target);
void upstream_tls_finish(struct fill *f, const struct node *map, void *target);
void upstream_finish(struct fill *f, const struct node *map, void *target);
void path_finish(struct fill *f, const struct node *map, void *target);
void match_finish(struct fill *f, const struct node *map, void *target);
void respond_finish(struct fill *f, const struct node *map, void *target);
void rate_limit_finish(struct fill *f, const struct node *map, void *target);
void route_limits_finish(struct fill *f, const struct node *map, void *target);
void compare_finish(struct fill *fill, const struct node *map, void *target);
void shadow_finish(struct fill *fill, const struct node *map, void *target);
void step_finish(struct fill *f, const struct node *map, void *target);
void comparison_finish(struct fill *f, const struct node *map, void *target);
void guardrail_finish(struct fill *f, const struct node *map, void *target);
void window_finish(struct fill *f, const struct node *map, void *target);
void freeze_finish(struct fill *f, const struct node *map, void *target);
void rollout_finish(struct fill *f, const struct node *map, void *target);
void slo_finish(struct fill *f, const struct node *map, void *target);
void monitor_expect_finish(struct fill *f, const struct node *map, void *target);
void monitor_finish(struct fill *f, const struct node *map, void *target);
void notify_finish(struct fill *f, const struct node *map, void *target);
void route_finish(struct fill *f, const struct node *map, void *target);

#endif
