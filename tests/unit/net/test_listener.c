/* tests/unit/net/test_listener.c - what accept answers: connections, errors that pass, errors that would make it spin; binds that fail. */
#include "net/listener.h"

#include "stats/counters.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    struct listener listener;
    struct stats_worker *stats;
    struct sockaddr_in address;
    int fd, accepted_count;
};

static void on_accept(struct listener *l, int fd, const struct sockaddr *peer, socklen_t peer_length)
{
    struct fixture *f = l->owner;
    (void)peer;
    (void)peer_length;
    f->accepted_count++;
    close(fd);
}

static void fixture_open(struct fixture *f)
{
    struct endpoint_address bind = { .kind = ADDRESS_IP };
    socklen_t length = sizeof(f->address);
    *f = (struct fixture){ .stats = stats_worker_create() };
    cr_assert(ip_parse(SLICE("127.0.0.1"), &bind.ip));
    f->fd = listener_open_socket(&bind, false, 0, (struct place){ 0 }, NULL);
    cr_assert_geq(f->fd, 0);
    cr_assert_eq(getsockname(f->fd, (struct sockaddr *)&f->address, &length), 0);
    f->loop = loop_create(f->stats);
    listener_start(&f->listener, f->loop, f->fd, on_accept, f);
}

static void fixture_close(struct fixture *f)
{
    listener_stop(&f->listener);
    loop_destroy(f->loop);
    stats_worker_destroy(f->stats);
    close(f->fd);
}

static void knock(struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&f->address, sizeof(f->address)), 0);
    close(fd);
}

static uint64_t failure_count(struct fixture *f)
{
    return atomic_load(&f->stats->counters[STATS_ACCEPT_FAILURES]);
}

/* From now on that system call fails with that error, whatever was said before, in this process, which is this test's alone. */
static void make_fail(uint32_t call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(listener, takes_what_waits)
{
    struct fixture f;
    fixture_open(&f);
    for (int i = 0; i < 5; i++)
        knock(&f);
    while (f.accepted_count < 5)
        loop_turn(f.loop);
    cr_assert_eq(failure_count(&f), 0);
    fixture_close(&f);
}

/* An error of one connection at a time stands for a queue without end. */
Test(listener, a_queue_that_does_not_empty_has_more_taken_from_it_each_turn)
{
    static const uint64_t due[] = { 1, 2, 4, 8, 16, 32, 64, 64 };
    struct fixture f;
    fixture_open(&f);
    knock(&f);
    make_fail(SYS_accept4, ECONNABORTED);
    for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++) {
        uint64_t before = failure_count(&f);
        loop_turn(f.loop);
        cr_assert_eq(failure_count(&f), before + due[i], "turn %zu", i);
    }
    fixture_close(&f);
}

static void on_pause(void *arg)
{
    *(bool *)arg = true;
}

/* Turns in which nobody knocks. */
static void pause_knocking(struct fixture *f)
{
    struct timer timer;
    bool is_over = false;
    timer_init(&timer, on_pause, &is_over);
    timer_start(f->loop, &timer, 1);
    while (!is_over)
        loop_turn(f->loop);
}

Test(listener, who_comes_alone_is_taken_without_asking_for_another)
{
    struct fixture f;
    fixture_open(&f);
    for (int i = 1; i <= 3; i++) {
        knock(&f);
        knock(&f);
        loop_turn(f.loop);
        cr_assert_eq(f.accepted_count, 2 * i - 1, "the first turn takes one");
        loop_turn(f.loop);
        cr_assert_eq(f.accepted_count, 2 * i, "the next takes what is left");
        pause_knocking(&f);
    }
    fixture_close(&f);
}

Test(listener, an_error_that_stays_is_met_once_and_then_waited_for)
{
    static const int errors[] = { ENOBUFS, ENOMEM, EPERM, EMFILE, ENFILE, EINVAL, EOPNOTSUPP, EIO };
    struct fixture f;
    fixture_open(&f);
    knock(&f);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        uint64_t before = failure_count(&f);
        make_fail(SYS_accept4, errors[i]);
        while (failure_count(&f) == before)
            loop_turn(f.loop);
        cr_assert_eq(failure_count(&f), before + 1, "error %d is tried once a turn", errors[i]);
        loop_turn(f.loop); /* the wait ends in it, at the earliest */
        cr_assert_eq(failure_count(&f), before + 1, "error %d does not spin", errors[i]);
    }
    fixture_close(&f);
}

Test(listener, an_error_of_one_connection_does_not_hold_up_the_next)
{
    static const int errors[] = { ECONNABORTED, EPROTO,    ENOPROTOOPT,  ENETDOWN,
                                  ENETUNREACH,  EHOSTDOWN, EHOSTUNREACH, ENONET };
    struct fixture f;
    fixture_open(&f);
    knock(&f);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        uint64_t before = failure_count(&f);
        make_fail(SYS_accept4, errors[i]);
        loop_turn(f.loop);
        cr_assert_gt(failure_count(&f), before, "error %d is met", errors[i]);
        before = failure_count(&f);
        listener_drain(&f.listener);
        cr_assert_gt(failure_count(&f), before + 64, "error %d: a drain goes on too, and ends", errors[i]);
    }
    fixture_close(&f);
}

Test(listener, a_file_that_another_listens_on_is_no_port)
{
    char path[64];
    snprintf(path, sizeof(path), "/tmp/weir-listener-%d", (int)getpid());
    struct endpoint_address bind = { .kind = ADDRESS_UNIX, .name = slice_from_cstr(path) };
    struct arena arena;
    struct err_list errors;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    int fd = listener_open_socket(&bind, false, 0, (struct place){ 0 }, &errors);
    cr_assert_geq(fd, 0);
    cr_assert_eq(listener_open_socket(&bind, false, 0, (struct place){ 0 }, &errors), -1);
    cr_assert_str_eq(errors.first->hint, "another process listens on that file; stop it or choose another");
    close(fd);
    unlink(path);
    arena_reset(&arena);
}

Test(listener, no_permission_is_told_with_what_gives_it)
{
    struct endpoint_address bind = { .kind = ADDRESS_IP, .port = 443 };
    struct arena arena;
    struct err_list errors;
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    cr_assert(ip_parse(SLICE("127.0.0.1"), &bind.ip));
    make_fail(SYS_bind, EACCES);
    cr_assert_eq(listener_open_socket(&bind, false, 0, (struct place){ 0 }, &errors), -1);
    cr_expect_str_eq(errors.first->message, "could not listen on '127.0.0.1:443': Permission denied");
    cr_expect_str_eq(errors.first->hint, "ports below 1024 need CAP_NET_BIND_SERVICE or a start as root");
    arena_reset(&arena);
}
