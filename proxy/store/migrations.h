/* store/migrations.h - brings a database of any earlier weir up to this one's tables. For store/ only. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include <stdint.h>

#include "store/store.h"

/* The version of the tables that this weir makes and knows. */
int64_t migrations_newest(void);
/* The SQL that takes a database from version `i` to the next. */
const char *migrations_step(int64_t i);
/* Reads only. False when the database is of a newer weir, is not whole (store/shape.h), or cannot be read. */
bool migrations_look(struct store *s) MUST_CHECK;
/* Reads only. False when its tables are not exactly ours. */
bool migrations_are_ours(struct store *s) MUST_CHECK;
/* False when a step failed: nothing of that step remains. The database is not newer. */
bool migrations_apply(struct store *s) MUST_CHECK;

#endif
