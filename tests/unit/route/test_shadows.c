/* tests/unit/route/test_shadows.c - which shadows a request meets, what is a copy already, and how shares are drawn. */
#include "route/shadows.h"

#include <criterion/criterion.h>

#include "route/fixture.h"

#include <stdio.h>

static struct fixture f;

static void setup(void)
{
    fixture_init(&f, 7);
}

static void teardown(void)
{
    fixture_fini(&f);
}

TestSuite(shadows, .init = setup, .fini = teardown);

/* The only shadow of the only route, compiled. */
static const struct compiled_shadow *build(const char *methods, struct condition_config *when)
{
    static struct shadow_config config;
    struct route_config *r = fixture_route(&f, NULL, NULL, "a=1");
    config = (struct shadow_config){ .to = SLICE("a"), .share_ppm = 1000000, .when = when };
    config.methods = list_of_words(&f.arena, methods);
    r->shadows = &config;
    r->shadow_count = 1;
    fixture_build(&f);
    return &f.table->routes[0].shadows[0];
}

static enum shadow_miss meets(const struct compiled_shadow *shadow, const char *line, const char *headers)
{
    struct route_request request = *request_make(&f, line, headers);
    return shadow_meets(shadow, &request);
}

Test(shadows, safe_methods_are_the_default)
{
    const struct compiled_shadow *shadow = build("", NULL);
    static const char *const safe[] = { "GET", "HEAD", "OPTIONS", "TRACE" };
    static const char *const others[] = { "POST", "PUT", "DELETE", "PATCH", "CONNECT", "PURGE", "get" };
    char line[64];
    for (size_t i = 0; i < ARRAY_COUNT(safe); i++) {
        snprintf(line, sizeof line, "%s example.com /", safe[i]);
        cr_expect_eq(meets(shadow, line, ""), SHADOW_MET, "%s", safe[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        snprintf(line, sizeof line, "%s example.com /", others[i]);
        cr_expect_eq(meets(shadow, line, ""), SHADOW_MISSES_METHOD, "%s", others[i]);
    }
}

Test(shadows, named_methods_take_the_place_of_the_safe_ones)
{
    const struct compiled_shadow *shadow = build("POST PURGE", NULL);
    cr_expect_eq(meets(shadow, "POST example.com /", ""), SHADOW_MET);
    cr_expect_eq(meets(shadow, "PURGE example.com /", ""), SHADOW_MET);
    cr_expect_eq(meets(shadow, "PURGES example.com /", ""), SHADOW_MISSES_METHOD, "it shares a bit, not the name");
    cr_expect_eq(meets(shadow, "GET example.com /", ""), SHADOW_MISSES_METHOD);
}

Test(shadows, a_tunnel_is_never_met)
{
    const struct compiled_shadow *shadow = build("GET CONNECT", NULL);
    struct route_request request = *request_make(&f, "GET example.com /", "");
    struct message m = *request.message;
    m.is_upgrade = true;
    request.message = &m;
    cr_expect_eq(shadow_meets(shadow, &request), SHADOW_MISSES_TUNNEL);
    cr_expect_eq(meets(shadow, "CONNECT example.com /", ""), SHADOW_MISSES_TUNNEL);
}

Test(shadows, a_condition_must_hold)
{
    const struct compiled_shadow *shadow = build("", condition_flag(&f, "x-copy"));
    cr_expect_eq(meets(shadow, "GET example.com /", "x-copy: 1"), SHADOW_MET);
    cr_expect_eq(meets(shadow, "GET example.com /", ""), SHADOW_MISSES_CONDITION);
}

Test(shadows, slots_count_through_all_routes)
{
    static struct shadow_config configs[3] = { { .to = SLICE("a") }, { .to = SLICE("b") }, { .to = SLICE("a") } };
    struct route_config *r = fixture_route(&f, NULL, "/one", "a=1");
    r->shadows = configs;
    r->shadow_count = 2;
    fixture_route(&f, NULL, "/two", "a=1");
    r = fixture_route(&f, NULL, "/three", "a=1");
    r->shadows = configs + 2;
    r->shadow_count = 1;
    fixture_build(&f);
    cr_expect_eq(f.table->shadow_count, 3);
    cr_expect_eq(f.table->routes[0].shadows[1].slot, 1);
    cr_expect_eq(f.table->routes[2].shadows[0].slot, 2);
    cr_expect(route_has(&f.table->routes[0], ROUTE_HAS_SHADOWS));
    cr_expect_not(route_has(&f.table->routes[1], ROUTE_HAS_SHADOWS));
}

Test(shadows, a_copy_is_known_by_its_marks)
{
    static const struct {
        const char *headers;
        bool is_copy;
    } rows[] = {
        { "", false },
        { "x-shadow: 1", true },
        { "X-Shadow: 0", true },
        { "via: 1.1 weir-1", false },
        { "via: 1.1 weir-1 (shadow)", true },
        { "via: 1.1 a (shadow), 1.1 b", true },
        { "via: 1.1 a\nvia: 2 b (shadow)", true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct route_request request = *request_make(&f, "GET example.com /", rows[i].headers);
        cr_expect_eq(shadow_is_copy(request.message), rows[i].is_copy, "%s", rows[i].headers);
    }
}

/* ---- shares ------------------------------------------------------------------------------------------------------ */

Test(shadows, a_share_is_exact_at_each_blocks_end)
{
    static const struct {
        uint32_t share_ppm, block, hits;
    } rows[] = {
        { 0, 100, 0 },     { 1000000, 100, 100 },       { 500000, 2, 1 },       { 100000, 10, 1 }, { 250000, 4, 1 },
        { 1000, 1000, 1 }, { 999999, 1000000, 999999 }, { 123456, 15625, 1929 }
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct share share = { 0 };
        for (int block = 0; block < 3; block++) {
            uint32_t hits = 0;
            for (uint32_t n = 0; n < rows[i].block; n++)
                hits += share_draw(&share, rows[i].share_ppm, &f.rng);
            cr_expect_eq(hits, rows[i].hits, "%u ppm: %u", rows[i].share_ppm, hits);
        }
    }
}

Test(shadows, inside_a_block_the_order_is_random)
{
    struct share share = { 0 };
    uint32_t places[4] = { 0 };
    for (int block = 0; block < 400; block++)
        for (int n = 0; n < 4; n++)
            places[n] += share_draw(&share, 250000, &f.rng);
    for (int n = 0; n < 4; n++)
        cr_expect(places[n] > 50 && places[n] < 150, "place %d: %u of 400", n, places[n]);
}
