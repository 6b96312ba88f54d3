/* bench/tcp.h - the few socket calls that the bench programs share; all of them on loopback. */
#ifndef BENCH_TCP_H
#define BENCH_TCP_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Bench programs have no state worth saving: what fails ends them, with the errno in words. */
static inline _Noreturn void tcp_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline struct sockaddr_in tcp_loopback(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline int tcp_open(void)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        tcp_die("socket");
    /* Accepted sockets inherit both options from the listening one. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Listens on PORT of 127.0.0.1; 0 lets the kernel choose. Prints the port, so that a starter can
 * read it and knows that connections are being queued from now on. */
static inline int tcp_listen(int port)
{
    struct sockaddr_in address = tcp_loopback(port);
    socklen_t length = sizeof address;
    int fd = tcp_open();

    if (bind(fd, (struct sockaddr *)&address, length) < 0)
        tcp_die("bind");
    if (listen(fd, 4096) < 0)
        tcp_die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        tcp_die("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* Starts to connect to PORT of 127.0.0.1; what is written before the handshake is over waits for
 * EPOLLOUT like any other short write. */
static inline int tcp_connect(int port)
{
    struct sockaddr_in address = tcp_loopback(port);
    int fd = tcp_open();

    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        tcp_die("connect");
    return fd;
}

#endif
