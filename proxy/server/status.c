/* server/status.c - processor time, memory and descriptors from /proc/self. */
#include "server/status.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    int64_t seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
    return (uint64_t)(seconds * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* statm: pages of address space, then resident ones. */
static void read_memory(struct metrics_process *out)
{
    unsigned long long pages = 0, resident = 0;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return;
    if (fscanf(f, "%llu %llu", &pages, &resident) == 2) {
        out->virtual_bytes = pages * page_bytes;
        out->resident_bytes = resident * page_bytes;
    }
    fclose(f);
}

static uint64_t count_fds(void)
{
    uint64_t count = 0;
    /* Not opendir: ThreadSanitizer does not see the descriptor it opens, and takes its number for that of an earlier one. */
    int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* not the one we looked with */
}

void status_read_process(struct metrics_process *out)
{
    struct rlimit limit = { 0 };
    *out = (struct metrics_process){ .cpu_us = cpu_us(), .open_fd_count = count_fds() };
    read_memory(out);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->max_fd_count = limit.rlim_cur;
}
