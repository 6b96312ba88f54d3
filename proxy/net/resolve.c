/* net/resolve.c - names of endpoints to addresses, asked again as their TTL ends.
 *
 * Each name has one timer and asks again when it fires: after its TTL, or after a pause that doubles with each
 * failure. A name that a reload gave up while a question was under way is freed after the answer: libevent holds a
 * pointer to it until then. */
#include "net/resolve.h"

#include "base/check.h"
#include "base/list.h"
#include "base/memory.h"
#include "net/timer.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>

#define RESOLVER_MAGIC 0x52534c56u
#define NAME_MAGIC     0x4e414d45u

#define TTL_LEAST_S   1 /* a TTL of 0 is not a reason to ask in a loop */
#define TTL_MOST_S    3600
#define TTL_UNKNOWN_S 30 /* names of /etc/hosts have none */
#define PAUSE_FIRST_S 1  /* after a failure, doubled each time */
#define PAUSE_MOST_S  30

/* One name under watch. Two questions at most are under way: the addresses (hosts file included), then the TTL. */
struct watched_name {
    uint32_t magic;
    struct list link;
    struct resolver *resolver;
    char *key, *host;
    uint16_t port;
    struct timer timer;
    struct evdns_getaddrinfo_request *question;
    struct evdns_request *ttl_question;
    struct resolved_address *addresses; /* sorted; NULL: never resolved */
    size_t address_count;
    unsigned failure_count;
    bool is_kept;      /* named by the newest configuration */
    bool is_answered;  /* inside evdns_getaddrinfo: the answer came at once */
    bool is_due_again; /* known already, and to be told again */
};

struct resolver {
    uint32_t magic;
    struct loop *loop;
    struct evdns_base *dns;
    struct list names;
    resolver_fn on_addresses;
    void *arg;
    bool is_closing; /* nothing is asked or told any more */
};

static void name_destroy(struct watched_name *n)
{
    CHECK_MAGIC(n, NAME_MAGIC);
    list_remove(&n->link);
    timer_stop(n->resolver->loop, &n->timer);
    n->magic = 0;
    memory_free(n->key);
    memory_free(n->host);
    memory_free(n->addresses);
    memory_free(n);
}

/* Questions under way hold the name: it goes with their last answer. */
static bool name_is_asking(const struct watched_name *n)
{
    return n->question != NULL || n->ttl_question != NULL;
}

static void name_ask_again(struct watched_name *n, int64_t seconds)
{
    timer_start(n->resolver->loop, &n->timer, seconds * 1000);
}

static void name_tell(struct watched_name *n, const char *problem)
{
    struct resolver *r = n->resolver;
    if (r->is_closing)
        return;
    r->on_addresses(r->arg, n->key, n->addresses, n->address_count, problem);
}

static void name_on_ttl(int result, char type, int count, int ttl, void *addresses, void *arg)
{
    (void)type;
    (void)addresses;
    struct watched_name *n = arg;
    CHECK_MAGIC(n, NAME_MAGIC);
    n->ttl_question = NULL;
    int64_t seconds = result == DNS_ERR_NONE && count > 0 ? ttl : TTL_UNKNOWN_S;
    if (seconds < TTL_LEAST_S)
        seconds = TTL_LEAST_S;
    name_ask_again(n, seconds < TTL_MOST_S ? seconds : TTL_MOST_S);
}

/* evdns_getaddrinfo knows the hosts file but tells no TTL; the plain query tells it, and fails for names that only the file has. */
static void name_ask_ttl(struct watched_name *n)
{
    struct evdns_base *dns = n->resolver->dns;
    name_ask_again(n, TTL_UNKNOWN_S);
    if (evdns_base_count_nameservers(dns) == 0)
        return;
    n->ttl_question = n->addresses[0].bytes.ss_family == AF_INET6
                          ? evdns_base_resolve_ipv6(dns, n->host, 0, name_on_ttl, n)
                          : evdns_base_resolve_ipv4(dns, n->host, 0, name_on_ttl, n);
}

static void name_on_failure(struct watched_name *n, int result)
{
    int64_t pause = PAUSE_FIRST_S << (n->failure_count < 5 ? n->failure_count : 5);
    n->failure_count++;
    if (n->address_count == 0)
        name_tell(n, evutil_gai_strerror(result));
    name_ask_again(n, pause < PAUSE_MOST_S ? pause : PAUSE_MOST_S);
}

/* Keeps the list sorted and without repetitions. */
static void address_insert(struct resolved_address *list, size_t *count, const struct evutil_addrinfo *found)
{
    struct resolved_address fresh = { .length = (socklen_t)found->ai_addrlen };
    size_t at = 0;
    memcpy(&fresh.bytes, found->ai_addr, found->ai_addrlen);
    while (at < *count && memcmp(&list[at].bytes, &fresh.bytes, fresh.length) < 0)
        at++;
    if (at == RESOLVED_MOST || (at < *count && resolved_address_is_same(&list[at], &fresh)))
        return;
    size_t kept = *count < RESOLVED_MOST ? *count : RESOLVED_MOST - 1;
    memmove(&list[at + 1], &list[at], (kept - at) * sizeof(*list));
    list[at] = fresh;
    *count = kept + 1;
}

/* All of one family: IPv4 when the name has any. */
static size_t addresses_read(struct resolved_address list[RESOLVED_MOST], const struct evutil_addrinfo *found)
{
    size_t count = 0;
    int family = AF_INET6;
    for (const struct evutil_addrinfo *a = found; a != NULL; a = a->ai_next)
        if (a->ai_family == AF_INET)
            family = AF_INET;
    for (const struct evutil_addrinfo *a = found; a != NULL; a = a->ai_next)
        if (a->ai_family == family)
            address_insert(list, &count, a);
    return count;
}

/* False when they are the same as before. */
static bool name_set_addresses(struct watched_name *n, const struct evutil_addrinfo *found)
{
    struct resolved_address list[RESOLVED_MOST];
    size_t count = addresses_read(list, found), same = 0;
    while (same < count && same < n->address_count && resolved_address_is_same(&list[same], &n->addresses[same]))
        same++;
    if (same == count && count == n->address_count)
        return false;
    n->addresses = memory_resize_array(n->addresses, count, sizeof(*list));
    n->address_count = count;
    memcpy(n->addresses, list, count * sizeof(*list));
    return true;
}

static void name_on_addresses(int result, struct evutil_addrinfo *found, void *arg)
{
    struct watched_name *n = arg;
    CHECK_MAGIC(n, NAME_MAGIC);
    n->question = NULL;
    n->is_answered = true;
    if (result == EVUTIL_EAI_CANCEL)
        return;
    if (result != 0 || found == NULL) {
        name_on_failure(n, result);
        return;
    }
    n->failure_count = 0;
    bool has_changed = name_set_addresses(n, found);
    evutil_freeaddrinfo(found);
    if (has_changed || n->is_due_again)
        name_tell(n, NULL);
    n->is_due_again = false;
    name_ask_ttl(n);
}

static void name_ask(void *arg)
{
    struct watched_name *n = arg;
    CHECK_MAGIC(n, NAME_MAGIC);
    if (name_is_asking(n) || n->resolver->is_closing)
        return;
    if (!n->is_kept) { /* it was asking when its configuration went */
        name_destroy(n);
        return;
    }
    char port[8];
    snprintf(port, sizeof(port), "%u", n->port);
    struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP };
    n->is_answered = false;
    struct evdns_getaddrinfo_request *question =
        evdns_getaddrinfo(n->resolver->dns, n->host, port, &hints, name_on_addresses, n);
    n->question = n->is_answered ? NULL : question; /* a cached or immediate answer has freed it already */
}

struct resolver *resolver_create(struct loop *loop, const char *name_servers, resolver_fn on_addresses, void *arg)
{
    struct resolver *r = memory_zalloc(sizeof(*r));
    r->magic = RESOLVER_MAGIC;
    r->loop = loop;
    r->on_addresses = on_addresses;
    r->arg = arg;
    list_init(&r->names);
    r->dns = evdns_base_new(loop->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    CHECK(r->dns != NULL);
    evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL, name_servers); /* a missing one leaves the hosts file */
    return r;
}

static bool resolver_is_asking(struct resolver *r)
{
    bool is_asking = false;
    LIST_FOREACH_SAFE (link, &r->names)
        is_asking |= name_is_asking(LIST_ITEM(link, struct watched_name, link));
    return is_asking;
}

void resolver_destroy(struct resolver *r)
{
    CHECK_MAGIC(r, RESOLVER_MAGIC);
    r->is_closing = true;
    LIST_FOREACH_SAFE (link, &r->names) {
        struct watched_name *n = LIST_ITEM(link, struct watched_name, link);
        timer_stop(r->loop, &n->timer);
        if (n->question != NULL)
            evdns_getaddrinfo_cancel(n->question);
        if (n->ttl_question != NULL)
            evdns_cancel_request(r->dns, n->ttl_question);
    }
    while (resolver_is_asking(r)) /* cancelled questions are answered, and freed, by callbacks that are due at once */
        loop_turn(r->loop);
    evdns_base_free(r->dns, 0);
    LIST_FOREACH_SAFE (link, &r->names)
        name_destroy(LIST_ITEM(link, struct watched_name, link));
    r->magic = 0;
    memory_free(r);
}

void resolver_begin_generation(struct resolver *r)
{
    CHECK_MAGIC(r, RESOLVER_MAGIC);
    LIST_FOREACH_SAFE (link, &r->names)
        LIST_ITEM(link, struct watched_name, link)->is_kept = false;
}

static struct watched_name *name_find(struct resolver *r, struct slice key)
{
    LIST_FOREACH_SAFE (link, &r->names) {
        struct watched_name *n = LIST_ITEM(link, struct watched_name, link);
        if (slice_equal(slice_from_cstr(n->key), key))
            return n;
    }
    return NULL;
}

static char *copy_of(struct slice s)
{
    char *text = memory_alloc(s.len + 1);
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return text;
}

void resolver_add(struct resolver *r, struct slice key, struct slice host, uint16_t port)
{
    CHECK_MAGIC(r, RESOLVER_MAGIC);
    struct watched_name *n = name_find(r, key);
    if (n == NULL) {
        n = memory_zalloc(sizeof(*n));
        n->magic = NAME_MAGIC;
        n->resolver = r;
        n->key = copy_of(key);
        n->host = copy_of(host);
        n->port = port;
        timer_init(&n->timer, name_ask, n);
        list_append(&r->names, &n->link);
    }
    n->is_kept = n->is_due_again = true;
    timer_start(r->loop, &n->timer, 0);
}

void resolver_end_generation(struct resolver *r)
{
    LIST_FOREACH_SAFE (link, &r->names) {
        struct watched_name *n = LIST_ITEM(link, struct watched_name, link);
        if (!n->is_kept && !name_is_asking(n))
            name_destroy(n);
    }
}
