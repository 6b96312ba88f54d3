/* store/spare.h - room on the disk that is kept free for what cannot be written elsewhere. For store/ only.
 *
 * A release that was taken back while the disk was full, or the database locked, waits in memory (store/journal.h); a kill at
 * that moment would forget it, and the next process would send traffic to the canary again. So deeds that say where a rollout
 * stands are also written to DATABASE.waiting, whose blocks exist since the store was opened:
 *
 *   journal_keep ----> spare_write        in place: needs no room, and no lock
 *   store_open ------> spare_read         back into the journal, when the database has not gone on since
 *
 * "Gone on since" is told by the number of the newest line of the audit log, which stands in the file: every write to the
 * database writes the journal first, so a file that names another line than the newest has been made good, or is of another
 * database. Nothing has to be cleared. What does not fit SPARE_BYTES, the oldest first, is not in it. */
#ifndef STORE_SPARE_H
#define STORE_SPARE_H

#include "base/check.h"

struct store;

#define SPARE_BYTES (64u * 1024)

/* Embedded in the store. */
struct spare_file {
    char *path;
    int fd; /* -1: not open */
};

void spare_init(struct spare_file *file, const char *database);
void spare_close(struct spare_file *file);
/* Makes the room, and puts what waits there into the journal. Failures are logged: the store works without it. */
void spare_open(struct store *s);
/* What the journal holds now. */
void spare_write(struct store *s);

#endif
