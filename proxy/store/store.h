/* store/store.h - the state that outlives the process: one SQLite database in the state directory.
 *
 * Owner and only thread: main. Nothing here may stop traffic: every function that can fail answers false and leaves one
 * sentence in store_message; a database that cannot be opened, is damaged or was written by a newer weir makes a store
 * whose every call fails with the reason. What is in it then stays untouched for a person to look at. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct store; /* defined in store/statement.h, for this folder alone */

#define STORE_BUSY_MS 1000 /* how long another process may hold the database before a call fails */

/* Opens or creates the file (mode 0600), checks it and brings its tables up to date. Never NULL. */
struct store *store_open(const char *path);
void store_close(struct store *s);

/* False: nothing can be read or written until the process is started again; store_message says why. */
bool store_is_usable(const struct store *s);
/* The last failure, one line without a full stop; "" when there was none. Valid until the next call. */
const char *store_message(const struct store *s);

#endif
