/* store/audit.c - the hash chain.
 *
 * A line's hash is SHA-256 over the hash of the line before it, its own number and time, and its texts, each with its
 * length in front. So a line cannot be altered, taken out or put in without all later hashes changing. Triggers
 * (store/migrations.c) stop honest mistakes; the chain finds dishonest ones. */
#include "store/audit.h"

#include "base/text.h"
#include "crypto/digest.h"
#include "store/deed.h"
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

/* ---- the end ------------------------------------------------------------------------------------------------------------- */

static void hash_copy(char out[HEAD_HASH_SIZE], struct slice hash)
{
    size_t length = hash.len < HEAD_HASH_SIZE ? hash.len : HEAD_HASH_SIZE - 1;
    memcpy(out, hash.ptr, length);
    out[length] = '\0';
}

static bool end_read(struct statement *st, struct audit_head *out, bool *is_found)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    *is_found = statement_step(st);
    if (*is_found) {
        out->id = statement_i64(st, 0);
        hash_copy(out->hash, statement_text(st, 1, &arena));
    }
    arena_reset(&arena);
    return statement_end(st);
}

static bool row_read(struct store *s, struct audit_head *out, bool *is_found)
{
    struct statement st;
    *out = (struct audit_head){ 0 };
    memcpy(out->hash, first_previous_hash, sizeof first_previous_hash);
    statement_begin(&st, s, "SELECT id, hash FROM audit_head");
    return end_read(&st, out, is_found);
}

/* The row and not the newest line: where lines were cut off, the next one does not close the gap. Without the row, which only
   somebody who meddles takes away, the newest line has to do; verification tells that it is gone. */
bool audit_head_read(struct store *s, struct audit_head *out)
{
    struct statement st;
    bool is_found;
    if (!row_read(s, out, &is_found) || is_found)
        return is_found;
    statement_begin(&st, s, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1");
    return end_read(&st, out, &is_found);
}

static bool end_write(struct store *s, const struct audit_head *end)
{
    struct statement st;
    statement_begin(&st, s, "INSERT OR REPLACE INTO audit_head (only, id, hash) VALUES (1, ?, ?)");
    statement_bind_i64(&st, end->id);
    statement_bind_text(&st, slice_from_cstr(end->hash));
    statement_step(&st);
    return statement_end(&st);
}

bool audit_hash_of(struct store *s, int64_t id, char out[HEAD_HASH_SIZE])
{
    struct statement st;
    struct audit_head line = { 0 };
    bool is_found;
    statement_begin(&st, s, "SELECT id, hash FROM audit WHERE id = ?");
    statement_bind_i64(&st, id);
    bool is_good = end_read(&st, &line, &is_found);
    memcpy(out, line.hash, HEAD_HASH_SIZE);
    return is_good;
}

const char *audit_head_fault(const struct store *s)
{
    return s->head.has_disagreed ? "it knows another end than the audit log has: lines were removed, or one of the two"
                                   " files is not the other's"
                                 : NULL;
}

/* ---- appending ----------------------------------------------------------------------------------------------------------- */

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

/* The newest line stays the newest until the commit. */
bool audit_put(struct store *s, struct audit_line *line, struct audit_head *end)
{
    struct audit_head newest;
    if (!audit_head_read(s, &newest))
        return false;
    line->previous_hash = slice_from_cstr(newest.hash);
    line->id = end->id = newest.id + 1;
    line_hash(line, end->hash);
    line->hash = slice_from_cstr(end->hash);
    bool is_good = line_insert(s, line) && end_write(s, end);
    line->previous_hash = line->hash = SLICE_NONE; /* they were ours */
    return is_good;
}

bool audit_append(struct store *s, struct audit_line *line)
{
    struct deed deed = { .audit = *line };
    bool is_good = deed_write(s, &deed);
    line->id = deed.audit.id;
    return is_good;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

static void line_read(struct statement *st, struct arena *arena, void *row)
{
    *(struct audit_line *)row = (struct audit_line){
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
    statement_begin(&st, s, "SELECT " COLUMNS " FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?");
    statement_bind_i64(&st, before_id > 0 ? before_id : INT64_MAX);
    *out = statement_rows(&st, arena, limit, sizeof **out, line_read, count);
    return statement_end(&st);
}

/* What is wrong with a line, given the one before it; NULL when nothing is. */
static const char *line_fault(const struct audit_line *line, int64_t previous_id, struct slice previous_hash)
{
    char hash[DIGEST_SHA256_HEX_SIZE];
    if (line->id <= previous_id)
        return "a line was put in before it";
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
        out->bad_id = line->id > 0 ? line->id : 1; /* what stands before the first line is told at the first */
        return;
    }
    out->checked_count++;
    hash_copy(out->newest_hash, line->hash);
}

/* The ends, once every line that is there holds. `known`: what the file said before the walk began; in_log: the hash of that
   line. A file that is behind is no contradiction, since it is written after the log. */
static const char *end_fault(const struct audit_verdict *v, const struct audit_head *row, enum head_finding finding,
                             const struct audit_head *known, const char *in_log)
{
    const char *newest = v->checked_count > 0 ? v->newest_hash : first_previous_hash;
    if (row->id != v->checked_count || strcmp(row->hash, newest) != 0)
        return "lines at the end are missing";
    if (finding == HEAD_MISSING)
        return v->checked_count > 0 ? "the file that keeps the end of the log is missing" : NULL;
    if (finding == HEAD_UNREADABLE)
        return "the file that keeps the end of the log cannot be read";
    if (known->id > v->checked_count)
        return "lines at the end are missing, which the file that keeps it knows";
    return known->id == 0 || strcmp(known->hash, in_log) == 0 ? NULL : "the file that keeps the end knows another log";
}

/* One line at a time: the log may be larger than memory. */
static bool lines_verify(struct store *s, struct audit_verdict *out, int64_t known_id, char in_log[HEAD_HASH_SIZE])
{
    struct statement st;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    statement_begin(&st, s, "SELECT " COLUMNS " FROM audit ORDER BY id");
    while (out->bad_id == 0 && statement_step(&st)) {
        struct audit_line line;
        line_read(&st, &arena, &line);
        line_verify(&line, out);
        if (line.id == known_id)
            hash_copy(in_log, line.hash);
        arena_reset(&arena);
    }
    return statement_end(&st);
}

bool audit_adopt(struct store *s, struct audit_verdict *out, struct audit_head *end)
{
    *out = (struct audit_verdict){ 0 };
    char unused[HEAD_HASH_SIZE];
    if (!lines_verify(s, out, 0, unused))
        return false;
    end->id = out->checked_count;
    hash_copy(end->hash, slice_from_cstr(out->checked_count > 0 ? out->newest_hash : first_previous_hash));
    return end_write(s, end);
}

/* The file first: lines that another process writes meanwhile then only leave it behind. In one read transaction, so that row
   and lines are of one moment. */
bool audit_verify(struct store *s, struct audit_verdict *out)
{
    struct audit_head known, row;
    char in_log[HEAD_HASH_SIZE] = "";
    bool has_row;
    *out = (struct audit_verdict){ 0 };
    enum head_finding finding = head_read(&s->head, &known);
    if (!statement_run(s, "BEGIN"))
        return false;
    bool is_good = row_read(s, &row, &has_row) && lines_verify(s, out, known.id, in_log);
    if (!transaction_finish(s, is_good))
        return false;
    if (out->bad_id == 0 && !has_row)
        out->why = "the row that keeps the end of the log is missing";
    else if (out->bad_id == 0)
        out->why = end_fault(out, &row, finding, &known, in_log);
    if (out->bad_id == 0 && out->why != NULL)
        out->bad_id = out->checked_count + 1;
    return true;
}
