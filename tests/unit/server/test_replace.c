/* tests/unit/server/test_replace.c - a file is replaced whole or not at all. */
#include "server/replace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char folder[64], path[2][128];

static const char *in_folder(int slot, const char *name)
{
    snprintf(path[slot], sizeof path[slot], "%s/%s", folder, name);
    return path[slot];
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(0, name), "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_file(const char *name, const char *expected)
{
    char text[64] = "";
    FILE *f = fopen(in_folder(0, name), "r");
    cr_assert_not_null(f, "%s is not there", name);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    cr_assert_str_eq(text, expected);
}

static void fixture_init(void)
{
    snprintf(folder, sizeof folder, "/tmp/weir-replace-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    write_file("weir.yaml", "old");
}

static void fixture_fini(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(replace, .init = fixture_init, .fini = fixture_fini);

static int count_files(void)
{
    char command[96];
    snprintf(command, sizeof command, "test $(ls %s | wc -l) = 2", folder);
    return system(command) == 0 ? 2 : -1;
}

Test(replace, the_old_bytes_are_kept_beside_and_the_mode_stays)
{
    struct text error = { 0 };
    struct stat status;
    cr_assert_eq(chmod(in_folder(0, "weir.yaml"), 0604), 0);
    cr_assert(replace_file(in_folder(1, "weir.yaml"), SLICE("new"), &error), "%s", error.bytes);
    assert_file("weir.yaml", "new");
    assert_file("weir.yaml.before-restore", "old");
    cr_assert_eq(stat(in_folder(0, "weir.yaml"), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0604);
    cr_assert(replace_file(in_folder(1, "weir.yaml"), SLICE("newer"), &error), "%s", error.bytes);
    assert_file("weir.yaml.before-restore", "new");
    cr_assert_eq(count_files(), 2);
}

Test(replace, a_link_stays_a_link)
{
    struct text error = { 0 };
    struct stat status;
    cr_assert_eq(symlink("weir.yaml", in_folder(0, "link.yaml")), 0);
    cr_assert(replace_file(in_folder(1, "link.yaml"), SLICE("new"), &error), "%s", error.bytes);
    assert_file("weir.yaml", "new");
    cr_assert_eq(lstat(in_folder(0, "link.yaml"), &status), 0);
    cr_assert(S_ISLNK(status.st_mode));
}

Test(replace, a_file_that_is_not_there_is_named)
{
    struct text error = { 0 };
    cr_assert_not(replace_file(in_folder(1, "missing"), SLICE("new"), &error));
    cr_assert(slice_contains(text_slice(&error), SLICE("missing: No such file")));
    text_fini(&error);
}

Test(replace, what_cannot_be_kept_is_not_replaced)
{
    struct text error = { 0 };
    cr_assert_eq(mkdir(in_folder(0, "weir.yaml.before-restore"), 0700), 0);
    cr_assert_not(replace_file(in_folder(1, "weir.yaml"), SLICE("new"), &error));
    assert_file("weir.yaml", "old");
    cr_assert_eq(count_files(), 2, "a temporary file is left");
    text_fini(&error);
}
