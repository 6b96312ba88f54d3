/* unit/http/test_fields.c - well-known field names to numbers and back. */
#include "http/fields.h"

#include "http/feed.h"

#include <criterion/criterion.h>

#include <ctype.h>

Test(fields, every_name_has_its_number_in_any_case)
{
    for (enum field_id id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct slice name = field_names[id];
        char upper[64], lower[64];
        for (size_t i = 0; i < name.len; i++) {
            upper[i] = (char)toupper((unsigned char)name.ptr[i]);
            lower[i] = (char)tolower((unsigned char)name.ptr[i]);
        }
        cr_expect_eq(field_id_from_name(feed_guarded(name)), id, "%s", name.ptr);
        cr_expect_eq(field_id_from_name(feed_guarded(slice_from(upper, name.len))), id);
        cr_expect_eq(field_id_from_name(feed_guarded(slice_from(lower, name.len))), id);
    }
}

/* Each name with one byte replaced, left out or added is another name. */
Test(fields, a_name_that_differs_in_one_byte_is_another)
{
    static const char other_bytes[] = "!#$%&'*+.^_`|~09";
    for (enum field_id id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct slice name = field_names[id];
        char bytes[64];
        for (size_t at = 0; at < name.len; at++) {
            for (size_t b = 0; b < sizeof other_bytes - 1; b++) {
                memcpy(bytes, name.ptr, name.len);
                bytes[at] = other_bytes[b];
                cr_expect_eq(field_id_from_name(slice_from(bytes, name.len)), FIELD_OTHER, "%.*s", (int)name.len,
                             bytes);
            }
        }
        memcpy(bytes, name.ptr, name.len);
        bytes[name.len] = '-';
        cr_expect_eq(field_id_from_name(slice_from(bytes, name.len + 1)), FIELD_OTHER);
        cr_expect_eq(field_id_from_name(slice_first(name, name.len - 1)), FIELD_OTHER);
    }
}

Test(fields, unknown_names)
{
    static const char *const names[] = { "",         "x",
                                         "X-Tenant", "Content-Encoding",
                                         "Hostess",  "a-name-that-is-longer-than-all-the-known" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_expect_eq(field_id_from_name(slice_from_cstr(names[i])), FIELD_OTHER, "%s", names[i]);
    cr_expect_eq(field_id_from_name(SLICE_NONE), FIELD_OTHER);
}
