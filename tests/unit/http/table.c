/* unit/http/table.c - runs each row in every way its bytes can arrive. */
#include "http/table.h"

#include <criterion/criterion.h>

#include <string.h>

static bool check_run(const struct feed *feed, const struct row *row, size_t first_bytes, size_t step_bytes)
{
    struct feed f = *feed;
    f.first_bytes = first_bytes;
    f.step_bytes = step_bytes;
    f.shows_fields = strstr(row->expected, " {") != NULL;
    struct text transcript;
    text_init(&transcript);
    feed_run(&f, row->bytes, &transcript);
    struct slice got = text_slice(&transcript);
    bool is_good = slice_equal(got, slice_from_cstr(row->expected));
    cr_expect(is_good, "%s (%zu bytes, then %zu each)\n  expected: %s\n  got:      %.*s", row->name, first_bytes,
              step_bytes, row->expected, SLICE_ARG(got));
    text_fini(&transcript);
    return is_good;
}

void table_check(const struct feed *feed, const struct row *rows, size_t row_count)
{
    for (size_t i = 0; i < row_count; i++) {
        size_t len = rows[i].bytes.len;
        bool is_good = check_run(feed, &rows[i], len, len) && check_run(feed, &rows[i], 1, 1);
        for (size_t cut = 1; cut < len && is_good; cut++)
            is_good = check_run(feed, &rows[i], cut, len);
    }
}
