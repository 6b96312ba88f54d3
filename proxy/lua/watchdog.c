/* lua/watchdog.c - cuts off calls that used up their time, from outside. */
#include "lua/watchdog.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define WATCH_MAGIC     0x57415443u
#define LOOK_EVERY_NS   1000000 /* a call is seen at most this late, and cut at most this late */
#define LOOKS_FOR_SLEEP 100     /* without a call, and the thread sleeps until one starts */
#define CUT_SIGNAL      SIGRTMIN

struct watchdog {
    pthread_t thread;
    pthread_mutex_t lock; /* of `watches`; never taken by a call */
    struct list watches;
    sem_t wakes;
    _Atomic(bool) is_asleep, is_stopping;
};

static int64_t cpu_us(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the worker's thread ------------------------------------------------------------------------------------------- */

/* Anybody with our user id may send a signal, only this process one with a pointer that it knows. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    if (info->si_code != SI_QUEUE || info->si_pid != getpid())
        return;
    struct call_watch *w = info->si_value.sival_ptr;
    if (atomic_load_explicit(&w->late_seq, memory_order_relaxed) == atomic_load_explicit(&w->seq, memory_order_relaxed))
        w->cut(w->arg);
}

static void set_signal_mask(int how, sigset_t *old)
{
    sigset_t cut;
    sigemptyset(&cut);
    sigaddset(&cut, CUT_SIGNAL);
    CHECK(pthread_sigmask(how, &cut, old) == 0);
}

void watch_attach(struct call_watch *w, struct watchdog *dog, void (*cut)(void *arg), void *arg)
{
    *w = (struct call_watch){ .magic = WATCH_MAGIC, .dog = dog, .thread = pthread_self(), .cut = cut, .arg = arg };
    CHECK(pthread_getcpuclockid(w->thread, &w->cpu_clock) == 0);
    set_signal_mask(SIG_UNBLOCK, NULL);
    pthread_mutex_lock(&dog->lock);
    list_append(&dog->watches, &w->link);
    pthread_mutex_unlock(&dog->lock);
}

void watch_detach(struct call_watch *w)
{
    CHECK_MAGIC(w, WATCH_MAGIC);
    CHECK((atomic_load_explicit(&w->seq, memory_order_relaxed) & 1) == 0);
    pthread_mutex_lock(&w->dog->lock);
    list_remove(&w->link);
    pthread_mutex_unlock(&w->dog->lock);
    /* What was sent before is delivered on the way out of this system call, if it was not before. */
    set_signal_mask(SIG_UNBLOCK, NULL);
    w->magic = 0;
}

bool watchdog_is_asleep(struct watchdog *dog)
{
    return atomic_load(&dog->is_asleep);
}

void watchdog_wake(struct watchdog *dog)
{
    if (atomic_exchange(&dog->is_asleep, false))
        sem_post(&dog->wakes);
}

int64_t watch_cpu_us(void)
{
    return cpu_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t watch_last_call_cpu_us(const struct call_watch *w)
{
    uint64_t last = atomic_load_explicit(&w->seq, memory_order_relaxed) - 1;
    if (atomic_load_explicit(&w->seen_seq, memory_order_acquire) != last)
        return 0;
    return watch_cpu_us() - atomic_load_explicit(&w->seen_cpu_us, memory_order_relaxed);
}

/* The store of seq comes before the load of is_asleep, as the other side stores is_asleep before it looks at seq a last
   time: one of them sees the other. */
void watch_call_started(struct call_watch *w, int64_t budget_us)
{
    uint64_t seq = atomic_load_explicit(&w->seq, memory_order_relaxed);
    CHECK((seq & 1) == 0);
    atomic_store_explicit(&w->budget_us, budget_us, memory_order_relaxed);
    atomic_store(&w->seq, seq + 1);
    if (watchdog_is_asleep(w->dog))
        watchdog_wake(w->dog);
}

void watch_call_ended(struct call_watch *w)
{
    uint64_t seq = atomic_load_explicit(&w->seq, memory_order_relaxed);
    CHECK((seq & 1) == 1);
    atomic_store_explicit(&w->seq, seq + 1, memory_order_release);
}

/* ---- the watchdog's thread ----------------------------------------------------------------------------------------- */

/* A signal that comes too late is repeated with the next look, one for another call is ignored by the handler. */
static bool look_at(struct call_watch *w)
{
    uint64_t seq = atomic_load(&w->seq);
    if ((seq & 1) == 0)
        return false;
    if (seq != atomic_load_explicit(&w->seen_seq, memory_order_relaxed)) {
        atomic_store_explicit(&w->seen_cpu_us, cpu_us(w->cpu_clock), memory_order_relaxed);
        atomic_store_explicit(&w->seen_seq, seq, memory_order_release);
        return true;
    }
    int64_t seen_us = atomic_load_explicit(&w->seen_cpu_us, memory_order_relaxed);
    if (cpu_us(w->cpu_clock) - seen_us < atomic_load_explicit(&w->budget_us, memory_order_relaxed))
        return true;
    atomic_store_explicit(&w->late_seq, seq, memory_order_relaxed);
    int result = pthread_sigqueue(w->thread, CUT_SIGNAL, (union sigval){ .sival_ptr = w });
    CHECK(result == 0 || result == EAGAIN); /* the system's queue of signals is full: with the next look */
    return true;
}

/* Was a call seen? */
static bool look(struct watchdog *dog)
{
    bool is_any = false;
    pthread_mutex_lock(&dog->lock);
    LIST_FOREACH_SAFE (link, &dog->watches)
        is_any |= look_at(LIST_ITEM(link, struct call_watch, link));
    pthread_mutex_unlock(&dog->lock);
    return is_any;
}

static void fall_asleep(struct watchdog *dog)
{
    atomic_store(&dog->is_asleep, true);
    if (look(dog) || atomic_load(&dog->is_stopping))
        watchdog_wake(dog);
    while (sem_wait(&dog->wakes) != 0)
        CHECK(errno == EINTR);
}

/* Beside workers that use up their cores, an ordinary thread waits for its turn: calls were cut 3 or 4 ms late. It looks for some
   microseconds a millisecond, so it may go first. Only root may say so, or who was allowed to; else it stays as it is. */
static void go_first(void)
{
    const struct sched_param lowest = { .sched_priority = 1 };
    if (pthread_setschedparam(pthread_self(), SCHED_RR, &lowest) != 0)
        log_debug("script: the watchdog has no priority over the workers");
}

static void *watchdog_run(void *arg)
{
    struct watchdog *dog = arg;
    int idle = 0;
    go_first();
    while (!atomic_load(&dog->is_stopping)) {
        idle = look(dog) ? 0 : idle + 1;
        if (idle < LOOKS_FOR_SLEEP) {
            clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = LOOK_EVERY_NS }, NULL);
        } else {
            fall_asleep(dog);
            idle = 0;
        }
    }
    return NULL;
}

struct watchdog *watchdog_create(void)
{
    struct watchdog *dog = memory_zalloc(sizeof(*dog));
    list_init(&dog->watches);
    CHECK(pthread_mutex_init(&dog->lock, NULL) == 0);
    CHECK(sem_init(&dog->wakes, 0, 0) == 0);
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigfillset(&action.sa_mask);
    CHECK(sigaction(CUT_SIGNAL, &action, NULL) == 0);
    sigset_t all, old;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &old) == 0); /* signals are for others */
    CHECK(pthread_create(&dog->thread, NULL, watchdog_run, dog) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    return dog;
}

void watchdog_destroy(struct watchdog *dog)
{
    CHECK(list_is_empty(&dog->watches));
    atomic_store(&dog->is_stopping, true);
    watchdog_wake(dog);
    CHECK(pthread_join(dog->thread, NULL) == 0);
    sem_destroy(&dog->wakes);
    pthread_mutex_destroy(&dog->lock);
    memory_free(dog);
}
