/* front/tls_set.c - the TLS of one configuration: reads the PEM files it names and makes the contexts. */
#include "front/tls_set.h"

#include "base/hash.h"

#include <errno.h>

/* One run. */
struct compile {
    const struct config_source *source;
    struct config *config;
    struct tls_set *set;
    struct arena scratch; /* bytes of PEM files: wiped at the end, there are keys among them */
    struct slice *read;   /* what was read into it */
    size_t read_count, read_room;
    struct tls_check check;
};

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static void remember(struct compile *c, struct slice bytes)
{
    if (c->read_count == c->read_room) {
        size_t room = c->read_room * 2 + 16;
        struct slice *wider = arena_zalloc_array(&c->scratch, room, sizeof *wider);
        memcpy(wider, c->read_count ? c->read : wider, c->read_count * sizeof *wider);
        c->read = wider;
        c->read_room = room;
    }
    c->read[c->read_count++] = bytes;
}

/* False: it was not named, or cannot be read, which is told. */
static bool read_pem(struct compile *c, const struct pem_config *pem, struct tls_pem *out)
{
    *out = (struct tls_pem){ .path = pem->path, .place = pem->place };
    if (pem->path.len == 0)
        return false;
    if (!c->source->read_file(c->source->arg, pem->path.ptr, &c->scratch, &out->bytes)) {
        err_add(c->check.errors, pem->place, "could not read '%.*s': %s", SLICE_ARG(pem->path), strerror(errno));
        return false;
    }
    remember(c, out->bytes);
    uint64_t *digest = &c->config->pem_digest;
    *digest = hash_siphash((struct hash_key){ *digest, 1 }, out->bytes.ptr, out->bytes.len);
    return true;
}

static bool read_pair(struct compile *c, const struct certificate_config *config, struct tls_pair *out)
{
    bool is_read = read_pem(c, &config->cert, &out->certificate);
    return read_pem(c, &config->key, &out->key) && is_read;
}

/* ---- contexts ----------------------------------------------------------------------------------------------------------- */

static void context_release(void *context)
{
    tls_context_unref(context);
}

static struct tls_context *keep(struct compile *c, struct tls_context *context)
{
    if (context != NULL)
        arena_on_reset(c->config->arena, context_release, context);
    return context;
}

static struct tls_context *compile_listener(struct compile *c, const struct listener_config *listener)
{
    const struct listener_tls_config *tls = &listener->tls;
    struct tls_pair *pairs = arena_zalloc_array(&c->scratch, tls->certificate_count + 1, sizeof *pairs);
    struct tls_server_options options = {
        .pairs = pairs,
        .min_version = tls->min_version == TLS_MIN_1_3 ? TLS_VERSION_1_3 : TLS_VERSION_1_2,
        .client_auth = (enum tls_client_auth)tls->client_auth,
        .name = listener->name,
        .offers_http2 = true,
    };
    bool is_good = tls->certificate_count > 0;
    for (size_t i = 0; i < tls->certificate_count; i++)
        if (read_pair(c, &tls->certificates[i], &pairs[options.pair_count]))
            options.pair_count++;
        else
            is_good = false;
    if (tls->client_auth != CLIENT_AUTH_NONE)
        is_good &= read_pem(c, &tls->client_ca, &options.client_ca);
    if (options.pair_count == 0)
        return NULL;
    if (!is_good && tls->client_auth != CLIENT_AUTH_NONE)
        return NULL;
    return keep(c, tls_context_create_server(&options, &c->check));
}

/* HTTP/1.1 is all that the admin API speaks. No listener can have its name: sessions of one are not resumed at the other. */
static struct tls_context *compile_admin(struct compile *c, const struct certificate_config *config)
{
    struct tls_pair pair;
    struct tls_server_options options = { .pairs = &pair, .pair_count = 1, .name = SLICE("the admin API") };
    return read_pair(c, config, &pair) ? keep(c, tls_context_create_server(&options, &c->check)) : NULL;
}

/* All that the upstream's context is made of, so that a reload that changed none of it keeps pooled connections. */
static uint64_t digest_of(const struct tls_client_options *o)
{
    const struct slice parts[] = { o->authorities.bytes, o->pair.certificate.bytes, o->pair.key.bytes, o->name };
    uint64_t digest = (uint64_t)o->is_verified | (uint64_t)o->offers_http1 << 1 | (uint64_t)o->offers_http2 << 2;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        digest = hash_siphash((struct hash_key){ digest, i }, parts[i].ptr, parts[i].len);
    return digest;
}

static struct tls_context *compile_upstream(struct compile *c, const struct upstream_config *upstream)
{
    const struct upstream_tls_config *tls = &upstream->tls;
    struct tls_client_options options = {
        .is_verified = tls->is_verified,
        .name = tls->sni,
        .offers_http1 = upstream->protocol != UPSTREAM_HTTP2,
        .offers_http2 = upstream->protocol != UPSTREAM_HTTP1,
    };
    bool is_good = tls->ca.path.len == 0 || read_pem(c, &tls->ca, &options.authorities);
    if (tls->own.cert.path.len > 0 && tls->own.key.path.len > 0)
        is_good &= read_pair(c, &tls->own, &options.pair);
    options.digest = digest_of(&options);
    return is_good ? keep(c, tls_context_create_client(&options, &c->check)) : NULL;
}

/* ---- the metric's rows -------------------------------------------------------------------------------------------------- */

static void add_certificates(struct tls_set *set, const struct tls_context *context)
{
    const struct tls_expiry *expiries;
    size_t count = context != NULL ? tls_context_expiries(context, &expiries) : 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < set->certificate_count && !slice_equal(set->certificates[at].file, expiries[i].path))
            at++;
        set->certificates[at] = (struct metrics_certificate){ expiries[i].path, expiries[i].unix_s };
        if (at == set->certificate_count)
            set->certificate_count++;
    }
}

static void collect_certificates(struct compile *c)
{
    const struct config *config = c->config;
    size_t most = config->upstream_count + 1;
    for (size_t i = 0; i < config->listener_count; i++)
        most += config->listeners[i].tls.certificate_count;
    c->set->certificates = arena_zalloc_array(config->arena, most, sizeof *c->set->certificates);
    for (size_t i = 0; i < config->listener_count; i++)
        add_certificates(c->set, c->set->listeners[i]);
    for (size_t i = 0; i < config->upstream_count; i++)
        add_certificates(c->set, c->set->upstreams[i]);
    add_certificates(c->set, c->set->admin);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */

static void wipe(struct compile *c)
{
    for (size_t i = 0; i < c->read_count; i++) {
        union {
            const char *read;
            char *bytes;
        } at = { c->read[i].ptr };
        explicit_bzero(at.bytes, c->read[i].len);
    }
    arena_reset(&c->scratch);
}

void tls_set_compile(const struct config_source *source, struct config *config, struct err_list *errors)
{
    struct compile c = { .source = source, .config = config };
    struct arena *arena = config->arena;
    arena_init(&c.scratch, NULL, 0);
    c.check.errors = errors;
    c.check.if_expired = source->is_check ? ERR_ERROR : ERR_WARNING;
    if (source->get_time != NULL)
        c.check.now = source->get_time(source->arg);
    c.set = arena_zalloc(arena, sizeof *c.set);
    c.set->listeners = arena_zalloc_array(arena, config->listener_count, sizeof(struct tls_context *));
    c.set->upstreams = arena_zalloc_array(arena, config->upstream_count, sizeof(struct tls_context *));
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].tls.is_on)
            c.set->listeners[i] = compile_listener(&c, &config->listeners[i]);
    for (size_t i = 0; i < config->upstream_count; i++)
        if (config->upstreams[i].tls.is_on)
            c.set->upstreams[i] = compile_upstream(&c, &config->upstreams[i]);
    if (config->admin.has_tls)
        c.set->admin = compile_admin(&c, &config->admin.tls);
    collect_certificates(&c);
    config->tls = c.set;
    wipe(&c);
}
