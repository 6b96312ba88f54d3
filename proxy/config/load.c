/* config/load.c - a configuration from its files: read, merge, fill, check.
 *
 * Two arenas: the caller's keeps what outlives the load (the configuration, its texts, the errors), scratch holds
 * the nodes and is gone at the end. The steps go on after a mistake, each with what the one before could make of
 * the files, so that one run tells everything. */
#include "config/load.h"

#include "base/hash.h"
#include "config/check.h"
#include "config/include.h"

#include <inttypes.h>

/* What one load needs besides the configuration itself; gone at its end. */
struct load {
    struct arena *arena, scratch;
    struct file_set files;
    struct err_list *errors;
    const struct config_source *source;
};

static void keep_files(struct load *l, struct config *config)
{
    size_t count = 0;
    config->files = arena_zalloc_array(l->arena, l->files.count, sizeof *config->files);
    for (const struct config_file *file = l->files.first; file != NULL; file = file->next)
        config->files[count++] =
            (struct file_text){ .name = slice_from_cstr(file->name), .path = file->absolute, .bytes = file->bytes };
    config->file_count = count;
}

static uint64_t hash_of(struct slice s)
{
    return hash_siphash((struct hash_key){ 0, 0 }, s.len ? s.ptr : "", s.len);
}

/* Over the parts of each file by themselves, not over the text: a file that holds a line "# NAME" gives the text that
   two files would give, and one must not pass for the other. What ${NAME} became is left out, so that it is neither
   stored nor shown, and a changed variable alone is no changed configuration. */
static struct slice digest_of(struct arena *arena, const struct config *config)
{
    struct text parts;
    text_init(&parts);
    for (const struct file_text *f = config->files; f < config->files + config->file_count; f++)
        text_printf(&parts, "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, hash_of(f->name), hash_of(f->path),
                    hash_of(f->bytes));
    if (config->pem_digest != 0) /* certificates are renewed under the same name */
        text_printf(&parts, "%016" PRIx64, config->pem_digest);
    if (config->script_digest != 0)
        text_printf(&parts, "script %016" PRIx64, config->script_digest);
    uint64_t digest = hash_of(text_slice(&parts));
    text_fini(&parts);
    return arena_printf(arena, "%016" PRIx64, digest);
}

void config_text_write(struct text *out, const struct file_text *files, size_t count)
{
    for (const struct file_text *f = files; f < files + count; f++) {
        text_printf(out, "# %.*s\n", SLICE_ARG(f->name));
        text_add(out, f->bytes);
        if (!slice_has_suffix(f->bytes, SLICE("\n")))
            text_add_char(out, '\n');
    }
}

static void keep_text(struct load *l, struct config *config)
{
    struct text text;
    text_init(&text);
    config_text_write(&text, config->files, config->file_count);
    config->text = arena_copy(l->arena, text_slice(&text));
    text_fini(&text);
    config->digest = digest_of(l->arena, config);
}

/* In the order of the list, which nobody relies on. */
static void keep_secrets(struct load *l, const struct fill *fill, struct config *config)
{
    config->secrets.items = arena_zalloc_array(l->arena, fill->secret_count, sizeof *config->secrets.items);
    for (const struct secret *at = fill->secrets; at != NULL; at = at->next)
        config->secrets.items[config->secrets.count++] = at->value;
}

/* Every problem is told, of the files that could be read. */
static struct config *load_finish(struct load *l, const char *file)
{
    struct config *config = arena_zalloc(l->arena, sizeof *config);
    struct fill fill = { .arena = l->arena, .errors = l->errors, .source = l->source, .files = &l->files };
    struct wall_time now = { 0 };
    if (l->source->get_time != NULL)
        now = l->source->get_time(l->source->arg);
    config->arena = l->arena;
    config->file = arena_copy(l->arena, slice_from_cstr(file));
    const struct node *root = include_merge(&l->files, &l->scratch, l->errors);
    if (root != NULL) {
        fill_table(&fill, &config_table, root, config);
        check_run(&fill, config, now);
        if (l->source->compile_tls != NULL)
            l->source->compile_tls(l->source, config, l->errors);
        if (l->source->compile_scripts != NULL)
            l->source->compile_scripts(l->source, config, l->errors);
        keep_files(l, config);
        keep_text(l, config);
        keep_secrets(l, &fill, config);
    }
    err_list_sort(l->errors);
    arena_reset(&l->scratch);
    return l->errors->error_count == 0 ? config : NULL;
}

struct config *config_load(struct arena *arena, const char *file, const struct config_source *source,
                           struct err_list *errors)
{
    struct load l = { .arena = arena, .errors = errors, .source = source };
    arena_init(&l.scratch, NULL, 0);
    include_read(&l.files, arena, &l.scratch, file, source, errors);
    return load_finish(&l, file);
}

struct config *config_load_bytes(struct arena *arena, const char *file, struct slice bytes,
                                 const struct config_source *source, struct err_list *errors)
{
    struct load l = { .arena = arena, .errors = errors, .source = source };
    arena_init(&l.scratch, NULL, 0);
    include_read_bytes(&l.files, arena, &l.scratch, file, bytes, source, errors);
    return load_finish(&l, file);
}

/* ---- masking ----------------------------------------------------------------------------------------------------- */

/* The secret that the text begins with; an empty slice when none. Secrets are looked for by value, so that they are
   hidden in comments and in other settings as well. */
static struct slice secret_at(const struct config *config, struct slice text)
{
    for (size_t i = 0; i < config->secrets.count; i++)
        if (config->secrets.items[i].len > 0 && slice_has_prefix(text, config->secrets.items[i]))
            return config->secrets.items[i];
    return SLICE_NONE;
}

void config_text_masked(const struct config *config, struct text *out)
{
    struct slice rest = config->text;
    while (rest.len > 0) {
        struct slice secret = secret_at(config, rest);
        if (secret.len > 0)
            text_add_cstr(out, "********");
        else
            text_add_char(out, rest.ptr[0]);
        rest = slice_after(rest, secret.len > 0 ? secret.len : 1);
    }
}
