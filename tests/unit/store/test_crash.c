/* tests/unit/store/test_crash.c - a process killed at any instant: what it had been told is stored, is there afterwards. */
#include "store/fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/hash.h"
#include "store/deed.h"

#define ROUNDS 40

TestSuite(crash, .init = fixture_init, .fini = fixture_fini);

/* Writes transition after transition, and tells each one's number once it is acknowledged. */
static void write_for_ever(int to, int64_t from)
{
    struct store *s = store_open(database);
    for (int64_t n = from; store_is_usable(s); n++) {
        struct rollout_row row = { .name = SLICE("r"), .state = SLICE("running"), .step = n, .weight_ppm = 1 };
        struct transition_row t = { .rollout = row.name, .to_state = row.state, .step = n };
        struct deed d = { .audit = { .at = { n + 1 }, .action = SLICE("rollout.step") },
                          .rollout = &row,
                          .transition = &t };
        if (!deed_write(s, &d) || write(to, &n, sizeof n) != sizeof n)
            break;
    }
    _exit(1);
}

/* Everything that was acknowledged, and at most the one that was under way. */
static int64_t assert_whole(int64_t acknowledged)
{
    struct store *s = open_good();
    struct audit_verdict v;
    struct rollout_stored *rollout;
    struct transition_row *transitions;
    size_t transition_count;
    cr_assert(audit_verify(s, &v), "%s", store_message(s));
    cr_assert_eq(v.bad_id, 0, "line %lld: %s", (long long)v.bad_id, v.why);
    cr_assert_null(audit_head_fault(s));
    cr_assert(rollouts_load(s, &arena, SLICE("r"), &rollout));
    cr_assert(transitions_list(s, &arena, SLICE("r"), 1, &transitions, &transition_count));
    int64_t newest = rollout != NULL ? rollout->row.step : -1;
    cr_assert(newest == acknowledged || newest == acknowledged + 1, "%lld after %lld was acknowledged",
              (long long)newest, (long long)acknowledged);
    cr_assert_eq(v.checked_count, newest + 1);
    if (newest >= 0)
        cr_assert(transition_count == 1 && transitions[0].step == newest && transitions[0].audit_id == newest + 1);
    store_close(s);
    arena_reset(&arena);
    return newest;
}

/* The child is killed some time after its `ack_count`th word; none of them: while it opens the database, or its first commit.
   The pipe is read to its end, so that nothing that was told is overlooked. */
static int64_t round_run(int64_t from, uint64_t ack_count, uint64_t delay_us)
{
    int64_t newest = from - 1;
    int ends[2], status;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        write_for_ever(ends[1], from);
    close(ends[1]);
    for (uint64_t i = 0; i < ack_count; i++)
        cr_assert_eq(read(ends[0], &newest, sizeof newest), sizeof newest);
    nanosleep(&(struct timespec){ .tv_nsec = (long)(delay_us * 1000) }, NULL);
    cr_assert_eq(kill(child, SIGKILL), 0);
    for (int64_t n; read(ends[0], &n, sizeof n) == sizeof n;)
        newest = n;
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return newest;
}

Test(crash, what_was_acknowledged_survives_a_kill_at_any_instant)
{
    int64_t newest = -1;
    for (uint64_t i = 0; i < ROUNDS; i++)
        newest = assert_whole(round_run(newest + 1, i % 6, hash_mix(i) % 3000));
    cr_assert_gt(newest, ROUNDS);
}
