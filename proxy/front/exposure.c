/* front/exposure.c - a request as evidence: which version it was given, and what came of it, for the judge of a rollout. */
#include "front/exposure.h"

#include "front/front.h"
#include "front/request.h"
#include "stats/mark.h"

/* gRPC statuses that are the service's own fault: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
#define GRPC_FAULTS (1u << 2 | 1u << 4 | 1u << 13 | 1u << 14 | 1u << 15)

static struct tally *tally_of(const struct request *r)
{
    return &r->exposure.sheet->tallies[r->front->worker_index];
}

/* Whom a rule, a script or the route's only entry sent was not drawn. */
static bool is_drawn(const struct decision *d)
{
    return d->why == WHY_SPLIT || d->why == WHY_STICKY || d->why == WHY_ISSUED;
}

/* A sticky route's request without a key was drawn from a block, and stands for no user. */
static void note_place(struct request *r)
{
    struct exposure *e = &r->exposure;
    const struct compiled_route *route = r->decision.route;
    char scratch[16];
    struct slice key = slice_from(r->decision.issued_key, sizeof r->decision.issued_key - 1);
    if (r->decision.why == WHY_SPLIT ||
        (r->decision.why == WHY_STICKY && !key_extract(&route->config->sticky.key, &r->view, scratch, &key)))
        return;
    struct sticky_place place = sticky_place(route->salt, key, route->entry_hashes[e->sheet->stable_entry],
                                             route->entry_hashes[e->sheet->canary_entry]);
    e->user = place.user;
    e->pair_ppm = place.ppm;
    e->is_user_known = true;
}

void exposure_begin(struct request *r)
{
    tally_begin(tally_of(r), r->exposure.arm);
}

void exposure_assign(struct request *r)
{
    struct tally_sheet *sheet = weights_sheet_of(r->binding->weights, r->decision.route);
    if (sheet == NULL || !is_drawn(&r->decision))
        return;
    struct exposure *e = &r->exposure;
    if (r->decision.split_index == sheet->canary_entry)
        e->arm = TALLY_CANARY;
    else if (r->decision.split_index == sheet->stable_entry)
        e->arm = TALLY_STABLE;
    else
        return;
    e->sheet = sheet;
    if (sheet->lanes != NULL)
        note_place(r);
    exposure_begin(r);
}

/* Users who had met the canary before are compared with nobody, and have no name in the mark. */
void exposure_mark(struct request *r)
{
    struct message *m = &r->message;
    struct exposure *e = &r->exposure;
    const struct tally_sheet *sheet = e->sheet;
    if (message_field(m, FIELD_X_WEIR_EXPOSURE) != NULL)
        message_drop(m, FIELD_X_WEIR_EXPOSURE);
    if (sheet == NULL || sheet->rollout == NULL)
        return;
    const struct mark mark = { .arm = e->arm,
                               .share_ppm = sheet->share_ppm,
                               .fresh_from_ppm = sheet->rules.fresh_from_ppm,
                               .tag = sheet->tag,
                               .has_user = e->is_user_known && e->pair_ppm >= sheet->rules.fresh_from_ppm,
                               .user = e->user,
                               .at = clock_wall(),
                               .rollout = slice_from_cstr(sheet->rollout) };
    char *text = arena_alloc(&r->arena, MARK_BYTES);
    message_add(m, &r->arena, FIELD_X_WEIR_EXPOSURE, field_names[FIELD_X_WEIR_EXPOSURE],
                slice_from(text, mark_write(&mark, text)));
}

static void note_grpc_status(struct exposure *e, const struct message *m)
{
    const struct field *field = message_field_named(m, SLICE("grpc-status"), NULL);
    uint64_t status;
    if (field != NULL && slice_to_u64(field->value, &status) && status < 32 && (GRPC_FAULTS >> status & 1) != 0)
        e->columns |= 1u << TALLY_ERRORS;
}

static bool is_grpc(const struct request *r)
{
    const struct field *type = message_field(&r->message, FIELD_CONTENT_TYPE);
    return type != NULL && slice_has_prefix(type->value, SLICE("application/grpc"));
}

void exposure_on_head(struct request *r, const struct message *response)
{
    struct exposure *e = &r->exposure;
    int64_t latency_us = mono_diff_us(loop_now(r->front->loop), r->begun);
    e->latency_us = latency_us > 0 ? (uint64_t)latency_us : 1;
    if (sheet_is_error(e->sheet, response->status))
        e->columns |= 1u << TALLY_ERRORS;
    for (const struct field *f = message_field(response, FIELD_X_WEIR_EVENT); f != NULL;
         f = message_next_field(response, f))
        e->columns |= sheet_event_column(e->sheet, f->value);
    if (is_grpc(r))
        note_grpc_status(e, response);
}

void exposure_on_trailers(struct request *r, const struct message *trailers)
{
    if (is_grpc(r))
        note_grpc_status(&r->exposure, trailers);
}

/* Whose outcome it is; false: nobody's. */
static bool is_outcome(struct request *r)
{
    switch (reason_rows[r->reason].blame) {
    case BLAME_NOBODY:
        return true;
    case BLAME_UPSTREAM:
        r->exposure.columns |= 1u << TALLY_ERRORS;
        if (r->reason == REASON_CONNECT_FAILED || r->reason == REASON_CONNECT_TIMEOUT ||
            r->reason == REASON_UPSTREAM_TLS || r->reason == REASON_NO_ENDPOINT)
            r->exposure.columns |= 1u << TALLY_CONNECT_FAILURES;
        return true;
    case BLAME_CLIENT:
    case BLAME_PROXY:
    case BLAME_OPERATOR:
        break;
    }
    return false;
}

static void note_user(struct request *r, uint32_t columns)
{
    struct exposure *e = &r->exposure;
    if (e->is_user_known)
        sheet_note_user(e->sheet, r->front->worker_index, e->arm, e->user, e->pair_ppm, columns);
}

static uint64_t age_us(const struct request *r)
{
    int64_t us = mono_diff_us(loop_now(r->front->loop), r->begun);
    return us > 0 ? (uint64_t)us : 0;
}

/* Who left before the answer began may have left because it did not. The tally comes last, here and below: main may free
   the sheet as soon as the request is counted there. */
static void give_up(struct request *r)
{
    struct exposure *e = &r->exposure;
    uint64_t us = age_us(r);
    uint32_t columns = tally_columns(&e->sheet->rules, e->arm, 0, us);
    if (columns != 0)
        note_user(r, columns);
    tally_give_up(tally_of(r), &e->sheet->rules, e->arm, us);
    e->sheet = NULL;
}

void exposure_end(struct request *r)
{
    struct exposure *e = &r->exposure;
    bool is_left = r->reason == REASON_CLIENT_ABORTED && e->latency_us == 0;
    if (!is_outcome(r)) {
        if (is_left)
            give_up(r);
        else
            exposure_drop(r);
        return;
    }
    uint64_t us = e->latency_us > 0 ? e->latency_us : age_us(r);
    note_user(r, tally_columns(&e->sheet->rules, e->arm, e->columns, us));
    tally_end(tally_of(r), &e->sheet->rules, e->arm, e->columns, us);
    e->sheet = NULL;
}

void exposure_drop(struct request *r)
{
    tally_discard(tally_of(r), r->exposure.arm);
    r->exposure.sheet = NULL;
}
