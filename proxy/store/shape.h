/* store/shape.h - whether the tables of a database are those of the version that it names. For store/ only.
 *
 * A copy that was cut off between files, or somebody's hand, can leave a database that names one version and holds another.
 * What would then fail in the middle of a release, statement by statement, is refused at the start with the table's name.
 * Tables, columns, their types and keys are compared; tables of others are none of our business, and neither are indexes and
 * triggers, without which nothing fails (that the audit log holds is told by its chain). */
#ifndef STORE_SHAPE_H
#define STORE_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

struct store;

/* Reads only. False, with the reason in the store's message, when the database lacks something of that version (0: a new
   database, which has no tables at all), or cannot be read. */
bool shape_check(struct store *s, int64_t version) MUST_CHECK;

#endif
