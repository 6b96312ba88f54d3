/* outbound/http_multi.c - libcurl's multi interface behind callbacks. */
#include "outbound/http_multi.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/text.h"

#include <curl/curl.h>

#include <stdio.h>

#define MULTI_MAGIC    0x4854504du
#define TRANSFER_MAGIC 0x48545458u
#define IDLE_MAX       64 /* handles kept for the next requests */
#define HEAD_LINES_MAX                                                                                                 \
    2048 /* of an answer, interim ones and trailers included: libcurl takes a square of it to list them */

/* One request under way. On the multi's list from its start to its end. */
struct transfer {
    uint32_t magic;
    struct list link;
    struct http_multi *multi;
    CURL *curl;
    struct curl_slist *lines, *connect_to;
    bool wants_certificate;
    void *token;
    struct text body, target;          /* copies: libcurl borrows */
    struct mono_time sent_at, head_at; /* 0: not yet */
    unsigned head_line_count;
    char detail[CURL_ERROR_SIZE];
};

struct http_multi {
    uint32_t magic;
    CURLM *curl;
    struct http_multi_settings settings;
    struct http_events events;
    struct list transfers;
    size_t live_count;
    CURL *idle[IDLE_MAX];
    size_t idle_count;
};

/* ---- one request --------------------------------------------------------------------------------------------------- */

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    CHECK_MAGIC(t, TRANSFER_MAGIC);
    t->multi->events.on_body(t->token, slice_from(bytes, size * count));
    return size * count;
}

/* Its own timers are no help here: "pretransfer" is taken when the request was written, and an answer may be there by
   then. */
static int on_connected(void *arg, char *address, char *local, int port, int local_port)
{
    struct transfer *t = arg;
    CHECK_MAGIC(t, TRANSFER_MAGIC);
    (void)address;
    (void)local;
    (void)port;
    (void)local_port;
    t->sent_at = clock_mono();
    return CURL_PREREQFUNC_OK;
}

/* The last status line counts: those in front of it are interim answers. 0 ends the transfer. */
static size_t on_head_line(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    CHECK_MAGIC(t, TRANSFER_MAGIC);
    if (slice_has_prefix(slice_from(bytes, size * count), SLICE("HTTP/")))
        t->head_at = clock_mono();
    return ++t->head_line_count <= HEAD_LINES_MAX ? size * count : 0;
}

/* What libcurl would add by itself, unless the message has it. */
static void suppress_defaults(struct transfer *t, const struct http_send *send)
{
    static const char *const names[] = { "Accept", "Expect", "User-Agent", "Content-Type" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        bool is_given = false;
        for (size_t j = 0; j < send->header_count; j++)
            is_given |= slice_equal_nocase(send->headers[j].name, slice_from_cstr(names[i]));
        char line[32];
        snprintf(line, sizeof(line), "%s:", names[i]);
        if (!is_given)
            t->lines = curl_slist_append(t->lines, line);
    }
}

/* "Name;" is how libcurl is told to send a header with an empty value. */
static void add_lines(struct transfer *t, const struct http_send *send)
{
    struct text line = { 0 };
    for (size_t i = 0; i < send->header_count; i++) {
        const struct http_header *h = &send->headers[i];
        text_clear(&line);
        text_add(&line, h->name);
        text_add_cstr(&line, h->value.len > 0 ? ": " : ";");
        text_add(&line, h->value);
        t->lines = curl_slist_append(t->lines, line.bytes);
        CHECK(t->lines != NULL);
    }
    text_fini(&line);
    suppress_defaults(t, send);
}

/* A body, or a length of 0 where a body is what the method means (RFC 9110 8.6). */
static void set_body(struct transfer *t, const struct http_send *send)
{
    static const char *const with_body[] = { "POST", "PUT", "PATCH" };
    bool is_wanted = send->body.len > 0;
    for (size_t i = 0; i < ARRAY_COUNT(with_body); i++)
        is_wanted |= slice_equal(send->method, slice_from_cstr(with_body[i]));
    text_add(&t->body, send->body);
    if (!is_wanted)
        return;
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.len);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, t->body.bytes);
}

static void set_method(struct transfer *t, const struct http_send *send)
{
    struct text method = { 0 };
    if (slice_equal(send->method, SLICE("HEAD"))) {
        curl_easy_setopt(t->curl, CURLOPT_NOBODY, 1L);
        return;
    }
    set_body(t, send);
    text_add(&method, send->method);
    curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, method.bytes);
    text_fini(&method);
}

/* libcurl 7.88 cannot use such a connection twice: it would begin HTTP/2 again inside it
   (https://github.com/curl/curl/pull/10643). There each request gets a connection of its own. */
static bool can_reuse_clear_http2(void)
{
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    return version < 0x075800 || version >= 0x080000;
}

static void set_version(struct transfer *t, bool is_clear_http2)
{
    if (!is_clear_http2) {
        curl_easy_setopt(t->curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
        return;
    }
    bool is_once = !can_reuse_clear_http2();
    curl_easy_setopt(t->curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    curl_easy_setopt(t->curl, CURLOPT_PIPEWAIT, is_once ? 0L : 1L);
    curl_easy_setopt(t->curl, CURLOPT_FRESH_CONNECT, is_once ? 1L : 0L);
    curl_easy_setopt(t->curl, CURLOPT_FORBID_REUSE, is_once ? 1L : 0L);
}

static void set_connection(struct transfer *t, const struct http_multi_settings *settings, int64_t timeout_ms)
{
    CURL *curl = t->curl;
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 0 ? timeout_ms : settings->timeout_ms));
    curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L);
}

static void set_tls(struct transfer *t, const struct http_tls *tls)
{
    CURL *curl = t->curl;
    if (tls->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, tls->ca_file);
    if (tls->cert_file != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, tls->cert_file);
    if (tls->key_file != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, tls->key_file);
    if (tls->is_insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    t->wants_certificate = tls->wants_certificate;
    curl_easy_setopt(curl, CURLOPT_CERTINFO, tls->wants_certificate ? 1L : 0L);
}

/* "::host:port" stands for whatever host and port the URL names. */
static void set_peer(struct transfer *t, const char *peer)
{
    struct text line = { 0 };
    text_printf(&line, "::%s", peer);
    t->connect_to = curl_slist_append(NULL, line.bytes);
    CHECK(t->connect_to != NULL);
    curl_easy_setopt(t->curl, CURLOPT_CONNECT_TO, t->connect_to);
    text_fini(&line);
}

static void prepare(struct transfer *t, const struct http_send *send)
{
    CURL *curl = t->curl;
    curl_easy_setopt(curl, CURLOPT_PRIVATE, t);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->detail);
    curl_easy_setopt(curl, CURLOPT_URL, send->url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    text_add(&t->target, send->target);
    curl_easy_setopt(curl, CURLOPT_REQUEST_TARGET, t->target.bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, t);
    bool is_clear = slice_has_prefix(slice_from_cstr(send->url), SLICE("http:"));
    const struct http_multi_settings *settings = &t->multi->settings;
    const struct http_tls usual = { .ca_file = settings->ca_file, .is_insecure = settings->is_insecure };
    set_version(t, is_clear && (settings->is_http2 || send->is_http2));
    if (send->is_alone) {
        curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    }
    set_connection(t, settings, send->timeout_ms);
    set_tls(t, send->tls != NULL ? send->tls : &usual);
    if (send->connect_to != NULL)
        set_peer(t, send->connect_to);
    set_method(t, send);
    add_lines(t, send);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->lines);
}

static CURL *handle_take(struct http_multi *m)
{
    if (m->idle_count > 0) {
        CURL *curl = m->idle[--m->idle_count];
        curl_easy_reset(curl);
        return curl;
    }
    CURL *curl = curl_easy_init();
    CHECK(curl != NULL);
    return curl;
}

static void handle_give_back(struct http_multi *m, CURL *curl)
{
    if (m->idle_count < IDLE_MAX)
        m->idle[m->idle_count++] = curl;
    else
        curl_easy_cleanup(curl);
}

void http_multi_start(struct http_multi *m, const struct http_send *send, void *token)
{
    CHECK_MAGIC(m, MULTI_MAGIC);
    struct transfer *t = memory_zalloc(sizeof(*t));
    t->magic = TRANSFER_MAGIC;
    t->multi = m;
    t->token = token;
    t->curl = handle_take(m);
    list_init(&t->link);
    list_append(&m->transfers, &t->link);
    m->live_count++;
    prepare(t, send);
    CHECK(curl_multi_add_handle(m->curl, t->curl) == CURLM_OK);
}

/* ---- how it ends --------------------------------------------------------------------------------------------------- */

static enum http_failure failure_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OK:
        return HTTP_FAILURE_NONE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_INTERFACE_FAILED:
        return HTTP_FAILURE_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_FAILURE_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
        return HTTP_FAILURE_TLS;
    default:
        return HTTP_FAILURE_BROKEN;
    }
}

static void headers_tell(const struct transfer *t)
{
    for (struct curl_header *h = NULL; (h = curl_easy_nextheader(t->curl, CURLH_HEADER, -1, h)) != NULL;)
        t->multi->events.on_header(t->token, slice_from_cstr(h->name), slice_from_cstr(h->value));
}

/* "Expire date:Nov 25 19:12:43 2026 GMT" among the lines about the peer's own certificate, the first of the chain. */
static struct wall_time certificate_end(const struct transfer *t)
{
    static const char name[] = "Expire date:";
    struct curl_certinfo *chain = NULL;
    if (!t->wants_certificate || curl_easy_getinfo(t->curl, CURLINFO_CERTINFO, &chain) != CURLE_OK || chain == NULL ||
        chain->num_of_certs < 1)
        return (struct wall_time){ 0 };
    for (const struct curl_slist *line = chain->certinfo[0]; line != NULL; line = line->next) {
        if (!slice_has_prefix(slice_from_cstr(line->data), SLICE(name)))
            continue;
        time_t at = curl_getdate(line->data + sizeof name - 1, NULL);
        return (struct wall_time){ at > 0 ? (int64_t)at * 1000 : 0 };
    }
    return (struct wall_time){ 0 };
}

/* Takes the transfer off everything before it tells, so that on_done may start another. */
static void transfer_finish(struct transfer *t, enum http_failure failure, const char *detail)
{
    struct http_multi *m = t->multi;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    int64_t total_us = t->sent_at.us != 0 ? mono_diff_us(clock_mono(), t->sent_at) : 0;
    int64_t latency_us = t->head_at.us != 0 ? mono_diff_us(t->head_at, t->sent_at) : 0;
    struct http_end end = { failure, detail, (uint16_t)status, latency_us, total_us, certificate_end(t) };
    curl_multi_remove_handle(m->curl, t->curl);
    list_remove(&t->link);
    m->live_count--;
    if (failure == HTTP_FAILURE_NONE)
        headers_tell(t);
    m->events.on_done(t->token, &end);
    curl_slist_free_all(t->lines);
    curl_slist_free_all(t->connect_to);
    handle_give_back(m, t->curl);
    text_fini(&t->body);
    text_fini(&t->target);
    t->magic = 0;
    memory_free(t);
}

static const char *detail_of(const struct transfer *t, CURLcode code)
{
    if (code == CURLE_OK)
        return "";
    if (t->head_line_count > HEAD_LINES_MAX)
        return "the head has too many lines";
    return t->detail[0] != '\0' ? t->detail : curl_easy_strerror(code);
}

static void finish_all_done(struct http_multi *m)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(m->curl, &left)) != NULL;) {
        char *private = NULL;
        CURLcode code = message->data.result; /* the message is gone with the handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct transfer *t = (struct transfer *)(void *)private;
        CHECK_MAGIC(t, TRANSFER_MAGIC);
        transfer_finish(t, failure_of(code), detail_of(t, code));
    }
}

/* ---- all of them --------------------------------------------------------------------------------------------------- */

struct http_multi *http_multi_create(const struct http_multi_settings *settings, const struct http_events *events)
{
    struct http_multi *m = memory_zalloc(sizeof(*m));
    m->magic = MULTI_MAGIC;
    m->settings = *settings;
    m->events = *events;
    list_init(&m->transfers);
    m->curl = curl_multi_init();
    CHECK(m->curl != NULL);
    curl_multi_setopt(m->curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)settings->connection_max);
    curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, (long)settings->connection_max);
    curl_multi_setopt(m->curl, CURLMOPT_PIPELINING, settings->is_one_at_a_time ? CURLPIPE_NOTHING : CURLPIPE_MULTIPLEX);
    return m;
}

void http_multi_destroy(struct http_multi *m)
{
    CHECK_MAGIC(m, MULTI_MAGIC);
    for (struct list *link; (link = m->transfers.next) != &m->transfers;)
        transfer_finish(LIST_ITEM(link, struct transfer, link), HTTP_FAILURE_CANCELLED, "cancelled");
    while (m->idle_count > 0)
        curl_easy_cleanup(m->idle[--m->idle_count]);
    curl_multi_cleanup(m->curl);
    m->magic = 0;
    memory_free(m);
}

size_t http_multi_live_count(const struct http_multi *m)
{
    return m->live_count;
}

void http_multi_wait(struct http_multi *m, int fd, int64_t timeout_ms)
{
    struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
    int running = 0;
    CHECK_MAGIC(m, MULTI_MAGIC);
    curl_multi_perform(m->curl, &running);
    finish_all_done(m);
    curl_multi_poll(m->curl, &extra, fd >= 0 ? 1 : 0, (int)timeout_ms, NULL);
    curl_multi_perform(m->curl, &running);
    finish_all_done(m);
}
