/* config/expand.h - ${NAME} in values becomes the environment variable's value.
 *
 * Runs on the parsed tree: whatever a variable holds, it stays one value and cannot add a key, a comment or a line. */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include "config/load.h"
#include "config/yaml.h"

/* Rewrites every value below the node (keys are left alone), in the arena. `$${` stands for `${`, any other `$` for
   itself; what was substituted is not looked at again. A value with an unset variable is reported and becomes
   NODE_BROKEN. */
void expand_values(struct node *node, const struct config_source *source, struct arena *arena, struct err_list *errors);

#endif
