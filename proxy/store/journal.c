/* store/journal.c - deeds that wait for room on the disk, or for whoever holds the database. */
#include "store/journal.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/deed.h"
#include "store/statement.h"

struct journal_entry {
    struct list link; /* journal->entries */
    struct arena arena;
    struct deed *deed; /* in the arena */
    size_t bytes;
};

void journal_init(struct journal *j)
{
    *j = (struct journal){ 0 };
    list_init(&j->entries);
}

static struct journal_entry *entry_of(struct list *link)
{
    return LIST_ITEM(link, struct journal_entry, link);
}

static void entry_drop(struct journal *j, struct journal_entry *e)
{
    list_remove(&e->link);
    j->count--;
    j->bytes -= e->bytes;
    arena_reset(&e->arena);
    memory_free(e);
}

static void entries_drop(struct journal *j)
{
    LIST_FOREACH_SAFE (link, &j->entries)
        entry_drop(j, entry_of(link));
}

void journal_fini(struct journal *j)
{
    entries_drop(j);
}

void journal_status(const struct store *s, struct journal_status *out)
{
    const struct journal *j = &s->journal;
    *out = (struct journal_status){ .count = j->count, .lost_count = j->lost_count };
    if (!list_is_empty(&j->entries))
        out->oldest_at = entry_of(j->entries.next)->deed->audit.at;
}

void journal_complain(const struct store *s)
{
    struct journal_status status;
    journal_status(s, &status);
    log_error("store: %zu changes could not be written before the end: %s", status.count, store_message(s));
}

/* ---- keeping ------------------------------------------------------------------------------------------------------------- */

static bool is_told_later(const struct journal *j, struct journal_entry *e)
{
    const struct rollout_row *row = e->deed->rollout;
    for (struct list *link = e->link.next; row != NULL && link != &j->entries; link = link->next) {
        const struct rollout_row *later = entry_of(link)->deed->rollout;
        if (later != NULL && slice_equal(later->name, row->name))
            return true;
    }
    return row == NULL;
}

static struct journal_entry *victim_find(const struct journal *j)
{
    LIST_FOREACH_SAFE (link, &j->entries)
        if (is_told_later(j, entry_of(link)))
            return entry_of(link);
    return entry_of(j->entries.next);
}

void journal_put(struct journal *j, const struct deed *d)
{
    struct journal_entry *e = memory_zalloc(sizeof *e);
    arena_init(&e->arena, NULL, 0);
    e->deed = deed_copy(d, &e->arena);
    e->bytes = deed_bytes(d);
    list_append(&j->entries, &e->link);
    j->count++;
    j->bytes += e->bytes;
    while (j->count > 1 && (j->count > JOURNAL_COUNT_MAX || j->bytes > JOURNAL_BYTES_MAX)) {
        entry_drop(j, victim_find(j));
        j->lost_count++;
    }
}

void journal_keep(struct store *s, const struct deed *d)
{
    journal_put(&s->journal, d);
    if (d->rollout != NULL)
        spare_write(s);
}

const struct rollout_row *journal_rollout(const struct journal *j, size_t *place)
{
    size_t i = 0;
    LIST_FOREACH_SAFE (link, &j->entries)
        if (i++ >= *place && entry_of(link)->deed->rollout != NULL) {
            *place = i;
            return entry_of(link)->deed->rollout;
        }
    return NULL;
}

const struct incident *journal_incident(const struct journal *j, struct slice rollout)
{
    for (struct list *link = j->entries.prev; link != &j->entries; link = link->prev) {
        const struct incident *i = entry_of(link)->deed->incident;
        if (i != NULL && slice_equal(i->rollout, rollout))
            return i;
    }
    return NULL;
}

static void entry_text_write(struct list *link, struct text *out)
{
    const struct deed *d = entry_of(link)->deed;
    if (d->rollout != NULL)
        deed_text_write(d, out);
}

/* From the newest back, as many as fit; written in their order. */
void journal_text_write(const struct journal *j, size_t limit, struct text *out)
{
    struct list *first = j->entries.next;
    struct text one = { 0 };
    size_t used = 0;
    for (struct list *link = j->entries.prev; link != &j->entries; link = link->prev) {
        text_clear(&one);
        entry_text_write(link, &one);
        if (used + one.len > limit) {
            first = link->next;
            break;
        }
        used += one.len;
    }
    for (struct list *link = first; link != &j->entries; link = link->next)
        entry_text_write(link, out);
    text_fini(&one);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

/* What the database refuses whatever its state (a transition twice) would stand in the way of all behind it for ever: it is
   lost, and the rest goes on. */
static bool entry_put(struct store *s, struct journal_entry *e, struct audit_head *end, uint64_t *lost_count)
{
    struct audit_head before = *end;
    if (!statement_run(s, "SAVEPOINT entry"))
        return false;
    if (!deed_put(s, e->deed, end)) {
        if (store_problem(s) != STORE_FAILED || sqlite3_get_autocommit(s->db) != 0)
            return false;
        log_error("store: a change that waited cannot be written and is lost (%.*s %.*s): %s",
                  SLICE_ARG(e->deed->audit.action), SLICE_ARG(e->deed->audit.target), store_message(s));
        *end = before;
        (*lost_count)++;
        if (!statement_run(s, "ROLLBACK TO entry"))
            return false;
    }
    return statement_run(s, "RELEASE entry");
}

static bool closing_line_put(struct store *s, uint64_t lost_count, struct audit_head *end)
{
    char since[25];
    struct text detail = { 0 };
    struct journal_status status;
    journal_status(s, &status);
    wall_format(status.oldest_at, since);
    text_printf(&detail, "{\"lines\":%zu,\"lost\":%llu,\"since\":\"%s\"}", status.count, (unsigned long long)lost_count,
                since);
    struct audit_line line = { .at = clock_wall(),
                               .who = SLICE("weir"),
                               .role = SLICE("admin"),
                               .action = SLICE("audit.written_late"),
                               .target = SLICE("audit"),
                               .reason = SLICE("the lines before this one could not be written when they were due"),
                               .detail = text_slice(&detail) };
    bool is_good = audit_put(s, &line, end);
    text_fini(&detail);
    return is_good;
}

static bool entries_put(struct store *s, struct audit_head *end, uint64_t *lost_count)
{
    LIST_FOREACH_SAFE (link, &s->journal.entries)
        if (!entry_put(s, entry_of(link), end, lost_count))
            return false;
    return closing_line_put(s, *lost_count, end);
}

bool journal_flush(struct store *s)
{
    struct audit_head end = { 0 };
    struct journal *j = &s->journal;
    uint64_t lost_count = j->lost_count;
    if (list_is_empty(&j->entries))
        return true;
    if (!transaction_begin(s))
        return false;
    bool is_good = entries_put(s, &end, &lost_count);
    if (!transaction_finish(s, is_good))
        return false;
    s->newest_id = end.id;
    head_write(&s->head, &end);
    log_info("store: %zu changes that waited are written", j->count);
    entries_drop(j);
    j->lost_count = 0;
    return true;
}
