/* tests/unit/config/test_include.c - several files become one configuration. */
#include "config/include.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "config/fixture.h"

static const char *load_files(struct loaded *f, const struct entry *files)
{
    loaded_init(f);
    f->files = files;
    return loaded_read(f, files[0].text);
}

Test(include, maps_and_lists_of_further_files_are_added)
{
    static const struct entry files[] = {
        { "weir.yaml", "include: [ conf.d/*.yaml, last.yaml ]\n"
                       "listeners: { web: { bind: 127.0.0.1:80 } }\n"
                       "log: { level: warn }\n"
                       "upstreams: { a: { endpoints: [ h:1 ] } }\n"
                       "routes: [ { name: one, match: { host: a }, to: a } ]\n" },
        { "conf.d/1.yaml",
          "upstreams: { b: { endpoints: [ h:2 ] } }\nroutes: [ { name: two, match: { host: b }, to: b } ]\n" },
        { "conf.d/2.yaml", "log: { format: text }\nroutes: [ { name: three, match: { host: c }, to: c } ]\n" },
        { "conf.d/2.yml", "nonsense: 1\n" },
        { "last.yaml", "workers: 3\nupstreams: { c: { endpoints: [ h:3 ] } }\n" },
        { NULL, NULL },
    };
    struct loaded f;
    const char *problems = load_files(&f, files);
    cr_assert_str_empty(problems, "%s", problems);
    cr_expect_eq(f.config->upstream_count, 3);
    cr_expect_eq(f.config->route_count, 3);
    cr_expect_str_eq(f.config->routes[0].name.ptr, "one");
    cr_expect_str_eq(f.config->routes[1].name.ptr, "two");
    cr_expect_str_eq(f.config->routes[2].name.ptr, "three");
    cr_expect_str_eq(f.config->routes[2].place.file, "conf.d/2.yaml");
    cr_expect_eq(f.config->log.level, LOG_WARN);
    cr_expect_eq(f.config->log.format, LOG_FORMAT_TEXT);
    cr_expect_eq(f.config->worker_count, 3);
    cr_expect_eq(f.config->file_count, 4);
    cr_expect_str_eq(f.config->files[1].path.ptr, "/etc/weir/conf.d/1.yaml");
    cr_expect(slice_contains(f.config->text, SLICE("\n# conf.d/1.yaml\nupstreams: { b:")));
    loaded_fini(&f);
}

Test(include, names_are_relative_to_the_file_they_stand_in)
{
    static const struct entry files[] = {
        { "weir.yaml", "include: sub/one.yaml\n" BASE_YAML "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n" },
        { "sub/one.yaml", "include: [ ./deep/two.yaml, /etc/abs.yaml ]\nlog: { access: one.log }\n" },
        { "sub/./deep/two.yaml", "state_dir: state\n" },
        { "/etc/abs.yaml", "admin: { bind: unix:a.sock }\n" },
        { NULL, NULL },
    };
    struct loaded f;
    const char *problems = load_files(&f, files);
    cr_assert_str_empty(problems, "%s", problems);
    cr_expect_str_eq(f.config->log.access_path.ptr, "/etc/weir/sub/one.log");
    cr_expect_str_eq(f.config->state_dir.ptr, "/etc/weir/sub/deep/state");
    cr_expect_str_eq(f.config->admin.bind.name.ptr, "/etc/a.sock");
    loaded_fini(&f);
}

Test(include, a_cycle_by_another_spelling_is_seen)
{
    static const struct entry files[] = {
        { "weir.yaml", "include: ./weir.yaml\n" BASE_YAML "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n" },
        { NULL, NULL },
    };
    struct loaded f;
    const char *problems = load_files(&f, files);
    cr_expect_str_eq(problems, "weir.yaml:1:10: './weir.yaml' includes itself (remove it here, or make the pattern "
                               "narrower)\n");
    loaded_fini(&f);
}

Test(include, depth_and_number_of_files_are_bounded)
{
    static struct entry files[41];
    static char names[40][24], texts[40][64];
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "%d.yaml", i);
        snprintf(texts[i], sizeof texts[i], "include: %d.yaml\n", i + 1);
        files[i] = (struct entry){ names[i], texts[i] };
    }
    struct loaded f;
    const char *problems = load_files(&f, files);
    cr_expect_not_null(strstr(problems, "is one file too many (at most 1000 files, 16 deep"), "%s", problems);
    cr_expect_eq(f.read_count, INCLUDE_DEPTH_MAX - 1);
    loaded_fini(&f);
}

Test(include, problems_of_all_files_are_told_in_order)
{
    static const struct entry files[] = {
        { "weir.yaml",
          "include: [ b.yaml, a.yaml ]\nworkers: x\n" BASE_YAML "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n" },
        { "a.yaml", "user: ''\nlog: { level: loud }\n" },
        { "b.yaml", "routes: [ { name: r, to: nowhere } ]\n" },
        { NULL, NULL },
    };
    struct loaded f;
    const char *problems = load_files(&f, files);
    cr_expect_str_eq(problems,
                     "a.yaml:1:7: 'user': '' is not a name (a name is 1 to 64 letters, digits, dots, dashes and "
                     "underscores)\n"
                     "a.yaml:2:15: 'level': 'loud' is not one of the choices (known: debug, info, warn, error)\n"
                     "b.yaml:1:11: a second route 'r' (the first is at weir.yaml:5:11)\n"
                     "b.yaml:1:26: there is no upstream 'nowhere' (define it under upstreams)\n"
                     "weir.yaml:2:10: 'workers': 'x' is not a whole number (write a bare number, without unit or "
                     "percent sign)\n");
    cr_expect_null(f.config);
    loaded_fini(&f);
}

Test(include, a_pattern_passes_over_what_a_restore_kept)
{
    static const struct entry files[] = {
        { "weir.yaml", "include: conf.d/*\n" BASE_YAML },
        { "conf.d/r.yaml", "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n" },
        { "conf.d/r.yaml.before-restore", "routes: [ { name: r, to: a } ]\n" },
        { NULL, NULL },
    };
    struct loaded f;
    const char *problems = load_files(&f, files);
    cr_assert_str_empty(problems, "%s", problems);
    cr_expect_eq(f.config->file_count, 2);
    loaded_fini(&f);
}

Test(include, one_file_does_not_pass_for_two)
{
    static const struct entry one[] = {
        { "weir.yaml", "include: c.d/*.yaml\n" BASE_YAML },
        { "c.d/1.yaml", "workers: 1\n# c.d/2.yaml\nroutes: [ { name: r, split: { a: 1, b: 1 } } ]\n" },
        { NULL, NULL },
    };
    static const struct entry two[] = {
        { "weir.yaml", "include: c.d/*.yaml\n" BASE_YAML },
        { "c.d/1.yaml", "workers: 1\n" },
        { "c.d/2.yaml", "routes: [ { name: r, split: { a: 1, b: 1 } } ]\n" },
        { NULL, NULL },
    };
    struct loaded f, g;
    cr_assert_str_empty(load_files(&f, one));
    cr_assert_str_empty(load_files(&g, two));
    cr_assert(slice_equal(f.config->text, g.config->text));
    cr_expect_not(slice_equal(f.config->digest, g.config->digest));
    cr_expect_eq(g.config->file_count, 3);
    cr_expect_str_eq(g.config->files[2].name.ptr, "c.d/2.yaml");
    cr_expect_str_eq(g.config->files[2].path.ptr, "/etc/weir/c.d/2.yaml");
    cr_expect(slice_equal(g.config->files[2].bytes, slice_from_cstr(two[2].text)));
    loaded_fini(&f);
    loaded_fini(&g);
}
