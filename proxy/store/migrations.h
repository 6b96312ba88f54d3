/* store/migrations.h - brings a database of any earlier weir up to this one's tables. For store/ only. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include "store/store.h"

/* False when a step failed (nothing of that step remains) or the database is of a newer weir. */
bool migrations_apply(struct store *s) MUST_CHECK;

#endif
