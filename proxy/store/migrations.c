/* store/migrations.c - the tables, as the list of steps that made them. A step that was released is never edited. */
#include "store/migrations.h"

#include "store/shape.h"
#include "store/statement.h"

/* STRICT: a column holds the type it was declared with. Times are Unix milliseconds, as struct wall_time.

   Step i takes a database from version i to i + 1, in one transaction. */
static const char *const steps[] = {
    /* Weights set at run time: design.md, "Who owns the weights". */
    "CREATE TABLE weight_overrides ("
    "  route TEXT PRIMARY KEY,"
    "  fingerprint TEXT NOT NULL," /* of the split in the file when they were set */
    "  set_by TEXT NOT NULL,"
    "  reason TEXT NOT NULL,"
    "  at_unix_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE weight_override_entries ("
    "  route TEXT NOT NULL REFERENCES weight_overrides(route) ON DELETE CASCADE,"
    "  upstream TEXT NOT NULL,"
    "  weight INTEGER NOT NULL CHECK (weight >= 0),"
    "  PRIMARY KEY (route, upstream)"
    ") STRICT;"
    /* Each configuration that was in force. Texts are kept once, however often they come back. */
    "CREATE TABLE config_texts ("
    "  digest TEXT PRIMARY KEY,"
    "  text TEXT NOT NULL,"
    "  text_bytes INTEGER NOT NULL,"
    "  file_count INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE config_versions ("
    "  generation INTEGER PRIMARY KEY,"
    "  digest TEXT NOT NULL REFERENCES config_texts(digest),"
    "  applied_at_unix_ms INTEGER NOT NULL,"
    "  source TEXT NOT NULL,"
    "  applied_by TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX config_versions_by_digest ON config_versions(digest);"
    /* hash: SHA-256 over the line before and all fields of this one (store/audit.c). */
    "CREATE TABLE audit ("
    "  id INTEGER PRIMARY KEY,"
    "  at_unix_ms INTEGER NOT NULL,"
    "  who TEXT NOT NULL,"
    "  role TEXT NOT NULL,"
    "  action TEXT NOT NULL,"
    "  target TEXT NOT NULL,"
    "  reason TEXT NOT NULL,"
    "  detail TEXT NOT NULL,"
    "  previous_hash TEXT NOT NULL,"
    "  hash TEXT NOT NULL"
    ") STRICT;"
    "CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
    "CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;",

    /* The files of a version one by one, in the order they were read. The text is made from them; it is kept only where
       several files were stored as one text, which cannot be taken apart. The text of a single one is "# NAME", a line's
       end, and its bytes: as a blob, since text functions count characters and stop at a NUL. Where it lay was not
       stored. */
    "CREATE TABLE config_files ("
    "  digest TEXT NOT NULL REFERENCES config_texts(digest) ON DELETE CASCADE,"
    "  place INTEGER NOT NULL CHECK (place >= 0),"
    "  name TEXT NOT NULL,"
    "  path TEXT NOT NULL," /* absolute; '' in what this step made */
    "  bytes TEXT NOT NULL,"
    "  PRIMARY KEY (digest, place)"
    ") STRICT;"
    "INSERT INTO config_files (digest, place, name, path, bytes)"
    "  SELECT digest, 0, CAST(substr(raw, 3, line_bytes - 3) AS TEXT), '', CAST(substr(raw, line_bytes + 1) AS TEXT)"
    "  FROM (SELECT digest, CAST(text AS BLOB) AS raw, instr(CAST(text AS BLOB), X'0A') AS line_bytes"
    "        FROM config_texts WHERE file_count = 1);"
    "UPDATE config_texts SET text = '' WHERE file_count = 1;",

    /* What rollouts, deployments and breaches leave behind; and the end of the audit log, so that cutting lines off shows.

       `detail`, `evidence`, `timeline` and `told` are JSON of whoever wrote the row: the store does not look inside. A
       transition names its audit line, so there is none without one. `recorded_at_unix_ms` is later than `at_unix_ms` where the
       database could not be written at that time. Texts are never NULL: '' is "none". */
    "CREATE TABLE rollouts ("
    "  name TEXT PRIMARY KEY,"
    "  revision TEXT NOT NULL,"
    "  state TEXT NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  weight_ppm INTEGER NOT NULL CHECK (weight_ppm BETWEEN 0 AND 1000000),"
    "  hold_left_ms INTEGER NOT NULL CHECK (hold_left_ms >= 0),"
    "  started_by TEXT NOT NULL,"
    "  started_at_unix_ms INTEGER NOT NULL,"
    "  changed_at_unix_ms INTEGER NOT NULL,"
    "  detail TEXT NOT NULL"
    ") STRICT;"
    "CREATE TABLE transitions ("
    "  id INTEGER PRIMARY KEY,"
    "  rollout TEXT NOT NULL,"
    "  revision TEXT NOT NULL,"
    "  at_unix_ms INTEGER NOT NULL,"
    "  from_state TEXT NOT NULL,"
    "  to_state TEXT NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  weight_ppm INTEGER NOT NULL,"
    "  who TEXT NOT NULL,"
    "  reason TEXT NOT NULL,"
    "  detail TEXT NOT NULL,"
    "  audit_id INTEGER NOT NULL UNIQUE REFERENCES audit(id),"
    "  recorded_at_unix_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX transitions_by_rollout ON transitions(rollout, id);"
    "CREATE TABLE approvals ("
    "  rollout TEXT NOT NULL,"
    "  revision TEXT NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  who TEXT NOT NULL,"
    "  at_unix_ms INTEGER NOT NULL,"
    "  reason TEXT NOT NULL,"
    "  PRIMARY KEY (rollout, revision, step, who)"
    ") STRICT;"
    "CREATE TABLE events ("
    "  id INTEGER PRIMARY KEY,"
    "  at_unix_ms INTEGER NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  text TEXT NOT NULL,"
    "  who TEXT NOT NULL,"
    "  detail TEXT NOT NULL"
    ") STRICT;"
    "CREATE TABLE incidents ("
    "  id TEXT PRIMARY KEY,"
    "  rollout TEXT NOT NULL,"
    "  revision TEXT NOT NULL,"
    "  guardrail TEXT NOT NULL,"
    "  cause TEXT NOT NULL,"
    "  detected_at_unix_ms INTEGER NOT NULL,"
    "  detect_ms INTEGER NOT NULL,"
    "  zero_exposure_ms INTEGER NOT NULL,"
    "  evidence TEXT NOT NULL,"
    "  timeline TEXT NOT NULL,"
    "  told TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX incidents_by_time ON incidents(detected_at_unix_ms);"
    "CREATE TABLE audit_head ("
    "  only INTEGER PRIMARY KEY CHECK (only = 1),"
    "  id INTEGER NOT NULL,"
    "  hash TEXT NOT NULL"
    ") STRICT;"
    "INSERT INTO audit_head SELECT 1, coalesce(max(id), 0), coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1),"
    "  '0000000000000000000000000000000000000000000000000000000000000000') FROM audit;"
    /* What a version changed, secrets masked, against the one before it. */
    "ALTER TABLE config_versions ADD COLUMN diff TEXT NOT NULL DEFAULT '';",

    /* What objectives counted, in stretches of five minutes. `identity` is a hash of what was counted. */
    "CREATE TABLE slo_counts ("
    "  slo TEXT NOT NULL,"
    "  identity INTEGER NOT NULL,"
    "  from_unix_ms INTEGER NOT NULL,"
    "  requests INTEGER NOT NULL CHECK (requests >= 0),"
    "  errors INTEGER NOT NULL CHECK (errors >= 0),"
    "  slow INTEGER NOT NULL CHECK (slow >= 0),"
    "  PRIMARY KEY (slo, identity, from_unix_ms)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX slo_counts_by_time ON slo_counts(from_unix_ms);",
    /* Rehearsals of failing releases. `ended_at_unix_ms` is 0 while one runs. */
    "CREATE TABLE drills ("
    "  id TEXT PRIMARY KEY,"
    "  rollout TEXT NOT NULL,"
    "  revision TEXT NOT NULL,"
    "  who TEXT NOT NULL,"
    "  reason TEXT NOT NULL,"
    "  state TEXT NOT NULL,"
    "  begun_at_unix_ms INTEGER NOT NULL,"
    "  ended_at_unix_ms INTEGER NOT NULL,"
    "  detail TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX drills_by_time ON drills(begun_at_unix_ms);",

    /* Which business outcomes were counted: `hash` is of rollout, event and id. */
    "CREATE TABLE outcome_ids ("
    "  place INTEGER PRIMARY KEY,"
    "  hash INTEGER NOT NULL"
    ") STRICT;",
};

int64_t migrations_newest(void)
{
    return (int64_t)ARRAY_COUNT(steps);
}

const char *migrations_step(int64_t i)
{
    return steps[i];
}

/* schema_version holds a row for every step that was ever made, so the highest is the database's version, and also their
   number. A file without the table is a new one. */
static bool version_read(struct store *s, int64_t *out, bool *has_gaps)
{
    struct statement st;
    *out = 0;
    *has_gaps = false;
    statement_begin(&st, s, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'");
    bool is_there = statement_step(&st) && statement_i64(&st, 0) > 0;
    if (!statement_end(&st))
        return false;
    if (!is_there)
        return true;
    statement_begin(&st, s,
                    "SELECT coalesce(max(version), 0), count(*) <> coalesce(max(version), 0)"
                    " OR coalesce(min(version), 1) <> 1 FROM schema_version");
    if (statement_step(&st)) {
        *out = statement_i64(&st, 0);
        *has_gaps = statement_i64(&st, 1) != 0;
    }
    return statement_end(&st);
}

static bool version_write(struct store *s, int64_t version)
{
    struct statement st;
    statement_begin(&st, s, "INSERT INTO schema_version (version) VALUES (?)");
    statement_bind_i64(&st, version);
    statement_step(&st);
    return statement_end(&st);
}

/* The version of a database that is whole and not newer. */
static bool version_look(struct store *s, int64_t *version)
{
    bool has_gaps;
    if (!version_read(s, version, &has_gaps))
        return false;
    if (*version > migrations_newest())
        return store_fail(s, STORE_NEWER, "it was written by a newer weir (tables %lld, this one knows %lld)",
                          (long long)*version, (long long)migrations_newest());
    if (has_gaps)
        return store_fail(s, STORE_DAMAGED,
                          "it is not whole: schema_version does not name each version up to %lld once;"
                          " put a copy back that is",
                          (long long)*version);
    return shape_check(s, *version);
}

bool migrations_look(struct store *s)
{
    int64_t version;
    return version_look(s, &version);
}

bool migrations_are_ours(struct store *s)
{
    int64_t version;
    if (!version_look(s, &version))
        return false;
    return version == migrations_newest() ||
           store_fail(s, STORE_FAILED,
                      "it was written by an earlier weir (tables %lld, this one has %lld), which the next"
                      " start with it brings up to date",
                      (long long)version, (long long)migrations_newest());
}

static bool step_run(struct store *s, const char *sql)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return store_fail(s, STORE_FAILED, "the tables cannot be made: %s", sqlite3_errmsg(s->db));
}

bool migrations_apply(struct store *s)
{
    int64_t version;
    bool has_gaps;
    if (!statement_run(s, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)") ||
        !version_read(s, &version, &has_gaps))
        return false;
    for (; version < migrations_newest(); version++) {
        if (!transaction_begin(s))
            return false;
        bool is_good = step_run(s, steps[version]) && version_write(s, version + 1);
        if (!transaction_finish(s, is_good))
            return false;
    }
    return true;
}
