/* shadow/record.h - the files that `record:` names: lines are appended, files rotated, and nothing here fails anybody.
 *
 * All writing happens on one thread, the one that compares (shadow/comparer.h): a slow disk makes it slow, its queue
 * full, and recorded requests fewer; no worker waits. A file that cannot be opened, a full disk, a folder in which
 * nothing can be renamed: lines are lost, counted, told in the log at most every ten seconds, and tried again a second
 * later. Never more than that.
 *
 *   FILE       written, mode 0600: it holds users' data          shadows that name the same file share it
 *   FILE.1     the one before it, as FILE reached max_bytes      FILE.keep the oldest; what was there before is gone
 *
 *   records_add -> buffer -> (64 KiB, or records_flush) -> FILE -> (max_bytes) -> FILE.1 -> ... -> FILE.keep
 *
 * Lines are written whole: after a write that ended inside one, a newline goes first, so that only that line is lost.
 * Owner: whoever owns the thread, from before its start to behind its end. */
#ifndef SHADOW_RECORD_H
#define SHADOW_RECORD_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"
#include "shadow/recorded.h"

#define RECORD_BUFFER_BYTES (64u * 1024) /* of each file; what is longer is written at once */
#define RECORD_FILES_MAX    64u          /* open at a time; lines for more are lost, and counted */

/* Borrowed for the time of a call. */
struct record_settings {
    struct slice path;   /* absolute */
    uint64_t max_bytes;  /* of a file; a line that is longer gets a file of its own */
    uint32_t keep_count; /* rotated files beside it; 0: what was written is thrown away */
};

struct records;

struct records *records_create(void);
/* Writes what is buffered, closes everything. */
void records_destroy(struct records *records);

/* Appends one line to the settings' file. From the one thread. */
void records_add(struct records *records, const struct record_settings *settings, const struct recorded *r);
/* Writes what is buffered: when there is nothing else to do, so that a reader sees lines soon. From the one thread. */
void records_flush(struct records *records);

/* All files are closed before the next line, and opened again by name: USR1, and after a reload, which may have left
   some without a shadow. From any thread. */
void records_reopen(struct records *records);
/* Lines since the start. From any thread. */
uint64_t records_written_count(const struct records *records);
uint64_t records_lost_count(const struct records *records);

#endif
