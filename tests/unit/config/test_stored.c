/* tests/unit/config/test_stored.c - a stored version is loaded from memory, and what the disk would add is named. */
#include "config/stored.h"

#include <stdio.h>

#include <criterion/criterion.h>

#include "config/fixture.h"

#define MAIN_YAML                                                                                                      \
    BASE_YAML "include: [ one.yaml, 'conf.d/*.yaml' ]\n"                                                               \
              "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n"

static struct file_text text_of(const char *path, const char *bytes)
{
    return (struct file_text){ SLICE("unused"), slice_from_cstr(path), slice_from_cstr(bytes) };
}

/* The version of three files, loaded as `name`, with `disk` lying there today. */
static struct config *load_stored(struct loaded *f, struct stored_source *s, const char *name, const struct entry *disk)
{
    static struct file_text files[3];
    files[0] = text_of("/etc/weir/weir.yaml", MAIN_YAML);
    files[1] = text_of("/etc/weir/one.yaml", "workers: 3\n");
    files[2] = text_of("/etc/weir/conf.d/b.yaml", "user: ${WHO}\n");
    static const struct entry variables[] = { { "WHO", "weir" }, { NULL, NULL } };
    loaded_init(f);
    f->files = disk;
    f->variables = variables;
    stored_source_init(s, &f->arena, &f->source, files, 3);
    return config_load(&f->arena, name, &s->source, &f->errors);
}

Test(stored, files_come_from_the_version_and_not_from_disk)
{
    static const struct entry disk[] = { { "weir.yaml", "nonsense: 1\n" }, { "one.yaml", "workers: 9\n" }, { 0 } };
    struct loaded f;
    struct stored_source s;
    const struct config *c = load_stored(&f, &s, "weir.yaml", disk);
    cr_assert_not_null(c);
    cr_expect_eq(f.read_count, 0);
    cr_expect_eq(c->file_count, 3, "what is gone from disk is there all the same");
    cr_expect_eq(c->worker_count, 3);
    cr_expect_str_eq(c->user.ptr, "weir");
    cr_expect_eq(s.stranger_count, 0);
    loaded_fini(&f);
}

Test(stored, another_spelling_of_the_first_file_finds_the_same)
{
    static const char *const names[] = { "/etc/weir/weir.yaml", "./weir.yaml", "/etc//weir/./weir.yaml" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct loaded f;
        struct stored_source s;
        const struct config *c = load_stored(&f, &s, names[i], NULL);
        cr_assert_not_null(c, "%s", names[i]);
        cr_expect_eq(c->file_count, 3);
        loaded_fini(&f);
    }
}

Test(stored, what_a_pattern_finds_today_is_named)
{
    static const struct entry disk[] = {
        { "conf.d/a.yaml", "" },
        { "conf.d/b.yaml", "" },
        { "conf.d/b.yaml.before-restore", "" },
        { "conf.d/c.yaml", "" },
        { 0 },
    };
    struct loaded f;
    struct stored_source s;
    cr_assert_not_null(load_stored(&f, &s, "weir.yaml", disk));
    cr_assert_eq(s.stranger_count, 2);
    cr_expect_str_eq(s.strangers[0].ptr, "/etc/weir/conf.d/a.yaml");
    cr_expect_str_eq(s.strangers[1].ptr, "/etc/weir/conf.d/c.yaml");
    loaded_fini(&f);
}

Test(stored, a_file_that_the_version_did_not_have_is_named)
{
    static const struct entry disk[] = { { "other.yaml", BASE_YAML }, { 0 } };
    struct loaded f;
    struct stored_source s;
    cr_assert_null(load_stored(&f, &s, "other.yaml", disk));
    cr_assert_eq(s.stranger_count, 1);
    cr_expect_str_eq(s.strangers[0].ptr, "/etc/weir/other.yaml");
    loaded_fini(&f);
}

Test(stored, strangers_are_counted_beyond_those_named)
{
    static struct entry disk[STORED_STRANGERS_MAX + 6];
    static char names[STORED_STRANGERS_MAX + 5][32];
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(names[i], sizeof names[i], "conf.d/x%zu.yaml", i);
        disk[i].name = names[i];
    }
    struct loaded f;
    struct stored_source s;
    cr_assert_not_null(load_stored(&f, &s, "weir.yaml", disk));
    cr_expect_eq(s.stranger_count, ARRAY_COUNT(names));
    loaded_fini(&f);
}
