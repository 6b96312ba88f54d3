/* net/holder.c - which process holds a TCP port, for the message when binding fails.
 *
 * Two steps: /proc/net/tcp and tcp6 give the inode of the socket that listens on the port, /proc/PID/fd gives the
 * process that has a socket with that inode open. Other users' processes show no fds to us: then nothing is said. */
#include "net/holder.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0A /* of /proc/net/tcp */

/* The inode of the socket that listens on the port, 0 when none is found. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
    FILE *f = fopen(table, "re");
    char line[512];
    unsigned long found = 0;
    while (f != NULL && found == 0 && fgets(line, sizeof(line), f) != NULL) {
        unsigned line_port, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", &line_port, &state,
                   &inode) == 3 &&
            line_port == port && state == STATE_LISTEN)
            found = inode;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

static bool process_has_socket(const char *pid, unsigned long inode)
{
    char path[300], target[64], wanted[64];
    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    bool found = false;
    for (struct dirent *d; dir != NULL && !found && (d = readdir(dir)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%s/fd/%.20s", pid, d->d_name);
        ssize_t length = readlink(path, target, sizeof(target) - 1);
        if (length > 0) {
            target[length] = '\0';
            found = strcmp(target, wanted) == 0;
        }
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

static void process_name(const char *pid, char *out, size_t out_size)
{
    char path[300], name[64] = "a process";
    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        if (fgets(name, sizeof(name), f) != NULL)
            name[strcspn(name, "\n")] = '\0';
        fclose(f);
    }
    snprintf(out, out_size, "%s (pid %s)", name, pid);
}

bool holder_of_port(const struct endpoint_address *bind, char *out, size_t out_size)
{
    if (bind->kind != ADDRESS_IP)
        return false;
    unsigned long inode = listening_inode("/proc/net/tcp", bind->port);
    if (inode == 0)
        inode = listening_inode("/proc/net/tcp6", bind->port);
    DIR *proc = inode != 0 ? opendir("/proc") : NULL;
    bool found = false;
    for (struct dirent *d; proc != NULL && !found && (d = readdir(proc)) != NULL;)
        if (isdigit((unsigned char)d->d_name[0]) && process_has_socket(d->d_name, inode)) {
            process_name(d->d_name, out, out_size);
            found = true;
        }
    if (proc != NULL)
        closedir(proc);
    return found;
}

void endpoint_address_format(const struct endpoint_address *a, char *out, size_t out_size)
{
    char ip[46];
    switch (a->kind) {
    case ADDRESS_IP:
        ip_format(&a->ip, ip);
        snprintf(out, out_size, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, a->port);
        return;
    case ADDRESS_NAME:
        snprintf(out, out_size, "%.*s:%u", SLICE_ARG(a->name), a->port);
        return;
    case ADDRESS_UNIX:
        snprintf(out, out_size, "unix:%.*s", SLICE_ARG(a->name));
        return;
    }
}
