/* server/drill_send.c - the synthetic requests of a drill: through a listener, as anybody's would come. */
#include "server/drills.h"

#include "base/check.h"
#include "config/model.h"
#include "server/publisher.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 5000
#define HOST       "weir-drill.invalid" /* never looked up: the address is given */
#define PPM        1000000u

/* ---- where to ------------------------------------------------------------------------------------------------------------- */

/* "0.0.0.0:8080" is reached at the loopback address. False: it is no such address. */
static bool reach(const char *address, char *out, size_t size)
{
    const char *port = strrchr(address, ':');
    if (port == NULL || address[0] == '/' || strncmp(address, "unix:", 5) == 0)
        return false;
    bool is_any4 = strncmp(address, "0.0.0.0:", 8) == 0, is_any6 = strncmp(address, "[::]:", 5) == 0;
    int length = is_any4   ? snprintf(out, size, "127.0.0.1%s", port)
                 : is_any6 ? snprintf(out, size, "[::1]%s", port)
                           : snprintf(out, size, "%s", address);
    return length > 0 && (size_t)length < size;
}

static bool can_take(const struct listener_config *listener, bool is_tls)
{
    return !listener->has_proxy_protocol && listener->tls.is_on == is_tls &&
           (!is_tls || listener->tls.client_auth != CLIENT_AUTH_REQUIRE);
}

/* Without TLS rather than with it. */
bool drill_find_listener(struct drill *d, struct text *error)
{
    const struct config *config = publisher_snapshot(d->all->rollouts->publisher)->config;
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < config->listener_count; i++) {
            const struct listener_config *listener = &config->listeners[i];
            if (!can_take(listener, pass == 1) ||
                !reach(sockets_address(d->all->sockets, listener), d->connect_to, sizeof d->connect_to))
                continue;
            d->is_tls = pass == 1;
            d->listener = listener->name;
            return true;
        }
    text_add_cstr(error,
                  "no listener takes a drill's requests: they need one on an address, without proxy_protocol and "
                  "without client_auth: require");
    return false;
}

/* ---- answers -------------------------------------------------------------------------------------------------------------- */

static struct drill_errand *errand_of(struct drill *d, uint64_t ticket)
{
    for (uint32_t i = 0; i < DRILL_UNDER_WAY_MOST; i++)
        if (d->errands[i].ticket == ticket)
            return &d->errands[i];
    return NULL;
}

static void take_answer(struct drill *d, struct drill_errand *errand, const struct courier_answer *answer)
{
    struct slice arm;
    errand->ticket = 0;
    struct drill_trial *t = &drill_case_now(d)->trial;
    if (answer->failure == NULL && courier_answer_header(answer, SLICE("x-weir-drill"), &arm))
        drill_trial_on_answer(t, slice_equal(arm, SLICE("canary")), errand->is_bad, errand->sent);
    else
        drill_trial_on_loss(t);
}

/* Of an earlier trial: nobody's any more. */
static void on_answer(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct drill *d = arg;
    d->under_way--;
    struct drill_errand *errand = errand_of(d, ticket);
    if (errand != NULL && !d->is_ending)
        take_answer(d, errand, answer);
    drill_let_go(d);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------- */

/* OPTIONS that goes no further than to whom it is sent: were it not known for a drill's, it would not be forwarded either (RFC
   9110 7.6.2). A connection each, so that the kernel spreads them over the workers, and none waits for another inside libcurl. */
static bool send_one(struct drill *d, struct slice value, uint64_t ticket)
{
    static const struct http_tls tls = { .is_insecure = true };
    const struct http_header headers[] = { { SLICE("Host"), SLICE(HOST) },
                                           { SLICE("User-Agent"), SLICE("weir-drill") },
                                           { SLICE("Max-Forwards"), SLICE("0") },
                                           { SLICE("x-weir-drill"), value },
                                           { SLICE("Connection"), SLICE("close") } };
    const struct courier_errand errand = {
        .url = d->is_tls ? SLICE("https://" HOST "/.weir/drill") : SLICE("http://" HOST "/.weir/drill"),
        .method = SLICE("OPTIONS"),
        .headers = headers,
        .header_count = d->is_tls ? 4 : 5, /* HTTP/2 has no such field */
        .timeout_ms = TIMEOUT_MS,
        .connect_to = d->connect_to,
        .tls = d->is_tls ? &tls : NULL,
        .is_alone = true,
        .done = on_answer,
        .arg = d,
        .ticket = ticket,
    };
    return d->all->rollouts->send(d->all->rollouts->arg, &errand);
}

static bool send_next(struct drill *d, struct drill_errand *errand)
{
    struct rng *rng = &d->all->rng;
    struct drill_request request;
    struct text value = { 0 };
    const struct drill_case *c = drill_case_now(d);
    bool is_bad = drill_trial_is_failing(&c->trial) && rng_below(rng, PPM) < d->wish.settings.share_ppm;
    drill_script_request(&d->scripts[c->guardrail], is_bad, (uint32_t)rng_next(rng), &request);
    drill_request_write(d->token, &request, &value);
    *errand = (struct drill_errand){ ++d->all->newest_ticket, clock_mono(), is_bad };
    bool is_sent = send_one(d, text_slice(&value), errand->ticket);
    text_fini(&value);
    if (!is_sent)
        errand->ticket = 0; /* the courier has others to run: later */
    return is_sent;
}

/* What could not be sent in time is not made good for: the rate is a bound. */
void drill_send(struct drill *d, struct mono_time now)
{
    uint64_t due = (uint64_t)mono_diff_us(now, d->begun) * d->wish.settings.rate / 1000000 + 1;
    struct drill_errand *errand;
    while (d->sent_count < due && d->under_way < DRILL_UNDER_WAY_MOST && (errand = errand_of(d, 0)) != NULL &&
           send_next(d, errand)) {
        d->sent_count++;
        d->mark->request_count++;
        d->under_way++;
    }
    d->sent_count = due;
}
