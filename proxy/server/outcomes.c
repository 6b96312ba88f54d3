/* server/outcomes.c - finds the exposure of each outcome, and counts it once. */
#include "server/outcomes.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "server/rollouts.h"
#include "stats/mark.h"
#include "rollout/outcomes.h"
#include "store/deed.h"

#include <stdarg.h>
#include <stdio.h>

/* An outcome whose rollout, column and exposure are known. */
struct found_outcome {
    struct rollout *rollout;
    uint32_t column;
    struct mark mark;
    bool is_left_out;
    uint64_t id; /* a hash; 0: it has none */
};

void outcome_desk_init(struct outcome_desk *d, struct rollouts *rollouts)
{
    *d = (struct outcome_desk){ .rollouts = rollouts };
}

static bool fail(struct outcome_failure *f, uint16_t status, const char *code, const char *format, ...)
    PRINTF_LIKE(4, 5);

static bool fail(struct outcome_failure *f, uint16_t status, const char *code, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    f->status = status;
    f->code = code;
    text_add_cstr(&f->message, message);
    return false;
}

static uint64_t hash_of(struct slice a, struct slice b, struct slice c)
{
    const struct slice parts[] = { a, b, c };
    uint64_t hash = 0;
    for (uint64_t i = 0; i < ARRAY_COUNT(parts); i++) {
        const struct hash_key key = { hash, i };
        hash = hash_siphash(key, parts[i].len > 0 ? parts[i].ptr : "", parts[i].len);
    }
    return hash == 0 ? 1 : hash;
}

/* ---- whose it is -------------------------------------------------------------------------------------------------------- */

static bool column_find(const struct rollout *r, const struct outcome_item *item, uint32_t *out,
                        struct outcome_failure *f)
{
    for (uint32_t i = 0; i < r->specs.event_count; i++)
        if (slice_equal(r->specs.events[i], item->event)) {
            *out = TALLY_EVENTS + i;
            return true;
        }
    return fail(f, 400, "no_event", "no guardrail of rollout \"%s\" watches the event \"%.*s\"", r->name,
                SLICE_ARG(item->event));
}

static bool by_mark(struct outcome_desk *d, const struct outcome_item *item, struct found_outcome *out,
                    struct outcome_failure *f)
{
    if (!mark_read(item->exposure, &out->mark))
        return fail(f, 400, "bad_exposure", "\"exposure\" is not what x-weir-exposure said");
    out->rollout = rollouts_find(d->rollouts, out->mark.rollout);
    if (out->rollout == NULL)
        return fail(f, 404, "no_rollout", "there is no rollout \"%.*s\"", SLICE_ARG(out->mark.rollout));
    out->is_left_out = out->mark.tag != rollout_tag(out->rollout);
    return true;
}

/* The key alone says which side it is. */
static bool side_by_key(const struct outcome_item *item, struct found_outcome *out, struct outcome_failure *f)
{
    const struct rollout *r = out->rollout;
    if (slice_is_empty(item->key))
        return fail(f, 400, "key_missing", "route \"%.*s\" is sticky: an outcome needs the \"key\" of its user",
                    SLICE_ARG(r->config->route));
    struct sticky_place place = sticky_place(r->route->salt, item->key, r->route->entry_hashes[r->config->stable_entry],
                                             r->route->entry_hashes[r->config->canary_entry]);
    struct tally_rules rules;
    evidence_rules(&r->evidence, &rules);
    out->mark.fresh_from_ppm = rules.fresh_from_ppm;
    out->mark.has_user = place.ppm >= rules.fresh_from_ppm;
    out->mark.user = place.user;
    out->mark.arm = place.ppm < r->weighted_ppm ? TALLY_CANARY : TALLY_STABLE;
    struct slice name = out->mark.arm == TALLY_CANARY ? r->config->canary : r->config->stable;
    if (slice_is_empty(item->upstream) || slice_equal(item->upstream, name))
        return true;
    return fail(f, 400, "other_side", "this key goes to \"%.*s\", not to \"%.*s\"", SLICE_ARG(name),
                SLICE_ARG(item->upstream));
}

static bool side_by_upstream(const struct outcome_item *item, struct found_outcome *out, struct outcome_failure *f)
{
    const struct rollout_config *config = out->rollout->config;
    bool is_canary = slice_equal(item->upstream, config->canary);
    out->mark.arm = is_canary ? TALLY_CANARY : TALLY_STABLE;
    if (is_canary || slice_equal(item->upstream, config->stable))
        return true;
    return fail(f, 400, "not_of_pair", "the pair is \"%.*s\" and \"%.*s\": \"upstream\" is neither",
                SLICE_ARG(config->stable), SLICE_ARG(config->canary));
}

/* Only of requests that were passed on while the weight was what it is: under which share others were assigned is not
   known, and late ones of a lower share would all be stable's. */
static bool by_side(struct outcome_desk *d, const struct outcome_item *item, struct found_outcome *out,
                    struct outcome_failure *f)
{
    bool by_route = slice_is_empty(item->rollout);
    const struct rollout *owner = by_route ? rollouts_owner(d->rollouts, item->route) : NULL;
    struct slice name = !by_route ? item->rollout : owner != NULL ? slice_from_cstr(owner->name) : SLICE("");
    struct rollout *r = out->rollout = rollouts_find(d->rollouts, name);
    if (r == NULL)
        return fail(f, 404, "no_rollout", "there is no rollout %s \"%.*s\"", by_route ? "of route" : "named",
                    SLICE_ARG(by_route ? item->route : item->rollout));
    if (item->at.unix_ms == 0)
        return fail(f, 400, "at_missing", "without \"exposure\" an outcome needs \"at\": when its request came");
    int64_t ahead_ms = item->at.unix_ms - clock_wall().unix_ms;
    if (ahead_ms > OUTCOME_FUTURE_MS)
        return fail(f, 400, "in_the_future", "\"at\" is %lld ms in the future", (long long)ahead_ms);
    out->mark.at = item->at;
    out->mark.share_ppm = r->weighted_ppm;
    out->is_left_out = item->at.unix_ms < r->weighted_at.unix_ms + OUTCOME_SETTLED_MS;
    return r->feed->is_sticky ? side_by_key(item, out, f) : side_by_upstream(item, out, f);
}

/* ---- how many ----------------------------------------------------------------------------------------------------------- */

static uint64_t *told_of(const struct found_outcome *o)
{
    return &o->rollout->outcomes.told[o->mark.arm][o->column - TALLY_EVENTS];
}

static bool has_requests_for(const struct found_outcome *o, uint64_t count)
{
    uint64_t begun = o->rollout->evidence.begun[o->mark.arm], told = *told_of(o);
    return told <= begun && count <= begun - told;
}

static bool find(struct outcome_desk *d, const struct outcome_item *item, struct found_outcome *out,
                 struct outcome_failure *f)
{
    *out = (struct found_outcome){ 0 };
    bool is_found = item->exposure.len > 0 ? by_mark(d, item, out, f) : by_side(d, item, out, f);
    if (!is_found || !column_find(out->rollout, item, &out->column, f))
        return false;
    struct rollout *r = out->rollout;
    if (r->feed->is_sticky && item->count > 1)
        return fail(f, 400, "bad_count", "route \"%.*s\" is sticky: each outcome is of one user, and its count 1",
                    SLICE_ARG(r->config->route));
    out->is_left_out |= !rollout_is_watched(r);
    if (item->id.len > 0)
        out->id = hash_of(slice_from_cstr(r->name), item->event, item->id);
    if (out->is_left_out || (out->id != 0 && recent_has(&d->rollouts->told, out->id)) ||
        has_requests_for(out, item->count))
        return true;
    return fail(f, 409, "too_many", "of the %s's %llu requests %llu had this event already: %llu more cannot be",
                out->mark.arm == TALLY_CANARY ? "canary" : "stable version",
                (unsigned long long)r->evidence.begun[out->mark.arm], (unsigned long long)*told_of(out),
                (unsigned long long)item->count);
}

/* ---- the audit log ------------------------------------------------------------------------------------------------------ */

static struct outcome_interval *interval_of(struct outcome_desk *d, uint64_t key)
{
    struct outcome_interval *first = &d->intervals[0];
    for (struct outcome_interval *i = d->intervals; i < d->intervals + OUTCOME_INTERVALS; i++) {
        if (i->key == key)
            return i;
        if (mono_is_before(i->until, first->until))
            first = i;
    }
    *first = (struct outcome_interval){ .key = key };
    return first;
}

/* The interval that is open, with its line written; NULL: it could not be. */
static struct outcome_interval *interval_open(struct outcome_desk *d, const struct rollout *r,
                                              const struct outcome_teller *teller)
{
    struct mono_time now = loop_now(d->rollouts->loop);
    struct slice name = slice_from_cstr(r->name);
    struct outcome_interval *interval = interval_of(d, hash_of(teller->who, name, teller->reason));
    if (interval->until.us != 0 && mono_is_before(now, interval->until))
        return interval;
    struct text detail = { 0 };
    text_printf(&detail, "{\"for_ms\": %d, \"counted_before\": %llu}", OUTCOME_INTERVAL_MS,
                (unsigned long long)interval->counted);
    struct deed deed = { .audit = { .at = clock_wall(),
                                    .who = teller->who,
                                    .role = teller->role,
                                    .action = SLICE("outcomes.tell"),
                                    .target = name,
                                    .reason = teller->reason,
                                    .detail = text_slice(&detail) } };
    bool is_written = deed_write(d->rollouts->store, &deed);
    text_fini(&detail);
    interval->counted = 0;
    interval->until = is_written ? mono_add_ms(now, OUTCOME_INTERVAL_MS) : (struct mono_time){ 0 };
    return is_written ? interval : NULL;
}

/* ---- counting ----------------------------------------------------------------------------------------------------------- */

static void leave_out(struct rollout *r, uint64_t count, struct outcome_summary *out)
{
    r->outcomes.left_out += count;
    out->left_out += count;
}

/* None is in the future, where its moment would wait to be complete for as long: the wall clock was put back since, or the
   mark is not as it was given out. */
static int64_t age_of(const struct mark *mark)
{
    int64_t age_ms = clock_wall().unix_ms - mark->at.unix_ms;
    return age_ms > 0 ? age_ms : 0;
}

static void count_outcome(struct outcome_desk *d, const struct found_outcome *o, uint64_t count,
                          struct outcome_summary *out)
{
    struct rollout *r = o->rollout;
    if (o->id != 0 && recent_has(&d->rollouts->told, o->id)) {
        r->outcomes.repeated += count;
        out->repeated += count;
        return;
    }
    if (!has_requests_for(o, count)) { /* several in one call; told again later it may count */
        leave_out(r, count, out);
        return;
    }
    if (o->id != 0)
        outcome_memory_add(&d->rollouts->told, &r->outcomes.pending, o->id);
    struct mono_time now = loop_now(d->rollouts->loop);
    int64_t age_ms = age_of(&o->mark);
    const struct evidence_outcome outcome = { .arm = o->mark.arm,
                                              .column = o->column,
                                              .count = count,
                                              .at = mono_add_ms(now, -age_ms),
                                              .share_ppm = o->mark.share_ppm,
                                              .fresh_from_ppm = o->mark.fresh_from_ppm,
                                              .has_user = o->mark.has_user,
                                              .user = o->mark.user };
    if (outcomes_add(&r->evidence, &outcome, now))
        out->compared += count;
    *told_of(o) += count;
    r->outcomes.counted += count;
    out->counted += count;
}

static bool take_found(struct outcome_desk *d, const struct outcome_item *items, const struct found_outcome *found,
                       size_t count, const struct outcome_teller *teller, struct outcome_summary *out,
                       struct outcome_failure *f)
{
    for (f->index = 0; f->index < count; f->index++)
        if (interval_open(d, found[f->index].rollout, teller) == NULL)
            return fail(f, 503, "audit_unavailable", "refused, because the audit log cannot be written: %s",
                        store_message(d->rollouts->store));
    for (size_t i = 0; i < count; i++) {
        uint64_t before = out->counted;
        if (found[i].is_left_out)
            leave_out(found[i].rollout, items[i].count, out);
        else
            count_outcome(d, &found[i], items[i].count, out);
        struct slice name = slice_from_cstr(found[i].rollout->name);
        interval_of(d, hash_of(teller->who, name, teller->reason))->counted += out->counted - before;
    }
    return true;
}

bool outcome_desk_take(struct outcome_desk *d, const struct outcome_item *items, size_t count,
                       const struct outcome_teller *teller, struct outcome_summary *out, struct outcome_failure *f)
{
    struct found_outcome *found = memory_zalloc((count + 1) * sizeof *found);
    bool is_good = true;
    *out = (struct outcome_summary){ 0 };
    LIST_FOREACH_SAFE (link,
                       &d->rollouts->items) { /* the requests that they belong to have begun: they are seen, too */
        struct rollout *r = LIST_ITEM(link, struct rollout, link);
        feed_collect(r->feed, loop_now(d->rollouts->loop));
    }
    for (f->index = 0; is_good && f->index < count; f->index += is_good)
        is_good = find(d, &items[f->index], &found[f->index], f);
    if (is_good)
        is_good = take_found(d, items, found, count, teller, out, f);
    memory_free(found);
    return is_good;
}
