/* route/regex.c - compiles and runs regular expressions; keeps what a search writes to per thread. */
#include "route/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <pthread.h>

#include "base/memory.h"

#define PATTERN_MAX_BYTES 8192
/* Far above what honest patterns need, some milliseconds at worst: a peer chooses the subject. */
#define MATCH_STEPS_MAX    100000
#define MATCH_HEAP_MAX_KIB 1024
#define MATCH_DEPTH_MAX    1000

/* What a search writes to. One per thread, made at its first search and freed when it ends: programs are shared by all
   workers, so it cannot live in them, and a request allocates nothing for it. */
struct scratch {
    pcre2_match_data *data; /* one pair of offsets: nobody reads captures */
    pcre2_match_context *limits;
};

static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;

static void scratch_destroy(void *arg)
{
    struct scratch *s = arg;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->limits);
    memory_free(s);
}

static void scratch_key_create(void)
{
    CHECK(pthread_key_create(&scratch_key, scratch_destroy) == 0);
}

static struct scratch *scratch_create(void)
{
    struct scratch *s = memory_alloc(sizeof *s);
    s->data = pcre2_match_data_create(1, NULL);
    s->limits = pcre2_match_context_create(NULL);
    CHECK(s->data != NULL && s->limits != NULL);
    pcre2_set_match_limit(s->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(s->limits, MATCH_HEAP_MAX_KIB);
    pcre2_set_depth_limit(s->limits, MATCH_DEPTH_MAX);
    CHECK(pthread_setspecific(scratch_key, s) == 0);
    return s;
}

static struct scratch *scratch_of_thread(void)
{
    pthread_once(&scratch_once, scratch_key_create);
    struct scratch *s = pthread_getspecific(scratch_key);
    return s != NULL ? s : scratch_create();
}

static void code_free(void *code)
{
    pcre2_code_free(code);
}

static void add_error(struct slice pattern, int code, size_t offset, struct place place, struct err_list *errors)
{
    PCRE2_UCHAR text[160];
    pcre2_get_error_message(code, text, sizeof text);
    err_add(errors, place, "regex \"%.*s\" does not compile: %s (at character %zu)", SLICE_ARG(pattern),
            (const char *)text, offset + 1);
}

/* `$` is the very end, not the newline before it; ( ) only group, since nobody reads captures; bytes stay bytes. */
static pcre2_code *code_create(struct slice pattern, struct place place, struct err_list *errors)
{
    if (pattern.len > PATTERN_MAX_BYTES) {
        err_add(errors, place, "regex is longer than %d bytes", PATTERN_MAX_BYTES);
        return NULL;
    }
    const uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
    PCRE2_SPTR bytes = (PCRE2_SPTR)(pattern.len ? pattern.ptr : "");
    int error = 0;
    size_t offset = 0;
    pcre2_code *code = pcre2_compile(bytes, pattern.len, options, &error, &offset, NULL);
    if (code == NULL)
        add_error(pattern, error, offset, place, errors);
    return code;
}

const struct regex *regex_compile(struct arena *arena, struct slice pattern, struct place place,
                                  struct err_list *errors)
{
    pcre2_code *code = code_create(pattern, place, errors);
    if (code == NULL)
        return NULL;
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it cannot, the interpreter runs */
    arena_on_reset(arena, code_free, code);
    return (const struct regex *)code;
}

void regex_check(struct slice pattern, struct place place, struct err_list *errors)
{
    pcre2_code_free(code_create(pattern, place, errors));
}

bool regex_matches(const struct regex *regex, struct slice subject)
{
    struct scratch *s = scratch_of_thread();
    PCRE2_SPTR bytes = (PCRE2_SPTR)(subject.len ? subject.ptr : "");
    /* 0 and above: found (0 only says that captures did not fit); limits and faults are negative, as
       PCRE2_ERROR_NOMATCH. */
    return pcre2_match((const pcre2_code *)regex, bytes, subject.len, 0, 0, s->data, s->limits) >= 0;
}
