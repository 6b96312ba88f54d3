/* outbound/courier.c - HTTP requests that the main thread sends and does not wait for: gates, queries, notices. */
#include "outbound/courier.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/mailbox.h"
#include "outbound/http_multi.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COURIER_MAGIC   0x434f5552u
#define CONNECTIONS_MAX 24u
#define WAIT_MS         60000 /* the eventfd ends it sooner */
#define HEADERS_MAX     32u

/* Main's, then the thread's, then in the mail back to main, which frees it. */
struct errand {
    struct mail mail; /* back */
    struct errand *next;
    struct text url, method, content_type, body; /* body: the answer's, after it was sent */
    struct text headers;                         /* "name\0value\0" of those to send; then the answer's, a line each */
    struct text connect_to, ca_file, cert_file, key_file; /* empty: none */
    struct http_tls tls;
    bool has_tls, is_http2, is_alone;
    int64_t timeout_ms;
    void (*done)(void *arg, uint64_t ticket, const struct courier_answer *answer);
    void *arg;
    uint64_t ticket;
    struct courier *courier;
    bool is_too_long;
    uint16_t status;
    int64_t latency_us;
    struct wall_time certificate_ends;
    struct text failure;
};

struct courier {
    uint32_t magic;
    pthread_t thread;
    struct mailbox answers; /* in the loop of main */
    uint32_t live_count;    /* main's */
    bool is_stopping;       /* main's: answers are freed unread */
    int wake_fd;
    pthread_mutex_t lock;
    struct errand *waiting, **last; /* under the lock: given by main, not begun; oldest first */
    bool must_end;                  /* under the lock */
};

/* ---- errands ----------------------------------------------------------------------------------------------------------- */

/* NULL and "" are none. */
static const char *file_copy(struct text *copy, const char *file)
{
    if (file == NULL)
        return NULL;
    text_add_cstr(copy, file);
    return copy->bytes;
}

static void tls_copy(struct errand *e, const struct http_tls *tls)
{
    e->has_tls = true;
    e->tls = *tls;
    e->tls.ca_file = file_copy(&e->ca_file, tls->ca_file);
    e->tls.cert_file = file_copy(&e->cert_file, tls->cert_file);
    e->tls.key_file = file_copy(&e->key_file, tls->key_file);
}

static void header_copy(struct errand *e, const struct http_header *header)
{
    text_add(&e->headers, header->name);
    text_add_char(&e->headers, '\0');
    text_add(&e->headers, header->value);
    text_add_char(&e->headers, '\0');
}

static struct errand *errand_create(struct courier *c, const struct courier_errand *asked)
{
    struct errand *e = memory_zalloc(sizeof *e);
    e->courier = c;
    e->timeout_ms = asked->timeout_ms;
    e->done = asked->done;
    e->arg = asked->arg;
    e->ticket = asked->ticket;
    text_add(&e->url, asked->url);
    text_add(&e->method, asked->method);
    text_add(&e->content_type, asked->content_type);
    text_add(&e->body, asked->body);
    for (size_t i = 0; i < asked->header_count && i < HEADERS_MAX; i++)
        header_copy(e, &asked->headers[i]);
    file_copy(&e->connect_to, asked->connect_to);
    if (asked->tls != NULL)
        tls_copy(e, asked->tls);
    e->is_http2 = asked->is_http2;
    e->is_alone = asked->is_alone;
    return e;
}

static void errand_destroy(struct errand *e)
{
    text_fini(&e->url);
    text_fini(&e->method);
    text_fini(&e->content_type);
    text_fini(&e->body);
    text_fini(&e->headers);
    text_fini(&e->connect_to);
    text_fini(&e->ca_file);
    text_fini(&e->cert_file);
    text_fini(&e->key_file);
    text_fini(&e->failure);
    memory_free(e);
}

/* ---- the thread -------------------------------------------------------------------------------------------------------- */

/* Told just before on_done, when the whole answer is there. */
static void on_header(void *token, struct slice name, struct slice value)
{
    struct errand *e = token;
    if (e->headers.len + name.len + value.len > COURIER_HEAD_MAX)
        return;
    text_add(&e->headers, name);
    text_add_cstr(&e->headers, ": ");
    text_add(&e->headers, value);
    text_add_char(&e->headers, '\n');
}

static void on_body(void *token, struct slice bytes)
{
    struct errand *e = token;
    e->is_too_long |= bytes.len > COURIER_ANSWER_MAX - e->body.len;
    if (!e->is_too_long)
        text_add(&e->body, bytes);
}

static void on_done(void *token, const struct http_end *end)
{
    struct errand *e = token;
    e->status = end->status;
    e->latency_us = end->total_us;
    e->certificate_ends = end->certificate_ends;
    if (end->failure != HTTP_FAILURE_NONE)
        text_add_cstr(&e->failure, end->detail[0] != '\0' ? end->detail : "no answer");
    else if (e->is_too_long)
        text_add_cstr(&e->failure, "the answer is too long");
    mailbox_send(&e->courier->answers, &e->mail);
}

/* Where the path begins in scheme://authority/path?query; the end when there is none. */
static size_t target_at(struct slice url)
{
    size_t at = 0;
    for (unsigned slashes = 0; at < url.len; at++)
        if ((url.ptr[at] == '/' && ++slashes == 3) || (url.ptr[at] == '?' && slashes == 2))
            break;
    return at;
}

static struct slice next_text(const char **at)
{
    struct slice text = slice_from_cstr(*at);
    *at += text.len + 1;
    return text;
}

/* What the sender gave, and what it left to us. */
static size_t list_headers(const struct errand *e, struct http_header out[HEADERS_MAX + 2])
{
    size_t count = 0;
    bool has_agent = false;
    const char *at = e->headers.bytes;
    while (e->headers.len > 0 && at < e->headers.bytes + e->headers.len) {
        out[count].name = next_text(&at);
        out[count].value = next_text(&at);
        has_agent |= slice_equal_nocase(out[count++].name, SLICE("User-Agent"));
    }
    if (!has_agent)
        out[count++] = (struct http_header){ SLICE("User-Agent"), SLICE("weir") };
    if (e->content_type.len > 0)
        out[count++] = (struct http_header){ SLICE("Content-Type"), text_slice(&e->content_type) };
    return count;
}

static void begin(struct http_multi *http, struct errand *e)
{
    struct slice url = text_slice(&e->url);
    struct slice target = slice_from(url.ptr + target_at(url), url.len - target_at(url));
    struct text rooted = { 0 };
    struct http_header headers[HEADERS_MAX + 2];
    size_t header_count = list_headers(e, headers);
    if (target.len == 0 || target.ptr[0] != '/')
        text_add_char(&rooted, '/');
    text_add(&rooted, target);
    const struct http_send send = { .url = e->url.bytes,
                                    .method = text_slice(&e->method),
                                    .target = text_slice(&rooted),
                                    .headers = headers,
                                    .header_count = header_count,
                                    .body = text_slice(&e->body),
                                    .timeout_ms = e->timeout_ms,
                                    .connect_to = e->connect_to.bytes,
                                    .tls = e->has_tls ? &e->tls : NULL,
                                    .is_http2 = e->is_http2,
                                    .is_alone = e->is_alone };
    http_multi_start(http, &send, e);
    text_clear(&e->body); /* http_multi has copies; what follows is the answer's */
    text_clear(&e->headers);
    text_fini(&rooted);
}

/* False: it is to end. */
static bool begin_waiting(struct courier *c, struct http_multi *http)
{
    uint64_t rung;
    ssize_t got = read(c->wake_fd, &rung, sizeof rung);
    (void)got; /* not rung: that is fine, too */
    pthread_mutex_lock(&c->lock);
    struct errand *first = TAKE(&c->waiting);
    c->last = &c->waiting;
    bool must_end = c->must_end;
    pthread_mutex_unlock(&c->lock);
    for (struct errand *e = first, *next; e != NULL; e = next) {
        next = e->next;
        begin(http, e);
    }
    return !must_end;
}

static void *courier_run(void *arg)
{
    struct courier *c = arg;
    /* Of several streams of one connection libcurl 7.88 may leave one lying whose answer has come, until its time is over. */
    const struct http_multi_settings settings = { .connection_max = CONNECTIONS_MAX,
                                                  .timeout_ms = WAIT_MS,
                                                  .is_one_at_a_time = true };
    const struct http_events events = { on_header, on_body, on_done };
    struct http_multi *http = http_multi_create(&settings, &events);
    while (begin_waiting(c, http))
        http_multi_wait(http, c->wake_fd, WAIT_MS);
    http_multi_destroy(http);
    return NULL;
}

/* ---- main -------------------------------------------------------------------------------------------------------------- */

static void on_answer(void *owner, struct mail *mail)
{
    struct courier *c = owner;
    struct errand *e = CONTAINER_OF(mail, struct errand, mail);
    CHECK_MAGIC(c, COURIER_MAGIC);
    c->live_count--;
    const struct courier_answer answer = { .failure = e->failure.len > 0 ? e->failure.bytes : NULL,
                                           .status = e->status,
                                           .headers = text_slice(&e->headers),
                                           .body = text_slice(&e->body),
                                           .latency_us = e->latency_us,
                                           .certificate_ends = e->certificate_ends };
    if (!c->is_stopping)
        e->done(e->arg, e->ticket, &answer);
    errand_destroy(e);
}

static void wake(struct courier *c)
{
    uint64_t one = 1;
    CHECK(write(c->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

struct courier *courier_start(struct loop *loop)
{
    struct courier *c = memory_zalloc(sizeof *c);
    c->magic = COURIER_MAGIC;
    c->last = &c->waiting;
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(c->wake_fd >= 0);
    pthread_mutex_init(&c->lock, NULL);
    mailbox_open(&c->answers, loop, on_answer, c);
    CHECK(pthread_create(&c->thread, NULL, courier_run, c) == 0);
    return c;
}

void courier_stop(struct courier *c)
{
    CHECK_MAGIC(c, COURIER_MAGIC);
    c->is_stopping = true;
    pthread_mutex_lock(&c->lock);
    c->must_end = true;
    pthread_mutex_unlock(&c->lock);
    wake(c);
    CHECK(pthread_join(c->thread, NULL) == 0);
    mailbox_close(&c->answers);
    CHECK(c->live_count == 0);
    close(c->wake_fd);
    pthread_mutex_destroy(&c->lock);
    c->magic = 0;
    memory_free(c);
}

bool courier_send(struct courier *c, const struct courier_errand *asked)
{
    CHECK_MAGIC(c, COURIER_MAGIC);
    if (c->live_count >= COURIER_ERRANDS_MAX)
        return false;
    struct errand *e = errand_create(c, asked);
    c->live_count++;
    pthread_mutex_lock(&c->lock);
    *c->last = e;
    c->last = &e->next;
    pthread_mutex_unlock(&c->lock);
    wake(c);
    return true;
}

bool courier_answer_header(const struct courier_answer *answer, struct slice name, struct slice *value)
{
    struct slice rest = answer->headers;
    for (struct slice line; rest.len > 0; rest = slice_after(rest, line.len + 1)) {
        line = slice_first(rest, slice_find(rest, '\n'));
        size_t end = slice_find(line, ':');
        if (!slice_equal_nocase(slice_first(line, end), name))
            continue;
        *value = slice_trim(slice_after(line, end + 1));
        return true;
    }
    return false;
}
