/* tests/unit/admin/test_session.c - replies that wait for the workers, with a process that is only pretended. */
#include "admin/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char folder[64], path[4][96];
static struct loop *loop;
static struct store *store;
static struct snapshot *snapshot;
static struct weights weights;
static struct admin *admin;
static struct reload_outcome outcome = { .result = RELOAD_APPLIED, .generation = 2 };

/* What the admin asked to be told. */
static struct {
    void (*done)(void *arg, uint64_t ticket);
    void *arg;
    uint64_t tickets[8];
    int count;
} waiting;

static const struct snapshot *get_snapshot(void *arg)
{
    (void)arg;
    return snapshot;
}

static const struct weights *get_weights(void *arg)
{
    (void)arg;
    return &weights;
}

static const struct override *get_overrides(void *arg, size_t *count)
{
    (void)arg;
    *count = 0;
    return NULL;
}

static const struct reload_outcome *do_reload(void *arg, struct slice source, struct slice by)
{
    (void)arg;
    (void)source;
    (void)by;
    return &outcome;
}

static bool get_rollout_owner(void *arg, struct slice route, struct slice *name)
{
    (void)arg;
    (void)route;
    (void)name;
    return false;
}

static bool do_set_weights(void *arg, const struct compiled_route *route, const uint32_t *set,
                           const struct actor *actor, struct slice reason, struct text *error)
{
    (void)arg;
    (void)route;
    (void)set;
    (void)actor;
    (void)reason;
    (void)error;
    return true;
}

/* The rollout that the words are about. */
static struct {
    const char *state;
    bool is_in_force, is_gone;
} release;

static bool get_rollout(void *arg, struct slice name, struct json *object)
{
    (void)arg;
    (void)name;
    json_put_cstr(object, "state", release.state);
    json_put_bool(object, "is_in_force", release.is_in_force);
    return !release.is_gone;
}

static enum rollout_reply do_rollout_act(void *arg, struct slice name, const char *action, const struct actor *actor,
                                         struct slice reason, struct text *error)
{
    (void)arg;
    (void)name;
    (void)action;
    (void)actor;
    (void)reason;
    (void)error;
    release.state = "rolling_back";
    release.is_in_force = false;
    return ROLLOUT_REPLY_DONE;
}

static void when_settled(void *arg, void (*done)(void *done_arg, uint64_t ticket), void *done_arg, uint64_t ticket)
{
    (void)arg;
    waiting.done = done;
    waiting.arg = done_arg;
    waiting.tickets[waiting.count++] = ticket;
}

static void snapshot_load(void)
{
    struct arena arena;
    struct err_list errors;
    FILE *f = fopen(path[1], "w");
    fputs("listeners: { web: { bind: 127.0.0.1:0 } }\n"
          "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] }, b: { endpoints: [ 127.0.0.1:2 ] } }\n"
          "routes: [ { name: shop, split: { a: 1, b: 1 } } ]\n",
          f);
    fclose(f);
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    snapshot = snapshot_create(path[1], &config_source_system, 1, &errors);
    cr_assert_not_null(snapshot);
    arena_reset(&arena);
}

static void session_fixture_init(void)
{
    static const char *const names[] = { "admin.sock", "weir.yaml", "weir.db" };
    struct arena arena;
    struct err_list errors;
    snprintf(folder, sizeof folder, "/tmp/weir-session-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        snprintf(path[i], sizeof path[i], "%s/%s", folder, names[i]);
    snapshot_load();
    store = store_open(path[2]);
    loop = loop_create(NULL);
    struct admin_control control = { .store = store,
                                     .snapshot = get_snapshot,
                                     .weights = get_weights,
                                     .overrides = get_overrides,
                                     .reload = do_reload,
                                     .set_weights = do_set_weights,
                                     .rollout_owner = get_rollout_owner,
                                     .rollout = get_rollout,
                                     .rollout_act = do_rollout_act,
                                     .when_settled = when_settled };
    struct admin_options options = {
        .loop = loop, .control = &control, .socket_path = path[0], .config = &snapshot->config->admin
    };
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    admin = admin_open(&options, &errors);
    cr_assert_not_null(admin);
    arena_reset(&arena);
}

static void session_fixture_fini(void)
{
    char command[96];
    admin_close(admin);
    loop_turn_now(loop);
    loop_destroy(loop);
    store_close(store);
    snapshot_destroy(snapshot);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(session, .init = session_fixture_init, .fini = session_fixture_fini);

/* ---- the peer -------------------------------------------------------------------------------------------------------- */

static int peer_open(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path[0]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void peer_send(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* What has arrived: "" when nothing has. */
static const char *peer_read(int fd)
{
    static char bytes[8192];
    ssize_t n = read(fd, bytes, sizeof bytes - 1);
    bytes[n > 0 ? n : 0] = '\0';
    return bytes;
}

static void on_time(void *arg)
{
    (void)arg;
}

static void turns(int count)
{
    struct timer timer; /* so that no turn waits for ever */
    timer_init(&timer, on_time, NULL);
    for (int i = 0; i < count; i++) {
        timer_start(loop, &timer, 0);
        loop_turn(loop);
    }
    timer_stop(loop, &timer);
}

static void turn_until_waiting(int count)
{
    for (int i = 0; i < 1000 && waiting.count < count; i++)
        turns(1);
    cr_assert_eq(waiting.count, count);
}

static const char reload[] = "POST /api/v1/reload?reason=x HTTP/1.1\r\nHost: x\r\n\r\n";

Test(session, a_reload_is_answered_when_the_workers_have_switched)
{
    int fd = peer_open();
    peer_send(fd, reload);
    turn_until_waiting(1);
    turns(3);
    cr_assert_str_eq(peer_read(fd), "");
    waiting.done(waiting.arg, waiting.tickets[0]);
    turns(3);
    cr_assert(strncmp(peer_read(fd), "HTTP/1.1 200 ", 13) == 0);
    close(fd);
}

Test(session, weights_are_answered_when_the_workers_have_them)
{
    int fd = peer_open();
    peer_send(fd, "PUT /api/v1/routes/shop/split?reason=x HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\n"
                  "{\"weights\":{\"a\":1,\"b\": 3 }} ");
    turn_until_waiting(1);
    turns(3);
    cr_assert_str_eq(peer_read(fd), "");
    waiting.done(waiting.arg, waiting.tickets[0]);
    turns(3);
    cr_assert(strncmp(peer_read(fd), "HTTP/1.1 200 ", 13) == 0);
    close(fd);
}

static const char rollback[] = "POST /api/v1/rollouts/shop/rollback?reason=x HTTP/1.1\r\nHost: x\r\n\r\n";

static void settle_newest(void)
{
    waiting.done(waiting.arg, waiting.tickets[waiting.count - 1]);
    turns(3);
}

Test(session, a_word_is_answered_with_how_it_stands_when_its_weight_is_in_force)
{
    int fd = peer_open();
    peer_send(fd, rollback);
    turn_until_waiting(1);
    turns(3);
    cr_assert_str_eq(peer_read(fd), "");
    settle_newest(); /* of weights that something else has overtaken: they are on their way again */
    cr_assert_str_eq(peer_read(fd), "");
    cr_assert_eq(waiting.count, 2);
    release.state = "rolled_back";
    release.is_in_force = true;
    settle_newest();
    const char *answer = peer_read(fd);
    cr_assert(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
    cr_expect_not_null(strstr(answer, "rolled_back"), "%s", answer);
    cr_expect_null(strstr(answer, "rolling_back"), "%s", answer);
    peer_send(fd, rollback); /* the next one begins anew */
    turn_until_waiting(3);
    release.is_gone = true;
    settle_newest();
    cr_expect_not_null(strstr(peer_read(fd), "rolling_back"));
    close(fd);
}

Test(session, a_rejected_reload_is_answered_at_once)
{
    int fd = peer_open();
    outcome.result = RELOAD_REJECTED;
    peer_send(fd, reload);
    turns(20);
    const char *answer = peer_read(fd);
    cr_assert(strncmp(answer, "HTTP/1.1 422 ", 13) == 0);
    cr_assert_eq(waiting.count, 0);
    close(fd);
}

Test(session, what_is_pipelined_behind_a_held_reply_waits_for_it)
{
    int fd = peer_open();
    peer_send(fd, reload);
    peer_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    turn_until_waiting(1);
    turns(3);
    cr_assert_str_eq(peer_read(fd), "");
    waiting.done(waiting.arg, waiting.tickets[0]);
    turns(3);
    const char *answers = peer_read(fd);
    cr_assert(strncmp(answers, "HTTP/1.1 200 ", 13) == 0);
    cr_assert_not_null(strstr(answers, "\r\n\r\nok\n"));
    close(fd);
}

Test(session, a_ticket_is_worth_one_reply_to_its_own_session)
{
    int first = peer_open(), second = peer_open();
    peer_send(first, reload);
    turn_until_waiting(1);
    peer_send(second, reload);
    turn_until_waiting(2);
    waiting.done(waiting.arg, waiting.tickets[1]);
    waiting.done(waiting.arg, waiting.tickets[1]);
    turns(3);
    cr_assert_str_eq(peer_read(first), "");
    const char *answer = peer_read(second);
    cr_assert(strncmp(answer, "HTTP/1.1 200 ", 13) == 0);
    cr_assert_null(strstr(answer + 1, "HTTP/1.1"));
    waiting.done(waiting.arg, waiting.tickets[0] ^ (1ull << 32)); /* nobody's */
    waiting.done(waiting.arg, waiting.tickets[0]);
    turns(3);
    cr_assert(strncmp(peer_read(first), "HTTP/1.1 200 ", 13) == 0);
    close(first);
    close(second);
}

/* ---- who follows the events -------------------------------------------------------------------------------------------- */

static void publish(const char *text)
{
    struct event_row event = { .id = 7, .at = { 1 }, .kind = SLICE("deploy"), .text = slice_from_cstr(text) };
    admin_publish(admin, &event);
}

static int follower_open(void)
{
    int fd = peer_open();
    peer_send(fd, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 1000 && admin->follower_count == 0; i++)
        turns(1);
    cr_assert_eq(admin->follower_count, 1);
    const char *head = peer_read(fd);
    cr_assert(strncmp(head, "HTTP/1.1 200 ", 13) == 0);
    cr_assert_not_null(strstr(head, "Connection: close"));
    cr_assert_null(strstr(head, "Content-Length"));
    return fd;
}

Test(session, a_follower_gets_each_event_at_once_and_what_it_says_is_dropped)
{
    int fd = follower_open();
    peer_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    turns(3);
    cr_assert_str_eq(peer_read(fd), "");
    publish("v2");
    cr_assert_str_eq(peer_read(fd), "id: 7\nevent: deploy\ndata: {\"id\":7,\"at\":\"1970-01-01T00:00:00.001Z\","
                                    "\"kind\":\"deploy\",\"subject\":\"\",\"text\":\"v2\",\"who\":\"\","
                                    "\"detail\":null}\n\n");
    close(fd);
    turns(3);
    cr_assert_eq(admin->follower_count, 0);
    publish("nobody hears this");
}

/* It gets what the kernel holds and 256 KiB; the others never wait for it. */
Test(session, a_follower_that_does_not_read_is_cut_off)
{
    static char long_text[60000];
    int fd = follower_open();
    memset(long_text, 'x', sizeof long_text - 1);
    for (int i = 0; i < 1000 && admin->follower_count == 1; i++)
        publish(long_text);
    cr_assert_eq(admin->follower_count, 0);
    turns(3);
    cr_assert(list_is_empty(&admin->sessions));
    close(fd);
}
