/* shadow/compare_parts.h - what the files of the comparison tell each other. For these alone.
 *
 * Owner, thread and lifetime: the comparison's (shadow/compare.h). */
#ifndef SHADOW_COMPARE_PARTS_H
#define SHADOW_COMPARE_PARTS_H

#include "shadow/compare.h"

/* The side differs in the field: the difference to be filled in. `name` is copied when it is new, and `level` counts
   then. */
struct difference *comparison_mark(struct comparison *c, struct slice name, enum compare_reach level,
                                   enum pair_side side);

#endif
