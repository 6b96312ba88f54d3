/* admin/admin.h - the operators' HTTP: a small HTTP/1.1 server on the main thread's loop.
 *
 * Owner and thread: main. It knows the process only through admin/control.h. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "admin/control.h"
#include "net/loop.h"

struct admin;
struct tls_context;

struct admin_options {
    struct loop *loop;
    const struct admin_control *control; /* copied */
    const char *socket_path;             /* STATE_DIR/admin.sock, mode 0600 */
    const struct admin_config *config;   /* bind, tokens; lives until admin_configure names another */
    struct tls_context *tls; /* for new connections to config->bind; as long as the config; NULL: clear text */
};

/* Opens the sockets. NULL, with the problems in errors, when one of them cannot be. */
struct admin *admin_open(const struct admin_options *options, struct err_list *errors);
/* `bind` needs a restart: may the socket that is there be used by this configuration? False, with the problem in errors, when
   it is open to the network and what guards it there would go. */
bool admin_accepts(const struct admin *a, const struct admin_config *config, struct err_list *errors) MUST_CHECK;
/* Tokens, TLS and metrics_public of a new configuration that admin_accepts; both must live until the next call. */
void admin_configure(struct admin *a, const struct admin_config *config, struct tls_context *tls);
/* "127.0.0.1:9901" as bound, "" without TCP. */
const char *admin_address(const struct admin *a);
/* To everybody who follows GET /api/v1/events. */
void admin_publish(struct admin *a, const struct event_row *event);
/* Closes everything at once and removes the socket file. */
void admin_close(struct admin *a);

#endif
