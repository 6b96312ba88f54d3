/* admin/diff.h - the unified difference of two texts, line by line. Pure. */
#ifndef ADMIN_DIFF_H
#define ADMIN_DIFF_H

#include "base/text.h"

#define DIFF_CONTEXT_LINES 3
#define DIFF_EDITS_MAX     1000 /* beyond: everything between the first and the last difference counts as replaced */

/* Adds "--- NAME", "+++ NAME" and the hunks; nothing when the texts are equal. */
void diff_write(struct text *out, const char *old_name, struct slice old_text, const char *new_name,
                struct slice new_text);

#endif
