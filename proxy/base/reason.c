/* base/reason.c - the rows of base/reasons.def as a table. */
#include "base/reason.h"

const struct reason_row reason_rows[REASON_COUNT] = {
    [REASON_NONE] = { "NONE", "", "the upstream answered, or the route itself did", 0, BLAME_NOBODY },
#define REASON(name, status, code, blame, sentence) [REASON_##name] = { #name, code, sentence, status, BLAME_##blame },
#include "base/reasons.def"
#undef REASON
};
