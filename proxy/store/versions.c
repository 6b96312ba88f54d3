/* store/versions.c - the rows behind configuration versions. */
#include "store/versions.h"

#include "store/statement.h"

#define COLUMNS                                                                                                        \
    "v.generation, v.digest, v.applied_at_unix_ms, v.source, v.applied_by, t.file_count,"                              \
    " t.text_bytes"
#define TABLES " FROM config_versions v JOIN config_texts t ON t.digest = v.digest"

static bool text_insert(struct store *s, const struct version *v, struct slice text)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT OR IGNORE INTO config_texts (digest, text, text_bytes, file_count) VALUES (?, ?, ?, ?)");
    statement_bind_text(&st, v->digest);
    statement_bind_text(&st, text);
    statement_bind_i64(&st, (int64_t)text.len);
    statement_bind_i64(&st, (int64_t)v->file_count);
    statement_step(&st);
    return statement_end(&st);
}

static bool row_insert(struct store *s, const struct version *v)
{
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO config_versions"
                    " (generation, digest, applied_at_unix_ms, source, applied_by)"
                    " VALUES (?, ?, ?, ?, ?)");
    statement_bind_i64(&st, (int64_t)v->generation);
    statement_bind_text(&st, v->digest);
    statement_bind_i64(&st, v->applied_at.unix_ms);
    statement_bind_text(&st, v->source);
    statement_bind_text(&st, v->applied_by);
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

bool versions_put(struct store *s, const struct version *v, struct slice text)
{
    if (!transaction_begin(s))
        return false;
    bool is_good = text_insert(s, v, text) && row_insert(s, v) && old_delete(s);
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

bool versions_get(struct store *s, uint64_t generation, struct arena *arena, struct version *out, struct slice *text,
                  bool *is_found)
{
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS ", t.text" TABLES " WHERE v.generation = ?");
    statement_bind_i64(&st, (int64_t)generation);
    *is_found = statement_step(&st);
    if (*is_found) {
        *out = version_read(&st, arena);
        *text = statement_text(&st, 7, arena);
    }
    return statement_end(&st);
}
