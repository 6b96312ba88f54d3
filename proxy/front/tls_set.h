/* front/tls_set.h - the TLS of one configuration: a context for each listener and upstream that has it, and the admin API.
 *
 * Made on the main thread while a configuration is loaded, so that what is wrong with a certificate is told beside all
 * other problems, with its place; lives and dies with the configuration's arena. Connections hold references to their
 * context, and outlive it. config/ and route/ see a pointer only. */
#ifndef FRONT_TLS_SET_H
#define FRONT_TLS_SET_H

#include "config/load.h"
#include "net/tls_context.h"
#include "stats/metrics.h"

struct tls_set {
    struct tls_context **listeners;           /* by index of config->listeners; NULL: plain text */
    struct tls_context **upstreams;           /* by index of config->upstreams; NULL: plain text */
    struct tls_context *admin;                /* NULL: plain text */
    struct metrics_certificate *certificates; /* each once, by its file */
    size_t certificate_count;
};

/* config_source.compile_tls. Reads every PEM file that the configuration names through the source, and leaves nothing of
   the keys behind but what OpenSSL keeps. */
void tls_set_compile(const struct config_source *source, struct config *config, struct err_list *errors);

#endif
