/* server/replace.h - writes a file so that a reader finds the old one or the new one, never half of it. */
#ifndef SERVER_REPLACE_H
#define SERVER_REPLACE_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/text.h"

/* Replaces the bytes of an existing file (of its target, when it is a symbolic link), keeping owner and mode. What was there
   is kept as FILE.before-restore. False with a sentence in `error`: nothing changed. */
bool replace_file(const char *path, struct slice bytes, struct text *error);

#endif
