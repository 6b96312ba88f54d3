/* admin/admin.c - opens the admin sockets and accepts operators.
 *
 * Two sockets at most: the UNIX one in the state directory, always, and the one of admin.bind. What a connection does is
 * admin/session.c's; what its requests mean is admin/dispatch.c's. */
#include "admin/admin.h"

#include "admin/parts.h"
#include "admin/session.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/holder.h"

#include <sys/socket.h>
#include <unistd.h>

const char *const reload_result_names[] = {
    [RELOAD_NONE] = "none",
    [RELOAD_APPLIED] = "applied",
    [RELOAD_UNCHANGED] = "unchanged",
    [RELOAD_REJECTED] = "rejected",
};

static void on_accept(struct listener *l, int fd, const struct sockaddr *peer, socklen_t peer_length)
{
    (void)peer;
    (void)peer_length;
    struct admin *a = l->owner;
    struct admin_socket *from = CONTAINER_OF(l, struct admin_socket, listener);
    if (from->session_count >= ADMIN_SESSIONS_MAX) { /* no reply: it would have to be waited for */
        close(fd);
        return;
    }
    session_open(a, from, fd);
}

/* The address the kernel gave. */
static void address_read(struct admin_socket *socket, const struct endpoint_address *bind)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    struct endpoint_address shown = *bind;
    if (!socket->is_unix && getsockname(socket->fd, (struct sockaddr *)&bound, &length) == 0)
        ip_from_sockaddr((struct sockaddr *)&bound, &shown.ip, &shown.port);
    endpoint_address_format(&shown, socket->address, sizeof socket->address);
}

static bool socket_open(struct admin *a, struct admin_socket *socket, const struct endpoint_address *bind,
                        struct place place, struct err_list *errors)
{
    socket->is_unix = bind->kind == ADDRESS_UNIX;
    socket->is_wide = bind->kind == ADDRESS_IP && !ip_is_loopback(&bind->ip);
    socket->fd = listener_open_socket(bind, false, 0600, place, errors);
    if (socket->fd < 0)
        return false;
    address_read(socket, bind);
    listener_start(&socket->listener, a->loop, socket->fd, on_accept, a);
    return true;
}

static void socket_close(struct admin_socket *socket)
{
    if (socket->fd < 0)
        return;
    listener_stop(&socket->listener);
    close(socket->fd);
    socket->fd = -1;
    if (socket->is_unix)
        unlink(socket->address + sizeof "unix:" - 1);
}

static bool sockets_open(struct admin *a, const struct admin_options *options, struct err_list *errors)
{
    struct endpoint_address local = { .kind = ADDRESS_UNIX, .name = slice_from_cstr(options->socket_path) };
    struct place nowhere = { .file = options->socket_path };
    bool is_good = socket_open(a, &a->local, &local, nowhere, errors);
    if (options->config->is_bound)
        is_good &= socket_open(a, &a->configured, &options->config->bind, options->config->place, errors);
    return is_good;
}

struct admin *admin_open(const struct admin_options *options, struct err_list *errors)
{
    struct admin *a = memory_zalloc(sizeof *a);
    a->magic = ADMIN_MAGIC;
    a->loop = options->loop;
    a->control = *options->control;
    a->config = options->config;
    a->tls = options->tls;
    a->local.fd = a->configured.fd = -1;
    list_init(&a->sessions);
    handle_table_init(&a->handles);
    if (!sockets_open(a, options, errors)) {
        admin_close(a);
        return NULL;
    }
    log_info("admin: on %s%s%s%s", a->local.address, a->configured.fd >= 0 ? " and " : "", a->configured.address,
             a->tls != NULL ? " with TLS" : "");
    return a;
}

bool admin_accepts(const struct admin *a, const struct admin_config *config, struct err_list *errors)
{
    if (!a->configured.is_wide || admin_config_is_guarded(config))
        return true;
    struct err *e =
        err_add(errors, config->bind_place, "the admin API listens on '%s' until a restart, where it needs %s",
                a->configured.address, admin_config_lack(config));
    err_hint(errors, e, "restart to change 'bind', or keep its tokens and tls");
    return false;
}

void admin_configure(struct admin *a, const struct admin_config *config, struct tls_context *tls)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    a->config = config;
    a->tls = tls;
}

const char *admin_address(const struct admin *a)
{
    return a->configured.address;
}

void admin_close(struct admin *a)
{
    CHECK_MAGIC(a, ADMIN_MAGIC);
    socket_close(&a->local);
    socket_close(&a->configured);
    LIST_FOREACH_SAFE (link, &a->sessions)
        session_close(LIST_ITEM(link, struct session, link));
    handle_table_fini(&a->handles);
    a->magic = 0;
    memory_free(a);
}
