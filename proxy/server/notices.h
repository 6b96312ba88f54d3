/* server/notices.h - people are told: each notice is sent, again when that fails, and its end is reported to who sent it.
 *
 *   notices_send --> under way --> 2xx ------------------------------------> told(NOTICE_TOLD)
 *                       ^   |---> 4xx but 408 and 429, or the last try ---> told(NOTICE_FAILED)
 *                       |   v
 *                      waiting --- a newer one with the same `replaces` ---> told(NOTICE_REPLACED)
 *
 * Tries are NOTICE_TRIES at most, further and further apart, over some two minutes. Nobody waits for any of it: sending
 * goes by the courier's thread. At most NOTICES_MAX are kept; past that a notice fails at once, and says so.
 *
 * Owner and thread: main. Names are copied: a notice outlives the configuration that it came from. */
#ifndef SERVER_NOTICES_H
#define SERVER_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/slice.h"
#include "outbound/courier.h"

#define NOTICES_MAX  64u
#define NOTICE_TRIES 5u

struct notice_order {
    struct slice target;            /* whom: a name below `notify` */
    const char *kind;               /* "webhook", "alertmanager"; a literal */
    const char *cause;              /* what of; a literal */
    struct slice subject, incident; /* a rollout; the id of its incident, "" for none */
    struct slice url, body;         /* a POST of JSON */
    bool replaces; /* the state of something, not news of it: what waits for the same URL and subject is old then */
};

enum notice_end { NOTICE_TOLD, NOTICE_FAILED, NOTICE_REPLACED };

struct notice {
    struct list link;
    uint64_t ticket; /* of the try under way; 0: it waits */
    struct mono_time due;
    char *target, *subject, *incident, *url, *body;
    const char *kind, *cause;
    uint32_t tries;
    bool replaces, is_old;
};

struct notices {
    struct list items;
    uint32_t count;
    uint64_t newest_ticket; /* its own: answers come to nobody else */
    /* courier_send, or a test's own. */
    bool (*send)(void *arg, const struct courier_errand *errand);
    /* It has ended, as `result` says in a line. */
    void (*told)(void *arg, const struct notice *notice, enum notice_end end, const char *result);
    struct mono_time (*now)(void *arg);
    void *arg;
};

void notices_init(struct notices *all);
/* Nothing is told any more. */
void notices_fini(struct notices *all);
void notices_send(struct notices *all, const struct notice_order *order);
/* By the clock, some times a second while there are any: those that are due again are sent. */
void notices_look(struct notices *all);

#endif
