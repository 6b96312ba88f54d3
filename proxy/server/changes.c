/* server/changes.c - tells what changed: to the audit log, to the events, and to who follows them.
 *
 * For changes that nobody asked the API for: a configuration that came by file, weights that ended. They happen whether or not
 * the store can be written; what it could not take waits there (store/journal.h) and is tried again each second. */
#include "server/parts.h"

#include "admin/diff.h"
#include "admin/mask.h"
#include "base/log.h"
#include "config/load.h"
#include "store/deed.h"
#include "store/journal.h"
#include "store/versions.h"

#define JOURNAL_RETRY_MS 1000

/* ---- what waits ---------------------------------------------------------------------------------------------------------- */

static size_t waiting_count(const struct server *s)
{
    struct journal_status status;
    journal_status(s->store, &status);
    return status.count;
}

static void on_journal_timer(void *arg)
{
    struct server *s = arg;
    if (!journal_flush(s->store))
        timer_start(s->loop, &s->journal_timer, JOURNAL_RETRY_MS);
}

void server_journal_begin(struct server *s)
{
    timer_init(&s->journal_timer, on_journal_timer, s);
}

void server_journal_check(struct server *s)
{
    size_t count = waiting_count(s);
    if (count == 0 || timer_is_armed(&s->journal_timer))
        return;
    log_error("store: %zu changes wait to be written: %s", count, store_message(s->store));
    timer_start(s->loop, &s->journal_timer, JOURNAL_RETRY_MS);
}

/* ---- events -------------------------------------------------------------------------------------------------------------- */

void server_tell(struct server *s, struct event_row *e)
{
    if (!events_append(s->store, e) && store_is_usable(s->store))
        log_error("events: %.*s could not be stored: %s", SLICE_ARG(e->kind), store_message(s->store));
    admin_publish(s->admin, e);
}

/* ---- configurations ------------------------------------------------------------------------------------------------------ */

/* What is cut off can still be seen by `weir ctl config diff`. */
static void diff_cut(struct text *diff)
{
    if (diff->len <= CHANGES_DIFF_BYTES)
        return;
    size_t whole = diff->len;
    text_cut(diff, CHANGES_DIFF_BYTES);
    while (diff->len > 0 && diff->bytes[diff->len - 1] != '\n')
        text_cut(diff, diff->len - 1);
    text_printf(diff, "... and %zu bytes more\n", whole - diff->len);
}

/* Known secrets are hidden by their value, and all that looks like the digest of a token. */
static void mask(const struct config *config, struct text *out)
{
    struct text shown = { 0 };
    config_text_masked(config, &shown);
    mask_write(out, text_slice(&shown));
    text_fini(&shown);
}

/* The one in force; at a start, the one that was in force when the last process ended, of which only the text is known. False:
   there was none. */
static bool previous_mask(struct server *s, struct arena *arena, uint64_t *generation, struct text *out)
{
    struct version version;
    struct slice text;
    bool is_found;
    if (s->state != PROCESS_STARTING) {
        const struct snapshot *current = publisher_snapshot(&s->publisher);
        *generation = current->generation;
        mask(current->config, out);
        return true;
    }
    if (!versions_newest(s->store, arena, &version) ||
        !versions_get(s->store, version.generation, arena, &version, &text, &is_found) || !is_found)
        return false;
    *generation = version.generation;
    mask_write(out, text);
    return true;
}

static void diff_make(struct text *out, uint64_t from, struct slice before, const struct snapshot *next)
{
    char names[2][40];
    struct text after = { 0 };
    snprintf(names[0], sizeof names[0], "generation %llu", (unsigned long long)from);
    snprintf(names[1], sizeof names[1], "generation %llu", (unsigned long long)next->generation);
    mask(next->config, &after);
    diff_write(out, names[0], before, names[1], text_slice(&after));
    text_fini(&after);
    diff_cut(out);
}

static const char *reason_of(struct slice source)
{
    if (slice_equal(source, SLICE("start")))
        return "the file is not as it was when weir last ran";
    if (slice_equal(source, SLICE("watch")))
        return "a file changed";
    if (slice_equal(source, SLICE("hup")))
        return "SIGHUP";
    return "asked for, as the line before says";
}

static void config_audit(struct server *s, const struct snapshot *next, struct slice source, struct slice by,
                         struct slice diff)
{
    struct text detail = { 0 };
    text_printf(&detail, "{\"generation\":%llu,\"digest\":\"%.*s\",\"source\":\"%.*s\",\"by\":\"",
                (unsigned long long)next->generation, SLICE_ARG(next->config->digest), SLICE_ARG(source));
    text_add_json(&detail, by);
    text_add_cstr(&detail, "\",\"diff\":\"");
    text_add_json(&detail, diff);
    text_add_cstr(&detail, "\"}");
    struct deed deed = { .audit = { .at = clock_wall(),
                                    .who = SLICE("weir"),
                                    .role = SLICE("admin"),
                                    .action = SLICE("config.applied"),
                                    .target = next->config->file,
                                    .reason = slice_from_cstr(reason_of(source)),
                                    .detail = text_slice(&detail) } };
    deed_keep(s->store, &deed);
    text_fini(&detail);
    server_journal_check(s);
}

/* The very first configuration of a state directory changes nothing. */
void server_tell_config(struct server *s, const struct snapshot *next, struct slice source, struct slice by,
                        struct text *diff)
{
    struct arena arena;
    struct text before = { 0 };
    uint64_t generation;
    arena_init(&arena, NULL, 0);
    if (store_is_usable(s->store) && previous_mask(s, &arena, &generation, &before)) {
        diff_make(diff, generation, text_slice(&before), next);
        config_audit(s, next, source, by, text_slice(diff));
    }
    text_fini(&before);
    arena_reset(&arena);
}

void server_tell_applied(struct server *s)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct event_row event = {
        .at = s->applied_at,
        .kind = SLICE("config.applied"),
        .text = arena_printf(&arena, "generation %llu, by %s (%s)",
                             (unsigned long long)publisher_snapshot(&s->publisher)->generation, s->applied_source,
                             s->applied_by),
        .who = slice_from_cstr(s->applied_by),
    };
    server_tell(s, &event);
    arena_reset(&arena);
}
