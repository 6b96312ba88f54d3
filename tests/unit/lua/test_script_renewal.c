/* tests/unit/lua/test_script_renewal.c - a state that the scripts have filled, and the one that takes its place. */
#include "lua/hooks.h"

#include <criterion/criterion.h>

#define BUDGET_US 50000 /* of CPU time: enough for anything that ends, with sanitizers too */
#define ENOUGH    40    /* calls that fill a state: each keeps 60 kB of 1.5 MiB */

/* Its answer says how much it has kept; on_response, what is left in ctx. */
static const char keeper[] = "local kept = {}\n"
                             "return { on_request = function(req)\n"
                             "  kept[#kept + 1] = ('x'):rep(60000) .. #kept\n"
                             "  req.ctx.kept = #kept\n"
                             "  return { status = 200, body = tostring(#kept) }\n"
                             "end, on_response = function(req, resp)\n"
                             "  resp:set_header('x-kept', tostring(req.ctx.kept))\n"
                             "end }";

static struct hooks h;
static struct script_host *used;
static unsigned full_count;

static void on_full(void *arg)
{
    (void)arg;
    full_count++;
}

static void on_used(void *arg, struct script_host *old)
{
    (void)arg;
    cr_assert_null(used);
    used = old;
}

static void open_with(const struct script_renewal *renewal)
{
    cr_assert(hooks_open(&h, SLICE(keeper), SLICE_NONE));
    script_host_detach(h.host);
    script_host_attach(h.host, renewal);
}

static void begin(struct hooks_request *r)
{
    cr_assert(hooks_request_begin(r, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")));
}

/* What the script says that it has kept; 0: the call failed. */
static unsigned keep(struct hooks_request *r)
{
    uint64_t kept = 0;
    enum vm_result result = hooks_on_request(&h, 0, r, BUDGET_US);
    cr_assert(result == VM_OK || result == VM_MEMORY, "%s", vm_result_names[result]);
    cr_assert(result != VM_OK || slice_to_u64(r->call.answer->body, &kept));
    return (unsigned)kept;
}

static unsigned keep_once(void)
{
    struct hooks_request r;
    begin(&r);
    unsigned kept = keep(&r);
    hooks_request_end(&r, &h);
    return kept;
}

static const struct script_renewal renewal = { .on_full = on_full, .on_used = on_used };

Test(script_renewal, a_state_that_is_full_is_made_anew_before_the_next_call)
{
    unsigned most = 0, begun = 0;
    open_with(NULL);
    for (int i = 0; i < 2 * ENOUGH; i++) {
        unsigned kept = keep_once();
        begun += kept == 1;
        most = kept > most ? kept : most;
    }
    cr_assert(begun > 1 && most > 10 && most < ENOUGH, "%u, %u", begun, most);
    hooks_close(&h);
}

Test(script_renewal, one_that_is_made_elsewhere_is_asked_for_once_and_takes_its_place)
{
    unsigned most = 0;
    struct hooks_request before;
    open_with(&renewal);
    begin(&before);
    cr_assert_eq(keep(&before), 1);
    for (int i = 0; i < ENOUGH; i++) {
        unsigned kept = keep_once();
        most = kept > most ? kept : most;
    }
    cr_assert(full_count == 1 && most > 10, "%u, %u", full_count, most);
    script_host_offer(h.host, script_host_create(h.table, h.dog, NULL, NULL));
    cr_assert_null(used);
    cr_assert_eq(keep_once(), 1);
    cr_assert_not_null(used);
    script_host_destroy(TAKE(&used));
    cr_assert_eq(hooks_on_response(&h, 0, &before, BUDGET_US), VM_OK, "a request from the time before");
    cr_assert(slice_equal(message_field_named(&before.response, SLICE("x-kept"), NULL)->value, SLICE("nil")));
    hooks_request_end(&before, &h);
    cr_assert_eq(keep_once(), 2);
    hooks_close(&h);
}

Test(script_renewal, one_that_comes_too_late_goes_with_its_host)
{
    open_with(&renewal);
    for (int i = 0; i < ENOUGH && full_count == 0; i++)
        keep_once();
    cr_assert_eq(full_count, 1);
    script_host_offer(h.host, script_host_create(h.table, h.dog, NULL, NULL));
    hooks_close(&h);
    cr_assert_null(used);
}
