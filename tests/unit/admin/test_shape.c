/* tests/unit/admin/test_shape.c - the short notation of answers becomes JSON Schema. */
#include "admin/answers.h"

#include <criterion/criterion.h>

#include "base/text.h"

static void assert_schema(const char *members, const char *expected)
{
    struct json *schema = json_create_object();
    struct text text = { 0 };
    shape_write(schema, members);
    json_write(schema, &text);
    cr_expect_str_eq(text.bytes, expected, "%s", text.bytes);
    text_fini(&text);
    json_destroy(schema);
}

Test(shape, members_are_required_unless_they_say_so)
{
    assert_schema("", "{\"type\":\"object\",\"properties\":{},\"required\":[]}");
    assert_schema("a:string b?:integer", "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},"
                                         "\"b\":{\"type\":\"integer\"}},\"required\":[\"a\"]}");
}

Test(shape, a_type_may_be_null_too)
{
    assert_schema("a:time?", "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"null\"],"
                             "\"format\":\"date-time\"}},\"required\":[\"a\"]}");
    assert_schema("a?:@b?",
                  "{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/b\"},"
                  "{\"type\":\"null\"}]}},\"required\":[]}");
}

Test(shape, types_nest)
{
    assert_schema("a:[{b:x/y c:<any>}]",
                  "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
                  "\"properties\":{\"b\":{\"enum\":[\"x\",\"y\"]},\"c\":{\"type\":\"object\","
                  "\"additionalProperties\":{}}},\"required\":[\"b\",\"c\"]}}},\"required\":[\"a\"]}");
}
