/* net/stream_tls.c - what a stream tells of its TLS: what was agreed on, who the peer is, what went wrong. */
#include "net/stream.h"

#include "net/tls.h"

bool stream_is_cut(const struct stream *s)
{
    return s->tls != NULL && s->tls->is_cut;
}

bool stream_tls_facts(const struct stream *s, struct tls_facts *out)
{
    if (s->tls == NULL || !s->tls->is_established)
        return false;
    tls_facts(s->tls, out);
    return true;
}

const struct tls_peer *stream_tls_peer(const struct stream *s)
{
    return s->tls != NULL ? s->tls->peer : NULL;
}

const char *stream_tls_failure(const struct stream *s, bool *is_plain_http)
{
    *is_plain_http = s->tls != NULL && s->tls->is_plain_http;
    return s->tls != NULL ? s->tls->reason : NULL;
}
