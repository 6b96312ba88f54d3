/* tests/unit/config/test_yaml.c - nodes with their places, and what a hostile file cannot do. */
#include "config/yaml.h"

#include <criterion/criterion.h>

#include "base/memory.h"
#include "base/text.h"

struct parsed {
    struct arena arena;
    struct err_list errors;
    struct node *root;
};

static void parse(struct parsed *p, struct slice bytes)
{
    arena_init(&p->arena, NULL, 0);
    err_list_init(&p->errors, &p->arena);
    p->root = yaml_parse(&p->arena, "x.yaml", bytes, &p->errors);
}

static const char *first_message(const struct parsed *p)
{
    return p->errors.first ? p->errors.first->message : "";
}

Test(yaml, nodes_know_their_line_and_column)
{
    struct parsed p;
    parse(&p, SLICE("a: 1\nlist:\n  - x\n  - { \xc3\xa9: y, deep: [ z ] }\n"));
    cr_assert_eq(p.root->kind, NODE_MAP);
    cr_expect_eq(p.root->child_count, 2);
    const struct node *list = node_get(p.root, "list");
    cr_expect_eq(list->kind, NODE_LIST);
    cr_expect_eq(list->place.line, 3);
    const struct node *map = list->first->next;
    cr_expect_eq(map->place.line, 4);
    cr_expect_eq(map->place.column, 5);
    const struct node *deep = node_get(map, "deep");
    cr_expect_eq(deep->first->place.column, 21, "columns count characters, not bytes: %u", deep->first->place.column);
    cr_expect_str_eq(deep->place.file, "x.yaml");
    cr_expect_null(node_get(map, "none"));
    arena_reset(&p.arena);
}

Test(yaml, only_bare_words_are_null)
{
    struct parsed p;
    parse(&p, SLICE("[ ~, null, Null, '', '~', \"null\", nil, none, 0 ]"));
    static const bool expected[] = { true, true, true, false, false, false, false, false, false };
    const struct node *item = p.root->first;
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++, item = item->next)
        cr_expect_eq(node_is_null(item), expected[i], "%s", item->text.ptr);
    arena_reset(&p.arena);
}

Test(yaml, texts_keep_what_yaml_would_turn_into_numbers)
{
    struct parsed p;
    parse(&p, SLICE("[ 1.10, 0x1F, 010, yes, 2027-03-01, 1e3 ]"));
    static const char *const expected[] = { "1.10", "0x1F", "010", "yes", "2027-03-01", "1e3" };
    const struct node *item = p.root->first;
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++, item = item->next)
        cr_expect_str_eq(item->text.ptr, expected[i]);
    arena_reset(&p.arena);
}

Test(yaml, an_empty_text_is_no_document_and_no_error)
{
    static const char *const rows[] = { "", "\n", "# comment\n", "---\n...\n" };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct parsed p;
        parse(&p, slice_from_cstr(rows[i]));
        cr_expect_eq(p.errors.error_count, 0, "%s", rows[i]);
        cr_expect(p.root == NULL || node_is_null(p.root), "%s", rows[i]);
        arena_reset(&p.arena);
    }
}

/* ---- bounds ------------------------------------------------------------------------------------------------------- */

static struct slice repeat(struct text *t, const char *unit, size_t count)
{
    text_init(t);
    for (size_t i = 0; i < count; i++)
        text_add_cstr(t, unit);
    return text_slice(t);
}

Test(yaml, depth_is_bounded)
{
    static const char *const units[] = { "[", "{ a: ", "- " };
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        struct parsed p;
        struct text t;
        parse(&p, repeat(&t, units[i], 100000));
        cr_expect_null(p.root);
        cr_expect_gt(p.errors.error_count, 0);
        text_fini(&t);
        arena_reset(&p.arena);
    }
}

Test(yaml, thirty_two_levels_are_enough_and_one_more_is_not)
{
    for (unsigned depth = YAML_DEPTH_MAX; depth <= YAML_DEPTH_MAX + 1; depth++) {
        struct parsed p;
        struct text t;
        text_init(&t);
        for (unsigned i = 0; i < depth; i++)
            text_add_char(&t, '[');
        for (unsigned i = 0; i < depth; i++)
            text_add_char(&t, ']');
        parse(&p, text_slice(&t));
        cr_expect_eq(p.root != NULL, depth == YAML_DEPTH_MAX, "%u: %s", depth, first_message(&p));
        text_fini(&t);
        arena_reset(&p.arena);
    }
}

Test(yaml, the_number_of_values_is_bounded)
{
    struct parsed p;
    struct text t;
    parse(&p, repeat(&t, "- \n", YAML_NODES_MAX + 1));
    cr_expect_null(p.root);
    cr_expect_str_eq(first_message(&p), "the file has too many values");
    text_fini(&t);
    arena_reset(&p.arena);
}

Test(yaml, the_size_of_a_file_is_bounded)
{
    struct parsed p;
    char *bytes = memory_zalloc(YAML_BYTES_MAX + 1);
    parse(&p, slice_from(bytes, YAML_BYTES_MAX + 1));
    cr_expect_null(p.root);
    cr_expect_str_eq(first_message(&p), "the file is larger than 32 MiB");
    memory_free(bytes);
    arena_reset(&p.arena);
}

/* The classic: nine levels of ten aliases each would be a billion texts. */
Test(yaml, aliases_do_not_multiply)
{
    struct parsed p;
    struct text t;
    text_init(&t);
    text_add_cstr(&t, "a0: &a0 [ lol ]\n");
    for (int i = 1; i < 10; i++) {
        text_printf(&t, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            text_printf(&t, "%s *a%d", j ? "," : "", i - 1);
        text_add_cstr(&t, " ]\n");
    }
    parse(&p, text_slice(&t));
    cr_expect_eq(p.errors.error_count, 10 + 90);
    cr_expect_lt(p.arena.used_bytes, (size_t)1 << 20);
    text_fini(&t);
    arena_reset(&p.arena);
}

Test(yaml, a_hundred_thousand_keys_are_searched_once_each)
{
    struct parsed p;
    struct text t;
    text_init(&t);
    for (int i = 0; i < 100000; i++)
        text_printf(&t, "key%d: %d\n", i % 99999, i);
    parse(&p, text_slice(&t));
    cr_assert_not_null(p.root);
    cr_expect_eq(p.errors.error_count, 1);
    cr_expect_str_eq(first_message(&p), "'key0' is given twice");
    cr_expect_eq(p.root->child_count, 99999);
    text_fini(&t);
    arena_reset(&p.arena);
}

/* Every prefix of a rich document ends in nodes or an error, never in a crash or a read past the end. */
Test(yaml, every_prefix_of_a_document_is_survived)
{
    static const char document[] = "a: &x [ 1, \"two\\n\", 'three' ]\nb: { c: !!str d, ? e : f }\n"
                                   "g: |\n  text\n  more\nh: >-\n  folded\ni: *x\n--- \nj: \xe2\x82\xac\n";
    for (size_t len = 0; len < sizeof document; len++) {
        struct parsed p;
        char *exact = memory_alloc(len + 1); /* of the exact length, for AddressSanitizer */
        memcpy(exact, document, len);
        exact = memory_resize(exact, len ? len : 1);
        parse(&p, slice_from(exact, len));
        memory_free(exact);
        arena_reset(&p.arena);
    }
}
