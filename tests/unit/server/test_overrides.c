/* tests/unit/server/test_overrides.c - weights set at run time follow their route and end with its split. */
#include "server/overrides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "store/audit.h"

static char folder[64], database[80];
static struct store *store;
static struct override_set set;
static struct snapshot *snapshots[4];
static int snapshot_count;

static void fixture_init(void)
{
    snprintf(folder, sizeof folder, "/tmp/weir-overrides-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/weir.db", folder);
    store = store_open(database);
    override_set_init(&set, store);
}

static void fixture_fini(void)
{
    char command[96];
    override_set_fini(&set);
    store_close(store);
    while (snapshot_count > 0)
        snapshot_destroy(snapshots[--snapshot_count]);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(overrides, .init = fixture_init, .fini = fixture_fini);

/* A snapshot of routes given as YAML. */
static struct snapshot *load(const char *routes)
{
    char path[96];
    struct arena arena;
    struct err_list errors;
    snprintf(path, sizeof path, "%s/weir.yaml", folder);
    FILE *f = fopen(path, "w");
    fprintf(f,
            "listeners: { web: { bind: 127.0.0.1:0 } }\n"
            "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] }, b: { endpoints: [ 127.0.0.1:2 ] } }\n"
            "routes: [ %s ]\n",
            routes);
    fclose(f);
    arena_init(&arena, NULL, 0);
    err_list_init(&errors, &arena);
    struct snapshot *s = snapshot_create(path, &config_source_system, 1, &errors);
    cr_assert_not_null(s, "%s", errors.first != NULL ? errors.first->message : "");
    arena_reset(&arena);
    snapshots[snapshot_count++] = s;
    return s;
}

static void put(const struct snapshot *s, uint32_t route, uint32_t a, uint32_t b)
{
    struct text error = { 0 };
    uint32_t weights[] = { a, b };
    cr_assert(override_set_put(&set, &s->table->routes[route], weights, SLICE("me"), SLICE("why"), &error), "%s",
              error.bytes);
}

/* The weights in force of a route, "A:B". */
static const char *in_force(const struct snapshot *s, uint32_t route)
{
    static char out[32];
    struct arena arena;
    struct weights weights = { 0 };
    arena_init(&arena, NULL, 0);
    override_set_apply(&set, s, &arena, &weights);
    const uint32_t *w = weights_of(&weights, &s->table->routes[route]);
    snprintf(out, sizeof out, "%u:%u", w[0], w[1]);
    arena_reset(&arena);
    return out;
}

#define FIRST  "{ name: one, match: { path: { prefix: /one } }, split: { a: 95, b: 5 } }"
#define SECOND "{ name: two, split: { a: 1, b: 1 } }"

Test(overrides, weights_are_those_of_their_route_alone)
{
    struct snapshot *s = load(FIRST ", " SECOND);
    cr_assert_str_eq(in_force(s, 0), "19:1");
    put(s, 0, 1, 3);
    cr_assert_str_eq(in_force(s, 0), "1:3");
    cr_assert_str_eq(in_force(s, 1), "1:1");
}

Test(overrides, they_follow_a_route_that_moves_in_the_file)
{
    put(load(FIRST ", " SECOND), 0, 1, 3);
    struct snapshot *moved = load("{ name: new, match: { path: { prefix: /x } }, to: a }, " FIRST ", " SECOND);
    override_set_reconcile(&set, moved);
    cr_assert_str_eq(in_force(moved, 1), "1:3");
}

Test(overrides, they_follow_upstreams_that_change_their_order)
{
    put(load(FIRST), 0, 1, 3);
    struct snapshot *turned = load("{ name: one, split: { b: 5, a: 95 } }");
    override_set_reconcile(&set, turned);
    cr_assert_str_eq(in_force(turned, 0), "3:1");
}

static void assert_ended(const char *routes, const char *why, const char *in_force_after)
{
    struct arena arena;
    struct audit_line *lines;
    size_t count;
    put(load(FIRST), 0, 1, 3);
    struct snapshot *changed = load(routes);
    override_set_reconcile(&set, changed);
    cr_assert_eq(set.count, 0);
    if (in_force_after != NULL)
        cr_assert_str_eq(in_force(changed, 0), in_force_after);
    arena_init(&arena, NULL, 0);
    cr_assert(audit_list(store, &arena, 0, 1, &lines, &count) && count == 1);
    cr_assert(slice_equal(lines[0].action, SLICE("split.ended")));
    cr_assert(slice_equal(lines[0].reason, slice_from_cstr(why)));
    arena_reset(&arena);
    override_set_fini(&set); /* and the store has forgotten them too */
    override_set_init(&set, store);
    cr_assert_eq(set.count, 0);
}

Test(overrides, another_weight_in_the_file_ends_them)
{
    assert_ended("{ name: one, split: { a: 90, b: 10 } }", "the file changed its split", "9:1");
}

Test(overrides, weights_that_change_places_end_them)
{
    assert_ended("{ name: one, split: { a: 5, b: 95 } }", "the file changed its split", "1:19");
}

Test(overrides, a_route_that_is_gone_ends_them)
{
    assert_ended("{ name: other, to: a }", "the file has no such route any more", NULL);
}

Test(overrides, a_split_written_with_other_numbers_of_the_same_shares_keeps_them)
{
    put(load(FIRST), 0, 1, 3);
    struct snapshot *same = load("{ name: one, split: { a: 1900, b: 100 } }");
    override_set_reconcile(&set, same);
    cr_assert_str_eq(in_force(same, 0), "1:3");
}

Test(overrides, they_are_there_after_a_restart_and_gone_after_a_reset)
{
    struct text error = { 0 };
    struct snapshot *s = load(FIRST);
    put(s, 0, 1, 3);
    override_set_fini(&set);
    override_set_init(&set, store);
    cr_assert_str_eq(in_force(s, 0), "1:3");
    cr_assert(override_set_put(&set, &s->table->routes[0], NULL, SLICE("me"), SLICE("back"), &error));
    cr_assert_str_eq(in_force(s, 0), "19:1");
}

/* Pinned: another recipe would end every override at an upgrade. */
Test(overrides, the_fingerprint_never_changes)
{
    char fingerprint[17];
    split_fingerprint(load(FIRST)->table->routes[0].config, fingerprint);
    cr_assert_str_eq(fingerprint, "21c51912ea8f94bb");
}
