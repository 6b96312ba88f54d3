/* tests/unit/config/test_golden.c - every tests/golden/config/NAME.yaml has the problems that NAME.expected lists, and no other.
 *
 * WEIR_GOLDEN_UPDATE=1 writes the .expected files instead; read their difference before committing it. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "config/fixture.h"

#define GOLDEN_DIR TOP_SRCDIR "/tests/golden/config"

static bool read_golden(void *arg, const char *path, struct arena *arena, struct slice *out)
{
    (void)arg;
    const char *full = arena_printf(arena, GOLDEN_DIR "/%s", path).ptr;
    return config_source_system.read_file(NULL, full, arena, out);
}

static size_t expand_golden(void *arg, const char *pattern, struct arena *arena, struct slice **out)
{
    (void)arg;
    const char *full = arena_printf(arena, GOLDEN_DIR "/%s", pattern).ptr;
    size_t count = config_source_system.expand_glob(NULL, full, arena, out);
    for (size_t i = 0; i < count; i++)
        (*out)[i] = slice_after((*out)[i], strlen(GOLDEN_DIR "/"));
    return count;
}

/* The problems of one file, a line each. */
static void load_golden(const char *name, struct text *out)
{
    struct loaded f;
    loaded_init(&f);
    f.source.read_file = read_golden;
    f.source.expand_glob = expand_golden;
    f.config = config_load(&f.arena, name, &f.source, &f.errors);
    cr_expect_eq(f.config == NULL, f.errors.error_count > 0, "%s", name);
    for (const struct err *e = f.errors.first; e != NULL; e = e->next) {
        text_add(out, err_format(&f.error_arena, e));
        text_add_char(out, '\n');
    }
    loaded_fini(&f);
}

static void check_golden(const char *name)
{
    struct text found;
    struct arena arena;
    struct slice expected = SLICE("");
    arena_init(&arena, NULL, 0);
    text_init(&found);
    load_golden(name, &found);
    const char *path = arena_printf(&arena, GOLDEN_DIR "/%.*s.expected", (int)strlen(name) - 5, name).ptr;
    if (getenv("WEIR_GOLDEN_UPDATE") != NULL) {
        FILE *file = fopen(path, "w");
        cr_assert_not_null(file, "%s", path);
        fwrite(found.bytes, 1, found.len, file);
        fclose(file);
    }
    cr_expect(config_source_system.read_file(NULL, path, &arena, &expected), "%s", path);
    cr_expect(slice_equal(text_slice(&found), expected), "%s:\n--- expected\n%.*s--- found\n%.*s", name,
              SLICE_ARG(expected), SLICE_ARG(text_slice(&found)));
    text_fini(&found);
    arena_reset(&arena);
}

static int is_case(const struct dirent *entry)
{
    return slice_has_suffix(slice_from_cstr(entry->d_name), SLICE(".yaml"));
}

Test(golden, problems_are_told_with_line_and_column)
{
    struct dirent **entries;
    int count = scandir(GOLDEN_DIR, &entries, is_case, alphasort);
    cr_assert_geq(count, 40, "%d files in " GOLDEN_DIR, count);
    for (int i = 0; i < count; i++) {
        check_golden(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}
