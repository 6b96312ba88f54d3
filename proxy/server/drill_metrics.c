/* server/drill_metrics.c - drills for /metrics: how many ended how, and what the newest one measured. */
#include "server/drills.h"

#include "base/memory.h"

#define NEWEST_LOOK 2u /* one may be under way */

static const char *const end_names[DRILL_END_COUNT] = { "passed", "failed", "aborted", "interrupted" };

/* ---- what a row tells ----------------------------------------------------------------------------------------------------- */

static struct metrics_drilled *drilled_of(struct drill_mark *mark, struct slice guardrail)
{
    for (size_t i = 0; i < mark->guardrail_count; i++)
        if (slice_equal(mark->guardrails[i].guardrail, guardrail))
            return &mark->guardrails[i];
    struct metrics_drilled *made = &mark->guardrails[mark->guardrail_count++];
    *made = (struct metrics_drilled){ arena_copy(&mark->arena, guardrail), -1, -1 };
    return made;
}

static void keep_slowest(const struct json *guardrail, const char *key, double *seconds)
{
    double ms;
    if (json_as_real(json_get(guardrail, key), &ms) && ms / 1000 > *seconds)
        *seconds = ms / 1000;
}

static void read_guardrails(struct drill_mark *mark, const struct json *guardrails)
{
    size_t count = json_count(guardrails);
    struct slice name;
    arena_reset(&mark->arena);
    mark->guardrail_count = 0;
    mark->guardrails = arena_zalloc_array(&mark->arena, count + 1, sizeof *mark->guardrails);
    for (size_t i = 0; i < count; i++) {
        const struct json *guardrail = json_at(guardrails, i);
        if (!json_as_string(json_get(guardrail, "name"), &name))
            continue;
        struct metrics_drilled *drilled = drilled_of(mark, name);
        keep_slowest(guardrail, "detect_ms", &drilled->detect_s);
        keep_slowest(guardrail, "rollback_ms", &drilled->rollback_s);
    }
}

static void read_row(struct drill_mark *mark, const struct drill_row *row)
{
    struct text fault = { 0 };
    struct json *detail = json_parse(row->detail, &fault);
    mark->last_at = row->ended_at;
    if (detail != NULL)
        read_guardrails(mark, json_get(detail, "guardrails"));
    json_destroy(detail);
    text_fini(&fault);
}

/* ---- marks ---------------------------------------------------------------------------------------------------------------- */

static void load(struct drills *all, struct drill_mark *mark)
{
    struct arena arena;
    struct drill_row *rows;
    size_t count;
    const struct drill_filter filter = { .rollout = slice_from_cstr(mark->rollout) };
    arena_init(&arena, NULL, 0);
    if (drills_list(all->rollouts->store, &arena, &filter, NEWEST_LOOK, &rows, &count))
        for (size_t i = count; i > 0; i--)
            if (rows[i - 1].ended_at.unix_ms != 0)
                read_row(mark, &rows[i - 1]);
    arena_reset(&arena);
}

struct drill_mark *drill_mark_of(struct drills *all, struct slice rollout)
{
    LIST_FOREACH_SAFE (link, &all->marks) {
        struct drill_mark *mark = LIST_ITEM(link, struct drill_mark, link);
        if (slice_equal(slice_from_cstr(mark->rollout), rollout))
            return mark;
    }
    struct drill_mark *mark = memory_zalloc(sizeof *mark);
    mark->rollout = memory_alloc(rollout.len + 1);
    memcpy(mark->rollout, rollout.ptr, rollout.len);
    mark->rollout[rollout.len] = '\0';
    arena_init(&mark->arena, NULL, 0);
    list_append(&all->marks, &mark->link);
    load(all, mark);
    return mark;
}

void drill_mark_end(struct drills *all, const struct drill_row *row)
{
    struct drill_mark *mark = drill_mark_of(all, row->rollout);
    for (unsigned end = 0; end < DRILL_END_COUNT; end++)
        mark->end_counts[end] += slice_equal(row->state, slice_from_cstr(end_names[end]));
    read_row(mark, row);
}

void drill_marks_fini(struct drills *all)
{
    LIST_FOREACH_SAFE (link, &all->marks) {
        struct drill_mark *mark = LIST_ITEM(link, struct drill_mark, link);
        list_remove(&mark->link);
        arena_reset(&mark->arena);
        memory_free(mark->rollout);
        memory_free(mark);
    }
}

/* ---- for who asks --------------------------------------------------------------------------------------------------------- */

void drills_fill_metrics(struct drills *all, struct arena *arena, struct metrics_facts *facts)
{
    size_t count = 0;
    LIST_FOREACH_SAFE (link, &all->rollouts->items)
        count++;
    struct metrics_drill *out = arena_zalloc_array(arena, count + 1, sizeof *out);
    facts->drills = out;
    facts->drill_ends = end_names;
    facts->drill_end_count = DRILL_END_COUNT;
    LIST_FOREACH_SAFE (link, &all->rollouts->items) {
        const struct rollout *r = LIST_ITEM(link, struct rollout, link);
        const struct drill_mark *mark = drill_mark_of(all, slice_from_cstr(r->name));
        out[facts->drill_count++] = (struct metrics_drill){ .rollout = slice_from_cstr(r->name),
                                                            .end_counts = mark->end_counts,
                                                            .request_count = mark->request_count,
                                                            .last_at_s = mark->last_at.unix_ms / 1000,
                                                            .guardrails = mark->guardrails,
                                                            .guardrail_count = mark->guardrail_count };
    }
}
