/* shadow/head.c - the head of a copy: the request's own as it goes on, edited, and marked as a copy.
 *
 * Most copies find a connection at once, and their head is written from borrowed bytes: only one that has to wait is
 * copied into the arena. */
#include "shadow/head.h"

#include "http/trace.h"
#include "route/edits.h"

/* The proxy's own entry, the last one, says in a copy that it is one. */
static void mark_via(struct message *m, struct arena *arena, struct slice via)
{
    struct field *last = NULL;
    for (struct field *f = message_field(m, FIELD_VIA); f != NULL; f = message_next_field(m, f))
        last = f;
    if (last != NULL)
        last->value = via;
    else /* a script took it away */
        message_add(m, arena, FIELD_VIA, field_names[FIELD_VIA], via);
}

void head_take(struct shadow *s, const struct shadow_source *source)
{
    const struct header_edits_config *edits = &s->shadow->config->headers;
    struct message *m = &s->message;
    *m = *source->head;
    m->field_capacity = (uint16_t)(m->field_count + edits->set_count);
    m->fields = arena_alloc(&s->arena, m->field_capacity * sizeof(struct field));
    memcpy(m->fields, source->head->fields, m->field_count * sizeof(struct field));
    m->expects_continue = false;
    message_drop(m, FIELD_EXPECT);          /* the request's own answer lets the body come */
    message_drop(m, FIELD_X_WEIR_EXPOSURE); /* who gets a copy has no outcomes to tell */
    struct field *trace = message_field(m, FIELD_TRACEPARENT);
    if (trace != NULL)
        trace->value = trace_child(&s->arena, source->trace, rng_next(&s->pool->loop->rng));
    mark_via(m, &s->arena, source->via);
    edits_apply(m, &s->arena, edits);
}

void head_own(struct shadow *s)
{
    struct message *m = &s->message;
    message_own_fields(m, &s->arena);
    m->method_name = arena_copy(&s->arena, m->method_name);
    m->authority = arena_copy(&s->arena, m->authority);
    m->target = s->exchange.target = arena_copy(&s->arena, s->exchange.target);
    m->path = m->query = m->upgrade = SLICE_NONE;
}

bool head_is_needed(const struct shadow *s)
{
    return !exchange_is_ready(&s->exchange) || s->exchange.is_held;
}

struct message *head_own_trailers(struct arena *arena, const struct message *trailers)
{
    struct message *m = arena_zalloc(arena, sizeof *m);
    message_init(m, arena, trailers->field_count);
    for (const struct field *f = trailers->fields; f < trailers->fields + trailers->field_count; f++)
        if (!f->is_dropped)
            message_add(m, arena, f->id, arena_copy(arena, f->name), arena_copy(arena, f->value));
    return m;
}
