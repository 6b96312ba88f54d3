/* front/handshake.c - the TLS handshake of a client: how it ended, told to the counters and to the log. */
#include "front/handshake.h"

#include "base/log.h"
#include "front/accept.h"
#include "net/tls.h"

#include <errno.h>
#include <string.h>

#define COMPLAINTS_EVERY_MS 1000

void handshake_succeeded(struct client *c)
{
    struct tls_facts facts;
    bool is_known = stream_tls_facts(&c->stream, &facts);
    CHECK(is_known);
    stats_listener_handshake(c->front->stats, c->listener->stats_id,
                             facts.is_resumed ? STATS_HANDSHAKE_RESUMED : STATS_HANDSHAKE_FULL);
}

void handshake_failed(struct client *c, int error)
{
    struct front_listener *l = c->listener;
    bool is_plain_http;
    const char *reason = stream_tls_failure(&c->stream, &is_plain_http);
    char source[46];
    source[ip_format(&c->source, source)] = '\0';
    stats_listener_handshake(c->front->stats, l->stats_id, STATS_HANDSHAKE_FAILED);
    log_line_limited(&l->handshake_complaints, COMPLAINTS_EVERY_MS, LOG_INFO, "tls: listener %s, client %s: %s",
                     l->name, source, reason != NULL ? reason : strerror(error));
    if (is_plain_http) /* who forgot the "s" of "https" sees more than noise */
        accept_answer(c->front, c->stream.fd, REASON_MALFORMED, "this port speaks TLS: write https://");
}
