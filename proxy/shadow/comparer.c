/* shadow/comparer.c - the thread that compares: pairs come in from the workers, findings go out to the admin API.
 *
 * Findings are changed by the thread alone, which takes the lock to do it; main takes it to read. Comparing itself, which
 * takes the time, is done without. */
#include "shadow/comparer.h"

#include "base/memory.h"
#include "shadow/findings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define COMPARER_NICE 10 /* beside workers that want the processor, it gets a tenth */

enum comparer_mail { MAIL_PAIR, MAIL_CONFIGURE, MAIL_STOP };

/* New findings, empty, of all shadows that are compared. */
struct configure_mail {
    struct mail mail;
    struct findings **findings;
    size_t count;
};

struct comparer {
    struct comparer_hooks hooks;
    pthread_t thread;
    struct loop *loop;
    struct mailbox inbox;
    struct turn_hook hook;
    struct mail stop;
    _Atomic uint32_t queued_count; /* pairs submitted and not done */
    _Atomic uint64_t queued_bytes; /* memory they take */
    atomic_bool is_stopping;       /* what comes is only freed */

    pthread_mutex_t lock;
    struct findings **findings; /* changed by the thread, with the lock */
    size_t findings_count;

    struct comparison comparison; /* the thread's: of the pair it looks at */
};

/* ---- the thread -------------------------------------------------------------------------------------------------------- */

/* A handful: as many as shadows that are compared. */
static struct findings *findings_of(const struct comparer *c, uint32_t shadow_id)
{
    for (size_t i = 0; i < c->findings_count; i++)
        if (c->findings[i]->shadow_id == shadow_id)
            return c->findings[i];
    return NULL;
}

static void pair_skip(struct comparer *c, struct findings *f)
{
    pthread_mutex_lock(&c->lock);
    findings_skip(f);
    pthread_mutex_unlock(&c->lock);
}

static void pair_judge(struct comparer *c, struct findings *f, const struct pair *p)
{
    compare_pair(f->plan, p, &c->comparison);
    pthread_mutex_lock(&c->lock);
    enum verdict verdict = findings_add(f, p, &c->comparison);
    pthread_mutex_unlock(&c->lock);
    comparison_clear(&c->comparison);
    if (c->hooks.on_verdict != NULL)
        c->hooks.on_verdict(c->hooks.arg, f->shadow_id, verdict);
}

/* A shadow that a reload took away in the meantime has no findings any more. */
static void pair_compare(struct comparer *c, const struct pair *p)
{
    struct findings *f = findings_of(c, p->shadow_id);
    if (f == NULL)
        return;
    if (compare_is_possible(p))
        pair_judge(c, f, p);
    else
        pair_skip(c, f);
}

static void pair_take(struct comparer *c, struct pair *p)
{
    size_t bytes = pair_memory_bytes(p);
    bool is_wanted = !atomic_load_explicit(&c->is_stopping, memory_order_relaxed);
    pair_check(p);
    if (is_wanted && (p->uses & PAIR_FOR_COMPARE) != 0)
        pair_compare(c, p);
    if (is_wanted && (p->uses & PAIR_FOR_RECORD) != 0 && c->hooks.on_record != NULL)
        c->hooks.on_record(c->hooks.arg, p);
    pair_destroy(p);
    atomic_fetch_sub_explicit(&c->queued_bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->queued_count, 1, memory_order_release);
}

static bool is_same(const struct findings *a, const struct findings *b)
{
    return a->shadow_id == b->shadow_id && a->digest == b->digest;
}

/* The old ones that are still wanted take the place of the new ones, which are empty. */
static void findings_keep(struct comparer *c, struct configure_mail *m)
{
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < c->findings_count; k++)
            if (c->findings[k] != NULL && is_same(m->findings[i], c->findings[k])) {
                findings_destroy(m->findings[i]);
                m->findings[i] = TAKE(&c->findings[k]);
                break;
            }
}

static void findings_free(struct findings **findings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        findings_destroy(findings[i]);
    memory_free(findings);
}

static void configure(struct comparer *c, struct configure_mail *m)
{
    pthread_mutex_lock(&c->lock);
    findings_keep(c, m);
    findings_free(c->findings, c->findings_count);
    c->findings = m->findings;
    c->findings_count = m->count;
    pthread_mutex_unlock(&c->lock);
    memory_free(m);
}

static void comparer_on_mail(void *owner, struct mail *mail)
{
    struct comparer *c = owner;
    switch ((enum comparer_mail)mail->kind) {
    case MAIL_PAIR:
        pair_take(c, CONTAINER_OF(mail, struct pair, mail));
        break;
    case MAIL_CONFIGURE:
        configure(c, CONTAINER_OF(mail, struct configure_mail, mail));
        break;
    case MAIL_STOP:
        loop_stop(c->loop);
        break;
    }
}

static void comparer_on_turn(void *arg)
{
    struct comparer *c = arg;
    if (c->hooks.on_idle != NULL)
        c->hooks.on_idle(c->hooks.arg);
}

/* On Linux a thread has a nice value of its own; without permission for it the workers' is good enough. */
static void *comparer_run(void *arg)
{
    struct comparer *c = arg;
    int lowered = setpriority(PRIO_PROCESS, 0, COMPARER_NICE);
    (void)lowered;
    loop_add_turn_hook(c->loop, &c->hook);
    loop_run(c->loop);
    return NULL;
}

/* ---- main -------------------------------------------------------------------------------------------------------------- */

struct comparer *comparer_start(const struct comparer_hooks *hooks)
{
    struct comparer *c = memory_zalloc(sizeof *c);
    c->hooks = *hooks;
    c->loop = loop_create(NULL);
    c->stop.kind = MAIL_STOP;
    c->hook = (struct turn_hook){ .run = comparer_on_turn, .arg = c };
    pthread_mutex_init(&c->lock, NULL);
    comparison_init(&c->comparison);
    mailbox_open(&c->inbox, c->loop, comparer_on_mail, c);
    CHECK(pthread_create(&c->thread, NULL, comparer_run, c) == 0);
    return c;
}

void comparer_stop(struct comparer *c)
{
    atomic_store_explicit(&c->is_stopping, true, memory_order_relaxed);
    mailbox_send(&c->inbox, &c->stop);
    CHECK(pthread_join(c->thread, NULL) == 0);
    mailbox_close(&c->inbox);
    comparison_clear(&c->comparison);
    findings_free(c->findings, c->findings_count);
    pthread_mutex_destroy(&c->lock);
    loop_destroy(c->loop);
    memory_free(c);
}

void comparer_configure(struct comparer *c, const struct compared_shadow *shadows, size_t count)
{
    struct configure_mail *m = memory_zalloc(sizeof *m);
    m->mail.kind = MAIL_CONFIGURE;
    m->findings = memory_resize_array(NULL, count + 1, sizeof *m->findings);
    m->count = count;
    for (size_t i = 0; i < count; i++)
        m->findings[i] = findings_create(shadows[i].shadow_id, shadows[i].route, shadows[i].upstream, shadows[i].config,
                                         clock_wall());
    mailbox_send(&c->inbox, &m->mail);
}

size_t comparer_write(struct comparer *c, struct slice route, enum comparer_part part, struct json *array)
{
    size_t written = 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->findings_count; i++) {
        const struct findings *f = c->findings[i];
        if (!slice_equal(f->route, route))
            continue;
        struct json *object = json_push_object(array);
        if (part == COMPARER_FINDINGS) {
            findings_write(f, object);
        } else {
            json_put_string(object, "upstream", f->upstream);
            diffs_write(&f->diffs, json_put_array(object, "diffs"));
        }
        written++;
    }
    pthread_mutex_unlock(&c->lock);
    return written;
}

/* ---- workers ----------------------------------------------------------------------------------------------------------- */

bool comparer_has_room(const struct comparer *c)
{
    return atomic_load_explicit(&c->queued_count, memory_order_relaxed) < COMPARER_PAIRS_MAX &&
           atomic_load_explicit(&c->queued_bytes, memory_order_relaxed) < COMPARER_BYTES_MAX;
}

/* Counted before it is asked: workers that submit at the same moment never pass the limit together. */
bool comparer_submit(struct comparer *c, struct pair *p)
{
    size_t bytes = pair_memory_bytes(p);
    uint32_t count = atomic_fetch_add_explicit(&c->queued_count, 1, memory_order_relaxed) + 1;
    uint64_t total = atomic_fetch_add_explicit(&c->queued_bytes, bytes, memory_order_relaxed) + bytes;
    CHECK(p->awaited_count == 0);
    if (count > COMPARER_PAIRS_MAX || total > COMPARER_BYTES_MAX) {
        atomic_fetch_sub_explicit(&c->queued_bytes, bytes, memory_order_relaxed);
        atomic_fetch_sub_explicit(&c->queued_count, 1, memory_order_relaxed);
        pair_destroy(p);
        return false;
    }
    p->mail.kind = MAIL_PAIR;
    mailbox_send(&c->inbox, &p->mail);
    return true;
}

bool comparer_is_idle(const struct comparer *c)
{
    return atomic_load_explicit(&c->queued_count, memory_order_acquire) == 0;
}
