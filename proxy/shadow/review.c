/* shadow/review.c - copies that are shown to somebody before they are sent: held until they are whole, and let go or not. */
#include "shadow/review.h"

#include "shadow/capture.h"
#include "shadow/shadow_parts.h"

/* What a copy will be made of. */
struct shadow_hold {
    struct shadow_binding *binding; /* of s->pin */
    struct shadow_source source;
};

/* ---- holding ----------------------------------------------------------------------------------------------------------- */

void review_hold(struct shadow *s, struct shadow_binding *b, const struct shadow_source *source)
{
    s->hold = arena_alloc(&s->arena, sizeof *s->hold);
    *s->hold = (struct shadow_hold){ .binding = b, .source = *source };
    shadow_link(s, source->list);
    if (!shadow_charge(s))
        shadow_drop(s, SHADOW_DROP_MEMORY);
    else if (source->head->framing == BODY_NONE)
        review_later(s);
}

void review_later(struct shadow *s)
{
    list_append(&s->pool->review_due, &s->flush_link);
    loop_repeat_hooks(s->pool->loop);
}

/* ---- the draft --------------------------------------------------------------------------------------------------------- */

static void draft_make(struct shadow *s, struct shadow_draft *d)
{
    const struct shadow_source *source = &s->hold->source;
    *d = (struct shadow_draft){ .upstream = s->shadow->config->to,
                                .arena = &s->arena,
                                .head = *source->head,
                                .target = source->target,
                                .body = source->head->framing != BODY_NONE ? &s->body : NULL,
                                .body_max_bytes = s->shadow->config->max_body_bytes,
                                .loop = s->pool->loop };
    d->head.fields = arena_alloc(&s->arena, d->head.field_capacity * sizeof(struct field));
    memcpy(d->head.fields, source->head->fields, d->head.field_count * sizeof(struct field));
}

/* RFC 9530; Content-MD5 was of RFC 2616. They would give away what was hidden, and be wrong. */
static void drop_digests(struct message *m)
{
    static const char *const names[] = { "content-digest", "content-md5", "digest", "repr-digest" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        message_drop_named(m, slice_from_cstr(names[i]));
}

void shadow_draft_set_body(struct shadow_draft *d, struct slice bytes)
{
    struct message *m = &d->head;
    CHECK(d->body != NULL && bytes.len <= d->body_max_bytes);
    pieces_clear(d->body, &d->loop->pieces);
    pieces_pack(d->body, &d->loop->pieces, &d->loop->chunks, bytes.ptr, (uint32_t)bytes.len);
    m->framing = bytes.len > 0 ? BODY_LENGTH : BODY_NONE;
    m->content_length = bytes.len;
    m->has_content_length = true;
    message_drop(m, FIELD_CONTENT_LENGTH); /* the codecs write it */
    message_drop(m, FIELD_TRAILER);
    drop_digests(m);
    d->is_body_new = true;
}

/* ---- reviewing --------------------------------------------------------------------------------------------------------- */

/* It goes as the draft has it. From here on it is a copy whose body is there already. */
static void let_go(struct shadow *s, const struct shadow_draft *d)
{
    struct shadow_hold *hold = TAKE(&s->hold);
    struct shadow_source source = hold->source;
    source.head = &d->head;
    source.target = d->target;
    source.list = NULL;
    if (d->is_body_new)
        s->trailers = NULL; /* RFC 9112 7.1.2: they are of a body in chunks; and may be a digest of the old one */
    if (s->pair != NULL)
        capture_request(s->pair, &d->head, &s->body);
    shadow_start(s, hold->binding, &source);
}

static void review(struct shadow *s)
{
    struct shadow_draft d;
    draft_make(s, &d);
    enum shadow_word word = s->pool->review(s->hold->source.request, &d);
    if (word == SHADOW_WORD_VETO)
        shadow_drop(s, SHADOW_DROP_VETOED);
    else if (word == SHADOW_WORD_FAILED)
        shadow_drop(s, SHADOW_DROP_SCRIPT);
    else if (s->arena.has_overflowed)
        shadow_drop(s, SHADOW_DROP_HEAD);
    else
        let_go(s, &d);
}

/* Hooks run again when there is work, and writes go between: what requests have to send leaves in the first round. */
static void review_on_turn(void *arg)
{
    struct shadow_pool *pool = arg;
    bool is_due = !list_is_empty(&pool->review_due);
    if (is_due && !pool->is_review_next) {
        pool->is_review_next = true;
        loop_repeat_hooks(pool->loop);
        return;
    }
    pool->is_review_next = false;
    struct list *link;
    while ((link = list_pop(&pool->review_due)) != NULL)
        review(LIST_ITEM(link, struct shadow, flush_link));
}

void review_init(struct shadow_pool *pool)
{
    list_init(&pool->review_due);
    pool->review_hook = (struct turn_hook){ .run = review_on_turn, .arg = pool };
    loop_add_turn_hook(pool->loop, &pool->review_hook);
}
