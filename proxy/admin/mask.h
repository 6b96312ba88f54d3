/* admin/mask.h - configuration text as it may be shown: without what identifies a secret. Pure. */
#ifndef ADMIN_MASK_H
#define ADMIN_MASK_H

#include "base/text.h"

/* Adds the text with every value of a `sha256` key, and every run of 64 hexadecimal digits wherever it stands, replaced by
   "********". */
void mask_write(struct text *out, struct slice config_text);

#endif
