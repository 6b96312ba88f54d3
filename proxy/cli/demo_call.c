/* cli/demo_call.c - one call of the admin API from inside the demo's loop, on the proxy's own socket. */
#include "cli/demo.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define CALL_MAX_MS 10000 /* words are answered when every worker has done what they say */
#define ANSWER_MAX  ((size_t)256 * 1024)

/* Gone when the answer was given out, or after demo_call_cancel. */
struct demo_call {
    struct demo_exchange exchange;
    struct text body;
    demo_answer_fn *on_answer;
    void *arg;
};

static struct demo_call *call_of(struct demo_exchange *e)
{
    return CONTAINER_OF(e, struct demo_call, exchange);
}

static void destroy(struct demo_exchange *e)
{
    struct demo_call *c = call_of(e);
    text_fini(&c->body);
    memory_free(c);
}

void demo_call_cancel(struct demo_call *c)
{
    demo_exchange_close(&c->exchange);
}

static bool on_data(struct demo_exchange *e, struct slice data)
{
    struct demo_call *c = call_of(e);
    text_add(&c->body, data);
    return c->body.len <= ANSWER_MAX;
}

static void on_over(struct demo_exchange *e, bool is_complete)
{
    struct demo_call *c = call_of(e);
    struct text fault = { 0 };
    struct json *answer = is_complete ? json_parse(text_slice(&c->body), &fault) : NULL;
    c->on_answer(c->arg, answer != NULL ? e->status : 0, answer);
    json_destroy(answer);
    text_fini(&fault);
}

static const struct demo_exchange_events events = { .on_data = on_data, .on_over = on_over, .destroy = destroy };

static void write_request(struct demo_exchange *e, const char *path, const char *reason)
{
    char body[256] = "";
    if (reason != NULL)
        snprintf(body, sizeof(body), "{\"reason\": \"%s\"}", reason);
    int length = snprintf(e->request, sizeof(e->request),
                          "%s /api/v1/%s HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          reason != NULL ? "POST" : "GET", path, strlen(body), body);
    CHECK(length < (int)sizeof(e->request));
}

struct demo_call *demo_call_start(struct loop *loop, const char *directory, const char *path, const char *reason,
                                  demo_answer_fn *on_answer, void *arg)
{
    struct demo_call *c = memory_zalloc(sizeof(*c));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    c->on_answer = on_answer;
    c->arg = arg;
    c->exchange.events = &events;
    write_request(&c->exchange, path, reason);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/admin.sock", directory);
    demo_exchange_start(&c->exchange, loop, (const struct sockaddr *)&address, sizeof(address),
                        reason != NULL ? METHOD_POST : METHOD_GET, CALL_MAX_MS);
    return c;
}
