/* server/drill_store.c - drills in the store: before anything is done, when it has ended, and what a kill has left. */
#include "server/drills.h"

#include "base/log.h"
#include "store/deed.h"

#define LEFT_MOST 16u /* far more than DRILLS_MOST */

static struct drill_row row_of(const struct drill *d, struct slice detail)
{
    return (struct drill_row){ .id = slice_from_cstr(d->id),
                               .rollout = slice_from_cstr(d->rollout),
                               .revision = slice_from_cstr(d->revision),
                               .who = slice_from_cstr(d->who),
                               .reason = slice_from_cstr(d->reason),
                               .state = slice_from_cstr(d->state),
                               .begun_at = d->begun_at,
                               .ended_at = d->ended_at,
                               .detail = detail };
}

static void detail_of(const struct drill *d, struct text *out)
{
    struct json *detail = json_create_object();
    drill_write_detail(d, detail);
    json_write(detail, out);
    json_destroy(detail);
}

void drill_row_of(const struct drill *d, struct arena *arena, struct drill_row *row)
{
    struct text detail = { 0 };
    detail_of(d, &detail);
    *row = row_of(d, arena_copy(arena, text_slice(&detail)));
    text_fini(&detail);
}

bool drill_record_begin(struct drill *d)
{
    struct text detail = { 0 };
    detail_of(d, &detail);
    struct drill_row row = row_of(d, text_slice(&detail));
    struct deed deed = { .audit = { .at = d->begun_at,
                                    .who = row.who,
                                    .role = slice_from_cstr(d->role),
                                    .action = d->wish.is_live ? SLICE("drill.live") : SLICE("drill.start"),
                                    .target = row.rollout,
                                    .reason = row.reason,
                                    .detail = row.detail },
                         .drill = &row };
    bool is_written = deed_write(d->all->rollouts->store, &deed);
    text_fini(&detail);
    return is_written;
}

void drill_record_end(struct drill *d)
{
    struct text detail = { 0 }, action = { 0 }, told = { 0 };
    detail_of(d, &detail);
    text_printf(&action, "drill.%s", d->state);
    text_printf(&told, "the drill %s%s%s", d->state, d->cause != NULL ? ": " : "", d->cause != NULL ? d->cause : "");
    struct drill_row row = row_of(d, text_slice(&detail));
    struct event_row event = { .at = d->ended_at,
                               .kind = text_slice(&action),
                               .subject = row.rollout,
                               .text = text_slice(&told),
                               .who = row.who,
                               .detail = row.detail };
    struct deed deed = { .audit = { .at = d->ended_at,
                                    .who = SLICE("weir"),
                                    .role = SLICE("admin"),
                                    .action = event.kind,
                                    .target = row.rollout,
                                    .reason = event.text,
                                    .detail = row.detail },
                         .drill = &row,
                         .event = &event };
    if (deed_keep(d->all->rollouts->store, &deed))
        d->all->publish_event(d->all->arg, &event);
    drill_mark_end(d->all, &row);
    text_fini(&detail);
    text_fini(&action);
    text_fini(&told);
}

/* Stopping is not held up by a store that fails: as a way back, it is written down as soon as it can be. */
void drill_record_stop(struct drill *d, struct slice who, const char *role, struct slice reason)
{
    struct deed deed = { .audit = { .at = clock_wall(),
                                    .who = who,
                                    .role = slice_from_cstr(role),
                                    .action = SLICE("drill.abort"),
                                    .target = slice_from_cstr(d->rollout),
                                    .reason = reason } };
    deed_keep(d->all->rollouts->store, &deed);
}

static void settle(struct drills *all, struct drill_row *row)
{
    row->state = SLICE("interrupted");
    row->ended_at = clock_wall();
    struct deed deed = { .audit = { .at = row->ended_at,
                                    .who = SLICE("weir"),
                                    .role = SLICE("admin"),
                                    .action = SLICE("drill.interrupted"),
                                    .target = row->rollout,
                                    .reason = SLICE("the process ended before the drill did") },
                         .drill = row };
    log_warn("drill %.*s: interrupted by the end of the process", SLICE_ARG(row->id));
    deed_keep(all->rollouts->store, &deed);
    drill_mark_end(all, row);
}

void drills_settle(struct drills *all)
{
    struct arena arena;
    struct drill_row *rows;
    size_t count;
    arena_init(&arena, NULL, 0);
    if (drills_running(all->rollouts->store, &arena, LEFT_MOST, &rows, &count))
        for (size_t i = 0; i < count; i++)
            settle(all, &rows[i]);
    arena_reset(&arena);
}
