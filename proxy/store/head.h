/* store/head.h - the end of the audit log, kept a second time in a file beside the database. For store/ only.
 *
 * A hash chain tells what was changed inside it, but a shorter chain is a whole one. So the number and hash of the newest line
 * are also in the row `audit_head`, written with the line, and in DATABASE.audit-head, written after it:
 *
 *   commit (line and row) ----> the file           a crash between leaves the file behind, which is no contradiction
 *
 *   the file's line is in the log with that hash   agrees: the file follows each further line
 *   it is not                                      disagrees: the file is left as it is, and every verification says so,
 *                                                  until a person moves it away
 *   there is no file, but there are lines          a new one begins, and a line of the log says that it does
 *
 * What this finds: lines cut off by somebody who writes to the database, or a database put back or thrown away. What it cannot
 * find: somebody who writes to both files and computes every hash anew. Who must rule that out keeps the newest hash, which
 * verification prints, on another machine. */
#ifndef STORE_HEAD_H
#define STORE_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

struct store;

#define HEAD_HASH_SIZE 65 /* 64 hex digits and a NUL */

/* The number and hash of one line; number 0: of no line. */
struct audit_head {
    int64_t id;
    char hash[HEAD_HASH_SIZE];
};

/* Embedded in the store. */
struct audit_head_file {
    char *path;
    int fd;             /* -1: not open, or it disagrees and is left alone */
    bool has_disagreed; /* when the store was opened */
};

enum head_finding { HEAD_AGREES, HEAD_MISSING, HEAD_UNREADABLE };

void head_init(struct audit_head_file *file, const char *database);
/* Compares, and begins the file where there is none. False only when the database failed. */
bool head_open(struct store *s) MUST_CHECK;
void head_close(struct audit_head_file *file);
/* After a commit. A failure leaves the file behind the log, which the next write makes good. */
void head_write(struct audit_head_file *file, const struct audit_head *head);
/* What the file says now, read anew. */
enum head_finding head_read(const struct audit_head_file *file, struct audit_head *out);

#endif
