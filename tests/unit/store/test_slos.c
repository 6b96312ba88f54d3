/* tests/unit/store/test_slos.c - what objectives counted comes back after a restart, once, and not for ever. */
#include "store/fixture.h"

#include "store/slos.h"

TestSuite(slos, .init = fixture_init, .fini = fixture_fini);

struct sums {
    uint64_t rows, requests, errors, slow;
    int64_t last_from;
};

static void sum_row(void *arg, const struct slo_row *row)
{
    struct sums *sums = arg;
    cr_expect_gt(row->from.unix_ms, sums->last_from, "oldest first");
    sums->last_from = row->from.unix_ms;
    sums->rows++;
    sums->requests += row->requests;
    sums->errors += row->errors;
    sums->slow += row->slow;
}

static struct sums sums_of(struct store *s, const char *slo, int64_t identity, int64_t from)
{
    struct sums sums = { .last_from = -1 };
    cr_assert(slo_rows_each(s, slice_from_cstr(slo), identity, (struct wall_time){ from }, sum_row, &sums));
    return sums;
}

static void add(struct store *s, const char *slo, int64_t identity, int64_t from, int64_t forget)
{
    const struct slo_row row = { slice_from_cstr(slo), identity, { from }, 10, 2, 1 };
    cr_assert(slo_row_add(s, &row, (struct wall_time){ forget }), "%s", store_message(s));
}

Test(slos, one_stretch_is_added_to_and_comes_back)
{
    struct store *s = open_good();
    add(s, "shop", 1, 300000, 0);
    add(s, "shop", 1, 300000, 0);
    add(s, "shop", 1, 600000, 0);
    store_close(s);
    s = open_good();
    struct sums sums = sums_of(s, "shop", 1, 0);
    cr_expect(sums.rows == 2 && sums.requests == 30 && sums.errors == 6 && sums.slow == 3);
    cr_expect_eq(sums_of(s, "shop", 1, 600000).rows, 1);
    store_close(s);
}

Test(slos, what_counts_something_else_is_another)
{
    struct store *s = open_good();
    add(s, "shop", 1, 300000, 0);
    cr_expect_eq(sums_of(s, "shop", 2, 0).rows, 0);
    cr_expect_eq(sums_of(s, "blog", 1, 0).rows, 0);
    store_close(s);
}

Test(slos, what_is_too_old_is_forgotten_of_all)
{
    struct store *s = open_good();
    add(s, "gone", 1, 300000, 0);
    add(s, "shop", 1, 600000, 0);
    add(s, "shop", 1, 900000, 600000);
    cr_expect_eq(sums_of(s, "gone", 1, 0).rows, 0);
    cr_expect_eq(sums_of(s, "shop", 1, 0).rows, 2);
    store_close(s);
}
