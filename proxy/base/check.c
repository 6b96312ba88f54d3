/* base/check.c - says which assertion failed, and aborts. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One write, no stdio buffers and no heap: either may be what is broken. */
_Noreturn void check_failed(const char *file, int line, const char *expression)
{
    char message[512];
    int len = snprintf(message, sizeof message, "%s:%d: check failed: %s\n", file, line, expression);
    if (len > (int)sizeof message - 1)
        len = (int)sizeof message - 1;
    /* 134 is what a shell shows for a process that SIGABRT ended: the same when stderr is gone. */
    if (len > 0 && write(STDERR_FILENO, message, (size_t)len) < 0)
        _exit(134);
    abort();
}
