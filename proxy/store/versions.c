/* store/versions.c - the rows behind configuration versions. */
#include "store/versions.h"

#include "config/load.h"
#include "store/statement.h"

#define COLUMNS                                                                                                        \
    "v.generation, v.digest, v.applied_at_unix_ms, v.source, v.applied_by, t.file_count,"                              \
    " t.text_bytes"
#define TABLES " FROM config_versions v JOIN config_texts t ON t.digest = v.digest"

/* Of what is there already nothing is changed: one digest, one list of files. */
static bool text_insert(struct store *s, const struct version *v)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT OR IGNORE INTO config_texts (digest, text, text_bytes, file_count) VALUES (?, '', ?, ?)");
    statement_bind_text(&st, v->digest);
    statement_bind_i64(&st, (int64_t)v->text_bytes);
    statement_bind_i64(&st, (int64_t)v->file_count);
    statement_step(&st);
    return statement_end(&st);
}

static bool file_insert(struct store *s, struct slice digest, size_t place, const struct file_text *file)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT OR IGNORE INTO config_files (digest, place, name, path, bytes) VALUES (?, ?, ?, ?, ?)");
    statement_bind_text(&st, digest);
    statement_bind_i64(&st, (int64_t)place);
    statement_bind_text(&st, file->name);
    statement_bind_text(&st, file->path);
    statement_bind_text(&st, file->bytes);
    statement_step(&st);
    return statement_end(&st);
}

static bool files_insert(struct store *s, const struct version *v, const struct file_text *files)
{
    for (size_t i = 0; i < v->file_count; i++)
        if (!file_insert(s, v->digest, i, &files[i]))
            return false;
    return true;
}

static bool row_insert(struct store *s, const struct version *v)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO config_versions"
                    " (generation, digest, applied_at_unix_ms, source, applied_by, diff)"
                    " VALUES (?, ?, ?, ?, ?, ?)");
    statement_bind_i64(&st, (int64_t)v->generation);
    statement_bind_text(&st, v->digest);
    statement_bind_i64(&st, v->applied_at.unix_ms);
    statement_bind_text(&st, v->source);
    statement_bind_text(&st, v->applied_by);
    statement_bind_text(&st, v->diff);
    statement_step(&st);
    return statement_end(&st);
}

static bool old_delete(struct store *s)
{
    struct statement st;
    statement_begin(&st, s,
                    "DELETE FROM config_versions WHERE generation IN (SELECT generation FROM ("
                    "  SELECT v.generation, row_number() OVER newest_first AS place,"
                    "    sum(t.text_bytes) OVER newest_first AS bytes" TABLES
                    "  WINDOW newest_first AS (ORDER BY v.generation DESC)"
                    ") WHERE place > ? OR (place > 1 AND bytes > ?))");
    statement_bind_i64(&st, VERSIONS_KEPT);
    statement_bind_i64(&st, VERSIONS_BYTES_KEPT);
    statement_step(&st);
    return statement_end(&st) && statement_run(s, "DELETE FROM config_texts WHERE digest NOT IN"
                                                  " (SELECT digest FROM config_versions)");
}

bool versions_put(struct store *s, const struct version *v, const struct file_text *files)
{
    if (!transaction_begin(s))
        return false;
    bool is_good = text_insert(s, v) && files_insert(s, v, files) && row_insert(s, v) && old_delete(s);
    return transaction_finish(s, is_good);
}

static struct version version_read(struct statement *st, struct arena *arena)
{
    return (struct version){
        .generation = (uint64_t)statement_i64(st, 0),
        .digest = statement_text(st, 1, arena),
        .applied_at = { statement_i64(st, 2) },
        .source = statement_text(st, 3, arena),
        .applied_by = statement_text(st, 4, arena),
        .file_count = (size_t)statement_i64(st, 5),
        .text_bytes = (size_t)statement_i64(st, 6),
    };
}

bool versions_newest(struct store *s, struct arena *arena, struct version *out)
{
    struct statement st;
    *out = (struct version){ 0 };
    statement_begin(&st, s, "SELECT " COLUMNS TABLES " ORDER BY v.generation DESC LIMIT 1");
    bool is_found = statement_step(&st);
    if (is_found)
        *out = version_read(&st, arena);
    return statement_end(&st) && is_found;
}

bool versions_list(struct store *s, struct arena *arena, struct version **out, size_t *count)
{
    struct statement st;
    *count = 0;
    *out = arena_zalloc_array(arena, VERSIONS_KEPT, sizeof **out);
    statement_begin(&st, s, "SELECT " COLUMNS TABLES " ORDER BY v.generation DESC LIMIT ?");
    statement_bind_i64(&st, VERSIONS_KEPT);
    while (statement_step(&st))
        (*out)[(*count)++] = version_read(&st, arena);
    return statement_end(&st);
}

bool versions_files(struct store *s, const struct version *v, struct arena *arena, struct file_text **out,
                    size_t *count)
{
    struct statement st;
    *count = 0;
    *out = arena_zalloc_array(arena, v->file_count, sizeof **out);
    statement_begin(&st, s, "SELECT name, path, bytes FROM config_files WHERE digest = ? ORDER BY place LIMIT ?");
    statement_bind_text(&st, v->digest);
    statement_bind_i64(&st, (int64_t)v->file_count);
    while (statement_step(&st))
        (*out)[(*count)++] = (struct file_text){ .name = statement_text(&st, 0, arena),
                                                 .path = statement_text(&st, 1, arena),
                                                 .bytes = statement_text(&st, 2, arena) };
    return statement_end(&st);
}

/* Replaces the empty text of a version whose files are kept one by one. */
static bool text_make(struct store *s, const struct version *v, struct arena *arena, struct slice *text)
{
    struct file_text *files;
    size_t count;
    if (!versions_files(s, v, arena, &files, &count))
        return false;
    if (count > 0) {
        struct text made;
        text_init(&made);
        config_text_write(&made, files, count);
        *text = arena_copy(arena, text_slice(&made));
        text_fini(&made);
    }
    return true;
}

bool versions_get(struct store *s, uint64_t generation, struct arena *arena, struct version *out, struct slice *text,
                  bool *is_found)
{
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS ", t.text, v.diff" TABLES " WHERE v.generation = ?");
    statement_bind_i64(&st, (int64_t)generation);
    *is_found = statement_step(&st);
    if (*is_found) {
        *out = version_read(&st, arena);
        *text = statement_text(&st, 7, arena);
        out->diff = statement_text(&st, 8, arena);
    }
    return statement_end(&st) && (!*is_found || text_make(s, out, arena, text));
}
