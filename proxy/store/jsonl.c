/* store/jsonl.c - every table as lines of JSON, and rows from somewhere else into tables that are empty. */
#include "store/jsonl.h"

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "store/audit.h"
#include "store/migrations.h"
#include "store/statement.h"

#include <string.h>

/* A table's columns as a list in SQL, as many marks, and the key that puts its rows in order. */
#define TABLE(name_, key_, kinds_, list_, marks_)                                                                      \
    .name = name_, .kinds = kinds_, .select = "SELECT " list_ " FROM " name_ " ORDER BY " key_,                        \
    .insert = "INSERT INTO " name_ " (" list_ ") VALUES (" marks_ ")"

/* Rows that others refer to come first. */
const struct jsonl_table jsonl_tables[] = {
    { TABLE("audit", "id", "iitttttttt",
            "id, at_unix_ms, who, role, action, target, reason, detail, previous_hash, hash",
            "?, ?, ?, ?, ?, ?, ?, ?, ?, ?"),
      .columns = { "id", "at_unix_ms", "who", "role", "action", "target", "reason", "detail", "previous_hash",
                   "hash" } },
    { TABLE("config_texts", "digest", "ttii", "digest, text, text_bytes, file_count", "?, ?, ?, ?"),
      .columns = { "digest", "text", "text_bytes", "file_count" } },
    { TABLE("config_files", "digest, place", "tittt", "digest, place, name, path, bytes", "?, ?, ?, ?, ?"),
      .columns = { "digest", "place", "name", "path", "bytes" } },
    { TABLE("config_versions", "generation", "itittt",
            "generation, digest, applied_at_unix_ms, source, applied_by, diff", "?, ?, ?, ?, ?, ?"),
      .columns = { "generation", "digest", "applied_at_unix_ms", "source", "applied_by", "diff" } },
    { TABLE("weight_overrides", "route", "tttti", "route, fingerprint, set_by, reason, at_unix_ms", "?, ?, ?, ?, ?"),
      .columns = { "route", "fingerprint", "set_by", "reason", "at_unix_ms" } },
    { TABLE("weight_override_entries", "route, upstream", "tti", "route, upstream, weight", "?, ?, ?"),
      .columns = { "route", "upstream", "weight" } },
    { TABLE("rollouts", "name", "tttiiitiit",
            "name, revision, state, step, weight_ppm, hold_left_ms, started_by, started_at_unix_ms, "
            "changed_at_unix_ms, detail",
            "?, ?, ?, ?, ?, ?, ?, ?, ?, ?"),
      .columns = { "name", "revision", "state", "step", "weight_ppm", "hold_left_ms", "started_by",
                   "started_at_unix_ms", "changed_at_unix_ms", "detail" } },
    { TABLE("transitions", "id", "ittittiitttii",
            "id, rollout, revision, at_unix_ms, from_state, to_state, step, weight_ppm, who, reason, detail, audit_id, "
            "recorded_at_unix_ms",
            "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"),
      .columns = { "id", "rollout", "revision", "at_unix_ms", "from_state", "to_state", "step", "weight_ppm", "who",
                   "reason", "detail", "audit_id", "recorded_at_unix_ms" } },
    { TABLE("approvals", "rollout, revision, step, who", "ttitit", "rollout, revision, step, who, at_unix_ms, reason",
            "?, ?, ?, ?, ?, ?"),
      .columns = { "rollout", "revision", "step", "who", "at_unix_ms", "reason" } },
    { TABLE("events", "id", "iittttt", "id, at_unix_ms, kind, subject, text, who, detail", "?, ?, ?, ?, ?, ?, ?"),
      .columns = { "id", "at_unix_ms", "kind", "subject", "text", "who", "detail" } },
    { TABLE("incidents", "id", "tttttiiittt",
            "id, rollout, revision, guardrail, cause, detected_at_unix_ms, detect_ms, zero_exposure_ms, evidence, "
            "timeline, told",
            "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"),
      .columns = { "id", "rollout", "revision", "guardrail", "cause", "detected_at_unix_ms", "detect_ms",
                   "zero_exposure_ms", "evidence", "timeline", "told" } },
    { TABLE("slo_counts", "slo, identity, from_unix_ms", "tiiiii",
            "slo, identity, from_unix_ms, requests, errors, slow", "?, ?, ?, ?, ?, ?"),
      .columns = { "slo", "identity", "from_unix_ms", "requests", "errors", "slow" } },
    { TABLE("drills", "id", "ttttttiit",
            "id, rollout, revision, who, reason, state, begun_at_unix_ms, ended_at_unix_ms, detail",
            "?, ?, ?, ?, ?, ?, ?, ?, ?"),
      .columns = { "id", "rollout", "revision", "who", "reason", "state", "begun_at_unix_ms", "ended_at_unix_ms",
                   "detail" } },
    { TABLE("outcome_ids", "place", "ii", "place, hash", "?, ?"), .columns = { "place", "hash" } },
};

const size_t jsonl_table_count = ARRAY_COUNT(jsonl_tables);

int64_t jsonl_version(void)
{
    return migrations_newest();
}

/* ---- out ----------------------------------------------------------------------------------------------------------------- */

/* What one export carries along. */
struct export
{
    struct store *store;
    jsonl_emit_fn *emit;
    void *arg;
    struct text line;             /* cleared for each */
    struct digest_stream *digest; /* of all lines so far */
    uint64_t row_count;
};

static bool line_emit(struct export *e)
{
    text_add_char(&e->line, '\n');
    digest_stream_add(e->digest, text_slice(&e->line));
    bool is_good = e->emit(e->arg, text_slice(&e->line));
    text_clear(&e->line);
    return is_good;
}

static void text_put(struct text *line, struct slice text)
{
    bool is_plain = text_is_utf8(text) && memchr(text.len ? text.ptr : "", '\0', text.len) == NULL;
    text_add_cstr(line, is_plain ? "\"" : "{\"base64\":\"");
    if (is_plain)
        text_add_json(line, text);
    else
        base64_add(line, text);
    text_add_cstr(line, is_plain ? "\"" : "\"}");
}

static bool row_emit(struct export *e, const struct jsonl_table *table, struct statement *st)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    text_printf(&e->line, "{\"table\":\"%s\"", table->name);
    for (int i = 0; table->kinds[i] != '\0'; i++) {
        text_printf(&e->line, ",\"%s\":", table->columns[i]);
        if (table->kinds[i] == 'i')
            text_printf(&e->line, "%lld", (long long)statement_i64(st, i));
        else
            text_put(&e->line, statement_text(st, i, &arena));
    }
    text_add_char(&e->line, '}');
    arena_reset(&arena);
    e->row_count++;
    return line_emit(e);
}

static bool table_emit(struct export *e, const struct jsonl_table *table)
{
    struct statement st;
    bool is_wanted = true;
    statement_begin(&st, e->store, table->select);
    while (is_wanted && statement_step(&st))
        is_wanted = row_emit(e, table, &st);
    return statement_end(&st) && is_wanted;
}

static bool tables_emit(struct export *e)
{
    text_printf(&e->line, "{\"weir_export\":%d,\"tables\":%lld}", JSONL_FORM, (long long)jsonl_version());
    bool is_good = line_emit(e);
    for (size_t i = 0; i < jsonl_table_count && is_good; i++)
        is_good = table_emit(e, &jsonl_tables[i]);
    if (!is_good)
        return false;
    char digest[DIGEST_SHA256_HEX_SIZE];
    digest_stream_hex(e->digest, digest);
    text_printf(&e->line, "{\"end\":true,\"rows\":%llu,\"sha256\":\"%s\"}\n", (unsigned long long)e->row_count, digest);
    return e->emit(e->arg, text_slice(&e->line));
}

bool jsonl_export(struct store *s, jsonl_emit_fn *emit, void *arg)
{
    struct export e = { .store = s, .emit = emit, .arg = arg };
    if (!statement_run(s, "BEGIN"))
        return false;
    e.digest = digest_stream_create();
    bool is_good = transaction_finish(s, tables_emit(&e));
    digest_stream_destroy(e.digest);
    text_fini(&e.line);
    return is_good;
}

/* ---- in ------------------------------------------------------------------------------------------------------------------ */

static bool table_is_empty(struct store *s, const struct jsonl_table *table, bool *out)
{
    struct statement st;
    statement_begin(&st, s, table->select);
    *out = !statement_step(&st);
    return statement_end(&st);
}

static bool is_empty(struct store *s)
{
    bool is_so = true;
    for (size_t i = 0; i < jsonl_table_count && is_so; i++) {
        if (!table_is_empty(s, &jsonl_tables[i], &is_so))
            return false;
        if (!is_so)
            store_fail(s, STORE_FAILED, "it is not empty: there are %s already", jsonl_tables[i].name);
    }
    return is_so;
}

bool jsonl_begin(struct store *s)
{
    if (!transaction_begin(s))
        return false;
    if (is_empty(s))
        return true;
    jsonl_abandon(s);
    return false;
}

bool jsonl_row(struct store *s, const struct jsonl_table *table, const struct jsonl_value *values)
{
    struct statement st;
    statement_begin(&st, s, table->insert);
    for (size_t i = 0; table->kinds[i] != '\0'; i++) {
        if (table->kinds[i] == 'i')
            statement_bind_i64(&st, values[i].number);
        else
            statement_bind_text(&st, values[i].text);
    }
    statement_step(&st);
    return statement_end(&st);
}

static bool chain_check(struct store *s, struct audit_head *end)
{
    struct audit_verdict v;
    if (!audit_adopt(s, &v, end))
        return false;
    return v.bad_id == 0 ||
           store_fail(s, STORE_FAILED, "the audit log does not hold: line %lld: %s", (long long)v.bad_id, v.why);
}

bool jsonl_commit(struct store *s)
{
    struct audit_head end;
    bool is_good = chain_check(s, &end);
    if (!transaction_finish(s, is_good))
        return false;
    s->newest_id = end.id;
    head_write(&s->head, &end);
    return true;
}

void jsonl_abandon(struct store *s)
{
    bool is_committed = transaction_finish(s, false);
    (void)is_committed;
}
