/* shadow/comparer.c - the thread that compares: pairs come in from the workers, findings go out to the admin API.
 *
 * The lock guards the list of findings and all that is in them but their plans, which never change. Comparing itself,
 * which takes the time, is done without; meanwhile the findings it is for are held by a count, so that main may take them
 * off the list. */
#include "shadow/comparer.h"

#include "base/memory.h"
#include "shadow/findings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define COMPARER_MAGIC 0x434f4d50u
#define COMPARER_NICE  10 /* beside workers that want the processor, it gets a tenth */

enum comparer_mail { MAIL_PAIR, MAIL_STOP };

struct comparer {
    uint32_t magic;
    struct comparer_hooks hooks;
    pthread_t thread;
    struct loop *loop;
    struct mailbox inbox;
    struct turn_hook hook;
    struct mail stop;
    _Atomic uint32_t queued_count; /* pairs submitted and not done */
    _Atomic uint64_t queued_bytes; /* memory they take */
    atomic_bool is_stopping;       /* what comes is not compared any more */

    pthread_mutex_t lock;
    struct findings **findings; /* with the lock */
    size_t findings_count;

    struct comparison comparison; /* the thread's: of the pair it looks at */
};

/* ---- the thread -------------------------------------------------------------------------------------------------------- */

/* A handful: as many as shadows that are compared. NULL for one that a reload took away in the meantime. */
static struct findings *findings_hold(struct comparer *c, uint32_t shadow_id)
{
    struct findings *held = NULL;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->findings_count && held == NULL; i++)
        if (c->findings[i]->shadow_id == shadow_id)
            held = c->findings[i];
    if (held != NULL)
        held->use_count++;
    pthread_mutex_unlock(&c->lock);
    return held;
}

/* With the lock. */
static void findings_let_go(struct findings *f)
{
    if (--f->use_count == 0)
        findings_destroy(f);
}

static void pair_skip(struct comparer *c, struct findings *f)
{
    pthread_mutex_lock(&c->lock);
    findings_skip(f);
    findings_let_go(f);
    pthread_mutex_unlock(&c->lock);
}

static void pair_judge(struct comparer *c, struct findings *f, const struct pair *p)
{
    compare_pair(f->plan, p, &c->comparison);
    pthread_mutex_lock(&c->lock);
    enum verdict verdict = findings_add(f, p, &c->comparison);
    findings_let_go(f);
    pthread_mutex_unlock(&c->lock);
    comparison_clear(&c->comparison);
    if (c->hooks.on_verdict != NULL)
        c->hooks.on_verdict(c->hooks.arg, p->shadow_id, verdict);
}

static void pair_compare(struct comparer *c, const struct pair *p)
{
    struct findings *f = findings_hold(c, p->shadow_id);
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
    pair_check(p);
    if ((p->uses & PAIR_FOR_COMPARE) != 0 && !atomic_load_explicit(&c->is_stopping, memory_order_relaxed))
        pair_compare(c, p);
    if ((p->uses & PAIR_FOR_RECORD) != 0 && c->hooks.on_record != NULL)
        c->hooks.on_record(c->hooks.arg, p);
    pair_destroy(p);
    atomic_fetch_sub_explicit(&c->queued_bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->queued_count, 1, memory_order_release);
}

static void comparer_on_mail(void *owner, struct mail *mail)
{
    struct comparer *c = owner;
    CHECK_MAGIC(c, COMPARER_MAGIC);
    switch ((enum comparer_mail)mail->kind) {
    case MAIL_PAIR:
        pair_take(c, CONTAINER_OF(mail, struct pair, mail));
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

/* ---- configuration ----------------------------------------------------------------------------------------------------- */

static bool is_same(const struct findings *a, const struct findings *b)
{
    return a->shadow_id == b->shadow_id && a->digest == b->digest;
}

/* An old one that is still wanted takes the place of the new one, which is empty. */
static struct findings *old_or_new(struct comparer *c, struct findings *made)
{
    for (size_t i = 0; i < c->findings_count; i++)
        if (c->findings[i] != NULL && is_same(made, c->findings[i])) {
            findings_let_go(made);
            return TAKE(&c->findings[i]);
        }
    return made;
}

static void findings_drop_all(struct comparer *c)
{
    for (size_t i = 0; i < c->findings_count; i++)
        if (c->findings[i] != NULL)
            findings_let_go(c->findings[i]);
    memory_free(c->findings);
}

/* Which pairs are judged by the new ones, those under way or those that come, does not matter. */
void comparer_configure(struct comparer *c, const struct compared_shadow *shadows, size_t count)
{
    struct findings **findings = memory_resize_array(NULL, count + 1, sizeof *findings);
    CHECK_MAGIC(c, COMPARER_MAGIC);
    for (size_t i = 0; i < count; i++)
        findings[i] = findings_create(shadows[i].shadow_id, shadows[i].route, shadows[i].upstream, shadows[i].config,
                                      clock_wall());
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < count; i++)
        findings[i] = old_or_new(c, findings[i]);
    findings_drop_all(c);
    c->findings = findings;
    c->findings_count = count;
    pthread_mutex_unlock(&c->lock);
}

/* ---- main -------------------------------------------------------------------------------------------------------------- */

struct comparer *comparer_start(const struct comparer_hooks *hooks)
{
    struct comparer *c = memory_zalloc(sizeof *c);
    c->magic = COMPARER_MAGIC;
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
    CHECK_MAGIC(c, COMPARER_MAGIC);
    atomic_store_explicit(&c->is_stopping, true, memory_order_relaxed);
    mailbox_send(&c->inbox, &c->stop);
    CHECK(pthread_join(c->thread, NULL) == 0);
    mailbox_close(&c->inbox);
    comparison_clear(&c->comparison);
    findings_drop_all(c);
    pthread_mutex_destroy(&c->lock);
    loop_destroy(c->loop);
    c->magic = 0;
    memory_free(c);
}

size_t comparer_write(struct comparer *c, struct slice route, enum comparer_part part, struct json *array)
{
    size_t written = 0;
    CHECK_MAGIC(c, COMPARER_MAGIC);
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
    CHECK_MAGIC(c, COMPARER_MAGIC);
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
