/* bench/handshakes.c - TLS handshakes one after the other, full or resumed: what a server pays for each.
 *
 *   handshakes --port PORT --count N [--resume] [--tls 1.2|1.3]      (127.0.0.1)
 *
 * Every connection is made, shaken hands on, and closed in order (close_notify both ways), so that the
 * server has surely finished its part. A resumed one uses the newest session that the server gave
 * (one request is made before); the program checks that each handshake was of the kind asked for. Prints how many there were.
 */
#include <getopt.h>
#include <stdbool.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tcp.h"

static SSL_SESSION *session; /* the newest that the server gave */

static _Noreturn void tls_die(const char *what)
{
    fprintf(stderr, "%s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int keep_session(SSL *ssl, SSL_SESSION *fresh)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = fresh;
    return 1; /* the reference is ours */
}

static SSL_CTX *create_context(const char *version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int number = strcmp(version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

    if (!context || !SSL_CTX_set_min_proto_version(context, number) || !SSL_CTX_set_max_proto_version(context, number))
        tls_die("context");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    return context;
}

static int connect_to(int port)
{
    struct sockaddr_in address = tcp_loopback(port);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        tcp_die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static SSL *shake_hands(SSL_CTX *context, int port, SSL_SESSION *with)
{
    static char name[] = "bench.example.com"; /* OpenSSL's macro casts const away */
    SSL *ssl = SSL_new(context);

    if (!ssl || !SSL_set_fd(ssl, connect_to(port)) || !SSL_set_tlsext_host_name(ssl, name))
        tls_die("connection");
    if (with && !SSL_set_session(ssl, with))
        tls_die("session");
    if (SSL_connect(ssl) != 1)
        tls_die("handshake");
    return ssl;
}

/* The server's close_notify is waited for; what it sends before (tickets) is read on the way. */
static void close_in_order(SSL *ssl)
{
    char rest[4096];
    int fd = SSL_get_fd(ssl);

    SSL_shutdown(ssl);
    while (SSL_read(ssl, rest, sizeof rest) > 0)
        ;
    SSL_free(ssl);
    close(fd);
    ERR_clear_error();
}

/* One whole request: the tickets of TLS 1.3 come with its answer at the latest. */
static void fetch_session(SSL_CTX *context, int port)
{
    static const char request[] = "GET / HTTP/1.1\r\nhost: bench.example.com\r\nconnection: close\r\n\r\n";
    SSL *ssl = shake_hands(context, port, NULL);

    if (SSL_write(ssl, request, sizeof request - 1) <= 0)
        tls_die("request");
    close_in_order(ssl);
    if (!session)
        tls_die("the server gave no session");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },
        { "count", required_argument, NULL, 'n' },
        { "resume", no_argument, NULL, 'r' },
        { "tls", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    const char *version = "1.3";
    int port = 0, count = 0;
    bool resumes = false;

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'p')
            port = (int)strtol(optarg, NULL, 10);
        else if (option == 'n')
            count = (int)strtol(optarg, NULL, 10);
        else if (option == 'r')
            resumes = true;
        else if (option == 't')
            version = optarg;
        else
            return 2;
    }
    SSL_CTX *context = create_context(version);
    if (resumes)
        fetch_session(context, port);
    for (int i = 0; i < count; i++) {
        SSL *ssl = shake_hands(context, port, resumes ? session : NULL);
        if (SSL_session_reused(ssl) != (int)resumes)
            tls_die(resumes ? "not resumed" : "resumed");
        close_in_order(ssl);
    }
    printf("%d\n", count);
    SSL_SESSION_free(session);
    SSL_CTX_free(context);
    return 0;
}
