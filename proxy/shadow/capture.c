/* shadow/capture.c - a pair while its request and copies are under way: filled from several places, handed over once. */
#include "shadow/capture.h"

#include "shadow/comparer.h"

#define PAIR_FIRST_BYTES 4096u /* what is free in the lane before a pair is made */

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

/* Before anything is added: others may have taken the room. */
static void limit(struct pair *p)
{
    uint64_t held_bytes = p->lane->held_bytes;
    pair_limit_growth(p, held_bytes < p->lane_limit_bytes ? p->lane_limit_bytes - held_bytes : 0);
}

/* After it was. */
static void recount(struct pair *p)
{
    size_t bytes = pair_memory_bytes(p);
    p->lane->held_bytes += bytes - p->counted_bytes;
    p->counted_bytes = bytes;
}

/* Nobody is awaited: it is the comparer's now. */
static void hand_over(struct shadow_pool *pool, struct pair *p)
{
    p->lane->held_bytes -= p->counted_bytes;
    p->lane = NULL;
    if (p->is_withheld)
        pair_destroy(p);
    else if (!comparer_submit(pool->comparer, p))
        stats_add(pool->stats, STATS_COMPARES_DROPPED, 1);
}

/* ---- beginning --------------------------------------------------------------------------------------------------------- */

/* Pairs last as long as the request's own answer does, which may be hours: they leave room for copies. */
static uint64_t part_for_pairs(const struct shadow_slot *slot)
{
    return slot->memory_bytes / 2;
}

/* Who wants this copy's answers, by their shares. */
static unsigned draw_uses(struct shadow_pool *pool, struct shadow_slot *slot, const struct shadow_config *config)
{
    unsigned uses = 0;
    if (config->compare.is_on && share_draw(&slot->compared, config->compare.sample_ppm, &pool->loop->rng))
        uses |= PAIR_FOR_COMPARE;
    if (config->record.file.len > 0 && share_draw(&slot->recorded, config->record.sample_ppm, &pool->loop->rng))
        uses |= PAIR_FOR_RECORD;
    return uses;
}

static bool may_capture(struct shadow_pool *pool, struct shadow_slot *slot, unsigned uses)
{
    if (uses == 0 || pool->comparer == NULL)
        return false;
    if (comparer_has_room(pool->comparer) && slot->lane->held_bytes + PAIR_FIRST_BYTES <= part_for_pairs(slot))
        return true;
    stats_add(pool->stats, STATS_COMPARES_DROPPED, 1);
    return false;
}

struct pair *capture_begin(struct shadow_pool *pool, struct shadow_slot *slot, const struct compiled_shadow *shadow,
                           const struct shadow_source *source)
{
    const struct compare_config *compare = &shadow->config->compare;
    unsigned uses = draw_uses(pool, slot, shadow->config);
    if (!may_capture(pool, slot, uses))
        return NULL;
    struct pair_about about = {
        .shadow_id = shadow->series,
        .route = source->route->config->name,
        .upstream = shadow->config->to,
        .primary = source->primary,
        .control = compare->control,
        .begun = clock_wall(),
        .uses = uses,
        .body_limit_bytes = (uint32_t)compare->max_body_bytes,
        .limit_bytes = pair_limit((uint32_t)compare->max_body_bytes),
    };
    struct pair *p = pair_create(&about);
    p->started = loop_now(pool->loop);
    p->lane = slot->lane;
    p->lane_limit_bytes = part_for_pairs(slot);
    recount(p);
    limit(p);
    p->is_withheld = source->is_reviewed;
    if (!p->is_withheld)
        pair_set_request(p, source->head);
    if (!p->is_withheld && source->head->framing == BODY_NONE)
        pair_end_request(p);
    pair_await(p, PAIR_PRIMARY);
    p->next = *source->pairs;
    *source->pairs = p;
    recount(p);
    return p;
}

/* ---- what comes -------------------------------------------------------------------------------------------------------- */

void capture_request(struct pair *p, const struct message *head, const struct pieces *body)
{
    struct pieces_walk walk = { 0 };
    p->is_withheld = false;
    limit(p);
    pair_set_request(p, head);
    recount(p);
    for (const struct piece *piece; (piece = pieces_next(body, &walk)) != NULL;)
        capture_request_body(p, piece->chunk->bytes + piece->offset, piece->length);
    pair_end_request(p);
}

void capture_request_body(struct pair *p, const char *bytes, size_t len)
{
    limit(p);
    pair_add_request_body(p, bytes, len);
    recount(p);
}

void capture_request_end(struct pair *p)
{
    pair_end_request(p);
}

void capture_head(struct shadow_pool *pool, struct pair *p, enum pair_side side, const struct message *m)
{
    limit(p);
    pair_set_answer(p, side, m, mono_diff_us(loop_now(pool->loop), p->started));
    recount(p);
}

void capture_body(struct pair *p, enum pair_side side, const char *bytes, size_t len)
{
    limit(p);
    pair_add_answer_body(p, side, bytes, len);
    recount(p);
}

/* An end without a head is a failure that nobody named: the answer is not whole. */
void capture_end(struct shadow_pool *pool, struct pair **pointer, enum pair_side side, enum reason reason)
{
    struct pair *p = TAKE(pointer);
    if (p == NULL)
        return;
    int64_t latency_us = mono_diff_us(loop_now(pool->loop), p->started);
    if (reason == REASON_NONE && p->answers[side].status == 0)
        reason = REASON_UPSTREAM_INVALID;
    bool is_last = reason == REASON_NONE ? pair_answered(p, side) : pair_failed(p, side, reason, latency_us);
    if (is_last)
        hand_over(pool, p);
}

void capture_give_up(struct shadow_pool *pool, struct pair **pointer, enum pair_side side)
{
    struct pair *p = TAKE(pointer);
    if (p != NULL && pair_given_up(p, side))
        hand_over(pool, p);
}

/* ---- the primary ------------------------------------------------------------------------------------------------------- */

void captures_head(struct shadow_pool *pool, struct pair *first, const struct message *m)
{
    for (struct pair *p = first; p != NULL; p = p->next)
        capture_head(pool, p, PAIR_PRIMARY, m);
}

void captures_body(struct pair *first, const char *bytes, size_t len)
{
    for (struct pair *p = first; p != NULL; p = p->next)
        capture_body(p, PAIR_PRIMARY, bytes, len);
}

void captures_end(struct shadow_pool *pool, struct pair **first, enum reason reason)
{
    for (struct pair *p = TAKE(first), *next; p != NULL; p = next) {
        next = p->next;
        capture_end(pool, &(struct pair *){ p }, PAIR_PRIMARY, reason);
    }
}

void captures_give_up(struct shadow_pool *pool, struct pair **first)
{
    for (struct pair *p = TAKE(first), *next; p != NULL; p = next) {
        next = p->next;
        capture_give_up(pool, &(struct pair *){ p }, PAIR_PRIMARY);
    }
}
