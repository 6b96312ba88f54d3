/* front/drill.c - requests of a drill: a rehearsal's synthetic ones, and the real ones that a live drill fails. */
#include "front/drill.h"

#include "front/front.h"
#include "front/request.h"

#define PPM 1000000u

/* Of some drills at most; NULL nearly always. */
static const struct drill_order *first_order(const struct request *r)
{
    return r->binding->weights != NULL ? r->binding->weights->drill : NULL;
}

/* Not from the route's block: what real users draw from it stays exact. Each request stands for a user of its own, at the
   place in the pair that it drew. */
static void count(struct request *r, const struct drill_order *order, struct drill_part *part, uint32_t place_ppm)
{
    struct exposure *e = &r->exposure;
    if (order->sheet == NULL)
        return;
    e->sheet = order->sheet;
    e->arm = part->arm;
    e->user = rng_next(&r->front->loop->rng);
    e->pair_ppm = place_ppm;
    e->is_user_known = order->sheet->lanes != NULL;
    e->columns = drill_columns(order->sheet, &part->outcome);
    e->latency_us = part->outcome.latency_us > 0 ? part->outcome.latency_us : 1;
    exposure_begin(r);
}

bool drill_take(struct request *r)
{
    const struct drill_order *order = first_order(r);
    struct drill_request wanted;
    if (order == NULL)
        return false;
    const struct field *field = message_field(&r->message, FIELD_X_WEIR_DRILL);
    while (field != NULL && order != NULL && !drill_request_read(field->value, order->token, &wanted))
        order = order->next;
    if (field == NULL || order == NULL)
        return false;
    uint32_t place_ppm = rng_below(&r->front->loop->rng, PPM);
    struct drill_part *part = arena_alloc(&r->arena, sizeof *part);
    part->arm = place_ppm < order->canary_ppm ? TALLY_CANARY : TALLY_STABLE;
    part->outcome = wanted.arms[part->arm];
    r->drill = part;
    r->decision.why = WHY_DRILL;
    r->decision.weights_generation = r->binding->weights->generation;
    count(r, order, part, place_ppm);
    return true;
}

static bool is_due(const struct request *r, const struct drill_order *order)
{
    return order->live_ppm > 0 && r->decision.route->index == order->live_route &&
           mono_diff_us(order->live_until, loop_now(r->front->loop)) > 0 &&
           rng_below(&r->front->loop->rng, PPM) < order->live_ppm;
}

bool drill_fails(struct request *r)
{
    const struct drill_order *order = first_order(r);
    if (order == NULL || r->exposure.sheet == NULL || r->exposure.arm != TALLY_CANARY)
        return false;
    while (order != NULL && !is_due(r, order))
        order = order->next;
    return order != NULL;
}
