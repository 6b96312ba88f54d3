/* admin/parts.h - the server's own struct, which its sessions look into. For admin/ only. */
#ifndef ADMIN_PARTS_H
#define ADMIN_PARTS_H

#include "admin/admin.h"
#include "admin/auth.h"
#include "base/handle.h"
#include "net/listener.h"

#define ADMIN_MAGIC        0x41444d49u
#define ADMIN_SESSIONS_MAX 128 /* of each socket; further connections are closed at once */

/* One listening socket. */
struct admin_socket {
    int fd; /* -1: not open */
    bool is_unix;
    bool is_wide;           /* others than this machine's users reach it */
    uint32_t session_count; /* open now */
    struct listener listener;
    char address[128]; /* as bound; of a UNIX socket its path */
};

struct admin {
    uint32_t magic;
    struct loop *loop;
    struct admin_control control;
    const struct admin_config *config;     /* borrowed: the configuration in force */
    struct tls_context *tls;               /* borrowed, its TLS; NULL: none */
    struct log_limit complaints;           /* about handshakes */
    struct admin_socket local, configured; /* STATE_DIR/admin.sock; admin.bind */
    uint32_t follower_count;               /* sessions in SESSION_FOLLOWING */
    struct list sessions;                  /* of both; a session is on it until it is closed */
    struct handle_table handles;           /* of sessions: a held one may be gone when the workers have switched */
};

#endif
