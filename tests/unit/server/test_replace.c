/* tests/unit/server/test_replace.c - several files are replaced, all or none. */
#include "server/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char folder[64], path[4][128];             /* slot 0 is for the helpers */
static unsigned rename_count, fail_from, fail_to; /* renames fail_from <= number < fail_to fail, from 0 */

/* In place of the C library's, for the whole program: the one failure that cannot be provoked from outside is that of a
   rename between others that work. */
int rename(const char *from, const char *to)
{
    unsigned number = rename_count++;
    errno = EIO;
    return number >= fail_from && number < fail_to ? -1 : renameat(AT_FDCWD, from, AT_FDCWD, to);
}

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
    rename_count = fail_from = fail_to = 0;
    write_file("weir.yaml", "old");
}

static void fixture_fini(void)
{
    fail_to = 0;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(replace, .init = fixture_init, .fini = fixture_fini);

/* Hidden ones too: a temporary file that stays behind is one. */
static void assert_file_count(int expected)
{
    char command[128];
    snprintf(command, sizeof command, "test $(ls -A %s | wc -l) = %d", folder, expected);
    cr_assert_eq(system(command), 0, "not %d files are there", expected);
}

static struct file_text text_of(int slot, const char *name, const char *bytes)
{
    return (struct file_text){ .path = slice_from_cstr(in_folder(slot, name)), .bytes = slice_from_cstr(bytes) };
}

static void assert_replaced(const struct file_text *files, size_t count)
{
    struct text error = { 0 };
    struct replacement *r = replace_begin(files, count, &error);
    cr_assert_not_null(r, "%s", error.bytes);
    cr_assert(replace_end(r, REPLACE_KEEP, &error));
    cr_assert_eq(error.len, 0);
}

static void assert_refused(const struct file_text *files, size_t count, const char *message)
{
    struct text error = { 0 };
    cr_assert_null(replace_begin(files, count, &error));
    cr_assert(slice_contains(text_slice(&error), slice_from_cstr(message)), "\"%s\" lacks \"%s\"", error.bytes,
              message);
    text_fini(&error);
}

static mode_t mode_of(const char *name)
{
    struct stat status;
    cr_assert_eq(stat(in_folder(0, name), &status), 0);
    return status.st_mode & 07777;
}

Test(replace, the_old_bytes_are_kept_beside_and_the_mode_stays)
{
    cr_assert_eq(chmod(in_folder(0, "weir.yaml"), 0604), 0);
    struct file_text file = text_of(2, "weir.yaml", "new");
    assert_replaced(&file, 1);
    assert_file("weir.yaml", "new");
    assert_file("weir.yaml.before-restore", "old");
    cr_assert_eq(mode_of("weir.yaml"), 0604);
    file.bytes = SLICE("newer");
    assert_replaced(&file, 1);
    assert_file("weir.yaml.before-restore", "new");
    assert_file_count(2);
}

Test(replace, the_owner_stays)
{
    struct stat status;
    struct file_text file = text_of(2, "weir.yaml", "new");
    if (geteuid() == 0) /* anybody else can only have files of their own here */
        cr_assert_eq(chown(file.path.ptr, 65534, 65533), 0);
    cr_assert_eq(stat(file.path.ptr, &status), 0);
    uid_t user = status.st_uid;
    gid_t group = status.st_gid;
    assert_replaced(&file, 1);
    cr_assert_eq(stat(file.path.ptr, &status), 0);
    cr_expect_eq(status.st_uid, user);
    cr_expect_eq(status.st_gid, group);
}

Test(replace, several_files_change_and_one_that_is_gone_comes_back)
{
    write_file("b.yaml", "old b");
    cr_assert_eq(chmod(in_folder(0, "weir.yaml"), 0640), 0);
    struct file_text files[] = { text_of(1, "weir.yaml", "new"), text_of(2, "b.yaml", "new b"),
                                 text_of(3, "c.yaml", "new c") };
    assert_replaced(files, 3);
    assert_file("weir.yaml", "new");
    assert_file("b.yaml", "new b");
    assert_file("c.yaml", "new c");
    cr_assert_eq(mode_of("c.yaml"), 0640, "not the mode of the first");
    assert_file_count(5);
}

Test(replace, what_holds_the_bytes_already_is_left_alone)
{
    write_file("b.yaml", "same");
    struct stat before, after;
    struct file_text files[] = { text_of(1, "weir.yaml", "new"), text_of(2, "b.yaml", "same") };
    cr_assert_eq(stat(files[1].path.ptr, &before), 0);
    assert_replaced(files, 2);
    cr_assert_eq(stat(files[1].path.ptr, &after), 0);
    cr_assert_eq(before.st_ino, after.st_ino);
    assert_file_count(3);
}

Test(replace, old_files_can_be_put_back_afterwards)
{
    struct text error = { 0 };
    struct stat before, after;
    struct file_text files[] = { text_of(1, "weir.yaml", "new"), text_of(2, "b.yaml", "new b") };
    cr_assert_eq(stat(files[0].path.ptr, &before), 0);
    struct replacement *r = replace_begin(files, 2, &error);
    cr_assert_not_null(r, "%s", error.bytes);
    assert_file("b.yaml", "new b");
    cr_assert(replace_end(r, REPLACE_PUT_BACK, &error), "%s", error.bytes);
    assert_file("weir.yaml", "old");
    cr_assert_eq(stat(files[0].path.ptr, &after), 0);
    cr_assert_eq(before.st_ino, after.st_ino, "not the very file");
    assert_file_count(1);
}

Test(replace, a_failure_in_the_middle_puts_back_what_was_renamed)
{
    write_file("b.yaml", "old b");
    struct file_text files[] = { text_of(1, "weir.yaml", "new"), text_of(2, "gone.yaml", "new"),
                                 text_of(3, "b.yaml", "new b") };
    for (fail_from = 0; fail_from < 3; fail_from++) {
        fail_to = fail_from + 1;
        rename_count = 0;
        assert_refused(files, 3, "could not replace");
        assert_file("weir.yaml", "old");
        assert_file("b.yaml", "old b");
        assert_file_count(2);
    }
}

Test(replace, what_cannot_be_put_back_is_told_with_its_place)
{
    write_file("b.yaml", "old b");
    struct file_text files[] = { text_of(1, "weir.yaml", "new"), text_of(2, "b.yaml", "new b") };
    fail_from = 1;
    fail_to = 3;
    assert_refused(files, 2, "weir.yaml.before-restore)");
    assert_file("weir.yaml.before-restore", "old");
    assert_file("b.yaml", "old b");
    assert_file_count(3);
}

Test(replace, a_link_stays_a_link)
{
    struct stat status;
    cr_assert_eq(symlink("weir.yaml", in_folder(0, "link.yaml")), 0);
    struct file_text file = text_of(2, "link.yaml", "new");
    assert_replaced(&file, 1);
    assert_file("weir.yaml", "new");
    cr_assert_eq(lstat(in_folder(0, "link.yaml"), &status), 0);
    cr_assert(S_ISLNK(status.st_mode));
}

Test(replace, what_cannot_be_replaced_is_named_before_anything_changes)
{
    struct file_text files[] = { text_of(1, "weir.yaml", "new"), text_of(2, "folder", "new") };
    cr_assert_eq(mkdir(files[1].path.ptr, 0700), 0);
    assert_refused(files, 2, "folder is not a file that can be replaced");
    files[1] = text_of(2, "nowhere/b.yaml", "new");
    assert_refused(files, 2, "could not write beside");
    files[1] = text_of(2, "link.yaml", "new");
    cr_assert_eq(symlink("nothing", files[1].path.ptr), 0);
    assert_refused(files, 2, "could not find");
    files[1] = text_of(2, "other.yaml", "newer");
    cr_assert_eq(symlink("weir.yaml", files[1].path.ptr), 0);
    assert_refused(files, 2, "are one file now");
    assert_file("weir.yaml", "old");
    assert_file_count(4);
}

Test(replace, the_first_file_has_to_be_there)
{
    struct file_text file = text_of(2, "missing", "new");
    assert_refused(&file, 1, "missing: No such file");
    assert_file_count(1);
}

Test(replace, what_cannot_be_kept_is_not_replaced)
{
    write_file("b.yaml", "old b");
    struct file_text files[] = { text_of(1, "weir.yaml", "new"), text_of(2, "b.yaml", "new b") };
    cr_assert_eq(mkdir(in_folder(0, "b.yaml.before-restore"), 0700), 0);
    assert_refused(files, 2, "b.yaml.before-restore");
    assert_file("weir.yaml", "old");
    assert_file("b.yaml", "old b");
    assert_file_count(3);
}
