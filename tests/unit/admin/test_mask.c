/* tests/unit/admin/test_mask.c - no digest of a token leaves the process, however it is written. */
#include "admin/mask.h"

#include <criterion/criterion.h>

#define DIGEST "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"

static void assert_masked(const char *text, const char *expected)
{
    struct text out = { 0 };
    mask_write(&out, slice_from_cstr(text));
    cr_assert_str_eq(out.bytes != NULL ? out.bytes : "", expected);
    text_fini(&out);
}

Test(mask, values_of_the_key_are_hidden_in_every_style)
{
    assert_masked("sha256: " DIGEST "\nrole: viewer\n", "sha256: ********\nrole: viewer\n");
    assert_masked("{ sha256: \"" DIGEST "\", role: viewer }", "{ sha256: ********, role: viewer }");
    assert_masked("{ sha256: '" DIGEST "' }", "{ sha256: ******** }");
    assert_masked("{\"sha256\": \"" DIGEST "\"}", "{\"sha256\": ********}");
    assert_masked("sha256:" DIGEST ",x", "sha256:********,x");
    assert_masked("sha256: \"\\x30rest\"", "sha256: ********");
}

Test(mask, digests_are_hidden_where_the_key_stands_elsewhere)
{
    assert_masked("sha256:\n  " DIGEST "\n", "sha256:\n  ********\n");
    assert_masked("# old: " DIGEST, "# old: ********");
}

Test(mask, other_text_stays)
{
    assert_masked("", "");
    assert_masked("sha256", "sha256");
    assert_masked("the sha256 of it", "the sha256 of it");
    assert_masked("deadbeef: " DIGEST "0", "deadbeef: " DIGEST "0");
}
