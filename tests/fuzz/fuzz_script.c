/* tests/fuzz/fuzz_script.c - Lua hooks: whatever a script does, its call ends, what it leaves of the messages is HTTP, and the
 * state is good for the next call.
 *
 * An input that begins with "--" is a script; any other is choices: of a request, an answer and a script.
 *
 * Each script runs twice: at a stretch, and left after every few instructions, with other calls in between. Both come to the same,
 * unless a limit ends one of them. What is left in the middle now and then is given up there. */
#include "lua_text.h"
#include "round_trip.h"

#include <time.h>

#include "base/hash.h"
#include "base/log.h"
#include "config/formats.h"
#include "http/validate.h"
#include "lua/hooks.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define BUDGET_US          3000
#define SENTINEL_BUDGET_US 1000000 /* it always ends; collecting what others left may be a part of it */
#define CALL_MAX_US        5000000 /* of CPU time: so long only what no limit reaches */
#define REQUEST_COUNT      2       /* in the same state: what the first left is there for the second */
#define SENTINEL_UPSTREAM  1
#define LOOK_MAX           512 /* instructions at a stretch: 1 to that many */
#define RERUNS             8   /* at a stretch, of what came out differently: is it the script's own doing? */

/* Another script of the same state, which uses what the fuzzed one may have tried to spoil. */
static const char sentinel[] = "return { on_request = function(req)\n"
                               "  local t = {}\n"
                               "  for word in ('a b c'):gmatch('%a') do t[#t + 1] = word:upper() end\n"
                               "  local is_good = pcall(error) == false and table.concat(t) == 'ABC'\n"
                               "  if is_good and weir.hash('u') < 1 and req:header('host') then return 'b' end\n"
                               "end }\n";

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static const char *const request_lines[] = { "GET / HTTP/1.1\r\n", "GET /a/../b%2Fc?q=1&id=2&&=&q HTTP/1.1\r\n",
                                             "POST /p?%00 HTTP/1.1\r\nContent-Length: 3\r\n",
                                             "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                                             "OPTIONS * HTTP/1.1\r\n" };
static const char *const request_fields[] = {
    "",
    "X-A: one\r\n",
    "x-a: two\r\n",
    "X-Staff: 1\r\n",
    "Cookie: id=7; b=\"x\"; c\r\n",
    "Cookie: =; ;;id\r\n",
    "Accept: a\r\nAccept: b\r\n",
    "X-Bytes: \xff\x80\t\r\n",
    "X-Empty:\r\n",
    "Connection: x-a, close\r\n",
    "Expect: 100-continue\r\n",
};
static const char *const answer_heads[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-O: o\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 404 Not There\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "HTTP/1.0 500 Oh\r\nConnection: close\r\n\r\n"
};

/* What is asked, by choices. */
struct asked {
    struct text head;
    struct slice answer_head;
};

static void ask(struct choices *c, struct asked *a)
{
    text_init(&a->head);
    text_add_cstr(&a->head, request_lines[choose(c, ARRAY_COUNT(request_lines))]);
    text_add_cstr(&a->head, "Host: example.com:80\r\n");
    for (unsigned i = 0, count = choose(c, 5); i < count; i++)
        text_add_cstr(&a->head, request_fields[choose(c, ARRAY_COUNT(request_fields))]);
    text_add_cstr(&a->head, "\r\n");
    a->answer_head = slice_from_cstr(answer_heads[choose(c, ARRAY_COUNT(answer_heads))]);
}

/* ---- what must hold -------------------------------------------------------------------------------------------------- */

static void check_head(const struct message *m)
{
    for (size_t i = 0; i < m->field_count; i++)
        CHECK(is_token(m->fields[i].name) && is_field_value(m->fields[i].value));
    CHECK(!m->is_response || (m->status >= 200 && m->status <= 599));
}

static void check_answer(const struct script_answer *answer)
{
    CHECK(answer->status >= 200 && answer->status <= 599);
    CHECK(answer->headers.set_count <= SCRIPT_ANSWER_MAX_HEADERS && answer->headers.remove.count == 0);
    for (size_t i = 0; i < answer->headers.set_count; i++) {
        CHECK(format_editable_header.fault(answer->headers.set[i].name) == NULL);
        CHECK(is_field_value(answer->headers.set[i].value));
    }
    bool has_no_body = answer->status == 204 || answer->status == 205 || answer->status == 304;
    CHECK(answer->body.len <= (has_no_body ? 0 : SCRIPT_BODY_MAX_BYTES));
}

/* Its word, or none: an upstream, or an answer. */
static void check_result(const struct hooks *h, enum vm_result result, const struct script_call *call)
{
    bool has_target = call->upstream_index != CONFIG_NONE;
    CHECK(result == VM_OK || result == VM_ERROR || result == VM_TIMEOUT || result == VM_MEMORY);
    CHECK(result == VM_OK || (!has_target && call->answer == NULL));
    CHECK(!has_target || (call->upstream_index < h->config->upstream_count && call->answer == NULL));
    CHECK(call->edit_count <= SCRIPT_EDITS_MAX && call->edited_bytes <= SCRIPT_EDIT_MAX_BYTES);
    if (call->answer != NULL)
        check_answer(call->answer);
}

/* The path in its two forms, as if it had come in like that. */
static void check_path(struct hooks_request *r)
{
    struct slice normal;
    bool has_encoded_slash;
    CHECK(path_normalise(r->message.path, &r->arena, &normal, &has_encoded_slash) == PATH_OK);
    CHECK(slice_equal(normal, r->view.path) && has_encoded_slash == r->has_encoded_slash);
}

static int64_t cpu_us(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- what came of it ----------------------------------------------------------------------------------------------------- */

/* Of all its hooks for all requests. */
struct outcome {
    uint64_t hash;
    bool is_limited; /* time or memory ended a call: where, depends on the machine */
};

static void add_bytes(struct outcome *o, const void *bytes, size_t length)
{
    o->hash = hash_mix(o->hash ^ hash_bytes(bytes, length) ^ length);
}

static void add_slice(struct outcome *o, struct slice s)
{
    add_bytes(o, s.ptr, s.len);
}

static void add_message(struct outcome *o, const struct message *m)
{
    for (size_t i = 0; i < m->field_count; i++) {
        add_slice(o, m->fields[i].name);
        add_slice(o, m->fields[i].value);
    }
    add_bytes(o, &m->status, sizeof m->status);
}

/* An answer's headers come in the order of a Lua table, which is nobody's. */
static void add_result(struct outcome *o, enum vm_result result, const struct hooks_request *r)
{
    const struct script_answer *answer = r->call.answer;
    int kind = (int)result;
    o->is_limited |= result == VM_TIMEOUT || result == VM_MEMORY;
    add_bytes(o, &kind, sizeof kind);
    add_bytes(o, &r->call.upstream_index, sizeof r->call.upstream_index);
    add_slice(o, r->view.path);
    add_slice(o, r->view.query);
    if (answer != NULL) {
        add_bytes(o, &answer->status, sizeof answer->status);
        add_slice(o, answer->body);
        add_bytes(o, &answer->headers.set_count, sizeof answer->headers.set_count);
    }
    add_message(o, &r->message);
    add_message(o, &r->response);
}

/* ---- a script's life -------------------------------------------------------------------------------------------------- */

/* How one of its lives goes. */
struct way {
    int look_instructions; /* 0: at a stretch */
    uint32_t sentinels;    /* by number of the pause, modulo 32: another call comes in between */
    uint32_t gives_up_at;  /* that pause; 0: never */
};

static void run_sentinel(struct hooks *h, const struct asked *a)
{
    struct hooks_request r;
    if (hooks_request_begin(&r, text_slice(&a->head), a->answer_head)) {
        enum vm_result result = hooks_on_request(h, 1, &r, SENTINEL_BUDGET_US);
        while (result == VM_PAUSED)
            result = script_host_go_on(h->host, &r.call);
        CHECK(result == VM_OK && r.call.upstream_index == SENTINEL_UPSTREAM);
    }
    hooks_request_end(&r, h);
}

/* False: it was given up. */
static bool run_on_request(struct hooks *h, struct hooks_request *r, const struct asked *a, const struct way *way,
                           struct outcome *o)
{
    enum vm_result result = hooks_on_request(h, 0, r, BUDGET_US);
    for (uint32_t pause = 1; result == VM_PAUSED; pause++) {
        if (way->sentinels >> pause % 32 & 1)
            run_sentinel(h, a);
        if (pause == way->gives_up_at) {
            script_host_abandon(h->host, &r->call);
            return false;
        }
        result = script_host_go_on(h->host, &r->call);
    }
    check_result(h, result, &r->call);
    add_result(o, result, r);
    return true;
}

static void run_hooks(struct hooks *h, struct hooks_request *r, const struct asked *a, const struct way *way,
                      struct outcome *o)
{
    const struct script *script = &h->config->scripts->scripts[0];
    int64_t begun_us = cpu_us();
    if (script->has_hook[SCRIPT_ON_REQUEST] && !run_on_request(h, r, a, way, o))
        return;
    check_path(r);
    r->call.upstream_index = CONFIG_NONE;
    r->call.answer = NULL;
    if (script->has_hook[SCRIPT_ON_RESPONSE]) {
        enum vm_result result = hooks_on_response(h, 0, r, BUDGET_US);
        check_result(h, result, &r->call);
        add_result(o, result, r);
    }
    CHECK(way->sentinels != 0 || cpu_us() - begun_us < CALL_MAX_US);
    check_head(&r->message);
    check_head(&r->response);
}

static void run_request(struct hooks *h, const struct asked *a, const struct way *way, struct outcome *o)
{
    struct hooks_request r;
    bool is_good = hooks_request_begin(&r, text_slice(&a->head), a->answer_head);
    if (is_good) {
        run_hooks(h, &r, a, way, o);
        check_downgrade(&r.message, &r.arena);
        check_downgrade(&r.response, &r.arena);
    }
    hooks_request_end(&r, h);
}

static struct outcome run_script(struct slice script, const struct asked *a, const struct way *way)
{
    struct outcome o = { 0, false };
    struct hooks h;
    bool is_good = hooks_open(&h, script, SLICE(sentinel));
    CHECK(is_good == (h.errors.error_count == 0));
    if (is_good && way->look_instructions > 0)
        script_host_force_stints(h.host, way->look_instructions);
    for (int i = 0; is_good && i < REQUEST_COUNT; i++) {
        run_request(&h, a, way, &o);
        run_sentinel(&h, a);
    }
    hooks_close(&h);
    return o;
}

/* Not what differs from one life to the next, or within one: by chance, by addresses, by the order of keys. Levels of
   recursion are counted now and then, and those that C has called are fewer behind a pause. */
static bool is_comparable(struct slice script)
{
    static const char *const own[] = {
        "random", "now", "pairs", "next", "running", "tostring", "%p", "1 + r(", "shared"
    };
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        if (memmem(script.ptr, script.len, own[i], strlen(own[i])) != NULL)
            return false;
    return true;
}

static void compare(struct slice script, const struct asked *a, struct outcome in_stints)
{
    static const struct way at_a_stretch = { 0, 0, 0 };
    struct outcome whole = run_script(script, a, &at_a_stretch);
    if (in_stints.is_limited || whole.is_limited || in_stints.hash == whole.hash || !is_comparable(script))
        return;
    for (int i = 0; i < RERUNS; i++) {
        struct outcome again = run_script(script, a, &at_a_stretch);
        if (again.is_limited || again.hash != whole.hash)
            return;
    }
    CHECK(!"a hook in stints says something else");
}

static void run_both_ways(struct slice script, const struct asked *a)
{
    uint64_t hash = hash_mix(hash_bytes(script.ptr, script.len));
    struct way way = { .look_instructions = 1 + (int)(hash % LOOK_MAX), .sentinels = (uint32_t)(hash >> 16) };
    compare(script, a, run_script(script, a, &way));
    way.gives_up_at = (hash >> 48) % 32; /* of few pauses few */
    if (way.gives_up_at < 8 && way.gives_up_at > 0)
        run_script(script, a, &way);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice input = slice_from((const char *)bytes, length);
    bool is_script = slice_has_prefix(input, SLICE("--"));
    struct choices choices = { is_script ? SLICE("\1\4\1\4\2\3") : input };
    struct asked asked;
    struct text script;
    log_set_level(LOG_ERROR); /* what fails is told as a warning */
    ask(&choices, &asked);
    text_init(&script);
    if (is_script)
        text_add(&script, input);
    else
        lua_text_script(&choices, &script);
    run_both_ways(text_slice(&script), &asked);
    text_fini(&script);
    text_fini(&asked.head);
    return 0;
}
