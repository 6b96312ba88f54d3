/* tests/unit/shadow/test_findings.c - pairs become verdicts, and the newest that differ are kept, redacted and bounded. */
#include "shadow/findings.h"

#include "shadow/fixture.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

static struct arena arena;
static struct compare_config config;
static struct comparison comparison;
static struct findings *findings;

static void begin(const char *control)
{
    config.control = slice_from_cstr(control);
    findings = findings_create(1, SLICE("shop"), SLICE("dark"), &config, (struct wall_time){ 1700000000000 });
}

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    memset(&config, 0, sizeof config);
    comparison_init(&comparison);
}

static void teardown(void)
{
    findings_destroy(findings);
    comparison_clear(&comparison);
    arena_reset(&arena);
}

TestSuite(findings, .init = setup, .fini = teardown);

static enum verdict add(struct pair *p)
{
    compare_pair(findings->plan, p, &comparison);
    enum verdict verdict = findings_add(findings, p, &comparison);
    comparison_clear(&comparison);
    pair_destroy(p);
    return verdict;
}

static struct slice written(void)
{
    struct text out = { 0 };
    struct json *root = json_create_object();
    findings_write(findings, root);
    json_write(root, &out);
    json_destroy(root);
    struct slice copy = arena_copy(&arena, text_slice(&out));
    text_fini(&out);
    return copy;
}

static struct slice written_diffs(void)
{
    struct text out = { 0 };
    struct json *list = json_create_array();
    diffs_write(&findings->diffs, list);
    json_write(list, &out);
    json_destroy(list);
    struct slice copy = arena_copy(&arena, text_slice(&out));
    text_fini(&out);
    return copy;
}

static void expect_has(struct slice text, const char *part)
{
    cr_expect(slice_contains(text, slice_from_cstr(part)), "no %s in %.*s", part, SLICE_ARG(text));
}

static void expect_lacks(struct slice text, const char *part)
{
    cr_expect_not(slice_contains(text, slice_from_cstr(part)), "%s in %.*s", part, SLICE_ARG(text));
}

/* Time stamp, id and a shuffled set are new in each answer; the price is wrong in the shadow. */
static struct pair *noisy_pair(struct rng *rng, bool is_wrong)
{
    static const char *const orders[] = { "1,2,3", "2,1,3", "3,2,1", "1,3,2" };
    char bodies[PAIR_SIDE_COUNT][200];
    for (size_t side = 0; side < PAIR_SIDE_COUNT; side++)
        snprintf(bodies[side], sizeof bodies[side], "{\"at\":%u,\"id\":\"%016llx\",\"set\":[%s],\"price\":%d}",
                 1000 + rng_below(rng, 3), (unsigned long long)rng_next(rng), orders[rng_below(rng, 4)],
                 is_wrong && side == PAIR_SHADOW ? 18 : 17);
    return json_pair(bodies[PAIR_PRIMARY], bodies[PAIR_SHADOW], bodies[PAIR_CONTROL]);
}

Test(findings, learn_what_is_noise_and_find_the_changed_price)
{
    struct rng rng;
    rng_init(&rng, 7);
    begin("twin");
    for (int i = 0; i < 200; i++)
        add(noisy_pair(&rng, false));
    cr_expect_eq(noise_verdict(&findings->noise), VERDICT_NOISE);
    for (int i = 0; i < 200; i++)
        add(noisy_pair(&rng, true));
    struct slice document = written();
    expect_has(document, "\"verdict\":\"different\",\"pairs\"");
    expect_has(
        document,
        "{\"field\":\"$.price\",\"verdict\":\"different\",\"settled\":true,\"shadow_only\":200,\"control_only\":0,");
    expect_has(
        document,
        "{\"field\":\"$.id\",\"verdict\":\"noise\",\"settled\":true,\"shadow_only\":0,\"control_only\":0,\"both\":400");
    expect_has(document, "{\"field\":\"$.set[*]\",\"verdict\":\"noise\",\"settled\":true");
    expect_has(document, "{\"field\":\"$.at\",\"verdict\":\"noise\",\"settled\":true");
    expect_has(document, "\"checked\":400,\"skipped\":0}");
    expect_has(document, "\"latency\":{\"primary\":{\"count\":400,");
}

Test(findings, keep_the_newest_differing_pairs_redacted)
{
    begin("");
    cr_expect_eq(add(json_pair("{\"a\":1}", "{\"a\":1.0}", NULL)), VERDICT_SAME);
    cr_expect_eq(findings->diffs.count, 0);
    cr_expect_eq(add(json_pair("{\"a\":1}", "{\"a\":2}", NULL)), VERDICT_DIFFERENT);
    cr_expect_eq(add(json_pair("{\"a\":1}", "{\"a\":3}", NULL)), VERDICT_DIFFERENT);
    struct slice document = written_diffs();
    expect_has(
        document,
        "\"differences\":[{\"field\":\"$.a\",\"place\":\"$.a\",\"verdict\":\"different\",\"settled\":true,"
        "\"control_differs\":false,\"primary\":\"1\",\"shadow\":\"3\",\"control\":null}],\"difference_count\":1},{");
    expect_has(document, "\"target\":\"/cart?x=1&token=[redacted]\"");
    expect_has(document, "{\"name\":\"Authorization\",\"value\":\"[redacted]\"}");
    expect_has(
        document,
        "\"primary\":{\"upstream\":\"live\",\"status\":200,\"reason\":null,\"latency_ms\":1.0,\"body_bytes\":7}");
    expect_lacks(document, "secret");
    expect_lacks(document, "abc");
}

Test(findings, do_not_keep_pairs_of_settled_noise)
{
    begin("twin");
    add(json_pair("{\"t\":1}", "{\"t\":2}", "{\"t\":1}"));
    cr_expect_eq(findings->diffs.count, 1, "nobody knows yet");
    add(json_pair("{\"t\":1}", "{\"t\":2}", "{\"t\":3}"));
    add(json_pair("{\"t\":1}", "{\"t\":2}", "{\"t\":1}"));
    cr_expect_eq(findings->diffs.count, 1);
}

/* Values of 60 KiB in total, again and again. */
Test(findings, keep_no_more_than_so_many_and_so_many_bytes)
{
    struct text a = { 0 }, b = { 0 };
    begin("");
    for (int i = 0; i < 100; i++) {
        text_printf(&a, "%c\"member-%d\":\"%0200d\"", i == 0 ? '{' : ',', i, 1);
        text_printf(&b, "%c\"member-%d\":\"%0200d\"", i == 0 ? '{' : ',', i, 2);
    }
    text_add_char(&a, '}');
    text_add_char(&b, '}');
    for (unsigned i = 0; i < 3 * DIFFS_MAX; i++)
        add(json_pair("{\"a\":1}", "{\"a\":2}", NULL));
    cr_expect_eq(findings->diffs.count, DIFFS_MAX);
    for (unsigned i = 0; i < 3 * DIFFS_MAX; i++) {
        add(json_pair(a.bytes, b.bytes, NULL));
        cr_assert_leq(findings->diffs.bytes, DIFFS_BYTES_MAX);
        cr_assert_leq(findings->diffs.count, DIFFS_MAX);
    }
    struct slice document = written_diffs();
    expect_has(document, "\"difference_count\":100}");
    expect_lacks(document, "member-20\"");
    text_fini(&a);
    text_fini(&b);
}

static uint64_t digest_with(const char *control, const char *ignored)
{
    const char *const paths[] = { ignored, NULL };
    struct compare_config other = { .control = slice_from_cstr(control), .ignore_json = texts_of(&arena, paths) };
    struct findings *f = findings_create(1, SLICE("shop"), SLICE("dark"), &other, (struct wall_time){ 0 });
    uint64_t digest = f->digest;
    findings_destroy(f);
    return digest;
}

Test(findings, know_settings_that_changed)
{
    cr_expect_eq(digest_with("twin", "$.a"), digest_with("twin", "$.a"));
    cr_expect_neq(digest_with("twin", "$.a"), digest_with("twin", "$.b"));
    cr_expect_neq(digest_with("twin", "$.a"), digest_with("", "$.a"));
}

/* More fields than there is room for: the rest is one field, with one mark in each pair. */
Test(findings, count_fields_past_the_limit_together)
{
    begin("twin");
    for (int round = 0; round < 5; round++) {
        struct text a = { 0 }, b = { 0 };
        for (int i = 0; i < 100; i++) {
            text_printf(&a, "%c\"m%d\":1", i == 0 ? '{' : ',', 100 * round + i);
            text_printf(&b, "%c\"m%d\":2", i == 0 ? '{' : ',', 100 * round + i);
        }
        text_add_char(&a, '}');
        text_add_char(&b, '}');
        add(json_pair(a.bytes, b.bytes, a.bytes));
        text_fini(&a);
        text_fini(&b);
    }
    cr_expect_eq(findings->noise.field_count, NOISE_FIELDS_MAX + 1);
    cr_expect_eq(findings->noise.fields[NOISE_OTHERS].shadow_only, 3);
    expect_has(written(), "\"field\":\"(others)\"");
}
