/* fuzz/replay.c - runs a fuzz target over kept inputs, so that `make check` needs no libFuzzer. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name is libFuzzer's; each tests/fuzz/fuzz_<what>.c defines one. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* One input in a block of its exact size, so that AddressSanitizer sees a read past its end. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    uint8_t *bytes = NULL;
    size_t length = 0;
    if (fseek(file, 0, SEEK_END) == 0) {
        length = (size_t)ftell(file);
        rewind(file);
        bytes = malloc(length > 0 ? length : 1);
    }
    int result = -1;
    if (bytes != NULL && fread(bytes, 1, length, file) == length) {
        LLVMFuzzerTestOneInput(bytes, length);
        result = 0;
    } else {
        fprintf(stderr, "%s: could not be read\n", path);
    }
    free(bytes);
    fclose(file);
    return result;
}

/* Returns how many inputs were replayed, or -1. */
static int replay_dir(const char *dir)
{
    struct dirent **entries;
    int entry_count = scandir(dir, &entries, NULL, alphasort);
    if (entry_count < 0) {
        perror(dir);
        return -1;
    }
    int replayed_count = 0;
    for (int i = 0; i < entry_count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && replayed_count >= 0)
            replayed_count = replay_file(path) == 0 ? replayed_count + 1 : -1;
        free(entries[i]);
    }
    free(entries);
    return replayed_count;
}

/* Without arguments the corpus is found by the program's own name: fuzz_x has tests/fuzz/corpus/x. */
static int replay_own_corpus(const char *program)
{
    const char *srcdir = getenv("srcdir");
    const char *name = strstr(program, "fuzz_");
    for (const char *next = name; next != NULL; next = strstr(next + 1, "fuzz_"))
        name = next;
    if (name == NULL) {
        fprintf(stderr, "usage: %s CORPUS_DIR...\n", program);
        return -1;
    }
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".", name + strlen("fuzz_"));
    return replay_dir(dir);
}

int main(int argc, char **argv)
{
    int total_count = argc > 1 ? 0 : replay_own_corpus(argv[0]);
    for (int i = 1; i < argc && total_count >= 0; i++) {
        int count = replay_dir(argv[i]);
        total_count = count < 0 ? -1 : total_count + count;
    }
    if (total_count <= 0) {
        fprintf(stderr, "%s: no input was replayed\n", argv[0]);
        return 1;
    }
    printf("%s: %d inputs replayed\n", argv[0], total_count);
    return 0;
}
