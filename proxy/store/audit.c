/* store/audit.c - the hash chain.
 *
 * A line's hash is SHA-256 over the hash of the line before it, its own number and time, and its texts, each with its
 * length in front. So a line cannot be altered, taken out or put in without all later hashes changing. Triggers
 * (store/migrations.c) stop honest mistakes; the chain finds dishonest ones. */
#include "store/audit.h"

#include "base/text.h"
#include "crypto/digest.h"
#include "store/statement.h"

#include <string.h>

/* In the order of line_read. */
#define COLUMNS "id, at_unix_ms, who, role, action, target, reason, detail, previous_hash, hash"

static const char first_previous_hash[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* "LENGTH:BYTES," so that no two lists of fields have the same text. */
static void field_add(struct text *t, struct slice value)
{
    text_printf(t, "%zu:", value.len);
    text_add(t, value);
    text_add_char(t, ',');
}

static void line_hash(const struct audit_line *line, char out[DIGEST_SHA256_HEX_SIZE])
{
    struct text t;
    text_init(&t);
    field_add(&t, line->previous_hash);
    text_printf(&t, "%lld,%lld,", (long long)line->id, (long long)line->at.unix_ms);
    field_add(&t, line->who);
    field_add(&t, line->role);
    field_add(&t, line->action);
    field_add(&t, line->target);
    field_add(&t, line->reason);
    field_add(&t, line->detail);
    digest_sha256_hex(text_slice(&t), out);
    text_fini(&t);
}

static bool newest_read(struct store *s, struct arena *arena, int64_t *id, struct slice *hash)
{
    struct statement st;
    *id = 0;
    *hash = slice_from_cstr(first_previous_hash);
    statement_begin(&st, s, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1");
    if (statement_step(&st)) {
        *id = statement_i64(&st, 0);
        *hash = statement_text(&st, 1, arena);
    }
    return statement_end(&st);
}

static bool line_insert(struct store *s, const struct audit_line *line)
{
    struct statement st;
    const struct slice texts[] = { line->who,    line->role,   line->action,        line->target,
                                   line->reason, line->detail, line->previous_hash, line->hash };
    statement_begin(&st, s, "INSERT INTO audit (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_bind_i64(&st, line->id);
    statement_bind_i64(&st, line->at.unix_ms);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        statement_bind_text(&st, texts[i]);
    statement_step(&st);
    return statement_end(&st);
}

/* Inside a transaction: the newest line stays the newest until the insert. */
static bool line_chain(struct store *s, struct audit_line *line)
{
    struct arena arena;
    char hash[DIGEST_SHA256_HEX_SIZE];
    int64_t newest_id;
    arena_init(&arena, NULL, 0);
    bool is_good = newest_read(s, &arena, &newest_id, &line->previous_hash);
    if (is_good) {
        line->id = newest_id + 1;
        line_hash(line, hash);
        line->hash = slice_from_cstr(hash);
        is_good = line_insert(s, line);
    }
    line->previous_hash = line->hash = SLICE_NONE; /* they were ours */
    arena_reset(&arena);
    return is_good;
}

bool audit_append(struct store *s, struct audit_line *line)
{
    if (!transaction_begin(s))
        return false;
    bool is_good = line_chain(s, line);
    return transaction_finish(s, is_good);
}

static struct audit_line line_read(struct statement *st, struct arena *arena)
{
    return (struct audit_line){
        .id = statement_i64(st, 0),
        .at = { statement_i64(st, 1) },
        .who = statement_text(st, 2, arena),
        .role = statement_text(st, 3, arena),
        .action = statement_text(st, 4, arena),
        .target = statement_text(st, 5, arena),
        .reason = statement_text(st, 6, arena),
        .detail = statement_text(st, 7, arena),
        .previous_hash = statement_text(st, 8, arena),
        .hash = statement_text(st, 9, arena),
    };
}

bool audit_list(struct store *s, struct arena *arena, int64_t before_id, size_t limit, struct audit_line **out,
                size_t *count)
{
    struct statement st;
    *count = 0;
    *out = arena_zalloc_array(arena, limit, sizeof **out);
    statement_begin(&st, s, "SELECT " COLUMNS " FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?");
    statement_bind_i64(&st, before_id > 0 ? before_id : INT64_MAX);
    statement_bind_i64(&st, (int64_t)limit);
    while (*count < limit && statement_step(&st))
        (*out)[(*count)++] = line_read(&st, arena);
    return statement_end(&st);
}

/* What is wrong with a line, given the one before it; NULL when nothing is. */
static const char *line_fault(const struct audit_line *line, int64_t previous_id, struct slice previous_hash)
{
    char hash[DIGEST_SHA256_HEX_SIZE];
    if (line->id != previous_id + 1)
        return "lines before it are missing";
    if (!slice_equal(line->previous_hash, previous_hash))
        return "it does not follow the line before it";
    line_hash(line, hash);
    if (!slice_equal(line->hash, slice_from_cstr(hash)))
        return "it was changed";
    return NULL;
}

/* Ids have no gaps, so the count of good lines is the id of the last one. */
static void line_verify(const struct audit_line *line, struct audit_verdict *out)
{
    struct slice previous =
        out->checked_count == 0 ? slice_from_cstr(first_previous_hash) : slice_from_cstr(out->newest_hash);
    out->why = line_fault(line, out->checked_count, previous);
    if (out->why != NULL) {
        out->bad_id = line->id;
        return;
    }
    out->checked_count++;
    memcpy(out->newest_hash, line->hash.ptr, line->hash.len + 1);
}

bool audit_verify(struct store *s, struct audit_verdict *out)
{
    struct statement st;
    struct arena arena;
    *out = (struct audit_verdict){ 0 };
    arena_init(&arena, NULL, 0);
    /* One line at a time: the log may be larger than memory. */
    statement_begin(&st, s, "SELECT " COLUMNS " FROM audit ORDER BY id");
    while (out->bad_id == 0 && statement_step(&st)) {
        struct audit_line line = line_read(&st, &arena);
        line_verify(&line, out);
        arena_reset(&arena);
    }
    return statement_end(&st);
}
