/* server/source.h - the real configuration source, which also remembers what was looked at, for the watch.
 *
 * Lives on the stack of one load. Thread: main. */
#ifndef SERVER_SOURCE_H
#define SERVER_SOURCE_H

#include "base/arena.h"
#include "config/load.h"

/* Also of a load that failed: a missing file that appears, or a broken one that is mended, must be seen. */
struct source_recorder {
    struct config_source source; /* to load with */
    struct arena arena;
    struct slice *files, *patterns; /* absolute */
    size_t file_count, pattern_count;
};

/* The system's, with everything that a load of this process checks; nothing is recorded. */
struct config_source source_of_process(void);

void source_recorder_init(struct source_recorder *r);
void source_recorder_fini(struct source_recorder *r);

#endif
