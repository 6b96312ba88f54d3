/* server/master.h - the whole process behind `weir run`. */
#ifndef SERVER_MASTER_H
#define SERVER_MASTER_H

#include <stdint.h>

struct server_options {
    const char *config_file;
    const char *state_dir; /* NULL: the configuration's */
    uint32_t worker_count; /* 0: the configuration's, and there 0 is one per core */
};

/* Loads, binds, serves until TERM or INT, drains. Returns the exit status: 0 after TERM or INT, 1 when the start failed;
   every problem is on standard error then. */
int server_run(const struct server_options *options);

#endif
