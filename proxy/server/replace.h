/* server/replace.h - writes several files so that all of them change or none, and a reader finds each whole.
 *
 * For `config restore`. Nothing can make several renames one step: what can fail is tried before the first of them, and
 * what fails all the same is put back. Only a crash between two renames leaves some files new and some old; what stood in
 * each then lies beside it, as FILE.before-restore.
 *
 *   replace_begin   all new bytes in temporary files, synced -> a copy of each old file -> rename after rename
 *   replace_end     keeps the new files, or puts the old ones back
 *
 * Thread: main. Both wait for the disk: an operator's rare act, while the workers serve on. */
#ifndef SERVER_REPLACE_H
#define SERVER_REPLACE_H

#include <stdbool.h>

#include "base/text.h"
#include "config/model.h"

struct replacement;

enum replace_verdict { REPLACE_KEEP, REPLACE_PUT_BACK };

/* Writes the bytes of each file to its path (to its target, when that is a symbolic link). Owner and mode of a file that
   is there are kept; one that is gone is made again with those of the first, which must be there. What holds the bytes
   already is left alone. Files that the process may not write, or whose owner it could not keep, are refused even where the
   folder would allow it.

   NULL with a sentence in `error` after a failure: nothing is changed, or the sentence says what could not be put back. The
   result borrows nothing from `files`. */
struct replacement *replace_begin(const struct file_text *files, size_t count, struct text *error) MUST_CHECK;
/* Frees it. False with a sentence when something could not be put back; keeping cannot fail. */
bool replace_end(struct replacement *r, enum replace_verdict verdict, struct text *error);

#endif
