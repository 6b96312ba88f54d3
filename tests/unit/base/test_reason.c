/* tests/unit/base/test_reason.c - the table of reasons is whole and without ambiguity. */
#include "base/reason.h"

#include <criterion/criterion.h>

#include <string.h>

Test(reason, every_row_is_filled_in)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        const struct reason_row *row = &reason_rows[i];
        cr_assert_not_null(row->name, "row %d", i);
        cr_assert(row->sentence != NULL && row->sentence[0] != '\0', "%s", row->name);
        cr_assert(row->status == 0 || (row->status >= 400 && row->status < 600), "%s", row->name);
        cr_assert_eq(row->blame == BLAME_NOBODY, i == REASON_NONE, "%s", row->name);
    }
}

Test(reason, codes_are_lower_case_words_and_unique)
{
    cr_assert_str_eq(reason_rows[REASON_NONE].code, "");
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        const char *code = reason_rows[i].code;
        cr_assert_eq(strspn(code, "abcdefghijklmnopqrstuvwxyz_"), strlen(code), "%s", code);
        for (int j = i + 1; j < REASON_COUNT; j++)
            cr_assert_str_neq(code, reason_rows[j].code);
    }
}

Test(reason, rows_stand_under_their_names)
{
    cr_assert_str_eq(reason_rows[REASON_NO_ROUTE].code, "no_route");
    cr_assert_eq(reason_rows[REASON_NO_ROUTE].status, 404);
    cr_assert_eq(reason_rows[REASON_CONNECT_FAILED].blame, BLAME_UPSTREAM);
}
